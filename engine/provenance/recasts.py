"""The project's recasts: the number in their mark, their credentials, and a line for each in the project's records.

`<project>/provenance/<id>.json` says of each conversion who was recast where, by what, and what came of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..durable import hash_file
from ..errors import DataError
from ..protocol import Clip, ConvertSpec, CredentialSpec, from_json, parse_json, to_json
from ..reading import read_bytes, read_text
from ..reporter import Reporter
from .consent import project_folder, read_consent, replaced, today
from .credentials import Claim, Ingredient, read_credentials, sidecar, sign_all
from .outputs import hash_of, outputs_of, require_output
from .records import keep_record, read_records

FOLDER = "provenance"


@dataclass(frozen=True, kw_only=True)
class Cast:
    """One swap as a record keeps it: names of the project, and of whom consent had been recorded (empty: of nobody)."""

    person: int
    identity: str
    target: str
    identity_person: str = ""
    target_person: str = ""


@dataclass(frozen=True, kw_only=True)
class Recast:
    """A conversion as the project records it; `mark` is the number in its faces, None where there is none."""

    id: str
    date: str
    output: str
    output_sha256: str
    output_bytes: int = 0
    source: str
    source_sha256: str
    start: int
    end: int
    frames: int
    recast: int
    cast: list[Cast]
    model: str
    model_sha256: str
    facesets: dict[str, str] = field(default_factory=dict)
    mark: int | None = None
    mark_reason: str = ""
    credentials: str = ""


def recast_id(spec: ConvertSpec) -> str:
    """What names a conversion: the same for the same spec and model, so that one taken up again carries one mark."""
    card = Path(spec.model) / "model.json"
    model = read_bytes(card) if card.is_file() else b""
    text = json.dumps(to_json(replace(spec, overwrite=False)), sort_keys=True).encode()
    return hashlib.sha256(text + hashlib.sha256(model).digest()).hexdigest()[:16]


def mark_number(spec: ConvertSpec) -> int:
    """The number in the faces: that of their scan and model, of drafts that of their scan alone, so that takes can
    share what did not change."""
    from .mark import number_of

    if not (spec.use_refiner and (Path(spec.model) / "weights.safetensors").is_file()):
        return number_of(spec.scan)
    card = Path(spec.model) / "model.json"
    model = read_bytes(card) if card.is_file() else b""
    return number_of(f"{spec.scan} {hashlib.sha256(model).hexdigest()}")


def marker(spec: ConvertSpec) -> Callable[..., Any] | None:
    """What puts the mark of this conversion into a face, as `mark.embed` does; None where it is left out."""
    if not spec.settings.mark:
        return None
    from .mark import embed

    return partial(embed, number=mark_number(spec))


def certify(
    spec: ConvertSpec, reporter: Reporter, told: dict[str, str], counts: dict[str, int], made: Mapping[Path, Path]
) -> dict[Path, Path]:
    """Sign what a conversion made where it lies (final name → there), and record it in the project.

    Returns the same of the credentials that lie beside what they are of, and puts their id into `told`. Raises
    DataError or MediaError when its scan, model or what was made cannot be read; then nothing is recorded.
    """
    reporter.progress(1.0, "Signing the recast")
    output, model, project = Path(spec.output), Path(spec.model), project_folder(spec)
    clip = _clip(Path(spec.scan))
    source = Path(clip.path)
    files = outputs_of(made[output])
    start = clip.start if spec.start is None else spec.start
    identifier = recast_id(spec)
    number = mark_number(spec) if spec.settings.mark else None
    weights = model / "weights.safetensors"
    facesets = {path.name: hash_file(path) for path in sorted(model.glob("facesets/*.faceset"))}
    model_hash = hash_file(weights) if weights.is_file() and spec.use_refiner else ""
    source_hash = hash_of(source)
    parent = next(iter(outputs_of(source)), source)
    made_of = [Ingredient(source.name, "parentOf", source_hash, parent)]
    made_of += [Ingredient("faceset", "inputTo", digest) for digest in facesets.values()]
    if model_hash:
        made_of.append(Ingredient("model", "inputTo", model_hash))
    facts = {
        "id": identifier,
        "mark": number,
        "markReason": spec.settings.mark_reason if number is None else "",
        "sourceSha256": source_hash,
        "frames": [start, start + counts["frames"]],
        "framesRecast": counts["recast"],
        "facesRecast": len(spec.swaps),
        "modelSha256": model_hash,
        "facesetsSha256": list(facesets.values()),
    }
    faces = "A face was" if len(spec.swaps) == 1 else f"{len(spec.swaps)} faces were"
    claim = Claim(output.name, f"{faces} replaced by machine learning.", made_of, facts, str(project.resolve()))
    credentials = told["credentials"] = sign_all(files, claim)
    for final, whole in made.items():
        if final != output:
            sign_all(outputs_of(whole), replace(claim, title=final.name, description="The matte of a recast."))
    require_output(spec)  # somebody may have put a file there meanwhile
    cast = [cast_of(project, spec, n) for n in range(len(spec.swaps))]
    record = Recast(
        id=identifier,
        date=today(),
        output=str(output),
        output_sha256=hash_of(made[output]),
        output_bytes=sum(path.stat().st_size for path in files),
        source=str(source),
        source_sha256=source_hash,
        start=start,
        end=start + counts["frames"],
        frames=counts["frames"],
        recast=counts["recast"],
        cast=cast,
        model=str(model),
        model_sha256=model_hash,
        facesets=facesets,
        mark=number,
        mark_reason=spec.settings.mark_reason if number is None else "",
        credentials=credentials,
    )
    keep_record(project / FOLDER, record)
    return {sidecar(final): sidecar(whole) for final, whole in made.items() if sidecar(whole).is_file()}


def credential(spec: CredentialSpec) -> str:
    """Sign a render of the timeline whose ingredients are recasts; returns the credentials' id.

    Raises DataError when a file is not there, MediaError when it cannot be signed.
    """
    file, project = Path(spec.file), Path(spec.project)
    recasts = [Path(path) for path in spec.ingredients]
    for path in (file, *recasts):
        if not path.exists():
            raise DataError(f"{path} is not there. Render the timeline again, or choose the file that was rendered.")
    known = {Path(recast.output): recast for recast in all_recasts(project)}
    made_of = [Ingredient(path.name, "componentOf", hash_of(path), outputs_of(path)[0]) for path in recasts]
    ids = [known[path].id for path in recasts if path in known]
    claim = Claim(file.name, "A film was rendered that holds recast faces.", made_of, {"recasts": ids})
    return sign_all(outputs_of(file), claim)


def all_recasts(project: Path) -> list[Recast]:
    """Every recast that the project records, oldest first. Raises DataError when a record is damaged."""
    return [recast for _, recast in recorded(project)]


def recorded(project: Path) -> list[tuple[Path, Recast]]:
    """The same, each with the file of its record."""
    return read_records(project / FOLDER, Recast)


def _clip(scan: Path) -> Clip:
    try:
        return from_json(Clip, parse_json(read_text(scan / "scan.json"))["clip"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{scan} holds no finished scan. Scan the footage first.") from None


def cast_of(project: Path, spec: ConvertSpec, number: int) -> Cast:
    """One swap of a conversion, by its number, as a record keeps it."""
    swap = spec.swaps[number]
    target = swap.target
    if not target and spec.project:
        target = replaced(spec.scan, swap.person)
    people = [read_consent(project, name) if name else None for name in (swap.identity, target)]
    names = [record.person if record else "" for record in people]
    return Cast(
        person=swap.person, identity=swap.identity, target=target, identity_person=names[0], target_person=names[1]
    )


__all__ = ["Cast", "Recast", "all_recasts", "certify", "credential", "marker", "read_credentials", "recorded"]
