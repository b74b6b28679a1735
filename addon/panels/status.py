"""What runs now, what went wrong, and the engine."""

from __future__ import annotations

import bpy

from ..engine_link import engine_setup
from ..i18n import tr
from ..jobs import jobs
from ..layout import SidebarPanel, alarm, failure, sentence
from ..sequencer import scene_strips
from ..state import failures, steps
from . import progress


def which_engine() -> str:
    """Whose engine does the work, in words."""
    remote = jobs.engine.remote
    if remote is None:
        return tr("Engine: this computer, {device}", device=jobs.engine.device or "…")
    if remote.state == "ready":
        return tr("Engine: remote on {host}, {device}", host=remote.host, device=remote.device or "…")
    return tr("Engine: remote ({address})", address=remote.url)


def draw_remote(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What is in the way of a remote engine; nothing where all is well."""
    remote = jobs.engine.remote
    if remote is None or remote.state == "ready":
        return
    if remote.state == "away" and not remote.error:
        sentence(layout, context, tr("The remote engine is being asked."), "SORTTIME")
    elif remote.state == "away":
        waits = tr("The remote engine does not answer. Nothing is lost: jobs go on when the tunnel stands again.")
        sentence(layout, context, waits, "UNLINKED")
    else:
        sentence(layout, context, remote.error, "ERROR")


def _needs_setup() -> bool:
    """Nothing was set up and no engine answers, or what was set up is of another version."""
    return engine_setup.outdated() or (jobs.engine.state != "ready" and engine_setup.needed())


class UNDERSTUDY_PT_status(SidebarPanel, bpy.types.Panel):
    """Running jobs, the last error, and the button that goes the whole way."""

    bl_label = "Understudy"
    bl_options = {"HIDE_HEADER"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        if why := steps.locked(state):
            sentence(layout, context, why, "INFO")
            return
        failure(layout, context, state, failures.TOP)
        if jobs.engine.error and jobs.engine.error != state.error:
            box = layout.box()
            alarm(box, context, tr(jobs.engine.error))
            if jobs.engine.state == "failed":
                box.operator("understudy.start_engine")
        if engine_setup.installer.busy or _needs_setup():
            box = layout.box()
            engine_setup.draw(box, lambda text, icon: sentence(box, context, text, icon))
        waiting = steps.in_turn(state)
        if waiting and jobs.engine.state == "ready" and jobs.engine.remote:
            sentence(layout, context, which_engine(), "URL")
            draw_remote(layout, context)
        for job in progress.of_step(state, ""):
            progress.draw(layout, context, job)
        _draw_recast_with_defaults(layout, context, state)
        if not bpy.data.filepath:
            sentence(layout, context, tr("Save the .blend: recast movies are then kept beside it."), "FILE_TICK")


def asks_for_consents(state: bpy.types.PropertyGroup) -> bool:
    """Whether the way that goes on by itself waits for nothing but consents: the top of the tab then asks for them."""
    return state.recast_with_defaults and not steps.unfinished(state) and bool(steps.lacking_consent(state))


def _draw_recast_with_defaults(
    layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup
) -> None:
    if not state.recast_with_defaults:  # stays in its place while a job runs: what lies below would jump
        row = layout.row()
        row.scale_y = 1.3
        row.operator("understudy.recast_with_defaults", icon="PLAY")
    elif asks_for_consents(state):
        sentence(layout, context, tr("Training and recast follow once the consents are on record."), "INFO")
        _with_stop(layout).operator("understudy.consents", icon="ERROR")
    elif steps.unfinished(state) or scene_strips.rendering:
        sentence(_with_stop(layout), context, tr("Training and recast follow by themselves."), "INFO")
    elif not steps.chosen(state):
        sentence(
            _with_stop(layout), context, tr("Choose below who gets whose face; training and recast follow."), "INFO"
        )
    else:
        _with_stop(layout).operator("understudy.recast_with_defaults", text="Continue", icon="PLAY")


def _with_stop(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A column, with a button beside it that lets nothing follow by itself."""
    row = layout.row(align=True)
    column = row.column()
    row.operator("understudy.stop_going_on", text="", icon="X")
    return column


class UNDERSTUDY_PT_engine(SidebarPanel, bpy.types.Panel):
    """The engine, for those who want to know."""

    bl_label = "Engine"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 100

    def draw(self, context: bpy.types.Context) -> None:
        layout, engine = self.layout, jobs.engine
        state = {
            "stopped": tr("Not started yet"), "starting": tr("Starting"), "ready": tr("Ready"),
            "failed": tr("Not running"),
        }[engine.state]  # fmt: skip
        layout.label(text=state, translate=False)
        if engine.state == "ready":
            sentence(layout, context, which_engine())
            draw_remote(layout, context)
            sentence(layout, context, tr("Version {version}", version=engine.version))
        row = layout.row(align=True)
        row.operator("understudy.start_engine", text="Start")
        row.operator("understudy.stop_engine", text="Stop")
