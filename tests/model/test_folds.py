"""The folds of a performance: they come along, what the source's own view brings does not, and nobody's looks do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine.model.draft.folds import CALM, SIDE, RestFace, fold_ratio, rest_face
from understudy.engine.model.draft.mesh_raster import Geometry
from understudy.engine.model.draft.texture import carried
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.recast import target_geometry

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rest(carphone_faces: Any) -> RestFace:
    found = rest_face(make_views(carphone_faces, CPU))
    assert found is not None
    return replace(found, trust=1.0)


@pytest.fixture(scope="module")
def target(carphone_faces: Any) -> Geometry:
    straight = int(np.abs(carphone_faces.landmarks[:, 4, 0] - carphone_faces.landmarks[:, 152, 0]).argmin())
    scale = SIDE / carphone_faces.size
    return target_geometry(carphone_faces.landmarks[straight][None] * np.float32(scale), SIDE, CPU)


def furrowed(picture: torch.Tensor, target: Geometry, vertex: int, dark: float) -> tuple[torch.Tensor, tuple[int, int]]:
    """A picture with a furrow, as broad as the one beside a mouth, at a vertex, and where it is."""
    x, y = target.points[0, vertex].round().int().tolist()
    across = torch.arange(SIDE) - x
    down = torch.arange(SIDE) - y
    fold = torch.exp(-(across[None] ** 2) / 8.0) * torch.exp(-(down[:, None] ** 2) / 50.0)
    return picture * (1 - dark * fold), (y, x)


def test_a_fold_of_the_target_comes_along_and_one_that_a_view_brings_goes(rest: RestFace, target: Geometry) -> None:
    calm, seen = carried(target, rest.fused, 1)
    known = torch.ones_like(seen)
    assert (fold_ratio(target, calm, known, calm, rest, rest) - 1).abs().max() < 1e-5
    for cheek in (205, 425):
        folded, (y, x) = furrowed(calm, target, cheek, 0.3)
        ratio = fold_ratio(target, folded, known, calm, rest, rest)[0, 0]
        assert 0.78 < ratio[y, x] < 0.93
        assert (ratio[y - 20 : y - 14, x] - 1).abs().max() < 0.05
        away = fold_ratio(target, calm, known, folded, rest, rest)[0, 0]
        assert 1.02 < away[y, x] < 1.15
        both = fold_ratio(target, folded, known, folded, rest, rest)[0, 0]
        assert (both - 1).abs().max() < 1e-5


def test_what_is_no_skin_or_not_known_keeps_its_shading(rest: RestFace, target: Geometry) -> None:
    calm, seen = carried(target, rest.fused, 1)
    folded, (y, x) = furrowed(calm, target, 205, 0.3)
    hidden = torch.ones_like(seen)
    hidden[..., x - 12 : x + 13] = 0
    assert fold_ratio(target, folded, hidden, calm, rest, rest)[0, 0, y, x] == 1
    ratio = fold_ratio(target, folded, torch.ones_like(seen), calm, rest, rest)
    assert (ratio[target.inside == 0] == 1).all()
    for vertex in (159, 386, 13, 105):  # lids, lips, a brow
        x, y = target.points[0, vertex].round().int().tolist()
        assert abs(float(ratio[0, 0, y, x]) - 1) < 0.02


def test_who_is_never_at_rest_tells_of_no_folds(carphone_faces: Any) -> None:
    views = make_views(carphone_faces, CPU)
    low, high = CALM
    known = {away: rest_face(replace(views, neutral=views.neutral._replace(away=away))) for away in (low, high, 0.06)}
    assert known[low] is not None and known[low].trust == 1
    assert known[high] is None
    assert known[0.06] is not None and 0.3 < known[0.06].trust < 0.7
