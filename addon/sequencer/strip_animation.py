"""Keyframes and drivers of a strip, given to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import compat
from ..constants import FIT_PREFIX, SOURCE_HIDDEN

if TYPE_CHECKING:
    import bpy

_POINT = (
    "co", "handle_left", "handle_right", "handle_left_type", "handle_right_type", "interpolation", "easing",
    "amplitude", "back", "period", "type",
)  # fmt: skip


def copy(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip, names: tuple[str, ...] = ()) -> None:
    """Animate the named properties of `strip`, or all that it has, as they are animated on `source`."""
    found = scene.animation_data
    if found is None:
        return
    old, new = compat.animation_path(source), compat.animation_path(strip)

    def ours(curve: Any) -> str:
        """The same property of the other strip; "" for curves of anything else."""
        _, its, name = curve.data_path.partition(old)
        path = curve.data_path.replace(old, new)
        hidden = name == ".mute" and source.get(SOURCE_HIDDEN)
        fit = name.startswith(f".{FIT_PREFIX}")  # of a source that is a recast itself: it stays that one's
        return (
            path if its and not hidden and not fit and (name[1:] in names if names else _is_there(scene, path)) else ""
        )

    for bag in compat.curve_bags(found.action):
        for curve in list(bag):
            if path := ours(curve):
                _copy_curve(_new_curve(scene, bag, path, curve.array_index), curve)
    for driver in list(found.drivers):
        if path := ours(driver):
            found.drivers.from_existing(src_driver=driver).data_path = path


def clear(scene: bpy.types.Scene, strip: bpy.types.Strip) -> None:
    """Take all keyframes and drivers off a strip: one that was just made may have those of a deleted strip of its
    name, for Blender leaves drivers, and keyframes of metas' strips, behind."""
    found = scene.animation_data
    if found is None:
        return
    path = f"{compat.animation_path(strip)}."
    for curves in (*compat.curve_bags(found.action), found.drivers):
        for curve in [one for one in curves if path in one.data_path]:
            curves.remove(curve)


def _new_curve(scene: bpy.types.Scene, bag: Any, path: str, index: int) -> bpy.types.FCurve:
    """A curve without keys. Inserting one first makes it as Blender does: those of whole numbers round as theirs do."""
    array = hasattr(scene.path_resolve(path), "__len__")
    try:
        scene.keyframe_insert(path, index=index if array else -1)
    except (RuntimeError, TypeError):
        return bag.new(path, index=index)
    made = bag.find(path, index=index)
    if made is None:
        return bag.new(path, index=index)
    made.keyframe_points.clear()
    return made


def _copy_curve(to: bpy.types.FCurve, curve: bpy.types.FCurve) -> None:
    to.extrapolation, to.mute, to.auto_smoothing = curve.extrapolation, curve.mute, curve.auto_smoothing
    to.keyframe_points.add(len(curve.keyframe_points))
    for mine, theirs in zip(to.keyframe_points, curve.keyframe_points, strict=True):
        for name in _POINT:
            setattr(mine, name, getattr(theirs, name))
    for modifier in curve.modifiers:
        made = to.modifiers.new(modifier.type)
        for prop in modifier.bl_rna.properties:
            if not prop.is_readonly and prop.identifier not in {"name", "active"}:
                setattr(made, prop.identifier, getattr(modifier, prop.identifier))
    to.update()


def _is_there(scene: bpy.types.Scene, path: str) -> bool:
    try:
        scene.path_resolve(path)
    except ValueError:
        return False
    return True
