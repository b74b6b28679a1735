"""Train the network that gives the people of the shot their new faces."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import jobs
from ..state import project, steps
from .common import Outside


def train_spec(scene: bpy.types.Scene, preset: protocol.Preset) -> protocol.TrainSpec:
    """What to train for the chosen swaps."""
    state = scene.understudy
    identities, _ = steps.cast(state)
    return protocol.TrainSpec(
        identities=identities,
        output=steps.model_folder(state, preset),
        preset=preset,
        minutes=None if state.until_converged else state.minutes,
        project=str(project.folder(state)),
        network=state.network,
    )


class UNDERSTUDY_OT_train(Outside, bpy.types.Operator):
    """Train. Not undoable: cancel stops it, and what was learned is kept."""

    bl_idname = "understudy.train"
    bl_label = "Train"
    bl_description = "Train the face for this shot. Goes on when Blender is closed; training again goes on from there"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return steps.missing_for_train(steps.state_of(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        spec = train_spec(scene, scene.understudy.preset)
        made = steps.made_from(scene.understudy, spec.preset)
        jobs.start(scene, "train", spec, about=made, output=spec.output, model=spec.output)
        return {"FINISHED"}


class _OfAJob(Outside):
    state = ""

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        state = steps.state_of(context)
        if missing := steps.locked(state):
            return missing
        if any(job.state in cls.state for job in steps.unfinished(state)):
            return ""
        return {"running": tr("Nothing is running."), "paused": tr("Nothing is paused.")}.get(
            cls.state[-1], tr("Nothing waits.")
        )

    def _jobs(self, context: bpy.types.Context) -> list[bpy.types.PropertyGroup]:
        waiting = steps.unfinished(steps.state_of(context))
        return [job for job in waiting if self.job in ("", job.id) and job.state in self.state]


class UNDERSTUDY_OT_pause(_OfAJob, bpy.types.Operator):
    """Put a job aside. Not undoable: resume takes it up again."""

    bl_idname = "understudy.pause"
    bl_label = "Pause Job"
    bl_description = "Put this job aside and free its memory; it goes on where it stopped when resumed"
    state = ("queued", "running")

    job: StringProperty(description="The job's id; empty: every running one", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        for job in self._jobs(context):
            jobs.pause(job)
        return {"FINISHED"}


class UNDERSTUDY_OT_resume(_OfAJob, bpy.types.Operator):
    """Take a paused job up again. Not undoable: pause puts it aside."""

    bl_idname = "understudy.resume"
    bl_label = "Resume Job"
    bl_description = "Take this job up where it was paused"
    state = ("paused",)

    job: StringProperty(description="The job's id; empty: every paused one", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        for job in self._jobs(context):
            jobs.go_on(job)
        return {"FINISHED"}


class UNDERSTUDY_OT_run_next(_OfAJob, bpy.types.Operator):
    """Let a waiting job run next. Not undoable: let another one run next."""

    bl_idname = "understudy.run_next"
    bl_label = "Run Job Next"
    bl_description = "Let this job run before the others that wait"
    state = ("queued",)

    job: StringProperty(description="The job's id", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        for job in self._jobs(context)[-1:]:
            jobs.run_next(job)
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_train, UNDERSTUDY_OT_pause, UNDERSTUDY_OT_resume, UNDERSTUDY_OT_run_next)
