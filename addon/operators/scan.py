"""Look for the people in the shot and in the footage of an identity."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from ...engine import protocol
from .. import compat, jobs, project, steps


def start_scan(scene: bpy.types.Scene, clip: protocol.Clip, target: str) -> None:
    """Scan `clip` for `target`: `steps.SHOT` or an identity's key."""
    folder = str(project.scan_folder(scene.understudy, clip))
    about = {"target": target, "clip": protocol.to_json(clip)}
    jobs.start(scene, "scan", protocol.ScanSpec(clip=clip, output=folder), about=about, output=folder)


class UNDERSTUDY_OT_scan_shot(bpy.types.Operator):
    """Find the people in the marked range. Not undoable: cancel stops it."""

    bl_idname = "understudy.scan_shot"
    bl_label = "Find People"
    bl_description = "Find and follow every face in the marked range"
    bl_options = set()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = steps.missing_for_scan(steps.state_of(context))
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        shot = scene.understudy.shot
        clip = protocol.Clip(path=shot.source, start=shot.source_start, end=shot.source_end)
        start_scan(scene, clip, steps.SHOT)
        return {"FINISHED"}


class UNDERSTUDY_OT_scan_identity(bpy.types.Operator):
    """Find the people in an identity's footage. Not undoable: cancel stops it."""

    bl_idname = "understudy.scan_identity"
    bl_label = "Find Faces"
    bl_description = "Find the faces in this identity's footage"
    bl_options = set()

    identity: StringProperty(description="Key of the identity", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        state = steps.state_of(context)
        missing = steps.NO_SCENE if state is None else "" if len(state.identities) else "Add an identity first."
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        identity = steps.identity_named(scene.understudy, self.identity)
        if identity is None:
            self.report({"ERROR"}, "That identity is not in this scene any more.")
            return {"CANCELLED"}
        if steps.scanning(scene.understudy, identity.key):
            self.report({"INFO"}, f"The footage of {identity.name} is being scanned")
            return {"CANCELLED"}
        clip = protocol.Clip(path=identity.clip_path, start=identity.clip_start, end=identity.clip_end or None)
        start_scan(scene, clip, identity.key)
        return {"FINISHED"}
