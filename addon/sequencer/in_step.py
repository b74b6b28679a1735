"""Whether a recast shows, frame by frame, what its source shows there, and how far it would have to be moved to."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from .. import compat
from ..constants import STRIP_RECORD
from ..state import kept_json
from . import timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    import bpy

_SAMPLES = 24
"""Frames of a recast that are held against its source's: panels ask while they draw."""
_LONGEST_HELD = 100
"""Timeline frames that one source frame is shown for, of the first one of a recast: a hundredth of the speed."""
_ROUNDING = 2
"""Source frames that a recast and its source, retimed together, may be apart: Blender rounds the keys of each to whole
frames by itself, and before 5.0 takes the last one for a frame more."""


def frames_off(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip) -> int | None:
    """By how many frames a recast is to be moved to be in step with its source: 0 where it is, None where no move is
    enough, as one of them has another speed. Only reads."""
    record = strip[STRIP_RECORD]
    length = int(record["source_end"]) - int(record["source_start"])
    timing = compat.strip_timing(scene, source, stored_frames=record.get("stored_frames", 0))
    own = compat.strip_timing(scene, strip, stored_frames=length)
    if timing.still or timing.outer or own.outer or timing.speed_control or own.speed_control:
        return 0
    shown = _shown_by(own, record)
    begin, end = max(own.left, own.content_start), min(own.right, own.content_start + own.content_frames)
    if begin >= end:
        return 0
    frames = sorted({begin + (end - 1 - begin) * number // (_SAMPLES - 1) for number in range(_SAMPLES)})
    existing = int(record.get("existing_frames", 0))

    def apart(by: int) -> int:
        """The most frames between what the recast shows and what the source does, were it moved."""
        seen = [frame for frame in frames if timing.left <= frame + by < timing.right] or frames
        found = [(shown(frame), _source_frame(timing, frame + by, existing)) for frame in seen]
        between = [abs(ours - theirs) for ours, theirs in found if theirs is not None]
        return max(between, default=length)

    slack = 0 if own.plain else _ROUNDING
    if apart(0) <= slack:
        return 0
    by = _first_shown(timing, shown(begin)) - begin
    if timing.plain and own.plain and record.get("order", "plain") == "plain":
        return by
    held = next((n for n in range(1, min(end - begin, _LONGEST_HELD)) if shown(begin + n) != shown(begin)), 1)
    best = next((one for one in (by, *range(by - held, by + held + 1)) if apart(one) <= slack), None)
    return best or None


@lru_cache(maxsize=64)
def _first_shown(timing: timeline.StripTiming, frame: int) -> int:
    return timeline.timeline_frame(timing, frame)  # goes through the whole content of a retimed strip


def _source_frame(timing: timeline.StripTiming, frame: int, existing: int) -> int | None:
    """The source frame of a frame of the timeline; None outside the content. What exists not holds the last one."""
    try:
        found = timeline.source_frame(timing, frame)
    except timeline.RangeError:
        return None
    return min(found, existing - 1) if existing else found


def _shown_by(own: timeline.StripTiming, record: bpy.types.PropertyGroup) -> Callable[[int], int]:
    """From a frame of the timeline within a recast's content to the source frame whose recast is shown."""
    start, end, order = int(record["source_start"]), int(record["source_end"]), record.get("order", "plain")
    frames = [int(frame) for frame in kept_json.numbers(record.get("frames_json", ""))]
    pictures = own.type == "IMAGE"

    def shown(frame: int) -> int:
        index = timeline.source_frame(own, frame)
        if pictures and order == "mapped" and index < len(frames):
            return frames[index]
        return end - 1 - index if pictures and order == "reversed" else start + index

    return shown


def follow(scene: bpy.types.Scene, strips: list[tuple[bpy.types.Strip, bpy.types.Strip]]) -> list[bpy.types.Strip]:
    """Move or slip each recast of (recast, source) so that it is in step. A handle that lies where its source's does
    stays there, as far as the recast has frames; the others move along with the frames. Answers the recasts that their
    source shows no frame of any more, which are left where they are."""
    lost, moved = [], []
    off = [(frames_off(scene, strip, source) or 0, strip, source) for strip, source in strips]
    # what goes right begins at the right, or the pieces of one would be in each other's way
    for by, strip, source in sorted(off, key=lambda one: -one[0] * compat.span(one[1])[0]):
        if not by:
            continue
        (left, right), (outer_left, outer_right) = compat.span(strip), compat.span(source)
        start, frames, *trims = compat.content(strip)
        begin = max(outer_left if left == outer_left else left + by, outer_left, start + by)
        end = min(outer_right if right == outer_right else right + by, outer_right, start + by + frames)
        if begin >= end:
            lost.append(strip)
            continue
        compat.set_content(strip, compat.content_start(strip) + by, (trims[0], trims[1]))
        compat.set_span(strip, begin, end)
        moved.append(strip)
    for strip in moved:
        _make_way(scene, strip)
    return lost


def _make_way(scene: bpy.types.Scene, strip: bpy.types.Strip) -> None:
    """Take the next free channel above where another strip lies in the way. Raises RangeError when there is none."""
    holder, channels = compat.neighbours(scene, strip)
    left, right = compat.span(strip)
    taken = [(one.channel, *compat.span(one)) for one in holder if one != strip]
    if any(channel == strip.channel and a < right and left < b for channel, a, b in taken):
        locked = [(number, left, right) for number, channel in enumerate(channels) if channel.lock]
        strip.channel = timeline.free_channel([*taken, *locked], strip.channel, left, right, compat.HIGHEST_CHANNEL)
