"""What a training reads: one identity's faces on the device, what is held out of them, and the drawing of batches.

A batch is drawn in two parts. `draw` takes the random numbers, on the CPU, once, so that a resumed run, a run
in smaller parts and a run on several devices see the very same batches; `render` makes pictures of any part of
what was drawn, on the device.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F

from ...faces.facesets.faceset import Faceset
from ...reporter import Reporter
from ..draft.draft import draft
from ..draft.filters import blur
from ..draft.mesh_raster import Geometry, geometry, spread, triangle_map
from ..draft.relight import tone
from ..draft.shape import displacements
from ..draft.views import EXPRESSIVE_VERTICES, fit_cost
from ..draft.warp import Views, take, warp
from ..networks.refiner_network import mirrored_input, refiner_input
from .stray_hair import HAIR_NUMBERS, with_hair

CANDIDATES = 32
"""Views among which a frame's warp is drawn, never its own neighbours."""
MAX_FIT_COST = 6.0
"""They fit as well as those that conversion finds for another person's performance, which is worse than a person's
own frames could: evenly from the best one to this cost. (Actors a and b as each other: 2 to 7, for themselves 0.5.)"""
LIGHT_CANDIDATES = 16
"""Faces of somebody else among which the one is drawn whose tones a sample's light comes from."""
LIGHT_SWAP_SHARE = 0.75
"""Part of the samples whose light comes from somebody else, as a swap's does."""
EXCLUDED_NEIGHBOURS = 12
"""Frames before and after that are too alike to learn from."""
WARP_JITTER = 0.004
"""How far warps are led astray, in crop sides: conversion warps onto other people's faces, which never fit so well
as a person's own."""
WRONG_VIEW_SHARE = 0.3
"""Part of the samples whose draft is made from any views of the person at all: what a view brings along of another
expression is then what the network learns to see and to mend."""
DETAIL_WEIGHT = 3.0
"""Eyes, brows and lips count this much more than skin."""
HELD_OUT_SHARE = 0.12
"""Part of an identity's faces that training never sees, to be judged by."""
MIN_FACES_TO_HOLD_OUT = 48
"""An identity with fewer faces needs them all."""


@dataclass(frozen=True)
class TrainingSet:
    """One identity on the device at the network's size S, ready to be drawn from.

    The truth for frame j is view j: `views.pixels[j]`. maps (N, S, S) int16; candidates (N, K) int64 views, none
    of them held out; weights (N,) chance of each frame, rare poses raised, held-out ones never; held (H,) the
    rows held out, or some of the others where nothing could be spared; jitter in pixels; coarse (N,) bool, on the
    CPU, as in the faceset; displacement (N, 468, 2) float32 from the person's face at rest.
    """

    views: Views
    maps: torch.Tensor
    candidates: torch.Tensor
    weights: torch.Tensor
    held: np.ndarray
    jitter: float
    coarse: torch.Tensor
    displacement: torch.Tensor


