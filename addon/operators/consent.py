"""Consent, and forgetting somebody who gave it."""

from __future__ import annotations

import datetime
import json
import typing

import bpy
from bpy.props import CollectionProperty, EnumProperty, StringProperty

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import jobs
from ..layout import fields
from ..state import consent_records, people_store, project, steps
from ..state.properties import BASES, USUAL_BASIS, UnderstudyConsentRow
from .common import Outside
from .consent_dialog import ConsentDialog, Incomplete, record_of, start_consent, usual_scope
from .people import name_after

assert {basis for basis, _, _ in BASES} == set(typing.get_args(protocol.Basis))


class UNDERSTUDY_OT_consent(ConsentDialog, bpy.types.Operator):
    """Put a consent on record. Not undoable: a later record replaces it, and its history is kept."""

    bl_idname = "understudy.consent"
    bl_label = "Record Consent"
    bl_description = "Say who this is and why their face may be used; without it nothing is trained or recast"

    identity: StringProperty(options={"SKIP_SAVE", "HIDDEN"}, description="Whose consent, as the project knows them")
    called: StringProperty(options={"SKIP_SAVE", "HIDDEN"}, description="Their name in the panel")
    person: StringProperty(name="Full Name", description="The human being's full name", options={"SKIP_SAVE"})
    basis: EnumProperty(name="Basis", description="Why their face may be used", items=BASES, default=USUAL_BASIS)
    scope: StringProperty(
        name="For", description="What they agreed to: the film, the shot, the length of time", options={"SKIP_SAVE"}
    )
    date: StringProperty(name="Date", description="When they agreed: year-month-day", options={"SKIP_SAVE"})
    file: StringProperty(
        name="Document", description="A file that proves it; may stay empty", subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )  # fmt: skip

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        state = steps.state_of(context)
        folder = project.folder_if_named(state) if state is not None else None
        known = consent_records.record(folder, properties.identity) if folder and properties.identity else None
        if known is None:
            return tr(cls.bl_description)
        basis = next(tr(name) for key, name, _ in BASES if key == known.basis)
        return tr("On record: {person}, {basis}, {date}", person=known.person, basis=basis, date=known.date)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        state = steps.state_of(context)
        folder = project.folder_if_named(state)
        known = consent_records.record(folder, self.identity) if folder else None
        if known is not None:
            self.person, self.basis, self.scope = known.person, known.basis, known.scope
            self.date, self.file = known.date, known.file
        self.scope = self.scope or usual_scope()
        self.date = self.date or datetime.date.today().isoformat()
        return self.ask(context, tr("Consent of {name}", name=self.called or self.identity))

    def asked_of(self) -> list[bpy.types.bpy_struct]:
        return [self]

    def draw(self, context: bpy.types.Context) -> None:
        self.draw_plea(context)
        column = fields(self.layout)
        self.draw_name(column, self)
        for name in ("basis", "file", "scope", "date"):
            column.prop(self, name)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        if not self.identity:
            return self.refuse(tr("Say whose consent it is: press Consent beside a name."))
        try:
            record = record_of(self, self.scope, self.date, self.file)
        except Incomplete as error:
            return self.again(context, str(error), identity=self.identity, called=self.called)
        self.forget_typed()
        start_consent(scene, record)
        name_after(scene, [record])
        return {"FINISHED"}


