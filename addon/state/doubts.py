"""The doubtful frames of a scene's recasts, as the engine told them, and which of them were looked at."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, StringProperty

from ...engine import protocol
from ..i18n import tr

MOST = 500
"""So many of one recast are kept."""


class UnderstudyDoubt(bpy.types.PropertyGroup):
    """Frames of a recast's source that are likely to be sent back."""

    job: StringProperty(description="The job that made the recast")
    frame: IntProperty(description="The worst of them, a frame of the source")
    start: IntProperty()
    end: IntProperty(description="Exclusive")
    person: IntProperty()
    cause: StringProperty(description="One of protocol.Cause")
    score: FloatProperty(description="How many times its limit the measure is")
    seen: BoolProperty(name="Looked At", description="This one was looked at; it is passed over from now on")


def keep(state: bpy.types.PropertyGroup, job: str, found: list[Any]) -> None:
    """Keep what was found of the recast that `job` made, worst first, in place of what was known of it.

    What was looked at stays so where the same frames are doubtful for the same reason.
    """
    seen = {(one.frame, one.cause) for one in of(state, job) if one.seen}
    for index in reversed(range(len(state.doubts))):
        if state.doubts[index].job == job:
            state.doubts.remove(index)
    for told in found[:MOST]:
        try:
            read = protocol.from_json(protocol.Doubtful, told)
        except ValueError:
            continue
        one = state.doubts.add()
        one.job = job
        for name in ("frame", "start", "end", "person", "cause", "score"):
            setattr(one, name, getattr(read, name))
        one.seen = (one.frame, one.cause) in seen


def of(state: bpy.types.PropertyGroup, job: str) -> list[UnderstudyDoubt]:
    """What is known of the recast that a job made, worst first."""
    return [one for one in state.doubts if one.job == job]


def why(cause: str) -> str:
    """Why a frame is doubtful, in words."""
    return {
        "lost": tr("No face was found here"),
        "mesh": tr("Where the face is, is a guess"),
        "profile": tr("Turned far aside"),
        "hidden": tr("Something is in front of the face"),
        "unseen": tr("The source shows nothing like this"),
        "expression": tr("The expression is not the footage's"),
        "gaze": tr("The eyes do not do what the footage's do"),
        "identity": tr("Looks less like the source than around it"),
        "flicker": tr("Changes more than the footage does"),
    }.get(cause, cause)
