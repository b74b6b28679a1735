"""Pieces that several panels draw."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from .. import people
from ..constants import TAB

if TYPE_CHECKING:
    import bpy

    from ..properties import UnderstudyScan


class SidebarPanel:
    """Where every panel of ours goes."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = TAB


def sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE") -> None:
    """Text over as many lines as the sidebar's width asks for; labels alone are cut off."""
    pixels_a_character = 6.2 * context.preferences.system.ui_scale
    width = context.region.width if context.region else 260
    characters = max(int((width - 70 * context.preferences.system.ui_scale) / pixels_a_character), 16)
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, characters)):
        # the lines after the first stand under its text, not under its icon
        column.label(text=line, icon=icon if number == 0 or icon == "NONE" else "BLANK1")


def missing(layout: bpy.types.UILayout, context: bpy.types.Context, text: str) -> None:
    """What a step waits for; nothing when it can run."""
    if text:
        sentence(layout, context, text, "INFO")


def duration(seconds: float) -> str:
    """Seconds in an editor's words."""
    if seconds < 90:
        return f"{max(int(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def gallery(
    layout: bpy.types.UILayout, scan: UnderstudyScan, chosen: int, operator: str, label: str, **properties: str
) -> None:
    """The people of a scan as pictures with a button under each; the chosen one's is pressed."""
    grid = layout.grid_flow(row_major=True, columns=0, even_columns=True, even_rows=True, align=False)
    for person in scan.people:
        cell = grid.box().column(align=True)
        if icon := people.icon(scan, person):
            cell.template_icon(icon_value=icon, scale=4.0)
        is_chosen = person.person == chosen
        button = cell.operator(operator, text=person.name or label, depress=is_chosen)
        button.person = person.person
        for name, value in properties.items():
            setattr(button, name, value)
        cell.label(text=f"{person.frames} frame{'s' if person.frames != 1 else ''}")
