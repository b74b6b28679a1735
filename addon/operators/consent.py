"""Consent, and forgetting somebody who gave it."""

from __future__ import annotations

import datetime
import json
import typing
from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.props import CollectionProperty, EnumProperty, StringProperty

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import jobs
from ..layout import fields, wrapped
from ..state import consent_records, project, steps
from ..state.properties import BASES, USUAL_BASIS, UnderstudyConsentRow
from .common import Outside
from .people import name_after

assert {basis for basis, _, _ in BASES} == set(typing.get_args(protocol.Basis))


class Incomplete(Exception):
    """A consent that cannot go on record; the message is one sentence."""


_typed: dict[str, tuple[str, str, str]] = {}
"""What was typed for an identity or a replaced person (full name, basis, document) into a dialog that was refused."""


def usual_scope() -> str:
    """What consents are for unless the user says it: the film."""
    return Path(bpy.data.filepath).stem if bpy.data.filepath else ""


def record_of(
    row: bpy.types.bpy_struct, scope: str, date: str, file: str, subject: protocol.Subject = "face"
) -> protocol.ConsentRecord:
    """What was filled in, for `row`'s identity, person and basis. Raises Incomplete."""
    if not row.person.strip():
        raise Incomplete(tr("The full name is missing: the record is worth nothing without it."))
    if not scope.strip():
        raise Incomplete(tr("Say what they agreed to: the film, the shot, the length of time."))
    date = date.strip() or datetime.date.today().isoformat()
    try:
        datetime.date.fromisoformat(date)
    except ValueError:
        raise Incomplete(tr("{date} is no date: write it as year-month-day.", date=date)) from None
    file = project.absolute(file)
    if file and not Path(file).is_file():
        raise Incomplete(tr("There is no file at {path}.", path=file))
    return protocol.ConsentRecord(
        identity=row.identity, person=row.person.strip(), basis=row.basis, scope=scope.strip(), date=date, file=file,
        subject=subject,
    )  # fmt: skip


def start_consent(scene: bpy.types.Scene, record: protocol.ConsentRecord) -> None:
    """Have the engine write a consent down."""
    spec = protocol.ConsentSpec(project=str(project.folder(scene.understudy)), record=record)
    jobs.start(scene, "consent", spec, about={"identity": record.identity, "subject": record.subject})


def draw_plea(layout: bpy.types.UILayout) -> None:
    """What consent is for, above the fields of a dialog."""
    text = tr(
        "Recast people only who agreed to it, or whose rights you have cleared. This goes on record in the "
        "project and into the report of who was recast."
    )
    column = layout.column(align=True)
    for line in wrapped(text, 62):
        column.label(text=line, translate=False)


def draw_rows(operator: bpy.types.Operator, said: Callable[[bpy.types.PropertyGroup], str], icon: str) -> None:
    """A dialog for the consents of several people: each of its rows under what is `said` of whom it is about, then what
    they share."""
    layout = operator.layout
    draw_plea(layout)
    for row in operator.rows:
        layout.separator()
        layout.label(text=said(row), icon=icon, translate=False)
        column = fields(layout)
        for name in ("person", "basis", "file"):
            column.prop(row, name)
    layout.separator()
    column = fields(layout)
    column.prop(operator, "scope")
    column.prop(operator, "date")


class UNDERSTUDY_OT_consent(Outside, bpy.types.Operator):
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

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        state = steps.state_of(context)
        folder = project.folder_if_named(state)
        known = consent_records.record(folder, self.identity) if folder else None
        if known is not None:
            self.person, self.basis, self.scope = known.person, known.basis, known.scope
            self.date, self.file = known.date, known.file
        self.scope = self.scope or usual_scope()
        self.date = self.date or datetime.date.today().isoformat()
        return context.window_manager.invoke_props_dialog(
            self, width=420, title=tr("Consent of {name}", name=self.called or self.identity),
            confirm_text=tr("Put on Record"),
        )  # fmt: skip

    def draw(self, context: bpy.types.Context) -> None:
        draw_plea(self.layout)
        column = fields(self.layout)
        for name in ("person", "basis", "scope", "date", "file"):
            column.prop(self, name)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        if not self.identity:
            return self.refuse(tr("Say whose consent it is: press Consent beside a name."))
        try:
            record = record_of(self, self.scope, self.date, self.file)
        except Incomplete as error:
            return self.refuse(str(error))
        start_consent(scene, record)
        name_after(scene, [record])
        return {"FINISHED"}


class UNDERSTUDY_OT_consents(Outside, bpy.types.Operator):
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
            row.person, row.basis, row.file = _typed.get(key, ("", USUAL_BASIS, ""))
        self.scope, self.date = usual_scope(), datetime.date.today().isoformat()
        return context.window_manager.invoke_props_dialog(
            self, width=420, title=tr("Consents"), confirm_text=tr("Put on Record")
        )

    def draw(self, context: bpy.types.Context) -> None:
        def said(row: bpy.types.PropertyGroup) -> str:
            face = tr("{name}, whose face appears", name=row.called)
            return face if row.role == "FACE" else tr("{name}, who is replaced in the footage", name=row.called)

        draw_rows(self, said, "USER")

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        for row in self.rows:
            _typed[row.identity] = (row.person, row.basis, row.file)
        try:
            records = [record_of(row, self.scope, self.date, row.file) for row in self.rows]
        except Incomplete as error:
            return self.refuse(str(error))
        for record in records:
            _typed.pop(record.identity, None)
            start_consent(scene, record)
        name_after(scene, [record])
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
