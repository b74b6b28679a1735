"""Whether those whom a job shows are those who agreed: consent belongs to a person, not to a name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path

import numpy as np

from ..errors import ConsentError
from ..faces.people import appearance
from ..protocol import ConvertSpec, Identity, PreviewSpec, TrainSpec, parse_json
from ..reading import read_text
from .consent import bind, how_to_record, project_folder, read_consent, replaced, seen_with

Looks = list[tuple[str, np.ndarray]]
"""Where somebody is seen, as a sentence names it, and the mean embedding (128,) of their faces there."""


def require_same_people(spec: TrainSpec | ConvertSpec | PreviewSpec) -> None:
    """Raise ConsentError when a job would use somebody's faces under another person's consent.

    A training or a conversion ties consents that nobody used yet to whom it uses them for; a preview does not. Faces
    of which no embedding is known cannot be told and pass. Consent to all has to be on record (`require_consent`).
    """
    project = project_folder(spec)
    people = _shown(spec)
    for name, looks in people.items():
        seen, record = seen_with(project, name), read_consent(project, name)
        if seen is None or record is None or seen.open:
            continue
        for where, look in looks:
            if appearance.strangers([look], seen.faces):
                raise ConsentError(
                    f"The consent on record for {name} is {record.person}'s, but the face in {where} is somebody "
                    "else's. Give them a name of their own and record whose face it is; or, if it is "
                    f"{record.person} after all, record it again: {how_to_record(project, name)}"
                )
    if isinstance(spec, PreviewSpec):
        return
    for name, looks in people.items():
        if looks and (seen := seen_with(project, name)) and seen.open:
            new: list[np.ndarray] = []
            for _, look in looks:
                new += appearance.strangers([look], [*seen.faces, *(face.tolist() for face in new)])
            bind(project, name, [face.tolist() for face in new])


def name_of(project: Path, role: str, look: np.ndarray | None) -> str:
    """The name under which a project keeps the consent of a person that plays a role: the role's own, or role-2,
    role-3 … when those before are other people's. `look` is their mean embedding (128,), None where it is not known.
    """
    for name in _names(role):
        seen = seen_with(project, name)
        if seen is None or seen.open or look is None or not appearance.strangers([look], seen.faces):
            return name
    raise AssertionError


def names_before(role: str, name: str) -> list[str]:
    """The names that `name_of` gave to those who played a role before the one who is called `name`."""
    return list(takewhile(lambda one: one != name, _names(role)))


def _names(role: str) -> Iterator[str]:
    yield role
    yield from (f"{role}-{number}" for number in count(2))


def _shown(spec: TrainSpec | ConvertSpec | PreviewSpec) -> dict[str, Looks]:
    people: dict[str, Looks] = {}
    for name, where, look in _faces(spec):
        people.setdefault(name, []).append((where, look))
    return people


def _faces(spec: TrainSpec | ConvertSpec | PreviewSpec) -> Iterator[tuple[str, str, np.ndarray]]:
    """Every identity that a job shows, with where and how it is seen."""
    if isinstance(spec, TrainSpec):
        for identity in spec.identities:
            yield from _material(identity)
        return
    if isinstance(spec, PreviewSpec) and spec.view != "recast":
        return
    for swap in spec.swaps:
        scan = Path(spec.scan)
        if (look := appearance.of_person(scan, swap.person)) is not None:
            yield swap.target or replaced(spec.scan, swap.person), scan.name, look
        if spec.model:
            faceset = _faceset(Path(spec.model), swap.identity)
            for look in appearance.of_faceset(faceset) if faceset else []:
                yield swap.identity, f"the model {Path(spec.model).name}", look
        elif isinstance(spec, PreviewSpec):
            for identity in spec.identities:
                if identity.name == swap.identity:
                    yield from _material(identity)


def _material(identity: Identity) -> Iterator[tuple[str, str, np.ndarray]]:
    for material in identity.material:
        if (look := appearance.of_person(Path(material.scan), material.person)) is not None:
            yield identity.name, Path(material.scan).name, look


def _faceset(model: Path, identity: str) -> Path | None:
    """The faceset of one of a model's identities; None where there is none, which the job itself refuses."""
    try:
        names = parse_json(read_text(model / "model.json"))["identities"]
        return model / "facesets" / f"{names.index(identity)}.faceset"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
