"""Erase an identity: their faces, their voice and all that was derived from them, for good."""

from __future__ import annotations

import glob
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..durable import hash_file
from ..errors import UnderstudyError
from ..faces.alignments import FILE_NAME
from ..faces.people import gallery
from ..protocol import consent_file, home
from .consent import SUBJECTS, today, withdraw
from .recasts import FOLDER, all_recasts, files_of
from .voices import FOLDER as VOICES
from .voices import all_voice_recasts, files_of_voice, voices_of_identity


@dataclass(frozen=True)
class Item:
    """Something that goes: what it is, in a user's words."""

    path: Path
    what: str
    bytes: int


def holdings(project: Path, identity: str) -> list[Item]:
    """All that a project holds of an identity, the consent record aside.

    Models that know them, scans that show them (whole: other people's corrections in them go, too), what the networks
    saw on any frame, recasts in which their face appears, and unfinished ones of anybody, which do not say whose face
    they hold; previews; their voice, and recasts in which it is heard. Recasts in which they were replaced show
    another's face or voice and stay.
    """
    name = identity.strip().casefold()
    found: list[Item] = []
    faces: set[str] = set()  # alignments' hash and person, as models name their material
    for card in sorted(project.glob("models/*/model.json")) + sorted(project.glob("*/model.json")):
        facts = _json(card)
        people = [str(person).strip().casefold() for person in facts.get("identities", [])]
        if name in people:
            found.append(_item(card.parent, "model, facesets and preview"))
            material = facts.get("material", [])
            faces |= set(material[people.index(name)] if len(material) > people.index(name) else [])
    for summary in sorted(project.glob("scans/*/scan.json")) + sorted(project.glob("*/scan.json")):
        people = [str(p.get("name", "")).strip().casefold() for p in _json(summary).get("people", []) if p.get("known")]
        alignments = summary.with_name(FILE_NAME)
        digest = hash_file(alignments) if alignments.is_file() and faces else ""
        if name in people or any(face.rpartition(":")[0] == digest for face in faces if digest):
            found.append(_item(summary.parent, "scan: faces, embeddings, thumbnails"))
    if found:
        found += [_item(path, "what the networks saw of every face") for path in project.glob("scans/.observed")]
        found += [_item(path, "unfinished recast") for path in _unfinished(project)]
        found += [_item(path, "previews") for path in [home() / "previews"] if path.is_dir()]
    for recast in all_recasts(project):
        if any(cast.identity.strip().casefold() == name for cast in recast.cast):
            found += [_item(path, "recast that shows their face") for path in files_of(recast)]
            found.append(_item(project / FOLDER / f"{recast.id}.json", "record of that recast"))
    for folder in voices_of_identity(project, identity):
        found.append(_item(folder, "voice: recordings and network"))
    for one in all_voice_recasts(project):
        if one.identity.strip().casefold() == name:
            found += [_item(path, "recast in which their voice is heard") for path in files_of_voice(one)]
            found.append(_item(project / VOICES / f"{one.id}.json", "record of that recast"))
    return found


def forget(project: Path, identity: str, dry_run: bool = False) -> list[Item]:
    """Remove what `holdings` lists, the name from the known people, and the consent but for a note that it was.

    Returns what went (or would). Raises UnderstudyError when the project knows nobody of that name.
    """
    found = holdings(project, identity)
    file = project / gallery.FILE_NAME
    named = [n for n in gallery.known_people(project) if n.strip().casefold() == identity.strip().casefold()]
    if named:
        found.append(Item(file, f"{identity} among the known people", 0))
    if not found and not any(consent_file(project, identity, subject).is_file() for subject in SUBJECTS):
        raise UnderstudyError(f"The project {project} knows nobody called {identity}. understudy identity list tells.")
    if dry_run:
        return found
    for item in found:
        if item.path == file:
            continue
        if item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
    for name in named:
        gallery.forget(project, name)
    withdraw(project, identity, today())
    return found


def _unfinished(project: Path) -> list[Path]:
    """Working folders of conversions that have not ended; the command line's lie beside the project folder."""
    recorded = {Path(recast.output) for recast in all_recasts(project)}
    named = [*project.glob("recasts/*.part"), *project.parent.glob(f"{glob.escape(project.stem)}.*.part")]
    return sorted(path for path in named if (path / "segments").is_dir() and path.with_suffix("") not in recorded)


def _item(path: Path, what: str) -> Item:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return Item(path, what, sum(p.stat().st_size for p in files if p.exists()))


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
