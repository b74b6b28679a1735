"""Stop a job, put a message away."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from ..i18n import tr
from ..jobs import jobs
from ..state import hooks, steps


class UNDERSTUDY_OT_cancel(bpy.types.Operator):
    """Stop a job at its next safe point. Not undoable: start it again."""

    bl_idname = "understudy.cancel"
    bl_label = "Stop Job"
    bl_description = "Stop this job and what waits for it; what a training has learned so far is kept"
    bl_options = set()

    job: StringProperty(description="The job's id; empty: every running job of the scene", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        state = steps.state_of(context)
        missing = "" if state and steps.unfinished(state) else tr("Nothing is running.")
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        for job in steps.unfinished(steps.state_of(context)):
            if self.job in ("", job.id):
                jobs.cancel(job)
        self.report({"INFO"}, tr("Stopping…"))
        hooks.redraw_sequencers({"UI"})
        return {"FINISHED"}


class UNDERSTUDY_OT_dismiss_error(bpy.types.Operator):
    """Put the error message away. Not an undo step: nothing was changed."""

    bl_idname = "understudy.dismiss_error"
    bl_label = "Dismiss Error"
    bl_description = "Put this message away"
    bl_options = set()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return steps.state_of(context) is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        steps.state_of(context).error = ""
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_cancel, UNDERSTUDY_OT_dismiss_error)
