"""Eyes that look where the target's look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine.faces.geometry.topology import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from understudy.engine.model.draft import views as module
from understudy.engine.model.draft.gaze import irises
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.draft.warp import warp
from understudy.engine.model.model_folder import facesets, prepare
from understudy.engine.model.recast import target_geometry
from understudy.engine.protocol import Identity, Material
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


def test_irises_lie_between_the_corners_of_their_eyes(astronaut_faces: Any) -> None:
    found = irises(astronaut_faces.pixels, astronaut_faces.landmarks, CPU)
    assert found is not None and found.shape == (1, 2, 2)
    for iris, (outer, inner) in zip(found[0], (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS), strict=True):
        first, second = astronaut_faces.landmarks[0, [outer, inner], :2]
        along = (iris - first) @ (second - first) / ((second - first) ** 2).sum()
        assert 0.2 < along < 0.8


def test_irises_are_measured_once_and_kept_with_the_faces(
    tmp_path: Path, carphone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    man = Identity(name="man", material=[Material(scan=str(carphone_folder), person=0)])
    (faceset,) = facesets(tmp_path, prepare(tmp_path, [man], "draft", Silent()))
    measured = irises(faceset.pixels, faceset.landmarks, CPU)
    assert measured is not None and faceset.irises is not None
    np.testing.assert_allclose(faceset.irises, measured, atol=1e-3)
    coarse = np.arange(len(faceset)) < 2
    assert np.array_equal(replace(faceset, coarse=coarse).measured().irises, faceset.irises[2:])

    def never(*arguments: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "irises", never)
    seen = make_views(faceset, CPU).irises
    assert seen is not None and np.array_equal(seen.numpy(), faceset.irises)
    with pytest.raises(AssertionError, match="again"):
        make_views(replace(faceset, irises=None), CPU)  # a faceset of before they were kept


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_iris_comes_to_lie_where_it_is_wanted(astronaut_faces: Any, mirrored: bool) -> None:
    """A portrait looks aside: its pixels, marked by their place, are read where the iris is."""
    size = astronaut_faces.size
    views = make_views(astronaut_faces, CPU)
    assert views.irises is not None
    landmarks = astronaut_faces.landmarks
    if mirrored:
        from understudy.engine.faces.geometry import align

        landmarks = align.mirrored(landmarks, size).astype(np.float32)
    own = (
        views.irises[0].flip(0) * torch.tensor([-1.0, 1.0]) + torch.tensor([size, 0.0]) if mirrored else views.irises[0]
    )
    wanted = (own + torch.tensor([2.0, 0.0]))[None]
    spot = torch.zeros_like(views.pixels)
    for x, y in views.irises[0].round().long().tolist():
        spot[0, :3, y - 1 : y + 1, x - 1 : x + 1] = 255
    spot[:, 3] = 255
    marked = type(views)(**{**vars(views), "pixels": spot})
    target = target_geometry(landmarks, size, CPU)
    choice = torch.tensor([1 if mirrored else 0])
    still, turned = (warp(target, marked, choice, None, gaze)[0][0, 0] for gaze in (None, wanted))
    for eye in range(2):
        x, y = wanted[0, eye].round().long().tolist()
        near = (slice(y - 2, y + 2), slice(x - 1, x + 1))
        assert turned[near].max() > 0.6 > still[near].max() - 0.2
        assert turned[near].sum() > 1.3 * still[near].sum()
