"""Timeline frames to source frames and back. No bpy: `compat.strip_timing` reads the strip.

Timeline frames are Blender's whole frame numbers, ranges half-open (Blender's right handle is
exclusive too). Source frames are counted from 0 in the order shown, as everywhere in Understudy.
The arithmetic is that of Blender's `strip_time.cc` and `strip_retiming.cc`, in single precision where it is so there.
"""

from __future__ import annotations

import functools
import math
import re
import struct
from dataclasses import dataclass
from typing import Literal

TRANSITION_IN = 1 << 0
"""Flag of a retiming key that begins a smooth change of speed (Blender's `SEQ_SPEED_TRANSITION_IN`)."""


class RangeError(Exception):
    """What the editor marked cannot be recast; the message is one sentence for the panel.

    `template` and `facts` are its parts, for translation.
    """

    def __init__(self, template: str, **facts: object) -> None:
        super().__init__(template.format(**facts))
        self.template, self.facts = template, facts


@dataclass(frozen=True, kw_only=True)
class RetimingKey:
    """A key as Blender stores it: at content frame `index` of the retimed strip, `factor` (0..1) of the source."""

    index: float
    factor: float
    flag: int = 0


@dataclass(frozen=True, kw_only=True)
class StripTiming:
    """How one strip lays its source on the timeline, as Blender has it now.

    `content_start` is the timeline frame at which the content begins, `content_frames` counts the timeline frames
    it takes there, `source_frames` the frames of the source it may show, from `trim_start` on. `left` and `right`
    are the handles, cut to those of the metas around the strip. `still`: every timeline frame shows the one picture.
    `rate` source frames pass with each timeline frame (1 where frames are shown one by one). `keys` of retiming tell
    parts of the source; the whole, a factor of 1, is frame `factor_frames` (the last one or, from Blender 5, one more).
    `outer` and `speed_control` name a meta and an effect that change the time of what they are around or over.
    """

    name: str
    type: str
    left: int
    right: int
    content_start: int
    content_frames: int
    source_frames: int = -1
    trim_start: int = 0
    still: bool = False
    reversed: bool = False
    strobe: float = 1.0
    rate: float = 1.0
    keys: tuple[RetimingKey, ...] = ()
    factor_frames: int = 0
    outer: str = ""
    speed_control: str = ""

    @property
    def plain(self) -> bool:
        """Frames are shown one by one, in order."""
        return not (self.reversed or self.keys or self.strobe > 1.0 or self.rate != 1.0)


@dataclass(frozen=True, kw_only=True)
class MarkedRange:
    """The same frames twice: `[start, end)` on the timeline, `[source_start, source_end)` in the source.

    `order`: "plain" is one source frame a timeline frame, forward; "reversed" backward; "mapped" as `frames` says:
    the source frame of every timeline frame (empty for the other two).
    """

    start: int
    end: int
    source_start: int
    source_end: int
    order: Literal["plain", "reversed", "mapped"] = "plain"
    frames: tuple[int, ...] = ()


def refuse_unsupported(timing: StripTiming) -> None:
    """Raise RangeError with one sentence when this strip's frames cannot be told."""
    if timing.type not in {"MOVIE", "IMAGE"}:
        raise RangeError(
            "“{name}” is a {kind} strip: choose a movie or image strip.",
            name=timing.name,
            kind=timing.type.replace("_", " ").lower(),
        )
    refuse_retimed_meta(timing)
    if timing.speed_control:
        raise RangeError(
            "The Speed Control “{effect}” changes the speed of “{name}”: mute or delete it, and change the speed of "
            "the strip itself (Strip > Retiming).",
            effect=timing.speed_control,
            name=timing.name,
        )


def refuse_retimed_meta(timing: StripTiming) -> None:
    """Raise RangeError when a meta around a strip changes its speed."""
    if timing.outer:
        raise RangeError(
            "The meta strip “{meta}” around “{name}” is retimed or reversed: undo that, recast, then do it again.",
            meta=timing.outer,
            name=timing.name,
        )


def source_frame(timing: StripTiming, frame: int) -> int:
    """The source frame that timeline frame `frame` shows.

    Raises RangeError when the strip has no frame there, or holds its first or last one.
    """
    if timing.still:
        return 0
    if not timing.content_start <= frame < timing.content_start + timing.content_frames:
        raise RangeError(
            "“{name}” has no frame of its own at {frame}: it begins later or has ended.", name=timing.name, frame=frame
        )
    if timing.plain:
        return frame - timing.content_start + timing.trim_start
    last = timing.content_frames - 1
    index = float(last - (frame - timing.content_start) if timing.reversed else frame - timing.content_start)
    most = (timing.source_frames if timing.source_frames > 0 else timing.content_frames) - 1
    index = _single(index * _single(timing.rate))
    if timing.keys:
        index = _single(_evaluate(timing.keys, index) * timing.factor_frames)
    index = min(max(index, 0.0), float(most))
    if timing.strobe > 1.0:
        index = _single(index - math.fmod(index, timing.strobe))
    return math.floor(_single(index + 0.5)) + timing.trim_start


