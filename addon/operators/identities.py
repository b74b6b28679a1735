"""The people whose faces may appear, and the material that shows them."""

from __future__ import annotations

import uuid
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import results
from ..layout import wrapped
from ..sequencer import strip_media, timeline
from ..state import cast, hooks, people_store, project, steps
from ..state.properties import UnderstudyIdentity
from .common import Undoable
from .mark import footage_of, limits
from .scan import scan_material

_MOVIES = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".mts", ".mxf", ".ogv"}


def new_identity(state: bpy.types.PropertyGroup, stem: str) -> UnderstudyIdentity:
    """A new identity, named after a file or strip; the selected person gets it where they have no face yet."""
    project.folder(state)  # an unsaved .blend gets its folder's name here
    identity = state.identities.add()
    identity.key = f"{project.slug(stem)[:24]}-{uuid.uuid4().hex[:6]}"
    identity.name = people_store.name_from_file(stem)
    state.identity = identity.key
    person = people_store.person_of(state.shot.scan, state.person)
    if person is not None and not person.rejected and steps.swap_of(state, person.person) is None:
        cast.assign(state, person.person, identity.key)
    return identity


def add_material(scene: bpy.types.Scene, clip: protocol.Clip, identity: str, scan: bool) -> UnderstudyIdentity:
    """Add footage to the identity of that key ("": to a new one) and look through it at once."""
    state = scene.understudy
    to = steps.identity_named(state, identity) or new_identity(state, Path(clip.path).stem)
    material = to.materials.add()
    material.key = uuid.uuid4().hex
    material.clip_path, material.clip_stream = clip.path, clip.stream
    material.clip_start, material.clip_end = clip.start, clip.end or 0
    state.identity = to.key
    if scan:
        scan_material(scene, material)
    return to


def add_file(scene: bpy.types.Scene, file: str, identity: str, scan: bool) -> str:
    """Add a movie, a picture or a folder of pictures like `add_material`. Answers why not, "" when it is added."""
    if written := project.not_utf8(file):
        return tr("The name {path} is not in UTF-8: rename the file or its folder.", path=written)
    path = Path(project.absolute(file))
    if not file or not path.exists():
        return tr("There is no file or folder at {path}.", path=path)
    if path.is_file() and path.suffix.lower() not in _MOVIES | strip_media.PICTURES:
        return tr("{name} is neither a movie nor a picture that Understudy reads.", name=path.name)
    add_material(scene, project.clip(str(path), 0, None, 0), identity, scan)
    return ""


def folder_of_footage(scene: bpy.types.Scene) -> str:
    """Where the file browser opens: faces often lie beside the footage; else it would offer the .blend as a face."""
    strip = compat.active_picture(scene)
    try:
        path = scene.understudy.shot.source or (strip_media.source_path(strip) if strip is not None else "")
    except timeline.RangeError:
        path = ""
    return f"{Path(path).parent}/" if path else ""


