"""Who is who in the shot: select, name, merge, reject; give somebody an identity's face."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import jobs
from ..state import cast, hooks, people_store, project, steps
from ..viewport import preview
from .common import Outside, Undoable

_KEPT = "KEPT"
_items: list[tuple[str, str, str, int]] = []  # Blender keeps no reference to an enumeration's strings


def edit(scene: bpy.types.Scene, *edits: protocol.PeopleEdit) -> None:
    """Have the shot's people corrected by the engine; the panel shows it when that is done."""
    state = scene.understudy
    spec = protocol.PeopleSpec(scan=state.shot.scan.folder, edits=list(edits), project=str(project.folder(state)))
    about = {"edits": [protocol.to_json(one) for one in edits]}
    jobs.start(scene, "people", spec, about=about, output=spec.scan)


def rename(scene: bpy.types.Scene, person: bpy.types.PropertyGroup) -> None:
    """A name was written into the panel (`hooks.rename`)."""
    name = person.name.strip()
    shot = scene.understudy.shot
    if name and any(one == person for one in shot.scan.people):
        person.known = True
        edit(scene, protocol.PeopleEdit(action="rename", persons=[person.person], name=name))


def name_after(scene: bpy.types.Scene, records: list[protocol.ConsentRecord]) -> None:
    """People of the shot, and identities, whom nobody named are called as their consents say."""
    if any([_name_identity(scene.understudy, record) for record in records]):
        # or the step before would take it back along with its own change
        bpy.ops.ed.undo_push(message=tr("Rename Identity"))
    state, edits = scene.understudy, []
    taken = {one.name.casefold() for one in state.shot.scan.people if one.name}
    for record in records:
        swap = next((one for one in state.swaps if steps.target_key(state, one) == record.identity), None)
        person = people_store.person_of(state.shot.scan, swap.person) if swap is not None else None
        if person is None or person.known or record.person.casefold() in taken:
            continue  # two of one name are told apart by their numbers
        swap.target = record.identity  # the name makes nobody else of them
        taken.add(record.person.casefold())
        edits.append(protocol.PeopleEdit(action="rename", persons=[person.person], name=record.person))
    if edits:
        edit(scene, *edits)


def _name_identity(state: bpy.types.PropertyGroup, record: protocol.ConsentRecord) -> bool:
    """An identity that is still called after one of its files gets the name of its consent, and so do its strips.
    Answers whether it did."""
    identity = steps.identity_named(state, record.identity)
    if identity is None:
        return False
    after_files = {people_store.name_from_file(Path(one.clip_path).stem) for one in identity.materials}
    taken = {one.name.casefold() for one in state.identities}
    if identity.name not in after_files or record.person.casefold() in taken:
        return False
    identity.name = record.person  # which renames the strips
    return True


