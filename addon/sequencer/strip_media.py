"""From a strip to the file behind it, and back to the strip."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from .. import compat
from ..constants import STRIP_ID
from ..state import project
from ..state.project import absolute
from . import timeline
from .timeline import RangeError

if TYPE_CHECKING:
    import bpy

    from ..state.properties import UnderstudyShot

# what the engine reads as a picture (engine.media.pictures)
PICTURES = {".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp", ".tif", ".tiff", ".exr", ".dpx"}


def source_path(strip: bpy.types.Strip) -> str:
    """The movie, picture or folder of pictures that `strip` shows, absolute.

    Raises RangeError when the file is not there, or an image strip shows something else than one
    picture or all pictures of one folder in order.
    """
    if strip.type == "MOVIE":
        return _there(absolute(strip.filepath), strip.name)
    folder, names = absolute(strip.directory), [element.filename for element in strip.elements]
    if len(names) == 1:
        return _there(str(Path(folder) / names[0]), strip.name)
    _there(folder, strip.name)
    pictures = [f for f in Path(folder).iterdir() if f.suffix.lower() in PICTURES and f.is_file()]
    stored = [file.name for file in pictures if not file.name.startswith(".")]
    others = sorted({Path(name).suffix for name in names if Path(name).suffix.lower() not in PICTURES})
    if others:
        raise RangeError(
            "“{name}” shows {kind} pictures, which cannot be read: save them as PNG, TIFF, OpenEXR or JPEG.",
            name=strip.name,
            kind=" ".join(others),
        )
    if names != sorted(stored, key=timeline.natural_order):
        raise RangeError(
            "“{name}” does not show all pictures of its folder in order: "
            "put its pictures into a folder of their own and add them from there.",
            name=strip.name,
        )
    return folder


def _there(path: str, name: str) -> str:
    if written := project.not_utf8(path):
        raise RangeError(
            "The name {path} is not in UTF-8: rename the file or its folder, then find it again with File > External "
            "Data.",
            path=written,
        )
    if not Path(path).exists():
        raise RangeError(
            "The file of “{name}” is not at {path}: find it again with File > External Data.", name=name, path=path
        )
    return path


def remember(strip: bpy.types.Strip) -> str:
    """Give the strip an id that survives renaming, moving and saving, and answer it."""
    if not strip.get(STRIP_ID):
        strip[STRIP_ID] = uuid.uuid4().hex
    return strip[STRIP_ID]


def find(
    scene: bpy.types.Scene, strip_id: str, name: str, source_start: int, stored_frames: int
) -> bpy.types.Strip | None:
    """The strip that was marked, inside a meta too. Its halves carry the same id after a split: the one that
    shows the first marked frame is meant, else the one that kept the name.
    """
    same = [s for s in compat.all_strips(scene) if s.get(STRIP_ID) == strip_id]
    if len(same) == 1:
        return same[0]
    for strip in same:
        left, right = compat.span(strip)
        timing = compat.strip_timing(scene, strip, stored_frames=stored_frames)
        if left <= timeline.timeline_frame(timing, source_start) < right:
            return strip
    return next((s for s in same if s.name == name), same[0] if same else None)


def find_shot(scene: bpy.types.Scene, shot: UnderstudyShot) -> bpy.types.Strip | None:
    """The strip of the marked shot, or None when it was deleted."""
    return find(scene, shot.strip_id, shot.strip_name, shot.source_start, shot.stored_frames)


def find_shown(scene: bpy.types.Scene, shot: UnderstudyShot, frame: int) -> bpy.types.Strip | None:
    """The piece of the marked strip that lies under a frame, where it was cut, one that was moved away too; else the
    marked strip."""
    marked = find_shot(scene, shot)
    around = [marked, *pieces(scene, marked)] if marked is not None else []
    around += [one for one in compat.all_strips(scene) if one.get(STRIP_ID) == shot.strip_id and one not in around]
    return next((one for one in around if compat.span(one)[0] <= frame < compat.span(one)[1]), marked)


def pieces(scene: bpy.types.Scene, strip: bpy.types.Strip) -> list[bpy.types.Strip]:
    """The strips that a marked one was cut into, itself among them: they have its id, and their contents begin with its
    own."""
    begin = compat.content(strip)[0]
    return [
        one
        for one in compat.all_strips(scene)
        if one.get(STRIP_ID) == strip.get(STRIP_ID) and compat.content(one)[0] == begin and one.channel == strip.channel
    ]


def free_channel(scene: bpy.types.Scene, beside: bpy.types.Strip | None, above: int, start: int, end: int) -> int:
    """The lowest channel above one that is free in `[start, end)` and not locked, among the strips where `beside` lies
    (None: at the top level). Raises RangeError when there is none."""
    holder, channels = compat.neighbours(scene, beside)
    locked = [i for i, c in enumerate(channels) if c.lock]
    taken = [(s.channel, *compat.span(s)) for s in holder] + [(i, start, end) for i in locked]
    return timeline.free_channel(taken, above, start, end, compat.HIGHEST_CHANNEL)
