"""Place a recast movie again that was placed before and removed."""

from __future__ import annotations

import bpy

from .. import compat, placing, steps


def last_recast(context: bpy.types.Context) -> object | None:
    """The newest finished conversion of the scene, or None."""
    state = steps.state_of(context)
    jobs = reversed(state.jobs) if state else ()
    return next((job for job in jobs if job.kind == "convert" and job.state == "done"), None)


class UNDERSTUDY_OT_place(bpy.types.Operator):
    """Place the newest recast movie above its source. Undoable."""

    bl_idname = "understudy.place"
    bl_label = "Place Again"
    bl_description = "Place the newest recast movie on a free channel above its source strip"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = "" if last_recast(context) else "Recast the range first."
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        job = last_recast(context)
        try:
            placing.place(compat.sequencer_scene(context), job.output, {**steps.about(job), "job": job.id})
        except placing.CannotPlace as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}
