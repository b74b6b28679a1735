"""Step 3: the people whose faces may appear, their material and everybody's consent."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..i18n import tr
from ..layout import StepPanel, beside, consent_button, failure, gallery, missing, sentence, step
from ..operators.consent import forgetting
from ..state import failures, people_store, project_files, steps
from . import progress
from .status import asks_for_consents

SHOWN_PATHS = 6


class UNDERSTUDY_MT_add_identity(bpy.types.Menu):
    """Where a face may come from."""

    bl_label = "Add Identity"
    bl_description = "Add a person whose face may appear"

    def draw(self, context: bpy.types.Context) -> None:
        draw_sources(self.layout, "")
        self.layout.operator("understudy.add_identity_person", icon="USER")


class UNDERSTUDY_MT_add_material(bpy.types.Menu):
    """Where more of the chosen identity may come from."""

    bl_label = "Add Material"
    bl_description = "Add footage of this identity"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        draw_sources(self.layout, state.identity if state else "")


def draw_sources(layout: bpy.types.UILayout, identity: str) -> None:
    """The ways to add footage, to an identity or (without one) to a new one."""
    layout.operator("understudy.add_identity", icon="SEQ_SEQUENCER").identity = identity
    marked = layout.operator(
        "understudy.add_identity", text="Add Face from Range of Active Strip", icon="PREVIEW_RANGE"
    )
    marked.identity, marked.marked = identity, True
    layout.operator("understudy.add_identity_file", icon="FILEBROWSER").identity = identity


class UNDERSTUDY_PT_identities(StepPanel, bpy.types.Panel):
    """Whose face appears."""

    bl_label = "3  Identities"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        names = [identity.name for identity in state.identities] if state is not None else []
        number = tr("1 face") if len(names) == 1 else tr("{n} faces", n=len(names))
        said = [", ".join(names), number, str(len(names))] if names else []
        ready = state is not None and not steps.missing_for_swap(state)
        wrong = state is not None and failures.faceless(state)
        layout = step(self.layout, context, "3  Identities", *said, done=ready, wrong=wrong,
                      running=progress.in_line(state, "identities"))  # fmt: skip
        if layout is None:
            return
        layout.menu("UNDERSTUDY_MT_add_identity", icon="ADD")
        if state is None:
            missing(layout, context, steps.no_scene())
            return
        if not len(state.identities):
            missing(layout, context, tr("Add the footage of the person whose face is to appear."))
        for identity in state.identities:
            _draw_identity(layout.box(), context, state, identity)
        failure(layout, context, state, "identities")
        _draw_consents(layout, context, state)


def _draw_identity(
    layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup,
    identity: bpy.types.PropertyGroup,
) -> None:  # fmt: skip
    chosen = state.identity == identity.key
    row = layout.row(align=True)
    if icon := people_store.identity_icon(identity):
        row.template_icon(icon_value=icon, scale=2.0)
    column = row.column(align=True)
    row = column.row(align=True)
    icon = "RADIOBUT_ON" if chosen else "RADIOBUT_OFF"
    row.operator("understudy.choose_identity", text="", icon=icon, depress=chosen).identity = identity.key
    row.prop(identity, "name", text="")
    if any(swap.identity == identity.key for swap in steps.chosen(state)):
        consent_button(row, state, identity.key, identity.name)
    row.operator("understudy.remove_identity", text="", icon="X").identity = identity.key
    if scans := progress.of_material(state, identity):
        progress.draw(column, context, scans[0])
    elif people_store.material(identity):
        sentence(column, context, people_store.amount_in_words(identity, 2 if chosen else 1))
    for material in identity.materials:
        failure(layout, context, state, material.key)
    if not chosen:
        return
    for material in identity.materials:
        _draw_material(layout, context, state, material)
    row = beside(layout, context)
    row.menu("UNDERSTUDY_MT_add_material", icon="ADD")
    _draw_forget(layout, row, context, state, identity)


def _draw_material(
    layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup,
    material: bpy.types.PropertyGroup,
) -> None:  # fmt: skip
    row = layout.row(align=True)
    row.label(text=Path(material.clip_path).name, icon="FILE_MOVIE", translate=False)
    row.operator("understudy.remove_material", text="", icon="X").material = material.key
    if steps.scanning(state, material.key):
        sentence(layout, context, tr("Its footage is being scanned."), "TIME")
    elif not project_files.is_folder(material.scan.folder):
        why = steps.failed_scan(state, material.key)
        if why and failures.place(state) != material.key:  # else it stands above
            sentence(layout, context, why, "ERROR")
        layout.operator("understudy.scan_identity", icon="VIEWZOOM").material = material.key
    elif not people_store.there(material.scan):
        sentence(layout, context, tr("No face was found in its footage."), "ERROR")
    elif len(people_store.there(material.scan)) > 1:
        gallery(layout, material.scan, material.person, "understudy.choose_face", material=material.key)
    if material.scan.unnamed and not steps.scanning(state, material.key):
        sentence(layout, context, material.scan.unnamed, "INFO")


def _draw_forget(
    layout: bpy.types.UILayout, row: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup,
    identity: bpy.types.PropertyGroup,
) -> None:  # fmt: skip
    found = forgetting(state, identity.key)
    if found is None:
        row.operator("understudy.forget", icon="TRASH").identity = identity.key
        return
    paths, left = found
    box = layout.box()
    box.alert = True
    if paths:
        sentence(box, context, tr("This would be erased for good:"), "TRASH")
    else:
        sentence(box, context, tr("Nothing of {name} is kept.", name=identity.name), "TRASH")
    _list_paths(box, context, paths)
    if left:
        sentence(box, context, tr("Not found, or not surely theirs; it stays:"), "ERROR")
        _list_paths(box, context, left)
    row = box.row(align=True)
    erase = row.operator("understudy.forget", text="Erase", icon="TRASH")
    erase.identity, erase.confirmed = identity.key, True
    row.operator("understudy.forget_no").identity = identity.key


def _list_paths(layout: bpy.types.UILayout, context: bpy.types.Context, paths: list[str]) -> None:
    for path in paths[:SHOWN_PATHS]:
        sentence(layout, context, "/".join(Path(path).parts[-2:]))
    if len(paths) > SHOWN_PATHS:
        sentence(layout, context, tr("and {n} more", n=len(paths) - SHOWN_PATHS))


def _draw_consents(layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup) -> None:
    """The button that asks for the consents that are lacking; those on record are told beside the names."""
    if written := [job for job in progress.of_step(state, "identities") if job.kind != "scan"]:
        progress.draw(layout, context, written[0])
        return
    lacking = steps.lacking_consent(state)
    if asks_for_consents(state):
        return  # on top
    if len(lacking) > 1:  # one dialog for all of them
        layout.operator("understudy.consents", icon="ERROR")
    elif lacking:
        ((key, name),) = lacking
        text = tr("Consent of {name}…", name=name)
        button = layout.operator("understudy.consent", text=text, icon="ERROR", translate=False)
        button.identity, button.called = key, name