def _single(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def _evaluate(keys: tuple[RetimingKey, ...], index: float) -> float:
    """The part (0..1) of the source that content frame `index` shows."""
    at = max((i for i, key in enumerate(keys[:-1]) if key.index <= index), default=0)
    if keys[at].flag & TRANSITION_IN and 0 < at < len(keys) - 2:
        before, after = _step(keys, at - 1), _step(keys, at + 1)
        most = keys[-1].factor / max(keys[-1].index, 1.0)
        if abs(before - after) >= 0.01 * most:
            return min(1.0, _on_arc(keys, at, index))
        return min(1.0, _single(keys[at].factor + before * (index - keys[at].index)))
    return min(1.0, _single(keys[at].factor + _single(_step(keys, at)) * (index - keys[at].index)))


def _step(keys: tuple[RetimingKey, ...], at: int) -> float:
    length = keys[at + 1].index - keys[at].index
    return (keys[at + 1].factor - keys[at].factor) / length if length else 0.0


def _on_arc(keys: tuple[RetimingKey, ...], at: int, index: float) -> float:
    """On the circle that touches the segments before and after a transition at its ends."""
    (x0, y0), (x1, y1) = (keys[at - 1].index, keys[at - 1].factor), (keys[at].index, keys[at].factor)
    (x2, y2), (x3, y3) = (keys[at + 1].index, keys[at + 1].factor), (keys[at + 2].index, keys[at + 2].factor)
    # the normals of both segments, at the end of the first and the start of the second, meet in the centre
    n1, n2 = (-(y1 - y0), x1 - x0), (-(y3 - y2), x3 - x2)
    cross = n1[0] * n2[1] - n1[1] * n2[0]
    along = ((x2 - x1) * n2[1] - (y2 - y1) * n2[0]) / cross
    centre = (x1 + along * n1[0], y1 + along * n1[1])
    radius = math.hypot(x1 - centre[0], y1 - centre[1])
    side = -1.0 if centre[1] > y1 else 1.0
    return centre[1] + side * math.sqrt(max(radius**2 - (index - centre[0]) ** 2, 0.0))


def timeline_frame(timing: StripTiming, source: int) -> int:
    """The timeline frame on which source frame `source` shows first (or would, were it not trimmed away).

    Where frames are not shown one by one and this one never is, the content's first frame.
    """
    if timing.still:
        return timing.content_start
    if timing.plain:
        return source - timing.trim_start + timing.content_start
    content = range(timing.content_start, timing.content_start + timing.content_frames)
    return next((frame for frame in content if source_frame(timing, frame) == source), timing.content_start)


@functools.lru_cache(maxsize=16)
def marked_now(timing: StripTiming, marked: MarkedRange) -> tuple[int, int]:
    """Where the source frames of a marked range lie on the timeline, as the strip is by now: where they were marked,
    if those frames still show them, or if none does any more. Kept, since it is asked with every drawing."""
    content = range(timing.content_start, timing.content_start + timing.content_frames)
    there = [source_frame(timing, frame) for frame in range(marked.start, marked.end) if frame in content]
    if there and (min(there), max(there)) == (marked.source_start, marked.source_end - 1):
        return marked.start, marked.end
    shown = [n for n in content if marked.source_start <= source_frame(timing, n) < marked.source_end]
    return (shown[0], shown[-1] + 1) if shown else (marked.start, marked.end)


def mark(timing: StripTiming, limits: tuple[int, int] | None = None, existing: int = 0) -> MarkedRange:
    """What the strip shows between its handles, cut down to `limits` (a range on the timeline) when given.

    `existing`, where it is known: how many of the source's frames have a picture; the others only hold the last one.

    Frames on which a handle was pulled past the footage only hold its first or last frame; they
    are left out. Raises RangeError when nothing is left or the strip is of an unsupported kind.
    """
    refuse_unsupported(timing)
    start, end = timing.left, timing.right
    if not timing.still:
        start = max(start, timing.content_start)
        end = min(end, timing.content_start + timing.content_frames)
    if existing and timing.plain and not timing.still:
        end = min(end, timing.content_start + existing - timing.trim_start)
    if limits is not None:
        start, end = max(start, limits[0]), min(end, limits[1])
    if end <= start:
        if limits is not None:
            raise RangeError("“{name}” lies outside the range: clear the range or move it.", name=timing.name)
        raise RangeError("“{name}” shows no frame of its footage: check its handles.", name=timing.name)
    if timing.still:
        return MarkedRange(start=start, end=end, source_start=0, source_end=1)
    if timing.plain:
        first = source_frame(timing, start)
        return MarkedRange(start=start, end=end, source_start=first, source_end=first + end - start)
    frames = tuple(source_frame(timing, frame) for frame in range(start, end))
    if existing:
        frames = tuple(min(frame, existing - 1) for frame in frames)
    backward = frames == tuple(range(frames[0], frames[0] - len(frames), -1))
    return MarkedRange(
        start=start,
        end=end,
        source_start=min(frames),
        source_end=max(frames) + 1,
        order="reversed" if backward else "mapped",
        frames=() if backward else frames,
    )


def material(timing: StripTiming) -> tuple[int, int | None]:
    """The source frames `[start, end)` of a strip that shows a face to learn from; end None is the last frame.

    Raises RangeError for strips that show no footage of their own.
    """
    if timing.type not in {"MOVIE", "IMAGE"}:
        refuse_unsupported(timing)
    if timing.outer or timing.speed_control:
        return 0, None  # which frames show through is of no account for a face
    marked = mark(timing)
    return marked.source_start, marked.source_end


def free_channel(taken: list[tuple[int, int, int]], above: int, start: int, end: int, highest: int) -> int:
    """The lowest channel above `above` with nothing in `[start, end)`.

    `taken` lists (channel, left, right) of every strip. Raises RangeError when all up to
    `highest` are taken.
    """
    busy = {channel for channel, left, right in taken if left < end and start < right}
    for channel in range(above + 1, highest + 1):
        if channel not in busy:
            return channel
    raise RangeError(
        "No channel above {channel} is free from frame {start} to {end}: make room for the recast strip.",
        channel=above,
        start=start,
        end=end,
    )


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts `shot9.png` before `shot10.png`, as the engine sorts a folder of pictures."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in re.split(r"(\d+)", name) if part]
