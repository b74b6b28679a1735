"""Sources that would shine through their recast are hidden below it: faded ones, blended ones, inputs of an effect.

Blender hides the inputs of an effect, and an opaque strip hides what lies below. A source whose place in an effect its
recast took, and one that is transparent or blended, would be shown besides its recast: it is muted by keyframes, on the
recast's frames alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import compat
from ..constants import SOURCE_HIDDEN, STRIP_ID, STRIP_RECORD
from . import stack

if TYPE_CHECKING:
    from typing import Any

    import bpy

_COVERING = {"REPLACE", "ALPHA_OVER", "OVER_DROP", "CROSS", "GAMMA_CROSS"}
"""The blends in which an opaque picture hides what lies below."""
_TRUE = 1e-4
"""Of a factor that is to be 1."""
_HIDES = "hides"


def note(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip) -> None:
    """Put down on a recast, not a layer, whether its source would shine through it."""
    curves = list(_curves(scene, source, "blend_alpha"))
    record, (start, end) = strip[STRIP_RECORD], compat.span(strip)
    transparent = source.blend_alpha < 1 - _TRUE or curves or source.blend_type not in _COVERING
    record[_HIDES] = bool(not record.get("layer") and (transparent or stack.is_used(scene, source, start, end)))


def settle(scene: bpy.types.Scene, source: bpy.types.Strip) -> None:
    """Hide a source on the frames of its recasts that say so, and nowhere else."""
    if source.get(SOURCE_HIDDEN):
        for bag, curve in list(_curves(scene, source, "mute")):
            bag.remove(curve)
        del source[SOURCE_HIDDEN]
        source.mute = False
    ranges = _ranges(scene, source)
    if not ranges or source.mute or any(_curves(scene, source, "mute")):  # a mute of the user's stays
        return
    for start, end in ranges:
        for frame, hidden in ((start - 1, False), (start, True), (end, False)):
            source.mute = hidden
            source.keyframe_insert("mute", frame=frame)
    source[SOURCE_HIDDEN] = True
    source.mute = any(start <= scene.frame_current < end for start, end in ranges)


def is_muted(source: bpy.types.Strip) -> bool:
    """Whether the user muted a source."""
    return bool(source.mute and not source.get(SOURCE_HIDDEN))


def _ranges(scene: bpy.types.Scene, source: bpy.types.Strip) -> list[tuple[int, int]]:
    """The frames of the recasts over a source that hide it, ascending; what overlaps or touches is one range."""
    (left, right), found = compat.span(source), []
    for strip in compat.neighbours(scene, source)[0]:
        record = strip.get(STRIP_RECORD)
        if not record or not record.get(_HIDES) or record.get("strip_id") != source.get(STRIP_ID):
            continue
        start, end = compat.span(strip)
        if max(start, left) < min(end, right):
            found.append((max(start, left), min(end, right)))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _curves(scene: bpy.types.Scene, strip: bpy.types.Strip, name: str) -> Any:
    """(the collection that holds it, the curve) of each curve of one property of a strip; drivers too."""
    found = scene.animation_data
    if found is None:
        return
    for bag in (*compat.curve_bags(found.action), found.drivers):
        for curve in bag:
            if curve.data_path.endswith(f"{compat.animation_path(strip)}.{name}"):
                yield bag, curve
