"""Who agreed to what: read from the project's `consent/` folder, which only the engine writes."""

from __future__ import annotations

import time
from pathlib import Path

from ...engine import protocol
from . import project_files

LOOK_AGAIN_SECONDS = 1.0

_known: dict[str, tuple[float, tuple[int, ...], dict[str, protocol.ConsentRecord]]] = {}


def record(project: Path, identity: str, subject: protocol.Subject = "face") -> protocol.ConsentRecord | None:
    """The consent on record for an identity or a replaced person, to the use of their face or of their voice, or
    None."""
    return records(project, subject).get(identity)


def records(project: Path, subject: protocol.Subject = "face") -> dict[str, protocol.ConsentRecord]:
    """Every consent of a project to the use of faces or voices, by identity. Panels call this while drawing: files are
    read when they changed."""
    folder = protocol.consent_file(project, "", subject).parent
    looked, stamp, found = _known.get(str(folder), (0.0, (), {}))
    now = time.monotonic()
    if now - looked < LOOK_AGAIN_SECONDS:
        return found
    try:
        files = [] if project_files.leads_out(folder) else sorted(folder.glob("*.json"))
        latest = tuple(file.stat().st_mtime_ns for file in files)
    except OSError:
        files, latest = [], ()
    if latest != stamp:
        found = {}
        for file in files:
            if (one := _read(file)) is not None:
                found[one.identity] = one
    _known[str(folder)] = (now, latest, found)
    return found


def look_again() -> None:
    """Read anew at the next question: the engine has written or erased a record."""
    _known.clear()


def _read(file: Path) -> protocol.ConsentRecord | None:
    try:
        data = project_files.read_json(file)
        if isinstance(data, dict) and isinstance(data.get("record"), dict):
            data = data["record"]
        return protocol.from_json(protocol.ConsentRecord, data)
    except (OSError, ValueError):
        return None
