"""Recast the marked frames; the strip is placed when that is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty

from ...engine import protocol
from .. import compat, jobs, project, steps
from .train import cast, train_spec


def convert_spec(scene: bpy.types.Scene, model: str, preset: str) -> protocol.ConvertSpec:
    """What to convert for the chosen swap, into a movie of a name that is free."""
    state = scene.understudy
    _, swap = cast(scene)
    promised = {job.output for job in steps.unfinished(state)}
    name = f"{Path(state.shot.source).stem}-{swap.identity}-{preset}"
    return protocol.ConvertSpec(
        scan=state.shot.scan.folder,
        model=model,
        swaps=[swap],
        output=str(project.new_recast(state, name, promised)),
        use_refiner=preset != "draft",
    )


def made_of(scene: bpy.types.Scene, model: str, preset: str) -> dict[str, Any]:
    """Where the strip goes and what is written on it: ids, names and frames, plain values only."""
    state, shot = scene.understudy, scene.understudy.shot
    face, person = steps.identity(state), steps.target(state)
    return {
        "strip_id": shot.strip_id,
        "strip_name": shot.strip_name,
        "channel": shot.channel,
        "start": shot.start,
        "end": shot.end,
        "source": Path(shot.source).name,
        "source_start": shot.source_start,
        "source_end": shot.source_end,
        "scan": Path(shot.scan.folder).name,
        "person": person.person,
        "person_name": person.name,
        "identity": face.key,
        "identity_name": face.name,
        "model": Path(model).name,
        "preset": preset,
        "consent_date": state.consent_date,
    }


class UNDERSTUDY_OT_convert(bpy.types.Operator):
    """Recast the marked range. Not undoable: cancel stops it. Placing the strip is an undo step of its own."""

    bl_idname = "understudy.convert"
    bl_label = "Recast"
    bl_description = "Recast the marked range with the trained face and place it above its strip"
    bl_options = set()

    draft: BoolProperty(
        name="Draft",
        description="Without training: the face warped into place, in seconds, rough where it was never seen so",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        if properties.draft:
            return "Recast the marked range at once, without training: rough, but it shows where it goes"
        return cls.bl_description

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = steps.missing_for_train(steps.state_of(context))
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        state = scene.understudy
        if missing := steps.missing_for_convert(state, self.draft):
            self.report({"ERROR"}, missing)
            return {"CANCELLED"}
        preset = "draft" if self.draft else state.preset
        model = steps.known_model(state, preset)
        spec = convert_spec(scene, model or steps.model_folder(state, preset), preset)
        about = made_of(scene, spec.model, preset)
        if model:
            jobs.start(scene, "convert", spec, about=about, output=spec.output, model=spec.model)
        else:  # a draft needs the faces gathered first; converting follows by itself
            then = {"spec": protocol.to_json(spec), "about": about}
            jobs.start(
                scene, "train", train_spec(scene, "draft"), about={"preset": "draft", "then": then},
                output=spec.model, model=spec.model,
            )  # fmt: skip
        return {"FINISHED"}
