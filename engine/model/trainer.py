"""Training the refiner by self-reenactment: a person's frames, warped onto another of their own, must become it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import DataError, Stopped
from ..faces.align import unposed
from ..faces.faceset import Faceset
from ..protocol import Preset
from ..reporter import Reporter
from .draft import draft
from .folder import ModelCard, facesets, load_tensors, save_tensors, write_card
from .losses import face_loss, mask_loss
from .mesh import geometry, spread, triangle_map
from .networks import SIZES, Refiner, refiner_input
from .precision import autocast
from .preview import save_preview
from .views import EXPRESSIVE_VERTICES, Views, fit_cost, make_views

BATCH = 8
"""Faces of each identity in one step."""
CANDIDATES = 24
"""Views among which a frame's warp is drawn: like those that conversion would choose, never its own neighbours."""
NEIGHBOURS = 12
"""Frames before and after that are too alike to learn from."""
JITTER = 0.003
"""How far warps are led astray, in crop sides: conversion warps onto other people's faces, which never fit so well
as a person's own."""
ENOUGH, OWN_SHARE = 100, (0.25, 0.5)
"""Part of a decoder's batch is borrowed from the model's other people (the draft says whose face it is), or it learns
one person's usual face by heart and shows that where another performance calls for more. The shares of its own are
those of a single picture and of this many faces."""
CHECKPOINT_SECONDS = 30.0
PREVIEW_SECONDS = 20.0
LEARNING_RATE = 1e-3
WARM_UP = 30
DETAIL_WEIGHT = 3.0
"""Eyes, brows and lips count this much more than skin."""


@dataclass(frozen=True)
class Material:
    """One identity on the device at the network's size S, ready to be sampled.

    The truth for frame j is view j: `views.pixels[j]`. maps (N, S, S) int16; candidates (N, K) int64 views;
    weights (N,) chance of each frame, rare poses raised; jitter in pixels, how far warps are led astray.
    """

    views: Views
    maps: torch.Tensor
    candidates: torch.Tensor
    weights: torch.Tensor
    jitter: float


@dataclass
class Training:
    """Everything that a checkpoint keeps."""

    refiner: Refiner
    optimiser: torch.optim.AdamW
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0


def canonical_shape(sets: list[Faceset]) -> torch.Tensor:
    """The mean face of a model's people, straight ahead, about -1..1: (468, 3) float32."""
    return torch.from_numpy(np.mean([np.median(unposed(s.landmarks), 0) for s in sets], 0).astype(np.float32) / 2)


def make_material(faceset: Faceset, views: Views, size: int, report: Reporter) -> Material:
    """Put one identity on the device: raster its geometry, and find what each frame may be warped from."""
    count, scale, device = len(faceset), size / faceset.size, views.pixels.device
    landmarks = (faceset.landmarks * scale).astype(np.float32)
    maps = np.empty((count, size, size), np.int16)
    for index, face in enumerate(landmarks):
        report.check()
        maps[index] = triangle_map(face, size)

    def reduced(stack: torch.Tensor) -> torch.Tensor:
        parts = [
            F.interpolate(p.float(), size=(size, size), mode="area").round().byte() for p in torch.split(stack, 64)
        ]
        return torch.cat(parts)

    return Material(
        views=replace(
            views, pixels=reduced(views.pixels), landmarks=torch.from_numpy(landmarks[..., :2].copy()).to(device)
        ),
        maps=torch.from_numpy(maps).to(device),
        candidates=torch.from_numpy(find_candidates(faceset, views)).to(device),
        weights=torch.from_numpy(pose_weights(views.pose[:count])),
        jitter=size * JITTER,
    )


def find_candidates(faceset: Faceset, views: Views) -> np.ndarray:
    """For each frame the views that fit it best, not counting its own neighbours in time: (N, K) int64."""
    count = len(faceset)
    cost = fit_cost(views.pose[:count], views.expression[:count], views)
    near = (faceset.shot[:, None] == faceset.shot) & (abs(faceset.frame[:, None] - faceset.frame) <= NEIGHBOURS)
    np.fill_diagonal(near, True)
    cost += 1e6 * np.concatenate([near, near], 1)  # last resort where a faceset holds nothing else
    keep = min(CANDIDATES, max(1, 2 * count - 1))
    chosen = np.argpartition(cost, keep - 1, axis=1)[:, :keep]
    best = np.take_along_axis(cost, chosen, 1)
    # where fewer good ones are there than wanted, repeat the best
    return np.where(best < 1e6, chosen, chosen[np.arange(count), best.argmin(1)][:, None])


