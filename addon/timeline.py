"""Timeline frames to source frames and back. No bpy: `compat.strip_timing` reads the strip.

Timeline frames are Blender's whole frame numbers, ranges half-open (Blender's right handle is
exclusive too). Source frames are counted from 0 in the order shown, as everywhere in Understudy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class RangeError(Exception):
    """What the editor marked cannot be recast; the message is one sentence for the panel."""


@dataclass(frozen=True, kw_only=True)
class StripTiming:
    """How one strip lays its source on the timeline, as Blender has it now.

    `content_start` is the timeline frame that shows source frame `trim_start`; `content_frames`
    counts the frames from there that the source has and the strip may show. `left` and `right`
    are the handles. `still`: every timeline frame shows the one picture.
    `rate_adjusted`: Blender skips or repeats frames to play footage of another frame rate.
    """

    name: str
    type: str
    left: int
    right: int
    content_start: int
    content_frames: int
    trim_start: int = 0
    still: bool = False
    retimed: bool = False
    reversed: bool = False
    strobe: float = 1.0
    in_meta: bool = False
    rate_adjusted: bool = False
    source_fps: float = 0.0
    scene_fps: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MarkedRange:
    """The same frames twice: `[start, end)` on the timeline, `[source_start, source_end)` in the source."""

    start: int
    end: int
    source_start: int
    source_end: int


def refuse_unsupported(timing: StripTiming) -> None:
    """Raise RangeError with one sentence when this strip's frames are not shown one by one."""
    name = timing.name
    if timing.type not in {"MOVIE", "IMAGE"}:
        kind = timing.type.replace("_", " ").lower()
        raise RangeError(f"“{name}” is a {kind} strip: choose a movie or image strip.")
    if timing.in_meta:
        raise RangeError(f"“{name}” lies inside a meta strip: move it out of the meta first.")
    if timing.retimed:
        raise RangeError(f"“{name}” is retimed: remove its retiming keys, recast it, then retime the result.")
    if timing.reversed:
        raise RangeError(f"“{name}” plays in reverse: turn Reverse Frames off, recast it, then reverse the result.")
    if timing.strobe > 1.0:
        raise RangeError(f"“{name}” has a strobe: set Strobe to 1, recast it, then set it on the result.")
    if timing.rate_adjusted:
        raise RangeError(
            f"“{name}” has {timing.source_fps:g} frames a second and Blender skips or repeats some to play it at "
            f"{timing.scene_fps:g}: set the scene to {timing.source_fps:g} and add the strip again."
        )


def source_frame(timing: StripTiming, frame: int) -> int:
    """The source frame that timeline frame `frame` shows.

    Raises RangeError when the strip has no frame there, or holds its first or last one.
    """
    if timing.still:
        return 0
    if not timing.content_start <= frame < timing.content_start + timing.content_frames:
        raise RangeError(f"“{timing.name}” has no frame of its own at {frame}: it begins later or has ended.")
    return frame - timing.content_start + timing.trim_start


def timeline_frame(timing: StripTiming, source: int) -> int:
    """The timeline frame on which source frame `source` shows (or would, were it not trimmed away)."""
    return timing.content_start if timing.still else source - timing.trim_start + timing.content_start


def mark(timing: StripTiming, limits: tuple[int, int] | None = None) -> MarkedRange:
    """What the strip shows between its handles, cut down to `limits` (the preview range) when given.

    Frames on which a handle was pulled past the footage only hold its first or last frame; they
    are left out. Raises RangeError when nothing is left or the strip is of an unsupported kind.
    """
    refuse_unsupported(timing)
    start, end = timing.left, timing.right
    if not timing.still:
        start = max(start, timing.content_start)
        end = min(end, timing.content_start + timing.content_frames)
    if limits is not None:
        start, end = max(start, limits[0]), min(end, limits[1])
    if end <= start:
        if limits is not None:
            raise RangeError(f"“{timing.name}” lies outside the preview range: clear the range or move it.")
        raise RangeError(f"“{timing.name}” shows no frame of its footage: check its handles.")
    first = source_frame(timing, start)
    last = first + 1 if timing.still else first + end - start
    return MarkedRange(start=start, end=end, source_start=first, source_end=last)


def material(timing: StripTiming) -> tuple[int, int | None]:
    """The source frames `[start, end)` of a strip that shows a face to learn from; end None is the last frame.

    Where frames are not shown one by one this is all of the footage: which frame shows when is of no account here.
    Raises RangeError for strips that show no footage of their own.
    """
    if timing.type not in {"MOVIE", "IMAGE"}:
        refuse_unsupported(timing)
    if timing.retimed or timing.reversed or timing.rate_adjusted:
        return 0, None
    start, end = timing.left, timing.right
    if timing.still:
        return 0, 1
    start, end = max(start, timing.content_start), min(end, timing.content_start + timing.content_frames)
    if end <= start:
        raise RangeError(f"“{timing.name}” shows no frame of its footage: check its handles.")
    return source_frame(timing, start), source_frame(timing, end - 1) + 1


def free_channel(taken: list[tuple[int, int, int]], above: int, start: int, end: int, highest: int) -> int:
    """The lowest channel above `above` with nothing in `[start, end)`.

    `taken` lists (channel, left, right) of every strip. Raises RangeError when all up to
    `highest` are taken.
    """
    busy = {channel for channel, left, right in taken if left < end and start < right}
    for channel in range(above + 1, highest + 1):
        if channel not in busy:
            return channel
    raise RangeError(f"No channel above {above} is free from frame {start} to {end}: make room for the recast strip.")


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts `shot9.png` before `shot10.png`, as the engine sorts a folder of pictures."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in re.split(r"(\d+)", name) if part]
