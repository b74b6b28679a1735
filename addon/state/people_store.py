"""The people a scan found: read from its folder, shown as pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
import bpy.utils.previews

from ...engine import protocol
from ..i18n import tr
from . import coverage, hooks, kept_json, project, project_files
from .properties import NOBODY

if TYPE_CHECKING:
    from .properties import UnderstudyIdentity, UnderstudyPerson, UnderstudyScan, UnderstudyState

SOFT = 0.25
"""Below it a person's pictures are soft (`protocol.PersonSummary.sharpness`, 0..1)."""

_TECHNICAL = re.compile(
    r"\d{2,5}[x×]\d{2,5}|\d{3,4}[pi]|[248]k|\d+(\.\d+)?fps|[xh]\.?26[45]|prores|dnxh[rd]|hevc|avc|proxy|copy|\(\d+\)",
    re.IGNORECASE,
)
"""What file names say of a file and not of who is in it: sizes, rates, codecs, copies."""

_pictures: bpy.utils.previews.ImagePreviewCollection | None = None


class ScanUnreadable(Exception):
    """A scan folder is gone or damaged; the message is one sentence."""


def fill(scan: UnderstudyScan, clip: protocol.Clip, folder: str) -> None:
    """Put what the scan in `folder` found into `scan`. Raises ScanUnreadable."""
    try:
        summary = protocol.from_json(protocol.ScanSummary, project_files.read_json(Path(folder, "scan.json")))
    except (OSError, ValueError) as error:
        raise ScanUnreadable(tr("The scan in {folder} cannot be read ({error}): scan again.", folder=folder,
                                error=error)) from None  # fmt: skip
    clear(scan)
    scan.folder, scan.clip_path = folder, clip.path
    scan.clip_stream, scan.clip_start, scan.clip_end = clip.stream, clip.start, _end(summary)
    scan.width, scan.height, scan.unnamed = summary.width, summary.height, summary.unnamed
    with hooks.quiet():
        for found in summary.people:
            person = scan.people.add()
            # whom nobody named the engine calls by its own number, in English
            person.person, person.name, person.frames = found.id, found.name if found.known else "", found.frames
            person.tracks, person.thumbnail, person.best_frame = found.tracks, found.thumbnail, found.best_frame
            person.sharpness, person.known, person.rejected = found.sharpness, found.known, found.rejected
            person.looks_like = found.looks_like
            person.coverage = json.dumps([count for row in found.coverage for count in row])
            if len(found.box) == 4:
                person.box = found.box


def name_again(scan: UnderstudyScan) -> None:
    """Give people without a name the one that the scan's file has for them."""
    nameless = [person for person in scan.people if not person.name]
    if not nameless or not scan.folder:
        return
    try:
        summary = protocol.from_json(protocol.ScanSummary, project_files.read_json(Path(scan.folder, "scan.json")))
    except (OSError, ValueError):
        return
    names = {found.id: found.name for found in summary.people if found.known}
    with hooks.quiet():
        for person in nameless:
            if name := names.get(person.person, ""):
                person.name, person.known = name, True


def scan_around(state: UnderstudyState, clip: protocol.Clip) -> tuple[Path, protocol.Clip] | None:
    """(folder, its clip) of the newest scan of the project in which the frames of `clip` were looked through among
    others of the same file, None where there is none."""
    found = []
    scans = project.scan_folder(state, clip).parent
    for folder in scans.glob(f"{project.scan_stem(clip)}-*"):
        try:
            data = project_files.read_json(folder / "scan.json")
            told = protocol.from_json(protocol.ScanSummary, data).clip
            made = (folder / "scan.json").stat().st_mtime
        except (OSError, ValueError):
            continue
        same = (told.path, told.stream, told.played) == (clip.path, clip.stream, True)
        around = told.start <= clip.start and (clip.end or told.start) <= (told.end or -1)
        # the name tells whether the file is still the one that was looked through
        if same and around and project.scan_folder(state, told) == folder:
            found.append((made, folder, told))
    return max(found, key=lambda one: one[0])[1:] if found else None


def _end(summary: protocol.ScanSummary) -> int:
    return summary.clip.start + summary.frames if summary.clip.end is None else summary.clip.end


def clear(scan: UnderstudyScan) -> None:
    """As if never scanned."""
    scan.people.clear()
    scan.folder = scan.clip_path = scan.unnamed = ""
    scan.clip_stream = scan.clip_start = scan.clip_end = scan.width = scan.height = 0


