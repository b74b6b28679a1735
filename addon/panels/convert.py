"""Step 5: recast and place."""

from __future__ import annotations

import bpy

from .. import steps
from ..operators.place import last_recast
from .layout import SidebarPanel, missing


class UNDERSTUDY_PT_convert(SidebarPanel, bpy.types.Panel):
    """The draft, the finished recast, and placing it again."""

    bl_label = "5  Convert"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        for text, icon, draft in (("Recast", "RENDER_ANIMATION", False), ("Draft, without Training", "SHADERFX", True)):
            row = layout.row()
            row.enabled = not steps.missing_for_convert(state, draft)
            row.operator("understudy.convert", text=text, icon=icon).draft = draft
        missing(layout, context, steps.missing_for_convert(state, draft=False))
        if last_recast(context):
            layout.operator("understudy.place", icon="ADD")
