"""Presets for how a face is fitted, kept as Blender keeps its own."""

from __future__ import annotations

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel

from ...engine.protocol import ConvertSettings
from . import steps
from .settings_group import properties_of

FOLDER = "understudy/fit"


class UNDERSTUDY_PT_fit_presets(PresetPanel, bpy.types.Panel):
    """The list of presets in the header of Fit."""

    bl_label = "Fit Presets"
    preset_subdir = FOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = "understudy.fit_preset_add"


class UNDERSTUDY_OT_fit_preset_add(AddPresetBase, bpy.types.Operator):
    """Keep the fit under a name, or drop one. No undo step: a preset is a file of the user's."""

    bl_idname = "understudy.fit_preset_add"
    bl_label = "Add Fit Preset"
    bl_description = "Keep these settings under a name, or drop the chosen one"
    preset_menu = "UNDERSTUDY_PT_fit_presets"
    preset_defines = (
        "fit = (getattr(bpy.context.workspace, 'sequencer_scene', None) or bpy.context.scene).understudy.fit",
    )
    preset_values = tuple(f"fit.{name}" for name in properties_of(ConvertSettings))
    preset_subdir = FOLDER

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = "" if steps.state_of(context) else steps.no_scene()
        cls.poll_message_set(missing)
        return not missing


CLASSES = (UNDERSTUDY_PT_fit_presets, UNDERSTUDY_OT_fit_preset_add)


def register() -> None:
    """Offer the presets."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Offer them no more; the user's files stay."""
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
