"""Choose who is recast, by whom, and which of the people in an identity's footage that is."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty, StringProperty

from .. import people, steps


class UNDERSTUDY_OT_choose_person(bpy.types.Operator):
    """Choose the person of the shot who is recast. Undoable."""

    bl_idname = "understudy.choose_person"
    bl_label = "Recast This Person"
    bl_description = "Recast this person of the shot"
    bl_options = {"REGISTER", "UNDO"}

    person: IntProperty(description="The person's number in the scan")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        state = steps.state_of(context)
        missing = "" if state and len(state.shot.scan.people) else "Find the people of the shot first."
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        if people.person_of(state.shot.scan, self.person) is None:
            self.report({"ERROR"}, "That person is not in the shot.")
            return {"CANCELLED"}
        steps.ensure_swap(state).person = self.person
        return {"FINISHED"}


class UNDERSTUDY_OT_choose_identity(bpy.types.Operator):
    """Choose the identity whose face appears. Undoable."""

    bl_idname = "understudy.choose_identity"
    bl_label = "Use This Face"
    bl_description = "Let this identity's face appear"
    bl_options = {"REGISTER", "UNDO"}

    identity: StringProperty(description="Key of the identity")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return steps.state_of(context) is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        if steps.identity_named(state, self.identity) is None:
            self.report({"ERROR"}, "That identity is not in this scene any more.")
            return {"CANCELLED"}
        steps.ensure_swap(state).identity = self.identity
        return {"FINISHED"}


class UNDERSTUDY_OT_choose_face(bpy.types.Operator):
    """Choose which of the people in an identity's footage it is. Undoable."""

    bl_idname = "understudy.choose_face"
    bl_label = "This Is the One"
    bl_description = "This person of the footage is the identity"
    bl_options = {"REGISTER", "UNDO"}

    identity: StringProperty(description="Key of the identity")
    person: IntProperty(description="The person's number in the scan")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return steps.state_of(context) is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        identity = steps.identity_named(steps.state_of(context), self.identity)
        if identity is None or people.person_of(identity.scan, self.person) is None:
            self.report({"ERROR"}, "That person is not in the identity's footage.")
            return {"CANCELLED"}
        identity.person = self.person
        return {"FINISHED"}
