"""Pieces that several panels and dialogs draw."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING

from .constants import ROOT_PACKAGE, TAB
from .i18n import tr
from .state import consent_records, failures, people_store, project, steps

if TYPE_CHECKING:
    import bpy

    from .state.properties import UnderstudyScan, UnderstudyState


CHARACTER_PIXELS = 6.2
"""The mean width of a character of Blender's own font, at scale 1."""
WIDE = 300
"""Pixels at scale 1 from which two buttons of two words stand beside each other in the sidebar."""


class SidebarPanel:
    """Where every panel of ours goes."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = TAB


class StepPanel(SidebarPanel):
    """A step of the way from Range to Recast, which draws its own line (`step`)."""

    bl_options = {"HIDE_HEADER"}


def step(
    layout: bpy.types.UILayout, context: bpy.types.Context, title: str, *said: str, done: bool = False,
    wrong: bool = False, switch: str = "", running: str = "",
) -> bpy.types.UILayout | None:  # fmt: skip
    """The line of a step, which opens and closes it, and below it what is answered: None while it is closed.

    `title` is its number and name ("2  People"), `said` what it came to, for the closed line: the first of these that
    has room there, else the last, with a mark where it is `done` or went `wrong`; what is `running` takes its place.
    `switch` is the property of the window's look that switches it on, before the title as in Blender's own panels.
    """
    if running:
        said, done = (running,), False
    folds, name = context.window_manager.understudy_folds, title.split()[-1].lower()
    name = {"recast": "convert"}.get(name, name)
    header, body = layout.panel_prop(folds, name)
    if switch:
        header.prop(context.window_manager.understudy, switch, text="")
    folded = any(said) and body is None
    row = header.split(factor=_title_part(context)) if folded else header
    row.label(text=title)
    if folded:
        room = (_width(context) - 65) * (1 - _title_part(context)) - (40 if done or wrong else 20)
        fitting = (text for text in said if len(text) * CHARACTER_PIXELS <= room)
        icon = "ERROR" if wrong else "CHECKMARK" if done else "NONE"
        row.label(text=next(fitting, said[-1]), icon=icon, translate=False)
    return body


def _width(context: bpy.types.Context) -> float:
    """The sidebar's width in pixels at scale 1."""
    return float(context.region.width if context.region else 260) / float(context.preferences.system.ui_scale)


def _title_part(context: bpy.types.Context) -> float:
    """How much of a step's line its title takes: as much as the longest one needs, in a narrow sidebar too."""
    return min(max(84 / max(_width(context) - 65, 1.0), 0.3), 0.6)


def beside(layout: bpy.types.UILayout, context: bpy.types.Context) -> bpy.types.UILayout:
    """A row for two buttons where the sidebar is wide enough for their words, else a column."""
    return layout.row(align=True) if is_wide(context) else layout.column(align=True)


def is_wide(context: bpy.types.Context) -> bool:
    """Whether two buttons of two words have room beside each other."""
    return _width(context) >= WIDE


def sentence(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE", width: int = 0
) -> None:
    """Text over as many lines as the sidebar's width asks for, or a dialog's `width` in pixels at scale 1; labels alone
    are cut off."""
    characters = max(int(((width or _width(context)) - 70) / CHARACTER_PIXELS), 16)
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(wrapped(text, characters)):
        # the lines after the first stand under its text, not under its icon
        column.label(text=line, icon=icon if number == 0 or icon == "NONE" else "BLANK1", translate=False)


def wrapped(text: str, characters: int) -> list[str]:
    """Lines of at most `characters` columns; Chinese characters take two and may be parted anywhere."""
    if not any(unicodedata.east_asian_width(c) in "WF" for c in text):
        return textwrap.wrap(text, characters)
    lines, line, width = [], "", 0
    for character in text:
        wide = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width + wide > characters and character not in "，。：；、？！）”":
            lines.append(line)
            line, width = "", 0
        line, width = line + character, width + wide
    return [*lines, line] if line else lines


def failure(layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup, where: str) -> None:
    """The last error, if it is about `where` (`failures.place`), and a button that puts it away."""
    if state.error and failures.place(state) == where:
        box = layout.box()
        alarm(box, context, steps.named(state, state.error))
        row = box.row()
        if failures.of_a_folder(state.error):
            row.operator("preferences.addon_show", text="Preferences", icon="PREFERENCES").module = ROOT_PACKAGE
        row.operator("understudy.dismiss_error")


def alarm(box: bpy.types.UILayout, context: bpy.types.Context, text: str, width: int = 0) -> None:
    """A sentence in red, in the sidebar or a dialog of that `width`."""
    column = box.column()
    column.alert = True  # the words alone: a button in red is hard to read in a light theme
    sentence(column, context, text, "ERROR", width)


def missing(layout: bpy.types.UILayout, context: bpy.types.Context, text: str) -> None:
    """What a step waits for; nothing when it can run."""
    if text:
        sentence(layout, context, text, "INFO")


def consent_button(layout: bpy.types.UILayout, state: UnderstudyState, key: str, name: str) -> None:
    """Whether somebody's consent is on record, and the way to it."""
    folder = project.folder_if_named(state)
    known = consent_records.record(folder, key) if folder else None
    button = layout.operator("understudy.consent", text="", icon="CHECKMARK" if known else "ERROR")
    button.identity, button.called = key, name


def fields(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A column of properties with their names to the left, without dots for animation."""
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def takes_row(layout: bpy.types.UILayout, operator: str, takes: list[bpy.types.Strip]) -> None:
    """Which of several takes is shown or heard, and buttons to the next and the one before; nothing for one alone."""
    if len(takes) < 2:
        return
    row = layout.row(align=True)
    row.operator(operator, text="", icon="TRIA_LEFT").step = -1
    now = next((i for i, take in enumerate(takes, 1) if not take.mute), 0)
    row.operator(operator, text=tr("Take {number} of {n}", number=now, n=len(takes)), translate=False).step = 1
    row.operator(operator, text="", icon="TRIA_RIGHT").step = 1


def duration(seconds: float) -> str:
    """Seconds in an editor's words."""
    if seconds < 90:
        return tr("{n} s", n=max(int(seconds), 1))
    minutes = round(seconds / 60)
    if minutes < 90:
        return tr("{n} min", n=minutes)
    return tr("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)


def frames_in_words(frames: int) -> str:
    """How many frames."""
    return tr("1 frame") if frames == 1 else tr("{n} frames", n=frames)


def gallery(layout: bpy.types.UILayout, scan: UnderstudyScan, chosen: int, operator: str, **properties: str) -> None:
    """The people of a scan as pictures with a button under each; the chosen one's is pressed."""
    grid = layout.grid_flow(row_major=True, columns=0, even_columns=True, even_rows=True, align=False)
    for person in people_store.there(scan):
        cell = grid.box().column(align=True)
        if icon := people_store.icon(scan, person):
            cell.template_icon(icon_value=icon, scale=4.0)
        button = cell.operator(
            operator, text=people_store.called(person), translate=False, depress=person.person == chosen
        )
        button.person = person.person
        for name, value in properties.items():
            setattr(button, name, value)
        cell.label(text=frames_in_words(person.frames), translate=False)
