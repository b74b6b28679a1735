"""Step 5: train."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..layout import SidebarPanel, fields, missing, sentence
from ..state import people_store, steps
from ..viewport import loss_curve


class UNDERSTUDY_PT_train(SidebarPanel, bpy.types.Panel):
    """How long, and go; then how it goes."""

    bl_label = "5  Train"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        if state is None:
            missing(layout, context, steps.no_scene())
            return
        column = fields(layout)
        column.prop(state, "preset")
        column.prop(state, "network")
        row = column.row()
        row.active = not state.until_converged
        row.prop(state, "minutes")
        layout.prop(state, "until_converged")  # beside a name there is no room for its own in a narrow panel
        running = [job for job in steps.in_turn(state) if job.kind == "train"]
        if not running:  # else it stands on top of the tab
            layout.operator("understudy.train", icon="PLAY")
            if state.shot.strip_id:  # else the panel of the people says what comes first
                missing(layout, context, steps.missing_for_train(state))
        name = steps.model_name(state, state.preset)
        ours = [job for job in reversed(state.jobs) if job.kind == "train" and Path(job.model).name == name]
        job = next((job for job in ours if job.loss >= 0), None)
        if job is not None:
            draw_training(layout, context, job)


def draw_training(layout: bpy.types.UILayout, context: bpy.types.Context, job: bpy.types.PropertyGroup) -> None:
    """The newest training: its curve, its pictures, what to make of it."""
    if job.verdict:
        sentence(layout, context, job.verdict, "INFO")
    if icon := loss_curve.icon(job.id):
        layout.template_icon(icon_value=icon, scale=5.0)
    if icon := people_store.picture(job.preview):
        layout.template_icon(icon_value=icon, scale=9.0)
