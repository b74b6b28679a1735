"""Keyframes and drivers of a strip, given to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import compat

if TYPE_CHECKING:
    import bpy

_POINT = (
    "co", "handle_left", "handle_right", "handle_left_type", "handle_right_type", "interpolation", "easing",
    "amplitude", "back", "period", "type",
)  # fmt: skip


def copy(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip, names: tuple[str, ...]) -> None:
    """Animate the named properties of `strip` as they are animated on `source`."""
    found = scene.animation_data
    if found is None:
        return
    ends = {f"{compat.animation_path(source)}.{name}": f"{compat.animation_path(strip)}.{name}" for name in names}

    def ours(curve: Any) -> str:
        """The same property of the other strip; "" for curves of anything else."""
        return next((curve.data_path.replace(old, new) for old, new in ends.items()
                     if curve.data_path.endswith(old)), "")  # fmt: skip

    for bag in compat.curve_bags(found.action):
        for curve in list(bag):
            if path := ours(curve):
                _copy_curve(bag.new(path, index=curve.array_index), curve)
    for driver in list(found.drivers):
        if path := ours(driver):
            found.drivers.from_existing(src_driver=driver).data_path = path


def _copy_curve(to: bpy.types.FCurve, curve: bpy.types.FCurve) -> None:
    to.extrapolation, to.mute, to.auto_smoothing = curve.extrapolation, curve.mute, curve.auto_smoothing
    to.keyframe_points.add(len(curve.keyframe_points))
    for mine, theirs in zip(to.keyframe_points, curve.keyframe_points, strict=True):
        for name in _POINT:
            setattr(mine, name, getattr(theirs, name))
    to.update()
