"""Which steps of the tab are open: what is in hand is, what is finished takes one line.

A click on a step's line opens or closes it until another step is in hand. Kept with the window, no part of the edit.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, PointerProperty, StringProperty

from .. import compat
from ..constants import STRIP_RECORD
from . import failures, people_store, steps

if TYPE_CHECKING:
    from .properties import UnderstudyState


def in_hand(state: UnderstudyState | None) -> set[str]:
    """The steps that wait for the user, or show what they made last."""
    if state is None:
        return {"range"}
    failed = failures.step(state)
    if failed == "voice" or (state.speech.strip_id and not state.shot.strip_id):
        return {"voice"}
    if not state.shot.strip_id:
        return {"range"}
    if not state.shot.scan.folder:
        return {"people", failed or "people", *(["identities"] if failures.faceless(state) else [])}
    if steps.missing_for_swap(state):
        return {"people", "identities"}
    training = steps.training_of(state, state.preset)
    trained = steps.known_model(state, state.preset) and not training
    opened = {"convert", failed or "convert", "convert" if trained else "train", "curve" if training else "convert"}
    # whoever gives several people their faces does it one by one
    return opened | ({"people"} if not trained and _is_casting(state) else set())


def _is_casting(state: UnderstudyState) -> bool:
    """Whether others of the marked range may get a face, too: nothing was recast there yet."""
    if len(steps.chosen(state)) >= len(people_store.there(state.shot.scan)):
        return False
    name = Path(state.shot.scan.folder).name
    records = [strip.get(STRIP_RECORD) for strip in compat.all_strips(state.id_data)]
    return all(record is None or record.get("scan") != name for record in records)


def is_open(folds: UnderstudyFolds, step: str) -> bool:
    """Whether a step is drawn whole."""
    opened = _in_hand_here()
    by_itself = step in opened or (step == "preview" and bpy.context.window_manager.understudy.show)
    return by_itself != (step in _toggled(folds, opened))


def _in_hand_here() -> set[str]:
    scene = compat.sequencer_scene(bpy.context)
    return in_hand(scene.understudy if scene else None)


def _toggled(folds: UnderstudyFolds, opened: set[str]) -> set[str]:
    return set(folds.toggled.split()) if folds.at == " ".join(sorted(opened)) else set()


def _fold(step: str) -> Any:
    def get(folds: UnderstudyFolds) -> bool:
        return is_open(folds, step)

    def put(folds: UnderstudyFolds, wanted: bool) -> None:
        if wanted != is_open(folds, step):
            opened = _in_hand_here()
            toggled = _toggled(folds, opened) ^ {step}
            folds.at, folds.toggled = " ".join(sorted(opened)), " ".join(sorted(toggled))

    return BoolProperty(name="Open", description="Whether this step is drawn whole", get=get, set=put)


class UnderstudyFolds(bpy.types.PropertyGroup):
    """Which steps of the tab the user opened or closed."""

    at: StringProperty(options={"SKIP_SAVE"}, description="The steps that were in hand then")
    toggled: StringProperty(options={"SKIP_SAVE"}, description="The steps that were opened or closed")
    footage: BoolProperty(name="Open", description="Whether all that is known of the footage is shown")
    range: _fold("range")
    people: _fold("people")
    identities: _fold("identities")
    preview: _fold("preview")
    train: _fold("train")
    curve: _fold("curve")
    convert: _fold("convert")
    voice: _fold("voice")


def register() -> None:
    """Give the window its folds."""
    bpy.utils.register_class(UnderstudyFolds)
    bpy.types.WindowManager.understudy_folds = PointerProperty(type=UnderstudyFolds)


def unregister() -> None:
    """Take them away again."""
    del bpy.types.WindowManager.understudy_folds
    bpy.utils.unregister_class(UnderstudyFolds)
