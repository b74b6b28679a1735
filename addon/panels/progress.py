"""The jobs that run, each in the step of the tab that it belongs to: in place of the button that began it, as high as
that, or in the step's line while that is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..i18n import tr
from ..jobs import job_words, jobs
from ..layout import duration, sentence
from ..state import steps

if TYPE_CHECKING:
    import bpy

MOST_WARNINGS = 3
"""So many of a job's warnings are shown, the last ones."""
_STEPS = {"people": "people", "consent": "identities", "forget": "identities", "convert": "convert", "review": "review",
          "voice-train": "voice", "voice": "voice"}  # fmt: skip


def of_step(state: bpy.types.PropertyGroup | None, name: str) -> list[bpy.types.PropertyGroup]:
    """The jobs that run or wait in a step of the tab, in the order in which the engine takes them; of "" those that
    belong to none."""
    return [job for job in steps.in_turn(state) if _step_of(job) == name] if state is not None else []


def _step_of(job: bpy.types.PropertyGroup) -> str:
    about = steps.about(job)
    if job.kind == "scan":
        return "people" if steps.SHOT in (about.get("target"), *about.get("also", ())) else "identities"
    if job.kind == "train":  # a draft's gathers faces and trains nothing
        return "convert" if about.get("preset") == "draft" else "train"
    if job.kind == "consent" and about.get("subject") == "voice":
        return "voice"
    return _STEPS.get(job.kind, "")


def of_material(state: bpy.types.PropertyGroup, identity: bpy.types.PropertyGroup) -> list[bpy.types.PropertyGroup]:
    """The scans of an identity's footage that run or wait."""
    keys = {one.key for one in identity.materials}
    scans = [job for job in steps.in_turn(state) if job.kind == "scan"]
    return [job for job in scans if keys & {steps.about(job).get("target"), *steps.about(job).get("also", ())}]


def in_line(state: bpy.types.PropertyGroup | None, name: str) -> str:
    """How far the first job of a step is, for the step's line; "" where none runs."""
    running = of_step(state, name)
    return _in_words(running[0]) if running else ""


def draw(layout: bpy.types.UILayout, context: bpy.types.Context, job: bpy.types.PropertyGroup) -> None:
    """One job: a row as high as a button, with how far it is, how long it takes, and buttons for it; below it what to
    beware of."""
    row = layout.row(align=True)
    row.progress(factor=job.progress, text=_in_words(job), translate=False)
    buttons = row.row(align=True)
    buttons.enabled = not jobs.is_stopping(job)
    waiting = steps.in_turn(job.id_data.understudy)
    place = [one.id for one in waiting].index(job.id)
    if job.state == "queued" and place and waiting[place - 1].state == "queued":  # another one waits before it
        buttons.operator("understudy.run_next", text="", icon="TRIA_UP").job = job.id
    if job.state == "paused":
        buttons.operator("understudy.resume", text="", icon="PLAY").job = job.id
    else:
        buttons.operator("understudy.pause", text="", icon="PAUSE").job = job.id
    buttons.operator("understudy.cancel", text="", icon="X").job = job.id
    if job.state == "paused":
        sentence(layout, context, tr("Paused: its memory is free, nothing is lost."))
    if job.warning:
        told = job.warning.splitlines()
        for text in told[-MOST_WARNINGS:]:
            sentence(layout, context, steps.named(job.id_data.understudy, text), "ERROR")
        if len(told) > MOST_WARNINGS:
            sentence(layout, context, tr("{n} more: see the engine's log.", n=len(told) - MOST_WARNINGS))


def _in_words(job: bpy.types.PropertyGroup) -> str:
    """What a job does, how far it is and, where that was measured, how long it takes yet."""
    if jobs.is_stopping(job):
        return str(job.message)
    if job.state == "queued" and job.message:
        before = steps.about(job).get("after")
        waits = any(other.id == before for other in steps.unfinished(job.id_data.understudy))
        return str(job.message) if waits or not before else tr("Waiting for the engine")  # what came before is done
    said = f"{job_words.what(job)} {job.progress:.0%}"
    if job.state == "running" and job.progress > 0 and job.seconds_left >= 0:
        said += ", " + tr("{time} left", time=duration(job.seconds_left))
    return said
