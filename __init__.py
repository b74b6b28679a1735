"""Understudy: recast a face in Blender's Video Sequencer. This file is the extension's root."""

# Nothing is imported here: the engine's environment has no bpy, and shares this package.


def register() -> None:
    """Blender calls this when the extension is enabled."""
    from . import addon

    addon.register()


def unregister() -> None:
    """Blender calls this when the extension is disabled, and as it quits."""
    from . import addon

    addon.unregister()
