"""The add-on: everything that runs inside Blender. Uses bpy, the standard library and `engine.protocol`."""

import bpy

from . import (
    curves,
    handlers,
    i18n,
    jobs,
    menus,
    operators,
    overlay,
    panels,
    people,
    preferences,
    presets,
    preview,
    properties,
    scene_strips,
    setting_up,
    view_transform,
)

# the timer comes last: it may call anything of the others
_PARTS = (
    i18n, properties, people, curves, operators, presets, panels, menus, view_transform, overlay, preview, scene_strips,
    setting_up, handlers, jobs,
)  # fmt: skip


def register() -> None:
    """Make the add-on part of Blender."""
    bpy.utils.register_class(preferences.UnderstudyPreferences)
    for part in _PARTS:
        part.register()


def unregister() -> None:
    """Take it all back: classes, timer, handlers, pictures, the process beside Blender."""
    for part in reversed(_PARTS):
        part.unregister()
    bpy.utils.unregister_class(preferences.UnderstudyPreferences)
