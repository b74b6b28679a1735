"""Where the mesh does not hold: the recast face gives way to the footage's own, and nothing jumps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine.convert.plan import make_plan
from understudy.engine.convert.profile_fade import FADE_FRAMES, fade_opacity
from understudy.engine.convert.render import Work, recast_still
from understudy.engine.convert.source_identities import load_sources
from understudy.engine.media.reader import read_frames
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import ConvertSettings, Identity, Material, Swap
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


def test_a_face_fades_towards_frames_on_which_the_mesh_fails() -> None:
    assert (fade_opacity(np.arange(9), np.array([], int)) == 1).all()
    shown = fade_opacity(np.arange(30), np.arange(30, 35))
    assert (shown[: 30 - FADE_FRAMES] == 1).all() and (np.diff(shown[29 - FADE_FRAMES :]) < 0).all()
    assert shown[-1] < 0.1 and np.abs(np.diff(shown)).max() < 0.25


@pytest.fixture(scope="module")
def turned_away(carphone_scan: Any) -> Any:
    """The man in the car, the mesh lost on him in frames 20 to 25."""
    score = carphone_scan.score.copy()
    score[(carphone_scan.frame >= 20) & (carphone_scan.frame < 26)] = 0
    return replace(carphone_scan, score=score)


def test_a_recast_face_leaves_and_comes_back_without_a_jump(
    tmp_path: Path, turned_away: Any, astronaut_folder: Path
) -> None:
    woman = Identity(name="woman", material=[Material(scan=str(astronaut_folder), person=0)])
    prepare(tmp_path, [woman], "draft", Silent())
    sources = load_sources(tmp_path, {"woman"}, CPU, use_refiner=False)
    plan = make_plan(turned_away, [Swap(person=0, identity="woman")], sources, ConvertSettings())
    assert not any(frame in plan for frame in range(20, 26))
    work = Work(plan, sources, CPU)
    change = {}
    for frame in read_frames(Path(turned_away.clip.path), 10, 28):
        picture, matte = recast_still(frame, work)
        change[frame.index] = np.abs(picture.astype(float) - frame.rgb).mean()
        assert matte.any() == (frame.index in plan)
    assert change[20] == change[25] == 0 < change[19] < 0.25 * change[11]
    steps = np.abs(np.diff([change[index] for index in range(11, 21)]))
    assert steps.max() < 0.5 * change[11]  # with no fade it would be all of it at once