class UNDERSTUDY_OT_choose_person(Undoable, bpy.types.Operator):
    """Select a person of the shot. Undoable."""

    bl_idname = "understudy.choose_person"
    bl_label = "Select Person"
    bl_description = "Show this person's details; who gets whose face stays as it is"

    person: IntProperty(name="Person", description="The person's number in the scan")

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return steps.missing_for_people(steps.state_of(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        if people_store.person_of(state.shot.scan, self.person) is None:
            return self.refuse(tr("That person is not in the shot."))
        state.person = self.person
        hooks.redraw_sequencers({"PREVIEW"})
        return {"FINISHED"}


def _identities(_: object, context: bpy.types.Context) -> list[tuple[str, str, str, int]]:
    state = steps.state_of(context)
    _items[:] = [(_KEPT, tr("Nobody"), tr("This person keeps their own face"), 0)]
    if state is not None:
        _items.extend(
            (one.key, one.name, tr("This person gets the face of {name}", name=one.name), number)
            for number, one in enumerate(state.identities, 1)
            if steps.may_have_faces(state, one)
        )
    return _items


class UNDERSTUDY_OT_assign(Undoable, bpy.types.Operator):
    """Give a person of the shot an identity's face, or their own again. Undoable."""

    bl_idname = "understudy.assign"
    bl_label = "Assign Face"
    bl_description = "Whose face this person gets; several people may each get another one"

    person: IntProperty(name="Person", description="The person's number in the scan", options={"HIDDEN"})
    identity: EnumProperty(name="Identity", description="Whose face appears", items=_identities)

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return steps.missing_for_people(steps.state_of(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        if people_store.person_of(state.shot.scan, self.person) is None:
            return self.refuse(tr("That person is not in the shot."))
        cast.assign(state, self.person, "" if self.identity == _KEPT else self.identity)
        hooks.redraw_sequencers({"PREVIEW"})
        return {"FINISHED"}


class UNDERSTUDY_OT_assign_as_before(Undoable, bpy.types.Operator):
    """Give everybody the face that they got where they were recast last. Undoable."""

    bl_idname = "understudy.assign_as_before"
    bl_label = "All as Before"
    bl_description = "Give everybody who is known here the face that they got where they were recast last"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        state = steps.state_of(context)
        if missing := steps.missing_for_people(state):
            return missing
        return "" if cast.all_proposed(state) else tr("Nobody who is known here is without a face.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        for person, identity in cast.all_proposed(state).items():
            cast.assign(state, person, identity)
        hooks.redraw_sequencers({"PREVIEW"})
        return {"FINISHED"}


def _others(_: object, context: bpy.types.Context) -> list[tuple[str, str, str, int]]:
    state = steps.state_of(context)
    _items[:] = []
    if state is not None:
        _items.extend(
            (str(one.person), people_store.called(one), tr("They are the same human being"), one.person)
            for one in people_store.there(state.shot.scan)
            if one.person != state.person
        )
    return _items


class _Correction(Outside):
    """A correction of the chosen person, kept by the engine with the scan. `restore` takes a rejection back."""

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        state = steps.state_of(context)
        if missing := steps.missing_for_people(state):
            return missing
        return "" if people_store.person_of(state.shot.scan, state.person) else tr("Select a person first.")


class UNDERSTUDY_OT_merge_people(_Correction, bpy.types.Operator):
    """Two people of the scan are one."""

    bl_idname = "understudy.merge_people"
    bl_label = "Merge People"
    bl_description = "The chosen person and this one are the same human being"

    other: EnumProperty(name="Person", description="Who else this is", items=_others)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        state = scene.understudy
        pair = [people_store.person_of(state.shot.scan, n) for n in (state.person, int(self.other))]
        if None in pair or pair[0] == pair[1]:
            return self.refuse(tr("That person is not in the shot."))
        into, gone = sorted(pair, key=lambda p: (-p.known, -p.frames))  # the named one keeps the name
        edit(scene, protocol.PeopleEdit(action="merge", persons=[into.person, gone.person]))
        return {"FINISHED"}


class UNDERSTUDY_OT_split_person(_Correction, bpy.types.Operator):
    """What is taken for a person of the scan at the playhead is somebody else."""

    bl_idname = "understudy.split_person"
    bl_label = "Split Person at Playhead"
    bl_description = (
        "The face that is taken for the chosen person at the playhead is somebody else's: it becomes a person of its "
        "own, for as long as it is followed without a break"
    )

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := super().missing(context):
            return missing
        state = steps.state_of(context)
        if people_store.person_of(state.shot.scan, state.person).tracks < 2:
            return tr("This person is followed without a break: nothing can be split off.")
        return ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        state, here = scene.understudy, preview.here(scene)
        shown = preview.faces_now(state.shot.scan.folder, here.frame) if here else []
        face = next((one for one in shown if one.person == state.person), None)
        if face is None:
            return self.refuse(tr("Move the playhead to a frame where somebody else is taken for this person."))
        edit(scene, protocol.PeopleEdit(action="split", persons=[state.person], tracks=[face.track]))
        return {"FINISHED"}


class UNDERSTUDY_OT_reject_person(_Correction, bpy.types.Operator):
    """A person of the scan is none."""

    bl_idname = "understudy.reject_person"
    bl_label = "Reject Person"
    bl_description = "This is nobody: a poster, a picture on the wall, no face at all"

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        edit(scene, protocol.PeopleEdit(action="reject", persons=[scene.understudy.person]))
        return {"FINISHED"}


class UNDERSTUDY_OT_restore_people(Outside, bpy.types.Operator):
    """Take rejections back."""

    bl_idname = "understudy.restore_people"
    bl_label = "Restore Rejected People"
    bl_description = "Show the rejected people again"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        state = steps.state_of(context)
        if missing := steps.missing_for_people(state):
            return missing
        return "" if any(p.rejected for p in state.shot.scan.people) else tr("Nobody was rejected.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        rejected = [p.person for p in scene.understudy.shot.scan.people if p.rejected]
        edit(scene, protocol.PeopleEdit(action="restore", persons=rejected))
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_choose_person,
    UNDERSTUDY_OT_assign,
    UNDERSTUDY_OT_assign_as_before,
    UNDERSTUDY_OT_merge_people,
    UNDERSTUDY_OT_split_person,
    UNDERSTUDY_OT_reject_person,
    UNDERSTUDY_OT_restore_people,
)


def register() -> None:
    """Hear of names that are written into the panel."""
    hooks.rename = rename


def unregister() -> None:
    """Hear no more."""
    hooks.rename = None
