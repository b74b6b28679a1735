"""Step 4: the recast over the sequencer's preview, before, while and after it is trained."""

from __future__ import annotations

import bpy

from .. import compat
from ..i18n import tr
from ..layout import StepPanel, beside, missing, sentence, step
from ..state import steps
from ..viewport import preview


class UNDERSTUDY_PT_preview(StepPanel, bpy.types.Panel):
    """How the preview shows the recast."""

    bl_label = "4  Preview"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        view = context.window_manager.understudy
        layout = step(self.layout, context, "4  Preview", switch="show")
        if layout is None:
            return
        column = layout.column()
        column.active = view.show
        row = beside(column, context)
        row.prop(view, "view", text="")
        last = row.row(align=True)
        last.operator("understudy.compare")
        last.prop(view, "badges", text="", icon="USER")
        row = column.row(align=True)
        row.prop(view, "use_wipe", text="", icon="ARROW_LEFTRIGHT")
        sub = row.row(align=True)
        sub.active = view.use_wipe
        sub.prop(view, "wipe", text="Wipe", slider=True)
        row.operator("understudy.wipe", text="", icon="MOUSE_LMB_DRAG")
        if not view.show:
            return
        if why := steps.missing_for_swap(state) if view.view == "recast" else steps.missing_for_faces(state):
            missing(layout, context, why)
            return
        if preview.here(compat.sequencer_scene(context)) is None:
            missing(layout, context, tr("Move the playhead into the marked range."))
            return
        if error := preview.error_here():
            sentence(layout, context, error, "ERROR")
