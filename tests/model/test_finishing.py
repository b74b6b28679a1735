"""What faces are told beyond their pixels: by the recognition network, and by a critic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from understudy.engine.faces.networks.dlib import FaceNet
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.model_folder import SCHEMA, ModelCard, read_card
from understudy.engine.model.networks import losses, perceptual_losses, refiner_network
from understudy.engine.model.training import checkpoints, training_step
from understudy.engine.model.training.dataset import TrainingSet, make_training_set
from understudy.engine.model.training.trainer import canonical_shape
from understudy.engine.protocol import TrainSettings
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
BOTH = TrainSettings(likeness=True, adversarial=True)
CARD = ModelCard(schema=SCHEMA, preset="quick", identities=["man", "woman"], material=[[], []], settings=BOTH)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))
    monkeypatch.setattr(perceptual_losses, "ADVERSARIAL_STEPS", (2, 6))  # an even one: they look at every second step
    monkeypatch.setattr(perceptual_losses, "LIKENESS_STEPS", (0, 1))


@pytest.fixture
def materials(small: None, carphone_faces: Any, astronaut_faces: Any) -> list[TrainingSet]:
    return [make_training_set(s, make_views(s, CPU), 64, Silent()) for s in (carphone_faces, astronaut_faces)]


@pytest.fixture
def network(carphone_folder: Path) -> FaceNet:
    found = perceptual_losses.make_perceptual(TrainSettings(likeness=True), 8, CPU).likeness
    assert found is not None
    return found


def faces_of(faceset: Any, rows: list[int]) -> torch.Tensor:
    return torch.from_numpy(faceset.pixels[rows]).permute(0, 3, 1, 2).float() / 255


def test_a_likeness_is_nothing_for_the_same_and_most_for_somebody_else(
    network: FaceNet, carphone_faces: Any, astronaut_faces: Any
) -> None:
    man, later = (perceptual_losses.chip(faces_of(carphone_faces, [row])) for row in (0, 2))
    woman = perceptual_losses.chip(faces_of(astronaut_faces, [0]))
    assert man.shape == (1, 3, 150, 150) and man.max() > 100
    same, near, far = (losses.likeness_loss(network, man, other) for other in (man, later, woman))
    assert same.shape == (1,) and same.abs().item() < 1e-6
    assert 0 < near.item() < far.item() / 2
    with torch.inference_mode():
        known = network(torch.cat([man, later, woman]))
    assert (known[0] - known[1]).norm() < 0.5 < (known[0] - known[2]).norm()  # so the crop is one it is used to


def test_a_step_along_a_likeness_brings_the_face_nearer(network: FaceNet, carphone_faces: Any) -> None:
    truth = faces_of(carphone_faces, [0])
    face = torch.nn.functional.avg_pool2d(truth, 9, 1, 4).requires_grad_()
    before = losses.likeness_loss(network, perceptual_losses.chip(face), perceptual_losses.chip(truth)).sum()
    torch.autograd.backward(before)
    assert face.grad is not None and face.grad.isfinite().all() and face.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())
    with torch.no_grad():
        nearer = face - 0.5 * face.grad / face.grad.norm()
        assert (
            losses.likeness_loss(network, perceptual_losses.chip(nearer), perceptual_losses.chip(truth)).sum() < before
        )


def test_a_critic_learns_to_tell_blur_from_skin(carphone_faces: Any) -> None:
    torch.manual_seed(0)
    truth = faces_of(carphone_faces, [0, 1, 2, 3])
    blurred = torch.nn.functional.avg_pool2d(truth, 5, 1, 2)
    critic = perceptual_losses.Critic(8)
    optimiser = torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.0, 0.99))
    cover = torch.ones(4, 1, truth.shape[-1] // 8, truth.shape[-1] // 8)
    assert critic(truth).shape == cover.shape
    for _ in range(30):
        optimiser.zero_grad()
        torch.autograd.backward(losses.critic_loss(critic(blurred), critic(truth), cover).mean())
        optimiser.step()
    told, wanted = (losses.adversarial_loss(critic(x), cover) for x in (blurred, truth))
    assert (told > wanted + 0.1).all()  # the loss is what the critic does not believe


def test_a_critic_looks_only_where_the_face_is(carphone_faces: Any) -> None:
    scores = torch.randn(2, 1, 8, 8)
    cover = torch.zeros(2, 1, 8, 8)
    cover[..., 2:4, 2:4] = 1
    inside = scores.clone()
    inside[..., 6:, 6:] += 100
    assert torch.equal(losses.adversarial_loss(scores, cover), losses.adversarial_loss(inside, cover))
    assert torch.allclose(losses.adversarial_loss(scores, cover), -scores[..., 2:4, 2:4].mean((1, 2, 3)), atol=1e-5)


def test_weights_rise_by_themselves() -> None:
    assert [perceptual_losses.ramp(step, (200, 600)) for step in (0, 199, 399, 599, 9999)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    alone = perceptual_losses.make_perceptual(TrainSettings(adversarial=True), 8, CPU)
    first = perceptual_losses.ADVERSARIAL_STEPS[0]
    assert (
        not perceptual_losses.perceptual_due(alone, first - 2)
        and perceptual_losses.perceptual_due(alone, first)
        and not perceptual_losses.perceptual_due(alone, first + 1)
    )
    assert not perceptual_losses.perceptual_due(perceptual_losses.make_perceptual(TrainSettings(), 8, CPU), first)


def test_a_training_with_both_goes_on_along_the_same_curve(
    tmp_path: Path, materials: list[TrainingSet], carphone_faces: Any
) -> None:
    shape = canonical_shape([carphone_faces])
    steady, broken = (checkpoints.new_training_for(CARD, CPU) for _ in range(2))
    plain = training_step.new_training(2, 8, CPU)
    curve, alone = ([training_step.step(s, materials, shape, Silent()) for _ in range(9)] for s in (steady, plain))
    assert torch.allclose(curve[0], alone[0])
    pairs = zip(steady.refiner.parameters(), plain.refiner.parameters(), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) > 1e-4  # it learned something else
    for _ in range(5):
        training_step.step(broken, materials, shape, Silent())
    checkpoints.save_checkpoint(tmp_path, CARD, broken)
    assert read_card(tmp_path).settings == BOTH
    resumed = checkpoints.resume(tmp_path, CARD, CPU)
    assert resumed is not None and resumed.finishing.optimiser and resumed.finishing.optimiser.state
    again = [training_step.step(resumed, materials, shape, Silent()) for _ in range(4)]
    assert torch.allclose(torch.stack(again), torch.stack(curve[5:]), rtol=1e-4)
    critics = [s.finishing.critic for s in (steady, resumed, broken)]
    assert critics[0] and critics[1] and critics[2]
    for a, b in zip(critics[0].state_dict().values(), critics[1].state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    before, after = (next(c.parameters()) for c in (critics[2], critics[1]))
    assert not torch.equal(before, after)  # it learns
    dropped = checkpoints.resume(tmp_path, replace(CARD, settings=TrainSettings()), CPU)
    assert dropped is not None and dropped.finishing.critic is None and dropped.step == 5
