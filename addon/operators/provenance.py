"""Who was recast where: the report of a project, and content credentials for a render of the timeline."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import jobs
from ..sequencer import placing, recasts, voice_placing
from ..state import project, steps
from .common import Outside


class UNDERSTUDY_OT_report(Outside, bpy.types.Operator):
    """Write the report. Not undoable: it is a file outside the .blend."""

    bl_idname = "understudy.report"
    bl_label = "Write Report"
    bl_description = "Write a page that says who was recast where, and with whose permission"

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        folder = project.folder(scene.understudy)
        output = str(folder / "report.html")
        spec = protocol.ReportSpec(project=str(folder), output=output)
        jobs.start(scene, "report", spec, about={}, output=output)
        return {"FINISHED"}


def rendered_to(scene: bpy.types.Scene) -> str:
    """Where the scene's render goes; "" where its path is no template that Blender knows."""
    try:
        return bpy.path.abspath(scene.render.frame_path(frame=scene.frame_start))
    except RuntimeError:
        return ""


class UNDERSTUDY_OT_credentials(Outside, bpy.types.Operator):
    """Add content credentials to a render. Not undoable: it is a file outside the .blend."""

    bl_idname = "understudy.credentials"
    bl_label = "Add Content Credentials to Render"
    bl_description = "Say inside a finished render which parts are recast, so that players and archives can tell"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_movie: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := steps.locked(steps.state_of(context)):
            return missing
        scene = compat.sequencer_scene(context)
        there = recasts.placed(scene) or voice_placing.placed(scene)
        return "" if there else tr("Nothing on the timeline is recast.")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        scene = compat.sequencer_scene(context)
        self.filepath = rendered_to(scene)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        file = project.absolute(self.filepath)
        if not self.filepath or not Path(file).is_file():
            return self.refuse(tr("There is no file at {path}.", path=file))
        seen = [placing.file_of(strip) for strip in recasts.placed(scene) if not strip.mute]
        heard = [voice_placing.file_of(strip) for strip in voice_placing.placed(scene) if not strip.mute]
        ingredients = dict.fromkeys([*seen, *heard])
        spec = protocol.CredentialSpec(
            file=file, ingredients=list(ingredients), project=str(project.folder(scene.understudy))
        )
        jobs.start(scene, "credential", spec, about={"file": file}, output=file)
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_report, UNDERSTUDY_OT_credentials)