class UNDERSTUDY_OT_consents(ConsentDialog, bpy.types.Operator):
    """Put the consents that are still lacking on record at once. Not undoable, like a single one."""

    bl_idname = "understudy.consents"
    bl_label = "Record Consents…"
    bl_description = "Say for everybody here who they are and why their face may be used"

    rows: CollectionProperty(type=UnderstudyConsentRow, options={"SKIP_SAVE", "HIDDEN"})
    scope: StringProperty(
        name="For", description="What they agreed to: the film, the shot, the length of time", options={"SKIP_SAVE"}
    )
    date: StringProperty(name="Date", description="When they agreed: year-month-day", options={"SKIP_SAVE"})

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        state = steps.state_of(context)
        if missing := steps.missing_for_faces(state):
            return missing
        return "" if steps.lacking_consent(state) else tr("Every consent is on record.")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.rows.clear()
        state = steps.state_of(context)
        for key, name in steps.lacking_consent(state):
            row = self.rows.add()
            row.identity, row.called = key, name
            row.role = "FACE" if steps.identity_named(state, key) else "SHOWN"
        self.scope, self.date = usual_scope(), datetime.date.today().isoformat()
        return self.ask(context, tr("Consents"))

    def draw(self, context: bpy.types.Context) -> None:
        def said(row: bpy.types.PropertyGroup) -> str:
            face = tr("{name}, whose face appears", name=row.called)
            return face if row.role == "FACE" else tr("{name}, who is replaced in the footage", name=row.called)

        state = steps.state_of(context)

        def picture(row: bpy.types.PropertyGroup) -> int:
            identity = steps.identity_named(state, row.identity)
            if identity is not None:
                return people_store.identity_icon(identity)
            swap = next((one for one in state.swaps if steps.target_key(state, one) == row.identity), None)
            scan = state.shot.scan
            return people_store.icon(scan, people_store.person_of(scan, swap.person)) if swap is not None else 0

        self.draw_rows(context, said, "USER", picture)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        try:
            records = [record_of(row, self.scope, self.date, row.file) for row in self.rows]
        except Incomplete as error:
            return self.again(context, str(error))
        self.forget_typed()
        for record in records:
            start_consent(scene, record)
        name_after(scene, records)
        return {"FINISHED"}


class UNDERSTUDY_OT_forget(Outside, bpy.types.Operator):
    """Erase an identity. Not undoable, and it asks first with a list of what goes."""

    bl_idname = "understudy.forget"
    bl_label = "Forget This Person"
    bl_description = "Erase this person's faces and all that was derived from them, after showing what that is"

    identity: StringProperty(options={"SKIP_SAVE", "HIDDEN"}, description="Whom, as the project knows them")
    confirmed: bpy.props.BoolProperty(
        name="Erase", description="Erase; otherwise only list what would be", options={"SKIP_SAVE", "HIDDEN"}
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        if not self.identity:
            return self.refuse(tr("Choose an identity first."))
        spec = protocol.ForgetSpec(
            project=str(project.folder(scene.understudy)), identity=self.identity, dry_run=not self.confirmed
        )
        about = {"identity": self.identity, "dry_run": spec.dry_run}
        jobs.start(scene, "forget", spec, about=about)
        return {"FINISHED"}


def forgetting(state: bpy.types.PropertyGroup, identity: str) -> tuple[list[str], list[str]] | None:
    """The paths that forgetting an identity would erase, and those that it would leave although they may be theirs, as
    its dry run found; None until there was one."""
    for job in reversed(state.jobs):
        about = steps.about(job) if job.kind == "forget" else {}
        if about.get("identity") == identity:
            return (about["paths"], about.get("left", [])) if job.state == "done" and "paths" in about else None
    return None


class UNDERSTUDY_OT_forget_no(Outside, bpy.types.Operator):
    """Put the list of what would be erased away."""

    bl_idname = "understudy.forget_no"
    bl_label = "Cancel"
    bl_description = "Erase nothing"

    identity: StringProperty(options={"SKIP_SAVE", "HIDDEN"}, description="Whom, as the project knows them")

    def execute(self, context: bpy.types.Context) -> set[str]:
        for job in steps.state_of(context).jobs:
            about = steps.about(job) if job.kind == "forget" else {}
            if about.pop("paths", None) is not None and about.get("identity") == self.identity:
                job.about = json.dumps(about)
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_consent,
    UNDERSTUDY_OT_consents,
    UNDERSTUDY_OT_forget,
    UNDERSTUDY_OT_forget_no,
)