@dataclass(frozen=True)
class Draws:
    """B samples as they were drawn, all (B, …) on the CPU: whose frame and which, its views, light, warp and side.

    `lender` is the material in whose tones the target is shown (-1: in its own), `lent` the view of that. `own` says
    whether the sample is of the decoder's own identity. `hair` (B, HAIR_NUMBERS) is what strands over the draft are
    drawn by (`stray_hair`).
    """

    material: torch.Tensor
    lender: torch.Tensor
    lent: torch.Tensor
    frame: torch.Tensor
    choice: torch.Tensor
    light: torch.Tensor
    bend: torch.Tensor
    flip: torch.Tensor
    own: torch.Tensor
    hair: torch.Tensor

    def __len__(self) -> int:
        return len(self.frame)

    def part(self, which: slice | torch.Tensor) -> Draws:
        """Some of the samples."""
        return Draws(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


def hold_out(faceset: Faceset) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are held out, and rows that training may see: whole tracks, or the last stretch of the only one.

    Between the two lie neighbours in time that neither gets. Where there are too few faces, all are trained on
    and the first array is empty.
    """
    count = len(faceset)
    rows = np.arange(count)
    if count < MIN_FACES_TO_HOLD_OUT:
        return rows[:0], rows
    shots, sizes = np.unique(faceset.shot, return_counts=True)
    small = sizes <= 2 * HELD_OUT_SHARE * count
    if len(shots) > 1 and sizes[small].sum() >= 0.5 * HELD_OUT_SHARE * count:
        taken, chosen = 0, []
        for shot in shots[small][np.argsort(-sizes[small], kind="stable")]:
            if taken < HELD_OUT_SHARE * count:
                chosen.append(shot)
                taken += int((faceset.shot == shot).sum())
        held = np.isin(faceset.shot, chosen)
        return rows[held], rows[~held]
    longest = rows[faceset.shot == shots[sizes.argmax()]]
    longest = longest[np.argsort(faceset.frame[longest], kind="stable")]
    held_rows = np.sort(longest[-max(1, round(HELD_OUT_SHARE * count)) :])
    near = (faceset.shot == faceset.shot[held_rows[0]]) & (
        faceset.frame >= faceset.frame[held_rows].min() - EXCLUDED_NEIGHBOURS
    )
    return held_rows, rows[~near]


def make_training_set(faceset: Faceset, views: Views, size: int, report: Reporter) -> TrainingSet:
    """Put one identity on the device: raster its geometry, and find what each frame may be warped from."""
    count, scale, device = len(faceset), size / faceset.size, views.landmarks.device
    landmarks = (faceset.landmarks * scale).astype(np.float32)
    maps = np.empty((count, size, size), np.int16)
    for index, face in enumerate(landmarks):
        report.check()
        maps[index] = triangle_map(face, size)
    held, trained = hold_out(faceset)
    weights = np.zeros(count, np.float32)
    weights[trained] = pose_weights(views.pose[trained])

    def reduced(stack: torch.Tensor) -> torch.Tensor:
        parts = [
            F.interpolate(p.to(device).float(), size=(size, size), mode="area").round().byte().to(stack.device)
            for p in torch.split(stack, 64)
        ]
        return torch.cat(parts)

    return TrainingSet(
        views=replace(
            views,
            pixels=reduced(views.pixels),
            landmarks=torch.from_numpy(landmarks[..., :2].copy()).to(device),
            irises=None if views.irises is None else views.irises * scale,
        ),
        maps=torch.from_numpy(maps).to(device),
        candidates=torch.from_numpy(find_candidates(faceset, views, trained)),
        weights=torch.from_numpy(weights),
        held=next(rows for rows in (held[~faceset.coarse[held]], trained[~faceset.coarse[trained]]) if len(rows)),
        jitter=size * WARP_JITTER,
        coarse=torch.from_numpy(faceset.coarse.copy()),
        displacement=torch.from_numpy(displacements(faceset.landmarks, views.neutral.face)).to(device),
    )


def find_candidates(faceset: Faceset, views: Views, trained: np.ndarray) -> np.ndarray:
    """For each frame the views that fit it best, of trained rows and not its own neighbours in time: (N, K) int64."""
    count = len(faceset)
    cost = fit_cost(views.pose[:count], views.expression[:count], views)
    barred = (faceset.shot[:, None] == faceset.shot) & (
        abs(faceset.frame[:, None] - faceset.frame) <= EXCLUDED_NEIGHBOURS
    )
    np.fill_diagonal(barred, True)
    cost += 1e6 * np.concatenate([barred, barred], 1)  # last resort where a faceset holds nothing else
    unseen = np.ones(count, bool)
    unseen[trained] = False
    cost += 1e9 * np.concatenate([unseen, unseen])
    order = cost.argsort(1, kind="stable")  # what judges a training takes the first ones
    sorted_cost = np.take_along_axis(cost, order, 1)
    fit = (sorted_cost <= np.maximum(MAX_FIT_COST, sorted_cost[:, :1])).sum(1).clip(CANDIDATES, 2 * count)
    fit = np.minimum(fit, np.maximum(1, (sorted_cost < 1e6).sum(1)))  # where fewer good ones are there, they repeat
    place = np.linspace(0, 1, min(CANDIDATES, max(1, 2 * count - 1))) * (fit[:, None] - 1)
    return np.take_along_axis(order, place.round().astype(np.int64), 1)


def pose_weights(pose: np.ndarray) -> np.ndarray:
    """Chance of each frame (N,) float32, sum 1: the square root of what would even out 10° cells of pose."""
    _, cell, size = np.unique(np.floor(pose / 10), axis=0, return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(size[cell.reshape(-1)])
    return (weight / weight.sum()).astype(np.float32)


def draw(materials: list[TrainingSet], who: list[tuple[int, int]], own: int, generator: torch.Generator) -> Draws:
    """Draw a decoder's batch: `who` lists materials and how many faces of each, `own` is its own."""
    parts = []
    for number, count in who:
        if not count:
            continue
        material = materials[number]
        frame = torch.multinomial(material.weights, count, replacement=True, generator=generator)
        # the first view fits better, as the one that conversion chooses
        dice = torch.rand(count, 2, generator=generator) ** torch.tensor([2.0, 1.0])
        pick = (dice * material.candidates.shape[1]).long().clamp(max=material.candidates.shape[1] - 1)
        lender, lent = draw_light_source(materials, number, frame, generator)
        choice = material.candidates[frame].gather(1, pick)
        wrong = torch.rand(count, 1, generator=generator) < WRONG_VIEW_SHARE
        anywhere = torch.multinomial(material.weights.repeat(2), 2 * count, True, generator=generator).view(-1, 2)
        choice = torch.where(wrong & (anywhere % len(material.weights) != frame[:, None]), anywhere, choice)
        parts.append(
            Draws(
                material=torch.full((count,), number),
                lender=lender,
                lent=lent,
                frame=frame,
                choice=choice,
                light=torch.rand(count, 7, generator=generator),
                bend=torch.randn(count, 7, 2, generator=generator),
                flip=torch.rand(count, generator=generator) < 0.5,
                own=torch.full((count,), number == own),
                hair=torch.randn(count, HAIR_NUMBERS, generator=generator),
            )
        )
    return Draws(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Draws)})


