"""The add-on: everything that runs inside Blender. Uses bpy, the standard library and `engine.protocol`."""

import bpy

from . import handlers, jobs, operators, panels, people, preferences, properties

# the timer comes last: it may call anything of the others
_PARTS = (properties, people, operators, panels, handlers, jobs)


def register() -> None:
    """Make the add-on part of Blender."""
    bpy.utils.register_class(preferences.UnderstudyPreferences)
    for part in _PARTS:
        part.register()


def unregister() -> None:
    """Take it all back: classes, timer, handlers, pictures, thread."""
    for part in reversed(_PARTS):
        part.unregister()
    bpy.utils.unregister_class(preferences.UnderstudyPreferences)
