"""Train the network that gives the person the identity's face."""

from __future__ import annotations

import bpy

from ...engine import protocol
from .. import compat, jobs, project, steps


def cast(scene: bpy.types.Scene) -> tuple[list[protocol.Identity], protocol.Swap]:
    """The two people a model is trained of, the recast one under a name of their own, and their swap."""
    state = scene.understudy
    swap, face = steps.swap_of(state), steps.identity(state)
    shown = protocol.Material(scan=state.shot.scan.folder, person=swap.person)
    learned = protocol.Material(scan=face.scan.folder, person=face.person)
    target = f"{project.slug(state.shot.strip_name)[:24]}-person-{swap.person}"
    identities = [
        protocol.Identity(name=target, material=[shown]),
        protocol.Identity(name=face.key, material=[learned]),
    ]
    return identities, protocol.Swap(person=swap.person, identity=face.key)


def train_spec(scene: bpy.types.Scene, preset: protocol.Preset) -> protocol.TrainSpec:
    """What to train for the chosen swap."""
    state = scene.understudy
    identities, _ = cast(scene)
    return protocol.TrainSpec(
        identities=identities, output=steps.model_folder(state, preset), preset=preset, minutes=state.minutes
    )


class UNDERSTUDY_OT_train(bpy.types.Operator):
    """Train. Not undoable: cancel stops it, and what was learned is kept."""

    bl_idname = "understudy.train"
    bl_label = "Train"
    bl_description = "Train the face for this shot. Goes on when Blender is closed; training again goes on from there"
    bl_options = set()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = steps.missing_for_train(steps.state_of(context))
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        spec = train_spec(scene, scene.understudy.preset)
        jobs.start(scene, "train", spec, about={"preset": spec.preset}, output=spec.output, model=spec.output)
        return {"FINISHED"}
