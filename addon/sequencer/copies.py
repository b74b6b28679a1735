"""Copies of strips that a recast belongs to get an id of their own, and so do the recasts that were copied with them.

Blender copies custom properties when a strip is duplicated or pasted, and when it is cut. The halves of a cut keep one
id: no source frame shows in both. A strip that shows a frame which another of that id shows is a copy of it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from .. import compat
from ..constants import RECAST_ID, STRIP_ID, STRIP_RECORD, VOICE_RECORD

if TYPE_CHECKING:
    from typing import Any

    import bpy


def own_sources(scene: bpy.types.Scene) -> None:
    """Give copied sources ids of their own (not while drawing). The one whose name a recast or the marked range knows
    keeps the id, and what was cut off it."""
    strips = list(compat.all_strips(scene))
    same: dict[str, list[bpy.types.Strip]] = {}
    for strip in strips:
        if strip.get(STRIP_ID) and not _record(strip):
            same.setdefault(strip[STRIP_ID], []).append(strip)
    for known, sharing in same.items():
        if len(sharing) < 2:
            continue
        recasts = [strip for strip in strips if (of := _record(strip)) and of.get("strip_id") == known]
        names = _names(scene, known, recasts)
        groups = grouped(sharing, min(sharing, key=lambda strip: (strip.name not in names, strip.name)))
        of = {strip: _over(strip, groups) for strip in recasts}
        for number, group in enumerate(groups[1:], 1):
            own = uuid.uuid4().hex
            for strip in group:
                strip[STRIP_ID] = own
            for recast in (recast for recast, over in of.items() if over == number):
                of_recast = _record(recast)
                of_recast["strip_id"], of_recast["strip_name"] = own, group[0].name


def _record(strip: bpy.types.Strip) -> Any:
    """What made a recast of a picture or of a voice; None for other strips."""
    return strip.get(STRIP_RECORD) or strip.get(VOICE_RECORD)


def _names(scene: bpy.types.Scene, known: str, recasts: list[bpy.types.Strip]) -> set[str]:
    """What the source of this id was called when it was marked."""
    state = scene.understudy
    marked = {one.strip_name for one in (state.shot, state.speech) if one.strip_id == known}
    return marked | {str(_record(recast).get("strip_name", "")) for recast in recasts}


def grouped(sharing: list[bpy.types.Strip], first: bpy.types.Strip) -> list[list[bpy.types.Strip]]:
    """The original, which `first` is a part of, with its cut off parts, then each copy with its own: no frame of the
    content shows twice in a group."""
    begin = compat.content(first)[0]
    groups: list[list[bpy.types.Strip]] = []
    for strip in sorted(sharing, key=lambda s: (s != first, compat.content(s)[0] != begin, s.channel, s.name)):
        fitting = [group for group in groups if all(apart(strip, one) for one in group)]
        start = compat.content(strip)[0]
        fitting.sort(key=lambda group: (start != compat.content(group[0])[0], strip.channel != group[0].channel))
        if fitting:
            fitting[0].append(strip)
        else:
            groups.append([strip])
    return groups


def apart(a: bpy.types.Strip, b: bpy.types.Strip) -> bool:
    """Whether no source frame shows in both."""
    (left, right), (other_left, other_right) = shown(a), shown(b)
    return right <= other_left or other_right <= left


def shown(strip: bpy.types.Strip) -> tuple[int, int]:
    """The handles counted from where the strip's content begins."""
    left, right = compat.span(strip)
    start, _, trim, _ = compat.content(strip)
    return left - start + trim, right - start + trim


def _over(recast: bpy.types.Strip, groups: list[list[bpy.types.Strip]]) -> int:
    """The number of the group whose strip a recast lies over, frame for frame: the nearest below; 0, the original's,
    where it lies over none. Of an original and a copy in one place, as Shift-D makes them, a copied recast lies over
    the copy."""
    copied = bool(recast.get(STRIP_RECORD)) and not str(recast.get(RECAST_ID, "")).endswith(f" {recast.name}")
    record, from_source = _record(recast), 0  # a voice begins where its source does
    if recast.get(STRIP_RECORD):
        from_source = int(record["start"]) - int(record.get("content_start", record["start"]))
    begin, (left, right) = compat.content(recast)[0], compat.span(recast)
    found = [
        (strip.channel > recast.channel, abs(recast.channel - strip.channel), -number if copied else number)
        for number, group in enumerate(groups)
        for strip in group
        if strip.parent_meta() == recast.parent_meta()
        and begin - compat.content(strip)[0] == from_source
        and compat.span(strip)[0] < right
        and left < compat.span(strip)[1]
    ]
    return abs(min(found)[2]) if found else 0
