"""The add-on: everything that runs inside Blender. Uses bpy, the standard library and `engine.protocol`."""

import bpy

from . import handlers, i18n, keymap, menus, operators, panels, preferences
from .engine_link import engine_setup
from .jobs import jobs
from .sequencer import scene_strips, strip_fit
from .state import folding, people_store, presets, properties
from .viewport import loss_curve, overlay, preview, range_mark, view_transform

# the timer comes last: it may call anything of the others
_PARTS = (
    i18n, properties, strip_fit, folding, people_store, loss_curve, operators, presets, panels, menus, view_transform,
    overlay, preview, range_mark, keymap, scene_strips, engine_setup, handlers, jobs,
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
