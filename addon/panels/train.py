"""Step 4: train."""

from __future__ import annotations

import bpy

from .. import steps
from .layout import SidebarPanel, missing


def draw_consent(layout: bpy.types.UILayout, state: bpy.types.PropertyGroup) -> None:
    """The one line without which nothing is recast."""
    column = layout.column(align=True)
    column.prop(state, "consent", text="The people shown have agreed")
    column.label(text="(or the footage is mine to recast)", icon="BLANK1")


class UNDERSTUDY_PT_train(SidebarPanel, bpy.types.Panel):
    """Consent, how long, and go."""

    bl_label = "4  Train"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        if state is None:
            missing(layout, context, steps.NO_SCENE)
            return
        draw_consent(layout, state)
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(state, "minutes")
        layout.operator("understudy.train", icon="PLAY")
        missing(layout, context, steps.missing_for_train(state))


class UNDERSTUDY_PT_train_advanced(SidebarPanel, bpy.types.Panel):
    """What need not be touched."""

    bl_label = "Advanced"
    bl_parent_id = "UNDERSTUDY_PT_train"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        if state is not None:
            column = self.layout.column()
            column.use_property_split = True
            column.use_property_decorate = False
            column.prop(state, "preset")
