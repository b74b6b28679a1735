"""The whole way from a strip to its recast by one button, with what the panels are set to.

What is missing is made, one thing after the other: the mark, the identity (asked for as a file), both scans; then
training and recast are queued together. It stops where a human being has to speak: at the consents, and goes on when
they are on record.
"""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .. import compat
from ..constants import STRIP_RECORD
from ..i18n import tr
from ..jobs import jobs
from ..sequencer import scene_strips, strip_media, timeline
from ..state import hooks, people_store, project, steps
from .common import Outside, Undoable
from .convert import queue
from .identities import add_file, draw_wanted, folder_of_footage
from .mark import mark
from .scan import scan_material, start_scan


def strip_to_mark(scene: bpy.types.Scene) -> bpy.types.Strip | None:
    """The active strip where it is another than the marked one and shows neither a recast nor an identity."""
    state, strip = scene.understudy, compat.active_picture(scene)
    if strip is None or strip.type not in compat.PICTURES or strip.get(STRIP_RECORD):
        return None
    marked = strip_media.find_shot(scene, state.shot) if state.shot.strip_id else None
    if marked is None:
        return strip
    if strip == marked or strip.type in {"META", "SCENE"}:
        return None  # what is marked may lie in it
    try:
        shown = strip_media.source_path(strip)
    except timeline.RangeError:
        return None
    used = {one.clip_path for identity in state.identities for one in identity.materials}
    return None if shown in used else strip


def go_on(scene: bpy.types.Scene, ended: str) -> None:
    """Take the next step after a job of the scene has ended so ("done", "failed", "cancelled")."""
    state = scene.understudy
    if ended != "done":
        jobs.set_recast_with_defaults(scene, False)
        return
    shot = state.shot
    if shot.strip_id and not shot.scan.folder and not steps.scanning(state, steps.SHOT):
        start_scan(scene, project.shot_clip(shot), steps.SHOT)
    for one in [one for identity in state.identities for one in identity.materials]:
        if not one.scan.folder and not steps.scanning(state, one.key):
            scan_material(scene, one)
    if scene_strips.rendering or any(job.kind in {"scan", "people", "consent"} for job in steps.unfinished(state)):
        return
    if not steps.chosen(state) and len(people_store.there(state.shot.scan)) > 1:
        hooks.redraw_sequencers({"UI"})
        hooks.say(tr("Choose who gets whose face in 2 People"))
        return  # that is for a human being to say
    if missing := steps.missing_for_faces(state):
        jobs.set_recast_with_defaults(scene, False)
        state.error = missing
    elif lacking := steps.lacking_consent(state):
        hooks.say(tr("Record the consent of {names} first.", names=", ".join(name for _, name in lacking)))
    else:
        jobs.set_recast_with_defaults(scene, False)
        state.error = steps.missing_for_convert(state, draft=False) or queue(scene, state.preset)
    hooks.redraw_sequencers({"UI"})


class UNDERSTUDY_OT_recast_with_defaults(Undoable, bpy.types.Operator):
    """Go the whole way. Undoing takes mark and identity back; cancel stops what runs."""

    bl_idname = "understudy.recast_with_defaults"
    bl_label = "Recast with Defaults"
    bl_description = (
        "Go the whole way with the active strip: mark it, find the people, train and place the recast, "
        "as the panels below are set. Asks for a face where there is none yet, and for consent before it trains"
    )
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        state = steps.state_of(context)
        if missing := steps.locked(state):
            return missing
        if not state.shot.strip_id and (missing := steps.missing_for_mark(context)):
            return missing
        return tr("A training or conversion is under way.") if steps.recasting(state) else ""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if len(steps.state_of(context).identities):
            return self.execute(context)
        bpy.ops.understudy.choose_new_face("INVOKE_DEFAULT")
        return {"CANCELLED"}  # the file browser goes on; nothing was changed yet

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        state = scene.understudy
        if (strip := strip_to_mark(scene)) is not None and (why := mark(scene, strip, state.mark_by)):
            return self.refuse(why)
        if (self.filepath or not len(state.identities)) and (why := add_file(scene, self.filepath, "", scan=True)):
            return self.refuse(why)
        state.error = ""
        jobs.set_recast_with_defaults(scene, True)
        go_on(scene, "done")
        return self.refuse(state.error) if state.error else {"FINISHED"}


class UNDERSTUDY_OT_choose_new_face(Undoable, bpy.types.Operator):
    """The file browser in which the face is chosen that a recast begins with. One undo step with what follows."""

    bl_idname = "understudy.choose_new_face"
    bl_label = "Choose the New Face"
    bl_description = "Choose a movie or a picture of the face that is to appear, then recast with it"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    # the file browser reads it: 3 is Blender's number for thumbnails
    display_type: EnumProperty(items=(("THUMBNAIL", "", "", 3),), options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return UNDERSTUDY_OT_recast_with_defaults.missing(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.filepath = folder_of_footage(compat.sequencer_scene(context))
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        draw_wanted(self.layout)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return bpy.ops.understudy.recast_with_defaults(filepath=self.filepath)


class UNDERSTUDY_OT_stop_going_on(Outside, bpy.types.Operator):
    """Let nothing follow by itself; what was made stays."""

    bl_idname = "understudy.stop_going_on"
    bl_label = "Stop Recast with Defaults"
    bl_description = "Let training and recast not follow by themselves. What was found stays, and jobs that run go on"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return "" if steps.state_of(context).recast_with_defaults else tr("Nothing follows by itself.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.set_recast_with_defaults(compat.sequencer_scene(context), False)
        hooks.redraw_sequencers({"UI"})
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_recast_with_defaults, UNDERSTUDY_OT_choose_new_face, UNDERSTUDY_OT_stop_going_on)


def register() -> None:
    """Hear of jobs that end."""
    hooks.go_on = go_on


def unregister() -> None:
    """Hear no more."""
    hooks.go_on = None
