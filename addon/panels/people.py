"""Step 2: the people in the shot, and who of them gets whose face."""

from __future__ import annotations

import bpy

from ..i18n import tr
from ..layout import StepPanel, beside, consent_button, failure, frames_in_words, is_wide, missing, sentence, step
from ..state import cast, failures, people_store, steps
from . import progress


class UNDERSTUDY_PT_people(StepPanel, bpy.types.Panel):
    """Who is in the shot."""

    bl_label = "2  People"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        layout = step(self.layout, context, "2  People", *_in_short(state), done=bool(state and steps.chosen(state)),
                      running=progress.in_line(state, "people"))  # fmt: skip
        if layout is None:
            return
        running, found = progress.of_step(state, "people"), state is not None and people_store.there(state.shot.scan)
        if running and is_wide(context):  # in a row with another one it would be too short for its words
            progress.draw(layout, context, running[0])
        else:
            row = beside(layout, context)
            if running:
                progress.draw(row, context, running[0])
            else:
                row.operator("understudy.scan_shot", icon="VIEWZOOM")
            if found:
                row.operator("understudy.pick_face", icon="EYEDROPPER")
        if not running:
            missing(layout, context, steps.missing_for_scan(state))
        if state is None:
            return
        failure(layout, context, state, "people")
        if not state.shot.scan.folder:
            if (why := steps.failed_scan(state, steps.SHOT)) and failures.place(state) != "people":
                sentence(layout, context, why, "ERROR")  # a later error is said elsewhere
            return
        scan = state.shot.scan
        if not people_store.there(scan):
            sentence(layout, context, tr("No face was found in the marked range."), "ERROR")
        else:
            if len(people_store.there(scan)) > cast.ROWS:
                layout.prop(state, "crowd")
            if len(cast.all_proposed(state)) > 1:
                layout.operator("understudy.assign_as_before", icon="LOOP_BACK")
            for person in cast.rows(state):
                _draw_row(layout, context, state, person)
            hidden = len(people_store.there(scan)) - len(cast.rows(state))
            if hidden:
                layout.label(text=tr("and {n} more", n=hidden), translate=False)
            person = people_store.person_of(scan, state.person)
            if person is not None and not person.rejected:
                _draw_person(layout.box(), context, state, person)
        if scan.unnamed:
            sentence(layout, context, scan.unnamed, "INFO")
        rejected = sum(person.rejected for person in scan.people)
        if rejected:
            row = layout.row()
            row.label(text=tr("{n} rejected", n=rejected), translate=False)
            row.operator("understudy.restore_people", text="", icon="LOOP_BACK")


def _in_short(state: bpy.types.PropertyGroup | None) -> list[str]:
    """Who gets whose face, in ever fewer words, or how many people there are."""
    if state is None or not people_store.there(state.shot.scan):
        return [""]
    n = len(people_store.there(state.shot.scan))
    faces = [steps.identity_named(state, swap.identity) for swap in steps.chosen(state)]
    if not faces:
        return [tr("1 person") if n == 1 else tr("{n} people", n=n)]
    names = list(dict.fromkeys(face.name for face in faces))
    said = tr("1 face") if len(names) == 1 else tr("{n} faces", n=len(names))
    return [cast.in_words(state, []), cast.in_first_names(state), ", ".join(names), said, str(len(names))]


def _draw_row(
    layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup,
    person: bpy.types.PropertyGroup,
) -> None:  # fmt: skip
    """Who somebody is and whose face they get; a click on the name selects."""
    swap = steps.swap_of(state, person.person)
    identity = steps.identity_named(state, swap.identity) if swap else None
    row = layout.row(align=True)
    if icon := people_store.icon(state.shot.scan, person):
        row.template_icon(icon_value=icon, scale=2.0)
    column = row.column(align=True)
    name = people_store.called(person)
    if is_wide(context):
        name += f" ({frames_in_words(person.frames)})"
    row = column.row(align=True)
    button = row.operator("understudy.choose_person", text=name, translate=False, depress=state.person == person.person)
    button.person = person.person
    if swap in steps.chosen(state):
        consent_button(row, state, steps.target_key(state, swap), people_store.called(person))
    face = column.row(align=True)
    gets = face.operator_menu_enum(
        "understudy.assign", "identity", text=identity.name if identity else tr("Nobody"), translate=False,
        icon="FORWARD",
    )  # fmt: skip
    gets.person = person.person
    if (key := cast.proposed(state, person)) and (known := steps.identity_named(state, key)) is not None:
        again = face.operator("understudy.assign", text=tr("{name}, as Before", name=known.name), translate=False)
        again.person, again.identity = person.person, key


def _draw_person(
    layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup,
    person: bpy.types.PropertyGroup,
) -> None:  # fmt: skip
    column = layout.column()
    row = column.row(align=True)
    row.prop(person, "name", text="", placeholder=people_store.called(person))
    others = row.row(align=True)
    others.enabled = len(people_store.there(state.shot.scan)) > 1
    others.operator_menu_enum("understudy.merge_people", "other", text="", icon="AUTOMERGE_ON")
    row.operator("understudy.split_person", text="", icon="MOD_EXPLODE")
    row.operator("understudy.reject_person", text="", icon="X")
    alike = people_store.person_of(state.shot.scan, person.looks_like)
    if alike is not None and not alike.rejected:
        said = tr("Looks like {name}: a mirror, a picture, or the same person?", name=people_store.called(alike))
        sentence(column, context, said, "INFO")
        merged = tr("They Are One: Merge with {name}", name=people_store.called(alike))
        column.operator("understudy.merge_people", text=merged, translate=False).other = str(alike.person)
    if not is_wide(context):  # else it stands behind the name
        sentence(column, context, frames_in_words(person.frames))
    if 0 < person.sharpness < people_store.SOFT:
        sentence(column, context, tr("The pictures are soft."), "INFO")
