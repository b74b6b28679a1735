"""Put a recast movie on the timeline, frame for frame above its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import compat, project, sources, timeline
from .constants import STRIP_RECORD

if TYPE_CHECKING:
    import bpy

# What the recast strip has to share with its source so that it lies exactly over it.
_SETTINGS = (
    "blend_type", "blend_alpha", "use_flip_x", "use_flip_y", "use_deinterlace", "use_float", "alpha_mode",
    "color_multiply", "color_saturation", "multiply_alpha", "mute",
)  # fmt: skip
_TRANSFORM = ("offset_x", "offset_y", "scale_x", "scale_y", "rotation", "origin", "filter")
_CROP = ("min_x", "max_x", "min_y", "max_y")


class CannotPlace(Exception):
    """The recast movie does not fit the timeline; the message is one sentence. No strip is left behind."""


def place(scene: bpy.types.Scene, movie: str, about: dict[str, Any]) -> bpy.types.Strip:
    """A new strip of `movie` that covers exactly the marked range, on a free channel above the source.

    `about` is what the conversion's job was started with (`operators.convert`): the source strip and
    the marked frames, and the facts that are written on the strip. The range moves with the source strip
    when that was moved since; when it was deleted the range is where it was marked.
    """
    if not Path(movie).is_file():
        raise CannotPlace(f"The recast movie is not at {movie}: convert again.")
    start, end, channel = about["start"], about["end"], about["channel"]
    source = sources.find(scene, about["strip_id"], about["strip_name"], about["source_start"])
    if source is not None:
        timing = compat.strip_timing(scene, source, rates=False)
        channel = source.channel
        if not timing.still:
            start = timeline.timeline_frame(timing, about["source_start"])
            end = start + about["end"] - about["start"]
    scene.sequence_editor_create()
    locked = [i for i, c in enumerate(scene.sequence_editor.channels) if c.lock]
    taken = [(s.channel, *compat.span(s)) for s in compat.strips(scene)] + [(i, start, end) for i in locked]
    try:
        free = timeline.free_channel(taken, channel, start, end, compat.HIGHEST_CHANNEL)
        name = f"{about['strip_name']} as {about['identity_name']} ({about['preset']})"
        strip = compat.new_movie(scene, name, project.relative(movie), free, start)
    except timeline.RangeError as error:
        raise CannotPlace(str(error)) from None
    except RuntimeError:
        raise CannotPlace(f"Blender cannot read the recast movie {movie}: convert again.") from None
    try:
        _fit(strip, start, end, about)
        if source is not None:
            _look_like(strip, source)
        strip.color_tag = "COLOR_05"
        strip[STRIP_RECORD] = _record(about)
    except Exception:
        scene.sequence_editor.strips.remove(strip)
        raise
    return strip


def _fit(strip: bpy.types.Strip, start: int, end: int, about: dict[str, Any]) -> None:
    frames, wanted = compat.content(strip)[1], about["source_end"] - about["source_start"]
    if frames != wanted:
        raise CannotPlace(f"The recast movie has {frames} frames where {wanted} were marked: convert again.")
    if compat.span(strip) != (start, end):  # a still picture, held for as long as it was marked
        compat.set_span(strip, start, end)


def _look_like(strip: bpy.types.Strip, source: bpy.types.Strip) -> None:
    for name in _SETTINGS:
        if hasattr(source, name) and hasattr(strip, name):
            setattr(strip, name, getattr(source, name))
    for name in _TRANSFORM:
        setattr(strip.transform, name, getattr(source.transform, name))
    for name in _CROP:
        setattr(strip.crop, name, getattr(source.crop, name))


def _record(about: dict[str, Any]) -> dict[str, Any]:
    return {"synthetic": True, **{k: v for k, v in about.items() if isinstance(v, (str, int, float, bool))}}
