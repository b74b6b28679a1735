"""Step 5: train."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..i18n import tr
from ..layout import StepPanel, failure, fields, is_wide, missing, sentence, step
from ..state import people_store, steps
from ..state.properties import PRESETS
from ..viewport import loss_curve
from . import progress


class UNDERSTUDY_PT_train(StepPanel, bpy.types.Panel):
    """How long, and go; then how it goes."""

    bl_label = "5  Train"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        said = _in_short(state) if state is not None else ""
        running = progress.of_step(state, "train")
        done = bool(said) and not _was_stopped(_last_training(state))
        layout = step(self.layout, context, "5  Train", said, done=done, running=progress.in_line(state, "train"))
        if layout is None:
            return
        if state is None:
            missing(layout, context, steps.no_scene())
            return
        column = fields(layout)
        column.prop(state, "preset")
        column.prop(state, "network")
        # beside a name to the left there is no room for another one's
        row = layout.row(align=True) if is_wide(context) else column
        minutes = row.row(align=True)
        minutes.active = not state.until_converged
        minutes.prop(state, "minutes")
        (row if is_wide(context) else layout).prop(state, "until_converged", toggle=is_wide(context))
        if running:
            progress.draw(layout, context, running[0])
        elif steps.recasting(state):  # in place of a sentence below it: what follows would jump
            layout.operator("understudy.train", text="Train: a Recast Is under Way", icon="PLAY")
        else:
            layout.operator("understudy.train", icon="PLAY")
            if state.shot.strip_id:  # else the panel of the people says what comes first
                missing(layout, context, steps.missing_for_train(state))
        failure(layout, context, state, "train")
        job = _last_training(state)
        if job is not None:
            draw_training(layout, context, job)


def _last_training(state: bpy.types.PropertyGroup) -> bpy.types.PropertyGroup | None:
    """The newest training of the model of the cast that has learned anything."""
    name = Path(steps.known_model(state, state.preset)).name or steps.model_name(state, state.preset)
    ours = [job for job in reversed(state.jobs) if job.kind == "train" and Path(job.model).name == name]
    return next((job for job in ours if job.loss >= 0), None)


def _was_stopped(job: bpy.types.PropertyGroup | None) -> bool:
    """Whether a training was ended by hand before it was done: what it learned serves, but it is no finished step."""
    return job is not None and job.state == "cancelled"


def _in_short(state: bpy.types.PropertyGroup) -> str:
    """How far the model of the cast is trained."""
    job = _last_training(state) if steps.known_model(state, state.preset) else None
    if job is None:
        return ""
    quality = next(name for key, name, _ in PRESETS if key == state.preset)
    if _was_stopped(job):
        return tr("{quality}, stopped at step {n}", quality=tr(quality), n=job.step)
    return tr("{quality}, step {n}", quality=tr(quality), n=job.step)


def draw_training(layout: bpy.types.UILayout, context: bpy.types.Context, job: bpy.types.PropertyGroup) -> None:
    """The newest training: its curve, its pictures, what to make of it."""
    if job.verdict:
        sentence(layout, context, job.verdict, "INFO")
    if job.state == "running" and job.loss >= 0:
        sentence(layout, context, tr("loss {loss} at step {step}", loss=f"{job.loss:.3f}", step=job.step))
    curve, picture = loss_curve.icon(job.id), people_store.picture(job.preview)
    if not (curve or picture):
        return
    header, body = layout.panel_prop(context.window_manager.understudy_folds, "curve")
    header.label(text="Curve and Pictures")
    if body is not None and curve:
        body.template_icon(icon_value=curve, scale=5.0)
    if body is not None and picture:
        body.template_icon(icon_value=picture, scale=9.0)
