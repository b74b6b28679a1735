"""Look for the people in the shot and in the footage of an identity."""

from __future__ import annotations

import json

import bpy
from bpy.props import StringProperty

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import jobs, results
from ..state import project, steps
from .common import Outside


def start_scan(scene: bpy.types.Scene, clip: protocol.Clip, target: str) -> None:
    """Scan `clip` for `target`: `steps.SHOT` or a material's key."""
    state = scene.understudy
    folder = str(project.scan_folder(state, clip))
    for job in steps.unfinished(state):  # the same footage, for the shot and for an identity: one scan does for both
        if job.kind == "scan" and job.output == folder:
            about = steps.about(job)
            jobs.change(scene, job, about=json.dumps({**about, "also": [*about.get("also", []), target]}))
            return
    about = {"target": target, "clip": protocol.to_json(clip)}
    spec = protocol.ScanSpec(clip=clip, output=folder, project=str(project.folder(state)))
    jobs.start(scene, "scan", spec, about=about, output=folder)


def scan_material(scene: bpy.types.Scene, material: bpy.types.PropertyGroup) -> None:
    """Scan the footage of a material."""
    clip = project.clip(material.clip_path, material.clip_start, material.clip_end or None, material.clip_stream)
    start_scan(scene, clip, material.key)


class UNDERSTUDY_OT_scan_shot(Outside, bpy.types.Operator):
    """Find the people in the marked range. Not undoable: cancel stops it."""

    bl_idname = "understudy.scan_shot"
    bl_label = "Find People"
    bl_description = "Find and follow every face in the marked range"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return steps.missing_for_scan(steps.state_of(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        start_scan(scene, project.shot_clip(scene.understudy.shot), steps.SHOT)
        return {"FINISHED"}


class UNDERSTUDY_OT_scan_identity(Outside, bpy.types.Operator):
    """Find the people in an identity's footage. Not undoable: cancel stops it."""

    bl_idname = "understudy.scan_identity"
    bl_label = "Find Faces"
    bl_description = "Find the faces in this footage"

    material: StringProperty(description="Key of the material", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        material = results.material_named(scene.understudy, self.material)
        if material is None:
            return self.refuse(tr("That footage is not in this scene any more."))
        if steps.scanning(scene.understudy, material.key):
            self.report({"INFO"}, tr("This footage is being scanned"))
            return {"CANCELLED"}
        scan_material(scene, material)
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_scan_shot, UNDERSTUDY_OT_scan_identity)
