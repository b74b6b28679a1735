"""What a refiner may change of a draft, and what its training shows it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from understudy.engine.model.draft.filters import light, luma
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.networks.refiner_network import FEATURES, KEPT, LIGHT_WIDTH, Refiner
from understudy.engine.model.training import dataset
from understudy.engine.model.training.stray_hair import HAIR_NUMBERS, with_hair
from understudy.engine.model.training.trainer import canonical_shape
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def drawn(carphone_faces: Any, astronaut_faces: Any) -> tuple[list[dataset.TrainingSet], torch.Tensor]:
    """Two people at 64 pixels, and the canonical face."""
    sets = [carphone_faces, astronaut_faces]
    return [dataset.make_training_set(s, make_views(s, CPU), 64, Silent()) for s in sets], canonical_shape(sets)


@torch.no_grad()
def test_a_refiner_leaves_eyes_and_mouth_and_the_light_to_the_draft(
    drawn: tuple[list[dataset.TrainingSet], torch.Tensor],
) -> None:
    materials, shape = drawn
    draws = dataset.draw(materials, [(0, 6)], 0, torch.Generator().manual_seed(1))
    inputs, *_ = dataset.render(materials, draws, shape)
    torch.manual_seed(1)
    network = Refiner(1, 8)
    head = network.decoders[0].get_submodule("head")
    assert isinstance(head, torch.nn.Conv2d) and head.bias is not None
    head.bias[:12] = 1.0  # three channels, folded two by two: a picture that is brighter throughout
    (result,) = network([inputs])
    assert result is not None
    change = result.face - inputs[:, :3]
    inside = inputs[:, -1:]
    kept = inputs[:, KEPT] > 0.999
    assert kept.sum() > 50 and change.abs().mul(kept).max() < 5e-4
    skin = inside * (1 - inputs[:, FEATURES]) * (1 - inputs[:, KEPT])
    deep = (light(skin, torch.ones_like(skin), LIGHT_WIDTH) > 0.97) & (luma(inputs[:, :3]) < 0.7)
    features = (inputs[:, FEATURES] > 0.99) & (inputs[:, KEPT] < 0.01) & (inside > 0.5)
    assert deep.sum() > 50 and features.sum() > 50
    brighter = luma(change)
    assert brighter[features].mean() > 0.1  # lips and brows may change
    assert brighter[deep].abs().mean() < 0.01  # plain skin keeps its light


def test_hair_lies_over_some_drafts_and_darkens_their_upper_rim(
    drawn: tuple[list[dataset.TrainingSet], torch.Tensor],
) -> None:
    materials, _ = drawn
    rows = torch.arange(40) % len(materials[0].maps)
    target = dataset.geometry(materials[0].views.landmarks[rows], materials[0].maps[rows])
    face = 0.6 * target.inside.expand(-1, 3, -1, -1)
    assert torch.equal(with_hair(face, target, torch.zeros(40, HAIR_NUMBERS)), face)
    spoiled = with_hair(face, target, torch.randn(40, HAIR_NUMBERS, generator=torch.Generator().manual_seed(2)))
    darker = (face - spoiled).mean(1)
    touched = darker.amax((1, 2)) > 0.1
    assert 5 <= touched.sum() <= 20 and darker.min() >= -1e-6
    assert (spoiled * (1 - target.inside)).abs().max() == 0
    rows_below = torch.arange(64)[:, None] > target.points[:, 1, 1][:, None, None]  # lower than the nose's tip
    assert (darker * ~rows_below).sum() > 3 * (darker * rows_below).sum()


def test_no_draft_is_made_from_the_frame_that_is_its_truth(
    drawn: tuple[list[dataset.TrainingSet], torch.Tensor],
) -> None:
    materials, _ = drawn
    count = len(materials[0].maps)
    draws = dataset.draw(materials, [(0, 400)], 0, torch.Generator().manual_seed(3))
    assert not (draws.choice % count == draws.frame[:, None]).any()
    candidates = materials[0].candidates[draws.frame]
    fitting = (draws.choice[:, :1] == candidates).any(1)
    assert 0.6 < fitting.float().mean() < 0.95  # the others are any views of the person
    assert not set((draws.choice % count).flatten().tolist()) & set(materials[0].held.tolist())
