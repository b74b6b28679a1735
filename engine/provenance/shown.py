"""Whom a project's scans, models, facesets and voices show, by what they hold: names in each file, and the faces.

A card (`model.json`, `scan.json`, `voice.json`) is one file among others: it may come from anybody, and say less than
lies beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, ModelsMissingError, UnderstudyError
from ..faces.alignments import FILE_NAME
from ..faces.people import appearance, gallery
from ..own_files import tensor_facts
from .consent import EMBEDDINGS, seen_with
from .erase import entries, is_file, read_json
from .face_folders import files_like, holding

WEIGHTS = ("weights.safetensors", "checkpoint")
"""How the names of a model's networks begin, which say whom they were trained for."""
SOUND = "recordings.safetensors"


@dataclass(frozen=True)
class Model:
    """A model's folder, finished or not: the names in its files, in lower case, and its facesets; `carded`: it has a
    card; `silent`: facesets that do not say whose they are, damaged ones mostly."""

    folder: Path
    names: set[str]
    facesets: list[Path]
    carded: bool
    silent: list[Path] = field(default_factory=list)


def plain(name: Any) -> str:
    """A name as it is compared."""
    return str(name).strip().casefold()


def models(project: Path) -> list[Model]:
    """Every folder of a project that is a model, whole or in part."""
    sets: dict[Path, list[Path]] = {}
    for path in files_like(project, lambda name: name.endswith(".faceset")):
        if path.parent.name == "facesets":
            sets.setdefault(path.parent.parent, []).append(path)
    networks = files_like(project, lambda name: name.startswith(WEIGHTS) and name.endswith(".safetensors"))
    folders = [*holding(project, "model.json"), *sets, *(path.parent for path in networks)]
    return [_model(folder, sets.get(folder, [])) for folder in dict.fromkeys(folders)]


def loose_facesets(project: Path) -> list[Path]:
    """The facesets of a project that lie in no model."""
    found = files_like(project, lambda name: name.endswith(".faceset"))
    return [path for path in found if path.parent.name != "facesets"]


def scans(project: Path) -> dict[Path, bool]:
    """Every folder of a project that is a scan, and whether it has its list of people."""
    listed = holding(project, "scan.json")
    return {folder: folder in listed for folder in dict.fromkeys([*listed, *holding(project, FILE_NAME)])}


def voices(project: Path) -> Iterator[tuple[Path, set[str]]]:
    """Every folder of a project that is a voice, whole or in part, with the names in its files."""
    for folder in dict.fromkeys([*holding(project, "voice.json"), *holding(project, SOUND)]):
        told = [read_json(folder / "voice.json"), tensor_facts(folder / SOUND) if is_file(folder / SOUND) else {}]
        yield folder, {plain(one["identity"]) for one in told if one.get("identity")}


def looks_of(project: Path, name: str) -> list[np.ndarray]:
    """The mean embeddings (128,) of an identity's face that a project knows: from their consent, from who is known by
    that name, and from scans in which they are called so. What is damaged knows nobody."""
    found: list[Any] = []
    try:
        seen = seen_with(project, name)
        found += [face for face in seen.faces if len(face) == EMBEDDINGS["face"]] if seen else []
    except UnderstudyError:
        pass
    for folder in galleries(project):
        found += [look for other, look in known_looks(folder) if plain(other) == name]
    for folder in holding(project, "scan.json"):
        there = {number for number, called in people_of(folder).items() if called == name}
        found += [look for number, look in (looks_in(folder) or {}).items() if number in there] if there else []
    return [np.asarray(look, np.float32) for look in found]


def galleries(project: Path) -> list[Path]:
    """The folders of a project that may keep known people: its own, and those around scans elsewhere in it."""
    return list(dict.fromkeys([project, *holding(project, gallery.FILE_NAME)]))


def known_looks(folder: Path) -> list[tuple[str, np.ndarray]]:
    """Who is known in a folder's gallery, each with their mean embedding; nobody in a damaged one."""
    if not is_file(folder / gallery.FILE_NAME):
        return []
    try:
        return [(name, look) for name, (look, _) in gallery.known_people(folder).items()]
    except DataError:
        return []


def people_of(scan: Path) -> dict[int, str]:
    """Those of a scan's people who have a name, by their numbers."""
    people = read_json(scan / "scan.json").get("people")
    listed = [one for one in people if isinstance(one, dict) and one.get("known")] if isinstance(people, list) else []
    return {one["id"]: plain(one.get("name", "")) for one in listed if isinstance(one.get("id"), int)}


def looks_in(scan: Path) -> dict[int, np.ndarray] | None:
    """Whom a scan shows (`appearance.of_everybody`); nobody where it has no alignments, None where they are damaged."""
    try:
        return appearance.of_everybody(scan / FILE_NAME) if is_file(scan / FILE_NAME) else {}
    except DataError:
        return None


def alike(look: np.ndarray, looks: Sequence[np.ndarray]) -> bool:
    """Whether a mean embedding is surely of the one whom some others are of."""
    return bool(looks) and not appearance.strangers([look], [one.tolist() for one in looks])


def shows(faceset: Path, looks: Sequence[np.ndarray]) -> bool | None:
    """Whether a faceset's pictures are surely of somebody; None where that cannot be told."""
    try:
        found = appearance.of_faceset(faceset)
    except (DataError, ModelsMissingError):
        return None
    return any(alike(look, looks) for look in found) if looks else None


def _model(folder: Path, facesets: list[Path]) -> Model:
    listed = read_json(folder / "model.json").get("identities")
    names = {plain(one) for one in listed} if isinstance(listed, list) else set()
    silent = []
    for path in facesets:
        told = tensor_facts(path).get("name")
        if isinstance(told, str):
            names.add(plain(told))
        else:
            silent.append(path)
    for path in entries(folder):
        if path.name.startswith(WEIGHTS) and path.suffix == ".safetensors" and is_file(path):
            told = tensor_facts(path).get("identities")
            names |= {plain(one) for one in told} if isinstance(told, list) else set()
    return Model(folder, names, facesets, is_file(folder / "model.json"), silent)
