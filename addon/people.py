"""The people a scan found: read from its folder, shown as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
import bpy.utils.previews

from ..engine import protocol
from .properties import NOBODY

if TYPE_CHECKING:
    from .properties import UnderstudyPerson, UnderstudyScan

_pictures: bpy.utils.previews.ImagePreviewCollection | None = None


class ScanUnreadable(Exception):
    """A scan folder is gone or damaged; the message is one sentence."""


def fill(scan: UnderstudyScan, clip: protocol.Clip, folder: str) -> None:
    """Put what the scan in `folder` found into `scan`. Raises ScanUnreadable."""
    try:
        summary = protocol.from_json(
            protocol.ScanSummary, json.loads(Path(folder, "scan.json").read_text(encoding="utf-8"))
        )
    except (OSError, ValueError) as error:
        raise ScanUnreadable(f"The scan in {folder} cannot be read ({error}): scan again.") from None
    clear(scan)
    scan.folder, scan.clip_path = folder, clip.path
    scan.clip_start, scan.clip_end = clip.start, clip.end or summary.frames
    for found in summary.people:
        person = scan.people.add()
        person.person, person.name, person.frames = found.id, found.name, found.frames
        person.thumbnail, person.best_frame = found.thumbnail, found.best_frame
        if len(found.box) == 4:
            person.box = found.box


def clear(scan: UnderstudyScan) -> None:
    """As if never scanned."""
    scan.people.clear()
    scan.folder = scan.clip_path = ""
    scan.clip_start = scan.clip_end = 0


def main_person(scan: UnderstudyScan) -> int:
    """The number of the person who fills most of the picture for longest, or NOBODY."""

    def presence(person: UnderstudyPerson) -> float:
        x0, y0, x1, y1 = person.box
        return person.frames * max(x1 - x0, 1.0) * max(y1 - y0, 1.0)

    return max(scan.people, key=presence).person if len(scan.people) else NOBODY


def person_of(scan: UnderstudyScan, number: int) -> UnderstudyPerson | None:
    """The person of that number, or None."""
    return next((p for p in scan.people if p.person == number), None)


def icon(scan: UnderstudyScan, person: UnderstudyPerson) -> int:
    """The person's picture as an icon for `template_icon`; 0 shows nothing."""
    if _pictures is None or not person.thumbnail:
        return 0
    path = str(Path(scan.folder, person.thumbnail))
    if path not in _pictures:
        _pictures.load(path, path, "IMAGE")
    return _pictures[path].icon_id


def forget_pictures() -> None:
    """Load pictures anew when next drawn: a scan may have written others under the same names."""
    if _pictures is not None:
        _pictures.clear()


def register() -> None:
    """Make room for the pictures."""
    global _pictures
    _pictures = bpy.utils.previews.new()


def unregister() -> None:
    """Free the pictures."""
    global _pictures
    if _pictures is not None:
        bpy.utils.previews.remove(_pictures)
    _pictures = None
