"""Step 1: the frames to recast."""

from __future__ import annotations

import bpy

from .. import steps
from .layout import SidebarPanel, missing, sentence


class UNDERSTUDY_PT_range(SidebarPanel, bpy.types.Panel):
    """What is marked."""

    bl_label = "1  Range"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        layout.operator("understudy.mark_range", icon="SEQUENCE")
        missing(layout, context, steps.missing_for_mark(context))
        if state is None or not state.shot.strip_id:
            return
        shot = state.shot
        frames = shot.end - shot.start
        sentence(
            layout, context, f"{shot.strip_name}: {frames} frames, {shot.start} to {shot.end - 1}", icon="CHECKMARK"
        )
