"""The way from Range to Convert: what is chosen, and what is missing before a step can run.

Every `missing_for_…` answers one sentence for the panel and for a disabled button's tooltip, or "" when
the step can run. They only read, so that panels may call them while drawing.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine import protocol
from . import compat, people, project

if TYPE_CHECKING:
    import bpy

    from .properties import UnderstudyIdentity, UnderstudyJob, UnderstudyPerson, UnderstudyState, UnderstudySwap

NO_SCENE = "Choose a scene in the sequencer's header first."
SHOT = "shot"
"""The target of a scan of the shot; a scan of an identity's clip has the identity's key."""


def state_of(context: bpy.types.Context) -> UnderstudyState | None:
    """Understudy's state of the scene in the sequencer, or None when there is no scene."""
    scene = compat.sequencer_scene(context)
    return scene.understudy if scene else None


# -- what is chosen


def swap_of(state: UnderstudyState) -> UnderstudySwap | None:
    """The swap that is being set up; there is one once a range was marked or a face added."""
    return state.swaps[0] if len(state.swaps) else None


def ensure_swap(state: UnderstudyState) -> UnderstudySwap:
    """The swap, made when there is none (not while drawing)."""
    return state.swaps[0] if len(state.swaps) else state.swaps.add()


def target(state: UnderstudyState) -> UnderstudyPerson | None:
    """The person of the shot who is replaced."""
    swap = swap_of(state)
    return people.person_of(state.shot.scan, swap.person) if swap else None


def identity(state: UnderstudyState) -> UnderstudyIdentity | None:
    """Whose face appears."""
    swap = swap_of(state)
    return identity_named(state, swap.identity) if swap else None


def identity_named(state: UnderstudyState, key: str) -> UnderstudyIdentity | None:
    """The identity of that key."""
    return next((i for i in state.identities if i.key == key), None)


# -- jobs


def about(job: UnderstudyJob) -> dict:
    """What a job's result is for."""
    return json.loads(job.about or "{}")


def unfinished(state: UnderstudyState) -> list[UnderstudyJob]:
    """The jobs that still run or wait."""
    return [job for job in state.jobs if job.state not in protocol.FINAL_STATES]


def scanning(state: UnderstudyState, whose: str) -> bool:
    """Whether the shot (SHOT) or an identity's clip (its key) is being scanned."""
    return any(job.kind == "scan" and about(job).get("target") == whose for job in unfinished(state))


def recasting(state: UnderstudyState) -> bool:
    """Whether a training or conversion runs or waits."""
    return any(job.kind in {"train", "convert"} for job in unfinished(state))


# -- models


def model_name(state: UnderstudyState, preset: str) -> str:
    """The model's folder name: the same people from the same scans and preset are the same model."""
    who, face, swap = state.shot.scan, identity(state), swap_of(state)
    assert face is not None and swap is not None
    material = f"{Path(who.folder).name}|{swap.person}|{Path(face.scan.folder).name}|{face.person}"
    return f"{face.key}-{hashlib.sha1(material.encode()).hexdigest()[:8]}-{preset}"


def known_model(state: UnderstudyState, preset: str) -> str:
    """The folder of the swap's model if it was trained at all (for a draft: gathered), else ""."""
    name = model_name(state, preset)
    for job in reversed(state.jobs):
        usable = job.state == "done" or (job.state == "cancelled" and job.step > 0)
        if job.kind == "train" and usable and Path(job.model).name == name:
            return job.model
    return ""


def model_folder(state: UnderstudyState, preset: str) -> str:
    """Where the swap's model is, or will be when it is trained first."""
    for job in state.jobs:
        if job.kind == "train" and Path(job.model).name == model_name(state, preset):
            return job.model
    return str(project.folder(state) / "models" / model_name(state, preset))


# -- what is missing


def missing_for_mark(context: bpy.types.Context) -> str:
    """Before a range can be marked, or a strip added as a face."""
    scene = compat.sequencer_scene(context)
    if scene is None:
        return NO_SCENE
    strip = scene.sequence_editor.active_strip if scene.sequence_editor else None
    if strip is None or strip.type not in {"MOVIE", "IMAGE"}:
        return "Select a movie or image strip first."
    return ""


def missing_for_scan(state: UnderstudyState | None) -> str:
    """Before the shot can be scanned."""
    if state is None:
        return NO_SCENE
    if not state.shot.strip_id:
        return "Mark the range to recast first."
    if scanning(state, SHOT):
        return "The shot is being scanned."
    return ""


def missing_for_swap(state: UnderstudyState | None) -> str:
    """Before it is clear who gets whose face."""
    if state is None:
        return NO_SCENE
    if not state.shot.strip_id:
        return "Mark the range to recast first."
    if not state.shot.scan.folder:
        return "Scan the shot first."
    if target(state) is None:
        return "Choose the person to recast first." if len(state.shot.scan.people) else "The shot shows no face."
    face = identity(state)
    if face is None:
        return "Choose the identity whose face appears." if len(state.identities) else "Add an identity first."
    if not face.scan.folder:
        return f"Scan the footage of {face.name} first."
    if people.person_of(face.scan, face.person) is None:
        return (
            f"Choose who of the people is {face.name}." if len(face.scan.people) else f"No face of {face.name} found."
        )
    if not state.consent:
        return "Confirm in 4 Train that the people shown have agreed."
    return ""


def missing_for_train(state: UnderstudyState | None) -> str:
    """Before a model can be trained."""
    if missing := missing_for_swap(state):
        return missing
    return "A training or conversion is under way." if recasting(state) else ""


def missing_for_convert(state: UnderstudyState | None, draft: bool) -> str:
    """Before the shot can be converted."""
    if missing := missing_for_train(state):
        return missing
    if not draft and not known_model(state, state.preset):
        return "Train first, or make a draft."
    return ""