def draw_wanted(layout: bpy.types.UILayout) -> None:
    """What is wanted of the file browser."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    for line in wrapped(tr("A movie, a picture or a folder of pictures of the person whose face is to appear."), 30):
        column.label(text=line, translate=False)


class _Adding(Undoable):
    bl_options = {"UNDO"}


class UNDERSTUDY_OT_add_identity(_Adding, bpy.types.Operator):
    """Add the active strip as a face. One undo step takes the material away again."""

    bl_idname = "understudy.add_identity"
    bl_label = "Add Face from Active Strip"
    bl_description = "Add the person in the active movie or image strip as a face to use"

    identity: StringProperty(
        description="Key of the identity that gets more material; empty: a new one", options={"SKIP_SAVE", "HIDDEN"}
    )
    marked: BoolProperty(
        name="Marked Range", description="Only the range bounded in 1 Range, not all that the strip shows",
        options={"SKIP_SAVE"},
    )  # fmt: skip
    scan: BoolProperty(name="Find Faces", description="Look for the faces at once", default=True)

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        if properties.marked:
            return tr("Add the person in the active strip, inside the bounds chosen in 1 Range, as a face to use")
        return tr(cls.bl_description)

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return steps.missing_for_mark(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        try:
            strip = footage_of(compat.active_picture(scene), scene.frame_current)
            timing = compat.strip_timing(scene, strip)
            start, end = timeline.material(timing)
            if self.marked:
                inside = timeline.mark(timing, limits(scene, scene.understudy.mark_by, strip))
                start, end = inside.source_start, inside.source_end
            path = strip_media.source_path(strip)
        except timeline.RangeError as error:
            return self.refuse(tr(error.template, **error.facts))
        clip = project.clip(path, start, end, compat.picture_stream(strip))
        add_material(scene, clip, self.identity, self.scan)
        return {"FINISHED"}


class UNDERSTUDY_OT_add_identity_file(_Adding, bpy.types.Operator):
    """Add a movie, a picture or a folder of pictures as a face. One undo step takes it away again."""

    bl_idname = "understudy.add_identity_file"
    bl_label = "Add Face from File"
    bl_description = "Add the person in a movie, a picture or a folder of pictures as a face to use"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    # the file browser reads it: 3 is Blender's number for thumbnails
    display_type: EnumProperty(items=(("THUMBNAIL", "", "", 3),), options={"HIDDEN", "SKIP_SAVE"})
    identity: StringProperty(
        description="Key of the identity that gets more material; empty: a new one", options={"SKIP_SAVE", "HIDDEN"}
    )
    scan: BoolProperty(name="Find Faces", description="Look for the faces at once", default=True)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.filepath = folder_of_footage(compat.sequencer_scene(context))
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        draw_wanted(self.layout)
        self.layout.prop(self, "scan")

    def execute(self, context: bpy.types.Context) -> set[str]:
        why = add_file(compat.sequencer_scene(context), self.filepath, self.identity, self.scan)
        return self.refuse(why) if why else {"FINISHED"}


class UNDERSTUDY_OT_add_identity_person(Undoable, bpy.types.Operator):
    """Let the chosen person of the shot be a face to use, with what the scan found already. Undoable."""

    bl_idname = "understudy.add_identity_person"
    bl_label = "Add Face of Selected Person"
    bl_description = "Use the face of the person selected in 2 People for somebody else"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return steps.missing_for_people(steps.state_of(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        state = scene.understudy
        scan, person = state.shot.scan, people_store.person_of(state.shot.scan, state.person)
        if person is None:
            return self.refuse(tr("Select a person first."))
        number, name, folder = person.person, people_store.called(person), scan.folder
        clip = project.clip(scan.clip_path, scan.clip_start, scan.clip_end, scan.clip_stream)
        identity = add_material(scene, clip, "", scan=False)
        identity.name = name
        try:
            people_store.fill(identity.materials[0].scan, clip, folder)
        except people_store.ScanUnreadable as error:
            return self.refuse(str(error))
        identity.materials[0].person = number
        return {"FINISHED"}


class UNDERSTUDY_OT_choose_identity(Undoable, bpy.types.Operator):
    """Show an identity's material. Undoable."""

    bl_idname = "understudy.choose_identity"
    bl_label = "Select Identity"
    bl_description = "Show this identity's material; who gets whose face stays as it is"

    identity: StringProperty(description="Key of the identity", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        if steps.identity_named(state, self.identity) is None:
            return self.refuse(tr("That identity is not in this scene any more."))
        state.identity = self.identity
        hooks.redraw_sequencers({"PREVIEW"})
        return {"FINISHED"}


class UNDERSTUDY_OT_choose_face(Undoable, bpy.types.Operator):
    """Choose which of the people in an identity's footage it is. Undoable."""

    bl_idname = "understudy.choose_face"
    bl_label = "Use This Person"
    bl_description = "This person of the footage is the identity"

    material: StringProperty(description="Key of the material", options={"HIDDEN"})
    person: IntProperty(name="Person", description="The person's number in the scan")

    def execute(self, context: bpy.types.Context) -> set[str]:
        material = results.material_named(steps.state_of(context), self.material)
        if material is None or people_store.person_of(material.scan, self.person) is None:
            return self.refuse(tr("That person is not in the identity's footage."))
        material.person = self.person
        hooks.redraw_sequencers({"PREVIEW"})
        return {"FINISHED"}


class UNDERSTUDY_OT_remove_material(Undoable, bpy.types.Operator):
    """Take footage away from an identity; the file stays. Undoable."""

    bl_idname = "understudy.remove_material"
    bl_label = "Remove Material"
    bl_description = "Take this footage away from the identity; the file and its scan stay where they are"

    material: StringProperty(description="Key of the material", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        for identity in steps.state_of(context).identities:
            keys = [one.key for one in identity.materials]
            if self.material in keys:
                identity.materials.remove(keys.index(self.material))
                return {"FINISHED"}
        return {"CANCELLED"}


class UNDERSTUDY_OT_remove_identity(Undoable, bpy.types.Operator):
    """Take an identity off the list; its footage stays. Undoable."""

    bl_idname = "understudy.remove_identity"
    bl_label = "Remove Identity"
    bl_description = "Take this identity off the list; its footage and scans stay where they are"

    identity: StringProperty(description="Key of the identity", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        index = next((i for i, one in enumerate(state.identities) if one.key == self.identity), None)
        if index is None:
            return {"CANCELLED"}
        state.identities.remove(index)
        left = state.identities[0].key if len(state.identities) else ""
        state.identity = left if state.identity == self.identity else state.identity
        for person in [swap.person for swap in state.swaps if swap.identity == self.identity]:
            cast.assign(state, person, "")
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_add_identity,
    UNDERSTUDY_OT_add_identity_file,
    UNDERSTUDY_OT_add_identity_person,
    UNDERSTUDY_OT_choose_identity,
    UNDERSTUDY_OT_choose_face,
    UNDERSTUDY_OT_remove_material,
    UNDERSTUDY_OT_remove_identity,
)
