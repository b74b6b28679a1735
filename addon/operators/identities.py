"""Add and remove the people whose faces may appear."""

from __future__ import annotations

import uuid
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ...engine import protocol
from .. import compat, project, sources, steps, timeline
from ..properties import UnderstudyIdentity
from .scan import start_scan

_MOVIES = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".mts", ".mxf", ".ogv"}


def add(scene: bpy.types.Scene, path: str, start: int, end: int | None) -> UnderstudyIdentity:
    """A new identity out of frames of a file, named after it; chosen when none was."""
    state = scene.understudy
    project.folder(state)  # an unsaved .blend gets its folder's name here
    identity = state.identities.add()
    stem = Path(path).stem
    identity.key = f"{project.slug(stem)[:24]}-{uuid.uuid4().hex[:6]}"
    identity.name = stem.replace("_", " ").replace("-", " ").title()
    identity.clip_path, identity.clip_start, identity.clip_end = path, start, end or 0
    swap = steps.ensure_swap(state)
    if steps.identity_named(state, swap.identity) is None:
        swap.identity = identity.key
    return identity


def add_and_scan(scene: bpy.types.Scene, path: str, start: int, end: int | None, scan: bool) -> None:
    """Add an identity and look through its footage at once."""
    identity = add(scene, path, start, end)
    if scan:
        clip = protocol.Clip(path=identity.clip_path, start=identity.clip_start, end=identity.clip_end or None)
        start_scan(scene, clip, identity.key)


class UNDERSTUDY_OT_add_identity(bpy.types.Operator):
    """Add the active strip as a face. One undo step takes the identity away again."""

    bl_idname = "understudy.add_identity"
    bl_label = "From Active Strip"
    bl_description = "Add the person in the active movie or image strip as a face to use"
    bl_options = {"UNDO"}

    scan: BoolProperty(name="Find Faces", description="Look for the faces at once", default=True)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = steps.missing_for_mark(context)
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        strip = scene.sequence_editor.active_strip
        try:
            start, end = timeline.material(compat.strip_timing(scene, strip))
            path = sources.source_path(strip)
        except timeline.RangeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        add_and_scan(scene, path, start, end, self.scan)
        return {"FINISHED"}


class UNDERSTUDY_OT_add_identity_file(bpy.types.Operator):
    """Add a movie, a picture or a folder of pictures as a face. One undo step takes it away again."""

    bl_idname = "understudy.add_identity_file"
    bl_label = "From File or Folder"
    bl_description = "Add the person in a movie, a picture or a folder of pictures as a face to use"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    scan: BoolProperty(name="Find Faces", description="Look for the faces at once", default=True)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = "" if steps.state_of(context) else steps.NO_SCENE
        cls.poll_message_set(missing)
        return not missing

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(project.absolute(self.filepath))
        if not self.filepath or not path.exists():
            self.report({"ERROR"}, f"There is no file or folder at {path}.")
            return {"CANCELLED"}
        if path.is_file() and path.suffix.lower() not in _MOVIES | sources.PICTURES:
            self.report({"ERROR"}, f"{path.name} is neither a movie nor a picture that Understudy reads.")
            return {"CANCELLED"}
        add_and_scan(compat.sequencer_scene(context), str(path), 0, None, self.scan)
        return {"FINISHED"}


class UNDERSTUDY_OT_remove_identity(bpy.types.Operator):
    """Take an identity off the list; its footage stays. Undoable."""

    bl_idname = "understudy.remove_identity"
    bl_label = "Remove Identity"
    bl_description = "Take this identity off the list; its footage and scans stay where they are"
    bl_options = {"REGISTER", "UNDO"}

    identity: StringProperty(description="Key of the identity", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return steps.state_of(context) is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        index = next((i for i, one in enumerate(state.identities) if one.key == self.identity), None)
        if index is None:
            return {"CANCELLED"}
        state.identities.remove(index)
        swap = steps.ensure_swap(state)
        if swap.identity == self.identity:
            swap.identity = state.identities[0].key if len(state.identities) else ""
        return {"FINISHED"}
