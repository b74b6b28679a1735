"""What runs now, what went wrong, and the engine."""

from __future__ import annotations

import bpy

from .. import jobs, steps
from .layout import SidebarPanel, duration, sentence

_WORDS = {"scan": "Finding people", "train": "Training", "convert": "Recasting"}
_ENGINE = {"stopped": "Not started yet", "starting": "Starting", "ready": "Ready", "failed": "Not running"}


class UNDERSTUDY_PT_status(SidebarPanel, bpy.types.Panel):
    """Running jobs and the last error."""

    bl_label = "Understudy"
    bl_options = {"HIDE_HEADER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        state = steps.state_of(context)
        if state is None:
            return True
        return bool(state.error or jobs.engine.error or steps.unfinished(state)) or not bpy.data.filepath

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        if state is None:
            sentence(layout, context, steps.NO_SCENE, "INFO")
            return
        if state.error:
            box = layout.box()
            box.alert = True
            sentence(box, context, state.error, "ERROR")
            box.operator("understudy.dismiss_error")
        if jobs.engine.state == "failed" and jobs.engine.error != state.error:
            box = layout.box()
            box.alert = True
            sentence(box, context, jobs.engine.error, "ERROR")
            box.operator("understudy.start_engine")
        for job in steps.unfinished(state):
            draw_job(layout.box(), context, job)
        if not bpy.data.filepath:
            sentence(layout, context, "Save the .blend: recast movies are then kept beside it.", "FILE_TICK")


def draw_job(layout: bpy.types.UILayout, context: bpy.types.Context, job: bpy.types.PropertyGroup) -> None:
    """One running job: how far, what it does, how long, how well, what to beware of, and a button to stop it."""
    row = layout.row(align=True)
    row.progress(factor=job.progress, text=f"{_WORDS.get(job.kind, job.kind)} {job.progress:.0%}")
    row.operator("understudy.cancel", text="", icon="X").job = job.id
    if job.message:
        sentence(layout, context, job.message)
    facts = []
    if job.seconds_left >= 0:
        facts.append(f"{duration(job.seconds_left)} left")
    if job.loss >= 0:
        facts.append(f"loss {job.loss:.3f} at step {job.step}")
    if facts:
        sentence(layout, context, ", ".join(facts))
    if job.warning:
        sentence(layout, context, job.warning, "ERROR")


class UNDERSTUDY_PT_engine(SidebarPanel, bpy.types.Panel):
    """The engine, for those who want to know."""

    bl_label = "Engine"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 100

    def draw(self, context: bpy.types.Context) -> None:
        layout, engine = self.layout, jobs.engine
        layout.label(text=_ENGINE[engine.state])
        if engine.state == "ready":
            device = f" on {engine.device}" if engine.device else ""  # the engine may still be finding out
            sentence(layout, context, f"Version {engine.version}{device}")
        row = layout.row(align=True)
        row.operator("understudy.start_engine", text="Start")
        row.operator("understudy.stop_engine", text="Stop")
