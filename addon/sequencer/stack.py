"""Where a recast lies among the other strips: straight above its source, under all that lay over it, and in its place
where effects use it.

Effects that use a source use its seen recast instead, as long as the recast covers them; what is taken away is given
back. Where no channel is free below what lies over the source, one is inserted: everything from there on goes up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import compat
from ..constants import STRIP_ID, STRIP_RECORD
from .timeline import RangeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import bpy

_INPUTS = ("input_1", "input_2")
_UNSEEN = {"SOUND"}


def check(scene: bpy.types.Scene, source: bpy.types.Strip, start: int, end: int) -> None:
    """Raise RangeError where a recast of these frames would not be seen: an effect over the source begins earlier or
    ends later, or a multicam shows the source's channel."""
    for effect, _ in _users(scene, source.get(STRIP_ID, ""), source):
        left, right = compat.span(effect)
        if left < end and start < right and not start <= left <= right <= end:
            raise RangeError(
                "“{effect}” uses frames of “{name}” that are not marked: mark all that it uses, or mute it.",
                effect=effect.name, name=source.name,
            )  # fmt: skip
    for other in compat.neighbours(scene, source)[0]:
        left, right = compat.span(other)
        shows = other.type == "MULTICAM" and not other.mute and other.multicam_source == source.channel < other.channel
        if shows and left < end and start < right:
            raise RangeError(
                "The multicam “{effect}” shows the channel of “{name}”: make a meta strip of “{name}”, so that its "
                "recast lies in it.",
                effect=other.name, name=source.name,
            )  # fmt: skip


def channel_above(
    scene: bpy.types.Scene, source: bpy.types.Strip, start: int, end: int, free: int
) -> tuple[int, int]:  # fmt: skip
    """(a channel for a recast of `source`, the one that was inserted for it or 0); `free` is the lowest free one."""
    holder, channels = compat.neighbours(scene, source)
    over = [
        strip.channel
        for strip in holder
        if strip.channel > source.channel and strip.type not in _UNSEEN and not _of(strip, source.get(STRIP_ID, ""))
        and compat.span(strip)[0] < end and start < compat.span(strip)[1]
    ]  # fmt: skip
    if not over or free < min(over) or max(strip.channel for strip in holder) >= compat.HIGHEST_CHANNEL:
        return free, 0
    _shift(holder, channels, min(over), 1)
    return min(over), min(over)


def close(scene: bpy.types.Scene, beside: bpy.types.Strip | None, channel: int) -> None:
    """Take out a channel that `channel_above` inserted, where nothing lies in it any more."""
    holder, channels = compat.neighbours(scene, beside)
    if channel and all(strip.channel != channel for strip in holder):
        _shift(holder, channels, channel + 1, -1)


def is_used(scene: bpy.types.Scene, source: bpy.types.Strip, start: int, end: int) -> bool:
    """Whether an effect uses a source, or a recast of it, on any of these frames."""
    spans = [compat.span(effect) for effect, _ in _users(scene, source.get(STRIP_ID, ""), source)]
    return any(left < end and start < right for left, right in spans)


def use(scene: bpy.types.Scene, strip: bpy.types.Strip) -> None:
    """Let effects that use the source of a recast, or another recast of it, use this one, where it covers them."""
    left, right = compat.span(strip)
    for effect, name in _users(scene, strip[STRIP_RECORD].get("strip_id", ""), strip):
        begin, end = compat.span(effect)
        if left <= begin and end <= right and getattr(effect, name) != strip:
            setattr(effect, name, strip)


def give_back(scene: bpy.types.Scene, strip: bpy.types.Strip, to: bpy.types.Strip | None) -> None:
    """Let effects that use a recast use another strip: before it is removed, as they would go along with it."""
    for effect in list(compat.all_strips(scene)):
        for name in _INPUTS:
            if to is not None and getattr(effect, name, None) == strip:
                setattr(effect, name, to)


def _users(scene: bpy.types.Scene, strip_id: str, beside: bpy.types.Strip) -> Iterator[tuple[bpy.types.Strip, str]]:
    """Effects beside a strip that use the source of that id or one of its recasts, and as which input."""
    for effect in list(compat.neighbours(scene, beside)[0]):
        for name in _INPUTS:
            one = getattr(effect, name, None)
            if one is not None and not effect.mute and (one == beside or _of(one, strip_id)):
                yield effect, name


def _of(strip: bpy.types.Strip, strip_id: str) -> bool:
    """Whether a strip is the source of that id, or a recast of it."""
    record = strip.get(STRIP_RECORD)
    return bool(strip_id) and strip_id in {strip.get(STRIP_ID), record.get("strip_id") if record else None}


def _shift(holder: bpy.types.Collection, channels: bpy.types.Collection, first: int, by: int) -> None:
    """Move every strip from channel `first` on, and what is set of those channels, up or down by one."""
    for strip in sorted((one for one in holder if one.channel >= first), key=lambda one: -by * one.channel):
        strip.channel += by
    numbers = range(min(first, first + by), len(channels))
    told = {n: (_own_name(channels, n), channels[n].mute, channels[n].lock) for n in numbers}
    nothing = ("", False, False)
    wanted = {n: nothing if n - by < first else told.get(n - by, nothing) for n in numbers}
    changed = [n for n in numbers if wanted[n] != told[n]]
    for number in changed:  # names are unique: make way first
        channels[number].name = f"Channel {number}"
    for number in changed:
        name, channels[number].mute, channels[number].lock = wanted[number]
        if name:
            channels[number].name = name


def _own_name(channels: bpy.types.Collection, number: int) -> str:
    """What the user calls a channel; "" where it has the usual name."""
    return "" if channels[number].name == f"Channel {number}" else str(channels[number].name)
