"""Step 6: recast, place, compare."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import compat
from ..constants import STRIP_RECORD
from ..i18n import tr
from ..layout import (
    SidebarPanel,
    StepPanel,
    beside,
    failure,
    frames_in_words,
    is_wide,
    missing,
    sentence,
    step,
    takes_row,
)  # fmt: skip
from ..operators.convert import active_recast
from ..operators.place import last_recast
from ..sequencer import in_step, placing, recasts, source_look
from ..state import cast, kept_json, steps
from . import fit, progress, review


class UNDERSTUDY_PT_convert(StepPanel, bpy.types.Panel):
    """The draft, the finished recast, and what was placed."""

    bl_label = "6  Recast"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        strip, scene = active_recast(context), compat.sequencer_scene(context)
        changed = source_look.changed(scene, strip, recasts.source_of(scene, strip)) if strip is not None else set()
        said, wrong = strip.name if strip is not None else "", bool(changed & {"time", "speed"})
        layout = step(
            self.layout, context, "6  Recast", said, done=strip is not None, wrong=wrong,
            running=progress.in_line(state, "convert"),
        )  # fmt: skip
        if layout is None:
            return
        if state is not None and steps.chosen(state):
            before = kept_json.swaps(strip[STRIP_RECORD].get("swaps", "")) if _of_the_range(state, strip) else []
            sentence(layout, context, cast.in_words(state, before), "COMMUNITY")
            if before and not recasts.same_cast(state, strip[STRIP_RECORD]):
                sentence(layout, context, _what_is_kept(state))
        _draw_buttons(layout, context, state)
        if strip is not None:
            _draw_placed(layout.box(), context, strip, changed)
        elif scene is not None and (behind := source_look.left_behind(scene)) is not None:
            said = tr("“{name}” is out of step with its source: select it to take over how that was moved.",
                      name=behind.name)  # fmt: skip
            sentence(layout, context, said, "ERROR")
        elif (made := last_recast(context)) and not placing.is_there(scene, {**steps.about(made), "job": made.id}):
            layout.operator("understudy.place", icon="ADD")
        if state is not None:
            failure(layout, context, state, "convert")
            fit.draw(layout, context, state, strip)


def _draw_buttons(
    layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup | None
) -> None:
    """Recast and Draft; in place of one of them the job that runs."""
    running = progress.of_step(state, "convert")
    if running and is_wide(context):  # in a row with another one it would be too short for its words
        progress.draw(layout, context, running[0])
        return
    both = beside(layout, context)
    drafted = bool(running) and steps.about(running[0]).get("preset") == "draft"
    for draft in (False, True):
        if running and draft == drafted:
            progress.draw(both, context, running[0])
            continue
        row = both.row(align=True)
        row.enabled = not steps.missing_for_convert(state, draft)
        text = tr("Draft, without Training") if draft else _what_recasting_takes(state)
        icon = "SHADERFX" if draft else "RENDER_ANIMATION"
        row.operator("understudy.convert", text=text, icon=icon, translate=False).draft = draft
    why = steps.missing_for_convert(state, draft=False)
    if not running and why != steps.missing_for_train(state):  # which is said above
        missing(layout, context, why)


def _what_is_kept(state: bpy.types.PropertyGroup) -> str:
    """What of the recast that is there is taken over where its cast changes."""
    if steps.known_model(state, state.preset):
        return tr("Frames in which nobody's face changes are taken from the recast that is there.")
    return tr("A draft keeps the frames in which nobody's face changes. A network is trained for a cast as a whole: "
              "with it, every frame with a face is recast again.")  # fmt: skip


def _of_the_range(state: bpy.types.PropertyGroup, strip: bpy.types.Strip | None) -> bool:
    """Whether a recast is of the people that the marked range shows."""
    return strip is not None and strip[STRIP_RECORD].get("scan") == Path(state.shot.scan.folder).name


def _what_recasting_takes(state: bpy.types.PropertyGroup | None) -> str:
    if steps.missing_for_convert(state, draft=False):
        return tr("Recast")
    if steps.training_of(state, state.preset):
        return tr("Recast when Trained")
    return tr("Recast") if steps.known_model(state, state.preset) else tr("Train, then Recast")


def _draw_placed(
    layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip, changed: set[str]
) -> None:
    record = strip[STRIP_RECORD]
    sentence(layout, context, strip.name, "SEQ_STRIP_DUPLICATE")
    if said := record.get("consent"):
        sentence(layout, context, tr("Consent: {records}", records=consents_in_short(said)))
    if "time" in changed:
        scene = compat.sequencer_scene(context)
        by = in_step.frames_off(scene, strip, recasts.source_of(scene, strip)) or 0
        said = tr("Out of step: its source was moved by {frames}. Take that over?", frames=frames_in_words(abs(by)))
        sentence(layout, context, said, "ERROR")
    elif changed - {"speed"}:
        sentence(layout, context, tr("Its source has been changed since. Take that over?"), "INFO")
    if changed - {"speed"}:
        layout.operator("understudy.follow_source", icon="COPYDOWN")
    if "speed" in changed:
        sentence(layout, context, tr("Its source has another speed since: mark the range and recast again."), "INFO")
    row = layout.row(align=True)
    row.operator("understudy.update", text="Update", icon="FILE_REFRESH")
    row.operator("understudy.remove_recast", text="Remove", icon="X")
    scene = compat.sequencer_scene(context)
    takes_row(layout, "understudy.next_take", recasts.takes(scene, strip))
    review.draw(layout, context, strip)
    view = context.window_manager.understudy
    if view.show and view.view != "original" and placing.take_in_view(scene):
        sentence(layout, context, tr("The live preview lies over it: untick 4 Preview to see it alone."), "INFO")


def consents_in_short(said: str) -> str:
    """A record's consents, "A: terms; B: terms", with those of the same terms told together: "A, B: terms"."""
    people: dict[str, list[str]] = {}
    for one in said.split("; "):
        name, _, terms = one.rpartition(": ")
        if name not in people.setdefault(terms, []):
            people[terms].append(name)
    return "; ".join(f"{', '.join(names)}: {terms}" for terms, names in people.items())


class UNDERSTUDY_PT_provenance(SidebarPanel, bpy.types.Panel):
    """Who was recast, and saying so."""

    bl_label = "Provenance"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 90

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        layout.operator("understudy.report", icon="TEXT")
        layout.operator("understudy.credentials", icon="FAKE_USER_ON")
        layout.operator("understudy.open_folder", icon="FILE_FOLDER")
        if state is None:
            return
        for job in reversed(state.jobs):
            if job.kind in {"report", "credential"} and job.state == "done":
                row = layout.row()
                text = tr("The report is written") if job.kind == "report" else tr("The render says what is recast")
                row.label(text=text, icon="CHECKMARK", translate=False)
                if job.kind == "report" and Path(job.output).suffix == ".html":  # a .blend may name a program
                    row.operator("wm.path_open", text="", icon="URL").filepath = job.output
                return
