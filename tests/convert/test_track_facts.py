"""A target's spectacles stay over the new face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from understudy.engine.convert.plan import make_plan
from understudy.engine.convert.render import Work, recast_still
from understudy.engine.convert.source_identities import load_sources
from understudy.engine.convert.track_facts import learn_tracks
from understudy.engine.faces.geometry.align import hull_mask
from understudy.engine.media.reader import read_frames
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import ConvertSettings, Identity, Material, Swap
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


def test_a_targets_spectacles_stay_whole_and_what_is_seen_through_them_is_recast(
    tmp_path: Path, astronaut_scan: Any, carphone_folder: Path, wearing: Any
) -> None:
    picture = next(iter(read_frames(Path(astronaut_scan.clip.path)))).rgb
    face = astronaut_scan.landmarks[0]
    drawn, wires, lenses = wearing(picture, face, width=0.01, tone=110)
    path = tmp_path / "worn.png"
    cv2.imwrite(str(path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    material = [Material(scan=str(carphone_folder), person=0)]
    prepare(tmp_path / "m", [Identity(name="man", material=material)], "draft", Silent())
    sources = load_sources(tmp_path / "m", {"man"}, CPU, use_refiner=False)
    settings = ConvertSettings(shape=0.0, match_grain=False)
    plan = make_plan(astronaut_scan, [Swap(person=0, identity="man")], sources, settings)
    track = int(astronaut_scan.track[0])
    worn = learn_tracks(path, plan, [0], sources, CPU)
    assert worn[track].spectacles is not None
    assert learn_tracks(path, plan, [0], sources, CPU, spectacles=False)[track].spectacles is None
    assert learn_tracks(Path(astronaut_scan.clip.path), plan, [0], sources, CPU)[track].spectacles is None
    frame = next(iter(read_frames(path)))
    hull = cv2.erode(hull_mask(face, len(picture)), np.ones((15, 15)))  # the picture is square
    rims = wires & (hull > 127)
    changed = {}
    for name, known in (("frame by frame", {}), ("track", worn)):
        recast, _ = recast_still(frame, Work(plan, sources, CPU, tracks=known))
        changed[name] = np.abs(recast.astype(float) - drawn).max(2)
    assert (changed["track"][rims] < 25).mean() > 0.9 > (changed["frame by frame"][rims] < 25).mean()
    assert changed["track"][lenses].mean() > 8
