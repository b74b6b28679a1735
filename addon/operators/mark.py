"""Mark what is to be recast."""

from __future__ import annotations

import bpy

from .. import compat, people, project, sources, steps, timeline
from ..properties import NOBODY


class UNDERSTUDY_OT_mark_range(bpy.types.Operator):
    """Mark the frames to recast: what the active strip shows, inside the preview range when that is on."""

    bl_idname = "understudy.mark_range"
    bl_label = "Mark from Strip"
    bl_description = (
        "Mark the frames to recast: what the active strip shows between its handles, "
        "cut down to the preview range when that is on"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = steps.missing_for_mark(context)
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        strip, state = scene.sequence_editor.active_strip, scene.understudy
        limits = (scene.frame_preview_start, scene.frame_preview_end + 1) if scene.use_preview_range else None
        try:
            marked = timeline.mark(compat.strip_timing(scene, strip), limits)
            source = sources.source_path(strip)
        except timeline.RangeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        project.folder(state)  # an unsaved .blend gets its folder's name here, where writing is allowed
        shot = state.shot
        before = (shot.source, shot.source_start, shot.source_end)
        shot.strip_id, shot.strip_name, shot.channel = sources.remember(strip), strip.name, strip.channel
        shot.start, shot.end = marked.start, marked.end
        shot.source, shot.source_start, shot.source_end = source, marked.source_start, marked.source_end
        if before != (shot.source, shot.source_start, shot.source_end):
            people.clear(shot.scan)
            steps.ensure_swap(state).person = NOBODY
        state.error = ""
        self.report({"INFO"}, f"Marked {marked.end - marked.start} frames of “{strip.name}”")
        return {"FINISHED"}
