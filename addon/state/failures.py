"""What went wrong: in the editor's words, and where in the tab it is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import bpy

from ..i18n import tr
from . import steps

if TYPE_CHECKING:
    from .properties import UnderstudyJob, UnderstudyState

TOP = "top"
_FRAMES = re.compile(r"\bframes (\d+) to (\d+)\b")
_ONE = re.compile(r"\bframes (\d+) to \1\b")
_SECONDS = re.compile(r"\bbetween ([\d.]+) and ([\d.]+) s\b")
_STEPS = {
    "train": "train", "convert": "convert", "people": "people", "consent": "identities", "voice-train": "voice",
    "voice": "voice",
}  # fmt: skip


def in_words(state: UnderstudyState, job: UnderstudyJob, text: str) -> str:
    """The engine's sentence with the timeline's frames in place of the file's (the shot's; a face's file is counted
    from 1, as its strip would be) and of the seconds of marked sound, and where another folder is chosen."""
    about, shot = steps.about(job), state.shot
    if job.kind == "scan":
        clip = about.get("clip", {})
        marked = (shot.source, shot.source_start, shot.source_end)
        if about.get("target") == steps.SHOT and (clip.get("path"), clip.get("start"), clip.get("end")) == marked:
            text = _FRAMES.sub(f"frames {shot.start} to {shot.end - 1}", text)
        else:
            text = _FRAMES.sub(lambda found: f"frames {int(found[1]) + 1} to {int(found[2]) + 1}", text)
            text = text.replace("Choose a range that shows a face,", "Add material that shows the face,")
        text = _ONE.sub(r"frame \1", text)
    elif job.kind == "voice" and {"start", "end"} <= set(about):
        text = _SECONDS.sub(f"between the frames {about['start']} and {about['end'] - 1}", text)
    if "models fetch --voice" in text and not bpy.app.online_access:
        text += " " + tr("Or allow Online Access in Preferences > System: then the first voice fetches them.")
    if of_a_folder(text):
        text += " " + tr("It is chosen in the preferences of Understudy: Keep Projects In.")
    return text


def of_a_folder(text: str) -> bool:
    """Whether an error is about the folder that projects are kept in."""
    return any(asked in text.lower() for asked in ("choose another folder", "choose a folder of your own"))


def place(state: UnderstudyState) -> str:
    """Where the last error is said: a step of the tab, the key of the material that it is about, or TOP."""
    job = next((one for one in reversed(state.jobs) if one.state == "failed" and one.error == state.error), None)
    if not state.error or job is None:
        return TOP
    if job.kind == "consent" and steps.about(job).get("subject") == "voice":
        return "voice"
    if job.kind != "scan":
        return _STEPS.get(job.kind, TOP)
    target = str(steps.about(job).get("target"))
    materials = {one.key for identity in state.identities for one in identity.materials}
    return target if target in materials else "people" if target == steps.SHOT else TOP


def faceless(state: UnderstudyState) -> bool:
    """Whether the search for faces in the material of an identity failed."""
    return any(
        not one.scan.folder and steps.failed_scan(state, one.key)
        for identity in state.identities
        for one in identity.materials
    )


def step(state: UnderstudyState) -> str:
    """The step of the tab at which the last error is said, "" for none."""
    where = place(state) if state.error else TOP
    return "" if where == TOP else where if where in _STEPS.values() else "identities"