def there(scan: UnderstudyScan) -> list[UnderstudyPerson]:
    """The people who were not rejected."""
    return [person for person in scan.people if not person.rejected]


def main_person(scan: UnderstudyScan) -> int:
    """The number of the person who fills most of the picture for longest, or NOBODY."""

    def presence(person: UnderstudyPerson) -> float:
        x0, y0, x1, y1 = person.box
        return person.frames * max(x1 - x0, 1.0) * max(y1 - y0, 1.0)

    return max(there(scan), key=presence).person if there(scan) else NOBODY


def person_of(scan: UnderstudyScan, number: int) -> UnderstudyPerson | None:
    """The person of that number, or None."""
    return next((p for p in scan.people if p.person == number), None)


def called(person: UnderstudyPerson) -> str:
    """The person's name, or a number where nobody named them."""
    return person.name or tr("Person {number}", number=person.person + 1)


def name_from_file(stem: str) -> str:
    """Whom a file's name (without its ending) tells: "actor-b-480x480" is "Actor B"."""
    words = re.split(r"[\s_-]+", stem.strip("._- "))
    telling = [word for word in words if word and not _TECHNICAL.fullmatch(word)] or [word for word in words if word]
    # a word with capitals of its own (McQueen) is written as it is meant
    return " ".join(word.capitalize() if word in (word.lower(), word.upper()) else word for word in telling)


# -- material


def material(identity: UnderstudyIdentity) -> list[protocol.Material]:
    """Where the identity's faces come from: what of its footage was scanned and has its person chosen."""
    return [
        protocol.Material(scan=one.scan.folder, person=one.person)
        for one in identity.materials
        if one.scan.folder and person_of(one.scan, one.person) is not None
    ]


def amount(identity: UnderstudyIdentity) -> tuple[int, list[int]]:
    """(frames that show the identity, their coverage)."""
    shown = [p for one in identity.materials if (p := person_of(one.scan, one.person)) is not None]
    return sum(p.frames for p in shown), coverage.added([kept_json.numbers(p.coverage) for p in shown])


def amount_in_words(identity: UnderstudyIdentity, looks: int = 2) -> str:
    """How much material there is and which looks it lacks most, so many of them, for the panel."""
    frames, grid = amount(identity)
    said = [tr("{n} frames", n=frames) if frames != 1 else tr("1 frame")]
    missing, few = coverage.lacking(grid)
    said += [tr("no {look}", look=tr(look)) for look in missing[:looks]]
    said += [tr("few {look}", look=tr(look)) for look in few[: max(looks - len(missing), 0)]]
    return ", ".join(said)


def identity_here(state: UnderstudyState, key: str) -> bool:
    """Whether a scene has the identity of that key; it is taken over from another scene of the same project where that
    has it: strips are copied from scene to scene."""
    if any(one.key == key for one in state.identities):
        return True
    for scene in bpy.data.scenes:
        if scene.library or project.folder_if_named(scene.understudy) != project.folder_if_named(state):
            continue
        known = next((one for one in scene.understudy.identities if one.key == key), None)
        if known is not None:
            with hooks.quiet():
                _copy(state.identities.add(), known)
            return True
    return False


def _copy(to: bpy.types.PropertyGroup, known: bpy.types.PropertyGroup) -> None:
    for prop in known.bl_rna.properties:
        if prop.identifier == "rna_type":
            continue
        value = getattr(known, prop.identifier)
        if prop.type == "POINTER" and isinstance(value, bpy.types.PropertyGroup):
            _copy(getattr(to, prop.identifier), value)
        elif prop.type == "COLLECTION":
            for one in value:
                _copy(getattr(to, prop.identifier).add(), one)
        elif not prop.is_readonly:
            setattr(to, prop.identifier, value)


# -- pictures


def icon(scan: UnderstudyScan, person: UnderstudyPerson | None) -> int:
    """The person's picture as an icon for `template_icon`; 0 shows nothing."""
    if person is None or not scan.folder or not person.thumbnail or Path(person.thumbnail).name != person.thumbnail:
        return 0
    return picture(str(Path(scan.folder, person.thumbnail)))


def identity_icon(identity: UnderstudyIdentity) -> int:
    """A picture of the identity, or 0."""
    for one in identity.materials:
        if found := icon(one.scan, person_of(one.scan, one.person)):
            return found
    return 0


def picture(path: str) -> int:
    """A picture file as an icon; 0 where there is none. Blender loads it beside the interface."""
    if _pictures is None or not path:
        return 0
    if path not in _pictures:
        if not project_files.is_file(path) or project_files.leads_out(Path(path)):
            return 0
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
