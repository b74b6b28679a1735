"""Understudy: recast a face in Blender's Video Sequencer. This file is the extension's root."""

# Nothing is imported here: the engine's environment has no bpy, and shares this package.


def register() -> None:
    from . import addon

    addon.register(__package__)


def unregister() -> None:
    from . import addon

    addon.unregister()
