"""What the dialogs that ask for consents have in common: their fields, what makes a record, and that nothing typed is
lost.

Blender closes a dialog whatever its operator answers. One that is refused opens again as it was and says why; what was
typed into one that was left is there when it is opened again.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from pathlib import Path

import bpy
from bpy.props import StringProperty

from ...engine import protocol
from ..i18n import tr
from ..jobs import jobs
from ..layout import alarm, fields, wrapped
from ..state import project
from .common import Outside

_OF_ONE = ("person", "basis", "file")
_OF_ALL = ("scope", "date")
_WIDTH = 420
_HEIGHT, _ROW_HEIGHT = 270, 130
"""Pixels at scale 1 that a dialog of nobody takes, and of them each."""

_typed: dict[tuple[str, str, str], dict[str, str]] = {}
"""What was typed into dialogs that put nothing on record: (.blend, subject, identity or "" for all of a dialog) →
property → value."""


class Incomplete(Exception):
    """A consent that cannot go on record; the message is one sentence."""


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


class ConsentDialog(Outside):
    """An operator that asks for consents: person, basis and file of each of its `asked_of`, scope and date of all."""

    subject: protocol.Subject = "face"
    refused: StringProperty(options={"SKIP_SAVE", "HIDDEN"}, description="Why what was filled in was refused")
    in_dialog = False

    def asked_of(self) -> Iterable[bpy.types.bpy_struct]:
        """Whoever is asked for: the operator itself, where it is one person."""
        return self.rows

    def ask(self, context: bpy.types.Context, title: str) -> set[str]:
        """Open the dialog, filled in with what was typed before; what is on record already stays unless refused."""
        recorded = [row for row in self.asked_of() if row.person and not self.refused]
        for of, holder, _ in self._parts():
            if not (recorded if holder is self else holder in recorded):
                for name, value in _typed.get(of, {}).items():
                    setattr(holder, name, value)
        self.in_dialog = True
        return context.window_manager.invoke_props_dialog(
            self, width=_WIDTH, title=title, confirm_text=tr("Put on Record")
        )

    def _parts(self) -> list[tuple[tuple[str, str, str], bpy.types.bpy_struct, tuple[str, ...]]]:
        blend = bpy.data.filepath
        parts = [((blend, self.subject, row.identity), row, _OF_ONE) for row in self.asked_of()]
        return [*parts, ((blend, self.subject, ""), self, _OF_ALL)]

    def cancel(self, context: bpy.types.Context) -> None:
        """The dialog was left: what was typed is kept for the next time."""
        for of, holder, names in self._parts():
            _typed[of] = {name: getattr(holder, name) for name in names}

    def again(self, context: bpy.types.Context, why: str, **known: str) -> set[str]:
        """Refuse: the dialog opens again and says why; an operator that a script called ends with that as its error.
        `known` are the properties that tell what is asked for."""
        if not self.in_dialog:
            return self.refuse(why)
        self.cancel(context)
        name = type(self).bl_idname.partition(".")[2]
        getattr(bpy.ops.understudy, name)("INVOKE_DEFAULT", refused=why, **known)
        return {"CANCELLED"}

    def forget_typed(self) -> None:
        """It is on record."""
        for of, _, _ in self._parts():
            _typed.pop(of, None)

    def draw_plea(self, context: bpy.types.Context) -> None:
        """What consent is for, or why what was filled in was refused, above the fields."""
        if self.refused:
            alarm(self.layout.box(), context, self.refused, _WIDTH)
            return
        text = tr(
            "Recast people only who agreed to it, or whose rights you have cleared. This goes on record in the "
            "project and into the report of who was recast."
        )
        column = self.layout.column(align=True)
        for line in wrapped(text, 62):
            column.label(text=line, translate=False)

    def draw_name(self, column: bpy.types.UILayout, row: bpy.types.bpy_struct) -> None:
        """The field of a full name; in red where it was refused for want of one."""
        field = column.row()
        field.alert = bool(self.refused) and not row.person.strip()
        if column.use_property_split:
            field.prop(row, "person")
        else:
            field.prop(row, "person", text="", placeholder=tr("Full Name"))

    def draw_rows(
        self, context: bpy.types.Context, said: Callable[[bpy.types.PropertyGroup], str], icon: str,
        picture: Callable[[bpy.types.PropertyGroup], int] | None = None,
    ) -> None:  # fmt: skip
        """Each row under what is `said` of whom it is about, with their `picture` where there is one, then what they
        share."""
        layout = self.layout
        self.draw_plea(context)
        short = _HEIGHT + len(self.rows) * _ROW_HEIGHT > context.window.height / context.preferences.system.ui_scale
        for row in self.rows:
            layout.separator()
            face = picture(row) if picture is not None else 0
            if face:
                line = layout.row()
                line.template_icon(icon_value=face, scale=1.0 if short else 2.0)
                line.label(text=said(row), translate=False)
            else:
                layout.label(text=said(row), icon=icon, translate=False)
            if short:  # a dialog does not scroll
                line = layout.row(align=True)
                self.draw_name(line, row)
                line.prop(row, "basis", text="")
                line.prop(row, "file", text="", placeholder=tr("Document"))
                continue
            column = fields(layout)
            self.draw_name(column, row)
            column.prop(row, "basis")
            column.prop(row, "file")
        layout.separator()
        column = fields(layout)
        for name in _OF_ALL:
            column.prop(self, name)
