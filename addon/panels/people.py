"""Step 2: the people in the shot, and who of them gets whose face."""

from __future__ import annotations

import bpy

from ..i18n import tr
from ..layout import SidebarPanel, gallery, missing, sentence
from ..state import people_store, steps


class UNDERSTUDY_PT_people(SidebarPanel, bpy.types.Panel):
    """Who is in the shot."""

    bl_label = "2  People"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        layout.operator("understudy.scan_shot", icon="VIEWZOOM")
        missing(layout, context, steps.missing_for_scan(state))
        if state is None or not state.shot.scan.folder:
            return
        scan = state.shot.scan
        if not people_store.there(scan):
            sentence(layout, context, tr("No face was found in the marked range."), "ERROR")
        else:
            layout.operator("understudy.pick_face", icon="EYEDROPPER")
            gallery(layout, scan, state.person, "understudy.choose_person")
            for swap in steps.chosen(state):
                _draw_swap(layout, state, people_store.person_of(scan, swap.person), swap)
            person = people_store.person_of(scan, state.person)
            if person is not None:
                _draw_person(layout.box(), context, state, person)
        rejected = sum(person.rejected for person in scan.people)
        if rejected:
            row = layout.row()
            row.label(text=tr("{n} rejected", n=rejected), translate=False)
            row.operator("understudy.restore_people", text="", icon="LOOP_BACK")


def _draw_swap(
    layout: bpy.types.UILayout, state: bpy.types.PropertyGroup, person: bpy.types.PropertyGroup,
    swap: bpy.types.PropertyGroup,
) -> None:  # fmt: skip
    row = layout.row(align=True)
    identity = steps.identity_named(state, swap.identity)
    row.label(text=f"{people_store.called(person)} → {identity.name}", icon="ARROW_LEFTRIGHT", translate=False)


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
    if said := people_store.sharpness_in_words(person):
        sentence(column, context, tr("The pictures are {sharpness}.", sharpness=said))
    swap = steps.swap_of(state, person.person)
    identity = steps.identity_named(state, swap.identity) if swap else None
    column.label(text="Gets the Face Of")  # beside it there is no room for the names in a narrow panel
    name = identity.name if identity else tr("Nobody")
    column.operator_menu_enum("understudy.assign", "identity", text=name, translate=False).person = person.person