def pose_weights(pose: np.ndarray) -> np.ndarray:
    """Chance of each frame (N,) float32, sum 1: the square root of what would even out 10° cells of pose."""
    _, cell, size = np.unique(np.floor(pose / 10), axis=0, return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(size[cell.reshape(-1)])
    return (weight / weight.sum()).astype(np.float32)


def sample(
    material: Material, shape: torch.Tensor, generator: torch.Generator, batch: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw a batch: refiner input, truth (B, 3, S, S) RGB 0..1, mask and loss weight (B, 1, S, S)."""
    device = material.maps.device

    def uniform(*size: int) -> torch.Tensor:
        return torch.rand(*size, generator=generator).to(device)

    j = torch.multinomial(material.weights, batch, replacement=True, generator=generator).to(device)
    pick = torch.randint(material.candidates.shape[1], (batch, 2), generator=generator).to(device)
    choice = material.candidates[j].gather(1, pick)
    view = material.views.pixels[j].float() / 255
    truth, mask = _relit(view[:, :3], uniform), view[:, 3:]
    target = geometry(material.views.landmarks[j], material.maps[j])
    bend = torch.cat([torch.ones_like(shape[:, :1]), shape, shape[:, :2] ** 2, shape[:, :1] * shape[:, 1:2]], 1)
    shift = bend @ (material.jitter * torch.randn(batch, bend.shape[1], 2, generator=generator).to(device))
    inputs = refiner_input(
        target,
        draft(target, truth, material.views, choice, shift),
        truth,
        shape,
    )
    importance = torch.ones(1, len(shape), 1, device=device)
    importance[:, EXPRESSIVE_VERTICES] = DETAIL_WEIGHT
    weight = spread(target, importance.expand(batch, -1, -1)) * mask
    if float(torch.rand((), generator=generator)) < 0.5:  # drawn on the CPU: no waiting for the device
        inputs, truth, mask, weight = (x.flip(3) for x in (inputs, truth, mask, weight))
        inputs = torch.cat([inputs[:, :12], -inputs[:, 12:13], inputs[:, 13:]], 1)  # x of the canonical face
    return inputs, truth, mask, weight


def _relit(picture: torch.Tensor, uniform: Any) -> torch.Tensor:
    """The same face in another exposure, white balance and contrast; now and then without colour."""
    batch = len(picture)
    gain = 1 + (uniform(batch, 1, 1, 1) - 0.5) * 0.5 + (uniform(batch, 3, 1, 1) - 0.5) * 0.16
    offset = (uniform(batch, 1, 1, 1) - 0.5) * 0.12
    grey = picture.mean(1, keepdim=True)
    colour = torch.where(uniform(batch, 1, 1, 1) < 0.1, torch.zeros(()), 0.6 + 0.6 * uniform(batch, 1, 1, 1))
    return ((grey + (picture - grey) * colour) * gain + offset).clamp(0, 1)


def train(folder: Path, card: ModelCard, minutes: float, device: torch.device, report: Reporter) -> ModelCard:
    """Train until the model has had `minutes` of training in all; returns the model's new card.

    Goes on from the folder's checkpoint. A checkpoint is written every half minute, at the end, and when
    the reporter's `check` raises Stopped (which is then passed on).
    """
    torch.set_flush_denormal(True)
    size, width = SIZES[card.preset]
    sets = facesets(folder, card)
    report.progress(0.0, "Preparing the faces for training")
    views = [make_views(s, device) for s in sets]
    materials = [make_material(s, v, size, report) for s, v in zip(sets, views, strict=True)]
    shape = canonical_shape(sets).to(device)
    training = resume(folder, card, device) or begin(len(sets), width, device)
    limit = 60 * minutes
    begun = last_checkpoint = last_preview = last_told = time.monotonic()
    before = training.seconds
    report.log(f"Training at step {training.step}, {before / 60:.1f} of {minutes:g} minutes done")
    losses: dict[str, torch.Tensor] = {}
    card = _keep(folder, card, training)
    try:
        while training.seconds < limit:
            report.check()
            losses = _step(training, card, materials, shape, training.seconds / limit)
            now = time.monotonic()
            training.seconds = before + now - begun
            if now - last_told > 0.5:
                last_told = now
                report.loss(training.step, {name: value.item() for name, value in losses.items()})
                report.progress(min(1.0, training.seconds / limit), f"Training, step {training.step}")
            if now - last_checkpoint > CHECKPOINT_SECONDS:
                last_checkpoint = now
                card = _keep(folder, card, training)
            if now - last_preview > PREVIEW_SECONDS:
                last_preview = now
                save_preview(folder, card, sets, views, training.refiner, shape, report)
                report.log(f"step {training.step}, " + ", ".join(f"{n} {v.item():.4f}" for n, v in losses.items()))
    except Stopped:
        with contextlib.suppress(DataError):
            _keep(folder, card, training)
        raise
    card = _keep(folder, card, training)
    save_preview(folder, card, sets, views, training.refiner, shape, report)
    return card


def _step(
    training: Training, card: ModelCard, materials: list[Material], shape: torch.Tensor, done: float
) -> dict[str, torch.Tensor]:
    """One step for all identities; `done` 0..1 sets the rate: warm up, hold, come down over the last half."""
    rate = LEARNING_RATE * min(1.0, (training.step + 1) / WARM_UP) * min(1.0, max(0.03, 2 * (1 - done)))
    for group in training.optimiser.param_groups:
        group["lr"] = rate
    own = [own_share(len(m.views)) if len(materials) > 1 else BATCH for m in materials]
    drawn = [_draw(number, n, materials, shape, training.generator) for number, n in enumerate(own)]
    with autocast(shape.device):
        results = training.refiner([d[0] for d in drawn])
    losses: dict[str, torch.Tensor] = {}
    total = torch.zeros((), device=shape.device)
    for name, result, n, (_, truth, mask, weight) in zip(card.identities, results, own, drawn, strict=True):
        assert result is not None
        face, logits = result
        loss = face_loss(face, truth, weight)
        losses[name] = loss[:n].mean().detach()
        total = total + loss.mean() + 0.1 * mask_loss(logits[:n], mask[:n]).mean()
    training.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(total)
    torch.nn.utils.clip_grad_norm_(training.refiner.parameters(), 1.0)
    training.optimiser.step()
    training.step += 1
    return losses


def own_share(count: int) -> int:
    """How many of a decoder's batch are of its own identity, which has `count` faces."""
    low, high = OWN_SHARE
    return round(BATCH * (low + (high - low) * min(1.0, count / ENOUGH)))


def _draw(
    number: int, own: int, materials: list[Material], shape: torch.Tensor, generator: torch.Generator
) -> list[torch.Tensor]:
    """`sample` for one decoder: `own` of its own identity first, the rest from the others in turn."""
    parts = [sample(materials[number], shape, generator, own)]
    others = materials[:number] + materials[number + 1 :]
    if own < BATCH:
        lender = others[int(torch.randint(len(others), (1,), generator=generator))]
        parts.append(sample(lender, shape, generator, BATCH - own))
    return [torch.cat(columns) for columns in zip(*parts, strict=True)]


def begin(identities: int, width: int, device: torch.device) -> Training:
    """A new training; the same seed every time."""
    torch.manual_seed(0)
    refiner = Refiner(identities, width).to(device)
    refiner = refiner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    return Training(refiner, _optimiser(refiner), torch.Generator().manual_seed(0))


def _optimiser(refiner: Refiner) -> torch.optim.AdamW:
    return torch.optim.AdamW(refiner.parameters(), LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)


def _keep(folder: Path, card: ModelCard, training: Training) -> ModelCard:
    """Write the checkpoint, the weights for conversion, and the card, in that order.

    Raises DataError, and leaves the last good ones, when the network went astray.
    """
    if not all(bool(torch.isfinite(p).all()) for p in training.refiner.parameters()):
        raise DataError("Training went astray (the network is no number). Start again: it goes on from its checkpoint.")
    weights = training.refiner.state_dict()
    tensors = {f"model.{k}": v for k, v in weights.items()}
    names = {id(p): n for n, p in training.refiner.named_parameters()}
    for parameter, state in training.optimiser.state.items():
        for key, value in state.items():
            tensors[f"optimiser.{key}.{names[id(parameter)]}"] = value
    tensors["generator"] = training.generator.get_state()
    facts = {"schema": 1, "preset": card.preset, "step": training.step, "seconds": training.seconds}
    save_tensors(folder / "checkpoint.safetensors", tensors, facts)
    if training.step:
        save_tensors(folder / "weights.safetensors", weights, facts)
    card = ModelCard(
        schema=card.schema,
        preset=card.preset,
        identities=card.identities,
        material=card.material,
        steps=training.step,
        minutes=round(training.seconds / 60, 3),
    )
    write_card(folder, card)
    return card


def resume(folder: Path, card: ModelCard, device: torch.device) -> Training | None:
    """The training as its last checkpoint left it, or None where there is none. Raises DataError when damaged."""
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        return None
    tensors, facts = load_tensors(path)
    preset: Preset = card.preset
    training = begin(len(card.identities), SIZES[preset][1], device)
    try:
        training.refiner.load_state_dict(
            {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        )
        for name, parameter in training.refiner.named_parameters():
            if f"optimiser.step.{name}" in tensors:
                # in the parameter's own memory layout: the fused optimiser walks them side by side
                state = {k: tensors[f"optimiser.{k}.{name}"] for k in ("exp_avg", "exp_avg_sq")}
                if any(v.shape != parameter.shape for v in state.values()):
                    raise ValueError(f"{name} has another shape")
                training.optimiser.state[parameter] = {
                    "step": tensors[f"optimiser.step.{name}"].to(parameter.device, copy=True),
                    **{k: torch.empty_like(parameter).copy_(v) for k, v in state.items()},
                }
        training.generator.set_state(tensors["generator"])
        training.step, training.seconds = int(facts["step"]), float(facts["seconds"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not fit this model ({error}). Delete it to train anew.") from None
    return training
