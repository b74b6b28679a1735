"""What the user has set in the add-on's preferences (`addon/preferences.py` shows them)."""

from __future__ import annotations

import bpy

from ..constants import ROOT_PACKAGE


def preferences() -> bpy.types.AddonPreferences:
    """The preferences as they are now: `UnderstudyPreferences`."""
    return bpy.context.preferences.addons[ROOT_PACKAGE].preferences


def engine_python() -> str:
    """The engine's Python as the user named it, absolute; empty when not named."""
    return bpy.path.abspath(preferences().engine_python)


def wheels_folder() -> str:
    """The folder of wheels as the user named it, absolute; empty when not named."""
    return bpy.path.abspath(preferences().wheels)