def draw_light_source(
    materials: list[TrainingSet], number: int, frame: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Whose tones each frame of one material is shown in, and which of their views: like a swap's target, somebody
    else in nearly the same pose with nearly the same expression."""
    count = len(frame)
    other = torch.randint(max(1, len(materials) - 1), (count,), generator=generator)
    dice = torch.rand(count, 2, generator=generator)
    lent = torch.zeros(count, dtype=torch.int64)
    if len(materials) == 1:
        return lent - 1, lent
    lender = torch.where(dice[:, 0] < LIGHT_SWAP_SHARE, other + (other >= number), -1)
    views, rows = materials[number].views, frame.numpy()
    for who in torch.unique(lender[lender >= 0]).tolist():
        mine = lender == who
        some = rows[mine.numpy()]
        cost = fit_cost(views.pose[some], views.expression[some], materials[who].views)
        best = torch.from_numpy(cost.argsort(1, kind="stable")[:, :LIGHT_CANDIDATES])
        pick = (dice[mine, 1] * best.shape[1]).long().clamp(max=best.shape[1] - 1)
        lent[mine] = best.gather(1, pick[:, None])[:, 0]
    return lender, lent


def render(materials: list[TrainingSet], draws: Draws, shape: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Make the pictures of what was drawn, in the order of their materials.

    Returns refiner input, truth (B, 3, S, S) RGB 0..1, mask and loss weight (B, 1, S, S), and own (B,) bool.
    shape (468, 3) is the canonical face.
    """
    parts = []
    for number in torch.unique(draws.material).tolist():
        part = draws.part(draws.material == number)
        parts.append((*_render(materials, number, part, shape), part.own.to(shape.device, non_blocking=True)))
    return tuple(torch.cat(columns) for columns in zip(*parts, strict=True))


def _render(materials: list[TrainingSet], number: int, draws: Draws, shape: torch.Tensor) -> tuple[torch.Tensor, ...]:
    material = materials[number]
    device = material.maps.device
    frame = draws.frame.to(device, non_blocking=True)
    view = take(material.views.pixels, frame).float() / 255
    truth, mask = augment_light(view[:, :3], draws.light.to(device, non_blocking=True)), view[:, 3:]
    target = geometry(material.views.landmarks[frame], material.maps[frame])
    bend = torch.cat([torch.ones_like(shape[:, :1]), shape, shape[:, :2] ** 2, shape[:, :1] * shape[:, 1:2]], 1)
    shift = bend @ (material.jitter * draws.bend.to(device, non_blocking=True))
    gaze = None if material.views.irises is None else material.views.irises[frame]
    shown = _with_other_tones(materials, target, truth, draws, shape)
    choice = draws.choice.to(device, non_blocking=True)
    drafted = draft(target, shown, material.views, choice, mask, shift, gaze)
    drafted = replace(drafted, face=with_hair(drafted.face, target, draws.hair))
    inputs = refiner_input(target, drafted, shown, shape, material.displacement[frame])
    importance = torch.ones(1, len(shape), 1, device=device)
    importance[:, EXPRESSIVE_VERTICES] = DETAIL_WEIGHT
    weight = spread(target, importance.expand(len(frame), -1, -1)) * mask
    flip = draws.flip.to(device, non_blocking=True)[:, None, None, None]
    inputs = torch.where(flip, mirrored_input(inputs), inputs)
    truth, mask, weight = (torch.where(flip, x.flip(3), x) for x in (truth, mask, weight))
    return inputs, truth, mask, weight


def _with_other_tones(
    materials: list[TrainingSet], target: Geometry, truth: torch.Tensor, draws: Draws, shape: torch.Tensor
) -> torch.Tensor:
    """The targets as somebody else would have played them, in the same light: (B, 3, S, S) RGB 0..1.

    The face is the other person's own, warped, in the truth's light at large; around it and between the lips the
    truth stays. A swap never sees the source in the target's picture, and would be badly taught by it.
    """
    result = truth
    where = spread(target, shape.expand(len(truth), -1, -1))
    for who in torch.unique(draws.lender[draws.lender >= 0]).tolist():
        rows = draws.lender == who
        texture, _, seen = warp(target, materials[who].views, draws.lent.to(truth.device))
        texture = augment_light(texture, draws.light.to(truth.device))  # black-and-white for a black-and-white truth
        strange = texture - tone(texture, seen, where) + tone(truth, target.inside, where)
        seen = blur(seen, 0.02 * target.size) * seen * (1 - target.mouth) * rows.to(truth.device)[:, None, None, None]
        result = result + seen * (strange.clamp(0, 1) - result)
    return result


def augment_light(picture: torch.Tensor, dice: torch.Tensor) -> torch.Tensor:
    """The same faces in another exposure, white balance and contrast; now and then without colour. dice (B, 7) 0..1."""
    d = dice[:, :, None, None]
    gain = 1 + (d[:, :1] - 0.5) * 0.5 + (d[:, 1:4] - 0.5) * 0.16
    offset = (d[:, 4:5] - 0.5) * 0.12
    grey = picture.mean(1, keepdim=True)
    colour = torch.where(d[:, 5:6] < 0.1, torch.zeros_like(d[:, 5:6]), 0.6 + 0.6 * d[:, 6:7])
    return ((grey + (picture - grey) * colour) * gain + offset).clamp(0, 1)
