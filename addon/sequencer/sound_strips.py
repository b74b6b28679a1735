"""Sound on the timeline: which strip is meant, which part of its file a range is, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import compat
from ..constants import STRIP_ID, VOICE_RECORD
from ..state.project import absolute
from . import strip_media
from .timeline import RangeError, refuse_retimed_meta

if TYPE_CHECKING:
    import bpy


@dataclass(frozen=True, kw_only=True)
class MarkedSound:
    """Frames of the timeline `[start, end)`, and the seconds of the file that sound there."""

    start: int
    end: int
    source_start: float
    source_end: float


def active(scene: bpy.types.Scene) -> bpy.types.Strip:
    """The sound strip that is meant: the one that is acted on, or the sound of that movie, or of a meta what sounds in
    it at the playhead. Raises RangeError where there is none."""
    strip = compat.acted_on(scene, VOICE_RECORD, {"SOUND"})
    if strip is None:
        raise RangeError("Select a sound strip, or a movie strip with sound, first.")
    return sound_of(scene, strip)


def sound_of(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.Strip:
    """The sound strip that belongs to a strip. Raises RangeError where there is none."""
    if strip.type == "SOUND":
        return strip
    if strip.type == "META":
        inside = [one for one in strip.strips if one.type in {"SOUND", "META"} and not one.mute]
        now = scene.frame_current
        sounding = [one for one in inside if compat.span(one)[0] <= now < compat.span(one)[1]]
        if found := (sounding or inside):
            return sound_of(scene, max(found, key=lambda one: (one.type == "SOUND", one.channel)))
    elif strip.type == "MOVIE":
        if (beside := _beside(scene, strip)) is not None:
            return beside
    else:
        raise RangeError("Select a sound strip, or a movie strip with sound, first.")
    raise RangeError(
        "“{name}” has no sound strip beside it: add its sound with Add > Sound, then mark that.", name=strip.name
    )


def _beside(scene: bpy.types.Scene, movie: bpy.types.Strip) -> bpy.types.Strip | None:
    """A movie's sound: connected to it (from Blender 5.2 on), else of the same file and nearest in time; one that was
    recast is its own source."""
    sounds = [
        one for one in compat.neighbours(scene, movie)[0] if one.type == "SOUND" and not one.get(VOICE_RECORD)
    ]  # fmt: skip
    connected = [one for one in getattr(movie, "connections", ()) if one in sounds]
    if connected:
        return connected[0]
    left, right = compat.span(movie)
    file, begins = absolute(movie.filepath), compat.content_start(movie)
    same = [
        one
        for one in sounds
        if one.sound is not None and absolute(one.sound.filepath) == file
        and compat.span(one)[0] < right and left < compat.span(one)[1]
    ]  # fmt: skip
    return min(same, key=lambda one: abs(compat.content_start(one) - begins), default=None)


def path_of(strip: bpy.types.Strip) -> str:
    """The file that a sound strip plays, absolute. Raises RangeError where it is packed or not there."""
    sound = strip.sound
    if sound is not None and sound.packed_file is not None:
        raise RangeError(
            "The sound of “{name}” is packed into the .blend: unpack it with File > External Data.", name=strip.name
        )
    path = absolute(sound.filepath) if sound is not None else ""
    if not path or not Path(path).is_file():
        raise RangeError(
            "The file of “{name}” is not at {path}: find it again with File > External Data.",
            name=strip.name,
            path=path,
        )
    return path


def mark(scene: bpy.types.Scene, strip: bpy.types.Strip, limits: tuple[int, int] | None) -> MarkedSound:
    """What a sound strip plays between its handles, cut down to `limits` (a range on the timeline) when given. Raises
    RangeError."""
    timing = compat.strip_timing(scene, strip)
    refuse_retimed_meta(timing)
    if timing.keys:
        raise RangeError(
            "“{name}” is retimed: recast its voice at its own speed, then change the speed of both.", name=strip.name
        )
    start = max(timing.left, timing.content_start)
    end = min(timing.right, timing.content_start + timing.content_frames)
    if limits is not None:
        start, end = max(start, limits[0]), min(end, limits[1])
    if end <= start:
        if limits is not None:
            raise RangeError("“{name}” lies outside the range: clear the range or move it.", name=strip.name)
        raise RangeError("“{name}” plays nothing of its file: check its handles.", name=strip.name)
    return MarkedSound(
        start=start,
        end=end,
        source_start=max(second_of(scene, strip, start), 0.0),
        source_end=second_of(scene, strip, end),
    )


def second_of(scene: bpy.types.Scene, strip: bpy.types.Strip, frame: float) -> float:
    """The second of its file that a sound strip begins to play at a timeline frame."""
    trimmed = compat.content(strip)[2]
    return (frame - compat.content_start(strip) + trimmed) / _fps(scene) - strip.sound_offset


def frame_of(scene: bpy.types.Scene, strip: bpy.types.Strip, second: float) -> int:
    """The timeline frame at which a sound strip plays a second of its file, or would were it not trimmed away."""
    trimmed = compat.content(strip)[2]
    return round((second + strip.sound_offset) * _fps(scene) - trimmed + compat.content_start(strip))


def _fps(scene: bpy.types.Scene) -> float:
    return float(scene.render.fps / scene.render.fps_base)


def find(scene: bpy.types.Scene, strip_id: str, name: str, second: float) -> bpy.types.Strip | None:
    """The sound strip that was marked, inside a meta too; of its pieces after a cut the one that plays `second` of the
    file, else the one that kept the name."""
    same = [one for one in compat.all_strips(scene) if one.get(STRIP_ID) == strip_id and one.type == "SOUND"]
    for strip in same if len(same) > 1 else ():
        left, right = compat.span(strip)
        if left <= frame_of(scene, strip, second) < right:
            return strip
    return next((one for one in same if one.name == name), same[0] if same else None)


def remember(state: bpy.types.PropertyGroup, strip: bpy.types.Strip, source: str, marked: MarkedSound) -> None:
    """Remember a marked range of sound."""
    speech = state.speech
    speech.strip_id, speech.strip_name, speech.channel = strip_media.remember(strip), strip.name, strip.channel
    speech.start, speech.end, speech.source = marked.start, marked.end, source
    speech.source_start, speech.source_end = marked.source_start, marked.source_end


def where(scene: bpy.types.Scene) -> tuple[int, int, int] | None:
    """(first frame, frame after the last, channel) of the marked sound as its strip lies on the timeline that is shown;
    None where it is not there. Only reads: for drawing."""
    speech = scene.understudy.speech
    strip = find(scene, speech.strip_id, speech.strip_name, speech.source_start) if speech.strip_id else None
    if strip is None:
        return None
    inside = scene.sequence_editor.meta_stack
    if strip.parent_meta() != (inside[-1] if len(inside) else None):
        return None
    left, right = compat.span(strip)
    start = max(frame_of(scene, strip, speech.source_start), left)
    end = min(frame_of(scene, strip, speech.source_end), right)
    return (start, end, strip.channel) if start < end else None
