"""What a finished job brings into the scene: people into the panel, a strip onto the timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine import protocol
from . import people, placing, steps
from .properties import NOBODY

if TYPE_CHECKING:
    import bpy

    from .properties import UnderstudyJob


class Unusable(Exception):
    """A job is done but its result cannot be used; the message is one sentence."""


def take_in(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    """Use the result of a job that is done. Answers the name of the undo step it makes, "" for none."""
    if job.kind == "scan":
        return _scan_done(scene, job, result)
    if job.kind == "convert":
        return _convert_done(scene, job, result)
    return ""


def _scan_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    state, about = scene.understudy, steps.about(job)
    clip = protocol.from_json(protocol.Clip, about["clip"])
    folder = str(result.get("scan") or job.output)
    people.forget_pictures()
    try:
        if about["target"] == steps.SHOT:
            shot = state.shot
            if (shot.source, shot.source_start, shot.source_end) != (clip.path, clip.start, clip.end):
                return ""  # another range was marked meanwhile
            people.fill(shot.scan, clip, folder)
            steps.ensure_swap(state).person = people.main_person(shot.scan)
            found = shot.scan
        else:
            identity = steps.identity_named(state, about["target"])
            if identity is None:
                return ""  # it was removed meanwhile
            people.fill(identity.scan, clip, folder)
            identity.person = people.main_person(identity.scan)
            found = identity.scan
    except people.ScanUnreadable as error:
        raise Unusable(str(error)) from None
    if people.main_person(found) == NOBODY:
        raise Unusable("No face was found in the marked footage: choose frames that show one.")
    return "Find people"


def _convert_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    about = {**steps.about(job), "job": job.id}
    about.pop("then", None)
    try:
        placing.place(scene, str(result.get("movie") or job.output), about)
    except placing.CannotPlace as error:
        raise Unusable(str(error)) from None
    return "Place recast strip"
