"""Step 1: the frames to recast."""

from __future__ import annotations

import bpy

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import known_footage
from ..layout import StepPanel, beside, frames_in_words, missing, sentence, step
from ..sequencer import marking, scene_strips
from ..state import steps


class UNDERSTUDY_PT_range(StepPanel, bpy.types.Panel):
    """What is marked."""

    bl_label = "1  Range"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        marked = state is not None and bool(state.shot.strip_id)
        first, last = _bounds(context, state) if marked else (0, 0)
        said = f"{first}–{last}" if marked else ""
        layout = step(self.layout, context, "1  Range", said, done=marked)
        findings = known_footage.of(state.shot) if state is not None else []
        if layout is None:
            if any(finding.kind in TOLD for finding in findings):
                draw_findings(self.layout, context, findings)
            return
        row = beside(layout, context)
        row.operator("understudy.mark_range", icon="SEQUENCE")
        if state is not None:
            draw_bounds(layout, row, context, state)
        if (running := scene_strips.rendering) is not None:
            row = layout.row(align=True)
            row.progress(factor=running.done / running.frames, text=tr("Rendering the scene strip"), translate=False)
            row.operator("understudy.cancel_rendering", text="", icon="X")
        missing(layout, context, steps.missing_for_mark(context))
        if state is None or not state.shot.strip_id:
            return
        shot = state.shot
        said = tr("{name}: {frames}, {first} to {last}", name=shot.strip_name,
                  frames=frames_in_words(last - first + 1), first=first, last=last)  # fmt: skip
        sentence(layout, context, said, icon="CHECKMARK")
        if findings:
            draw_findings(layout, context, findings)


def _bounds(context: bpy.types.Context, state: bpy.types.PropertyGroup) -> tuple[int, int]:
    """The first and the last frame of the marked range where it lies on the timeline; where it was marked, if it is not
    shown."""
    found = marking.where(compat.sequencer_scene(context), hidden=True)
    start, end = found[:2] if found is not None else (state.shot.start, state.shot.end)
    return start, end - 1


TOLD = ("lost", "cannot")
"""Kinds of findings that are told of although the step is closed."""


def draw_findings(layout: bpy.types.UILayout, context: bpy.types.Context, findings: list[protocol.Finding]) -> None:
    """What the marked footage is, and what of it a recast keeps and loses: one line, and the rest below it; what one
    has to know comes first."""
    header, body = layout.panel_prop(context.window_manager.understudy_folds, "footage")
    told = sum(finding.kind in TOLD for finding in findings)
    words = tr("Footage: 1 thing to know") if told == 1 else tr("Footage: {n} things to know", n=told)
    header.label(text=words if told else tr("Footage"), icon="INFO" if told else "NONE", translate=False)
    if body is None:
        return
    titles = {
        "cannot": tr("Cannot be done"), "lost": tr("Lost, or otherwise"), "is": tr("What it is"),
        "kept": tr("Kept in a recast"),
    }  # fmt: skip
    for kind, title in titles.items():
        texts = [finding.text for finding in findings if finding.kind == kind]
        if texts:
            body.label(text=title, translate=False)
        for text in texts:
            sentence(body, context, text, "DOT")


def draw_bounds(
    layout: bpy.types.UILayout, row: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup
) -> None:
    """What bounds the range that is marked, of picture or of sound: chosen in the `row` of the button that marks."""
    row.prop(state, "mark_by", text="")
    if state.mark_by == "PLAYHEAD":
        row = layout.row(align=True)
        row.operator("understudy.set_in", text=_point(tr("In"), state.playhead_in), translate=False)
        row.operator("understudy.set_out", text=_point(tr("Out"), state.playhead_out), translate=False)
    elif state.mark_by == "STRIP" and compat.sequencer_scene(context).use_preview_range:
        sentence(layout, context, tr("A preview range is set: choose Preview Range to mark only that."), "INFO")


def _point(word: str, frame: int) -> str:
    return word if frame == -1_000_000 else f"{word} {frame}"
