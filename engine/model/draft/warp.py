"""An identity's frames on a device, and warping one of them through the mesh onto another geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ...faces.facesets.spectacles import Spectacles
from ...faces.geometry.topology import MIRROR
from .gaze import shut, turned
from .mesh_raster import Geometry, eased, given, softened, spread
from .rest import MEAN
from .shape import Neutral

_MIRROR = torch.from_numpy(MIRROR)
VISIBLE = (0.20, 0.50)
"""Facing below the first carries no texture, above the second carries it fully."""
DRAWN = (0.5, 0.75)
"""A side of a face that fills less than the first, of the part of the picture that it fills in the target, is drawn out
of too little; from the second on it is not."""
SIDES = np.clip((np.abs(MEAN[:, :1]) - 0.3) / 0.35, 0, 1) * (MEAN[:, :1] * [[-1, 1]] > 0)
"""(468, 2) how far each vertex belongs to the side left, and right, of the middle: neither nose nor mouth does."""


class Fused(NamedTuple):
    """What all frames of somebody together show of the face, unrolled (`texture.fuse`).

    texture (1, 4, U, U) uint8, RGB and how surely it was seen; plane (468, 2) float32 where in it each vertex lies,
    -1..1; most (468,) float32 the largest part that a vertex stands for in any frame.
    """

    texture: torch.Tensor
    plane: torch.Tensor
    most: torch.Tensor


@dataclass(frozen=True)
class Views:
    """One identity's frames on a device.

    pixels (N, 4, S, S) uint8 RGB and face mask; landmarks (N, 468, 2) float32 crop pixels; facing (N, 468) float32;
    parts (N, 468) float32 which part of the face each vertex stands for (`mesh.parts`).
    `irises` (N, 2, 2) float32 crop pixels, None where they could not be measured.
    `neutral` is the person's face at rest.
    `texture` (1, 4, U, U) uint8, RGB and how surely it was seen, is what all frames together show of the face,
    unrolled; `plane` (468, 2) float32 is where in it each vertex lies, -1..1 (`fusion`).
    `pose` (2N, 2) degrees, `expression` (2N, F), `gaze` (2N, 4) and `lids` (2N, 2) describe the views for choosing, on
    the CPU (`views.describe`, `gaze.looks`); (N,) 0..1 each, `sharp` is how sharp one is among them, `exposed` how much
    of the face is neither burnt out nor lost in black, and `clear` how clearly it shows the eyes (`gaze.clear_eyes`).
    `spectacles` are those that were taken off in them, None where none were worn.
    """

    pixels: torch.Tensor
    landmarks: torch.Tensor
    facing: torch.Tensor
    parts: torch.Tensor
    irises: torch.Tensor | None
    pose: np.ndarray
    expression: np.ndarray
    gaze: np.ndarray
    lids: np.ndarray
    sharp: np.ndarray
    exposed: np.ndarray
    clear: np.ndarray
    neutral: Neutral
    texture: torch.Tensor
    plane: torch.Tensor
    spectacles: Spectacles | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def fused(self) -> Fused:
        """What all of them together show."""
        return Fused(self.texture, self.plane, self.most)

    @cached_property
    def openness(self) -> torch.Tensor:
        """`lids` on the device, where asking for some of them makes nobody wait."""
        return torch.from_numpy(self.lids).to(self.landmarks.device)

    @cached_property
    def most(self) -> torch.Tensor:
        """(468,): the largest part that a vertex, or its twin on the other side, stands for in any frame."""
        most = self.parts.amax(0)
        return torch.maximum(most, most[_MIRROR.to(most.device)])


def take(stack: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Rows of a stack, on the device of `rows`: a faceset too large for the device's memory stays in the host's."""
    return stack[rows.to(stack.device)].to(rows.device, non_blocking=True)


def warp(
    target: Geometry,
    views: Views,
    choice: torch.Tensor,
    shift: torch.Tensor | None = None,
    gaze: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One view for each target, in the target's geometry.

    choice (B,) int64 view numbers → texture (B, 3, S, S) float 0..1 RGB, and (B, 1, S, S) 0..1 each:
    `own`, where it is the view's face and not its hair, what is behind it or the rim drawn out, and `visible`, how
    much of that the view showed well, not turned away. The crop of the views may be larger than the target's.
    shift (B, 468, 2) in pixels of the views' crop moves the places that vertices are read from (training's
    way to learn from imperfect warps). gaze (B, 2, 2) are the target's irises in its crop's pixels: the eyes
    look there, and lids that are closed there close.
    """
    frame = choice % len(views)
    points, is_mirrored = points_of(views, choice)
    flip = _MIRROR.to(points.device, non_blocking=True)
    facing, shown = (
        torch.where(is_mirrored[:, None], x[:, flip], x) for x in (views.facing[frame], views.parts[frame])
    )
    side = views.pixels.shape[-1]
    if shift is not None:
        points = points + shift
    values = spread(
        target, torch.cat([points * (2 / side) - 1, facing[..., None], given(target, shown)[..., None]], -1)
    )
    picture = take(views.pixels, frame).float() / 255
    if side > 1.5 * target.size:  # do not alias where the target is rendered smaller
        picture = F.interpolate(picture, size=(target.size, target.size), mode="area")
    places = eased(target, values[:, :2])
    if gaze is not None and views.irises is not None:
        seen = views.irises[frame]
        seen = torch.where(is_mirrored[:, None, None], seen.flip(1), seen)  # each eye reads the other one's place
        places = turned(target, places, gaze, seen * (2 / side) - 1)
    sampled = sample(picture, places)
    if gaze is not None and (lids := shut(target, places, points * (2 / side) - 1)) is not None:
        sampled = sampled + lids[1] * (sample(picture, lids[0]) - sampled)
    low, high = VISIBLE
    own = sampled[:, 3:] * softened(target, values[:, 3:])
    return sampled[:, :3] * target.inside, own, ((values[:, 2:3] - low) / (high - low)).clamp(0, 1) * own


def whole_sides(shown: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How little each side of V pictures has to be drawn out for T targets: `parts` (V, 468), (T, 468) → (T, V, 2)."""
    there, here = (x @ SIDES.astype(np.float32) for x in (shown, wanted))
    there, here = (x / np.maximum(x.sum(1, keepdims=True), 1e-6) for x in (there, here))
    low, high = DRAWN
    whole: np.ndarray = np.clip((there / np.maximum(here[:, None], 1e-6) - low) / (high - low), 0, 1)
    return whole


def not_drawn_out(target: Geometry, views: Views, choice: torch.Tensor) -> torch.Tensor | None:
    """Where views (B,) int64 show enough of the targets' sides, (B, 1, S, S) 0..1; None where they do everywhere.

    The far cheek of a head that is turned away is too little for one that is not.
    """
    shown = views.parts[choice % len(views)]
    flip = _MIRROR.to(shown.device, non_blocking=True)
    shown = torch.where((choice >= len(views))[:, None], shown[:, flip], shown)
    sides = torch.from_numpy(SIDES.astype(np.float32)).to(shown.device, non_blocking=True)
    there, here = (x @ sides for x in (shown, target.shares))
    there, here = (x / x.sum(1, keepdim=True).clamp(min=1e-6) for x in (there, here))
    low, high = DRAWN
    lacking = 1 - ((there / here.clamp(min=1e-6) - low) / (high - low)).clamp(0, 1)
    if lacking.device.type == "cpu" and not lacking.any():
        return None
    return target.inside - spread(target, (lacking @ sides.T)[..., None])


def points_of(views: Views, choice: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where views (B,) int64 show each vertex: (B, 468, 2) pixels of their crops, and which are mirrored, (B,) bool.

    A mirrored view shows each vertex where its twin on the other side is.
    """
    points, is_mirrored = views.landmarks[choice % len(views)], choice >= len(views)
    flip = _MIRROR.to(points.device, non_blocking=True)
    return torch.where(is_mirrored[:, None, None], points[:, flip], points), is_mirrored


def sample(picture: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """A picture (B, C, H, W) read at places (B, 2, S, S) of -1..1, borders repeated: (B, C, S, S)."""
    return F.grid_sample(
        picture, places.permute(0, 2, 3, 1), mode="bilinear", padding_mode="border", align_corners=False
    )


def moved(picture: torch.Tensor, flow: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """A picture (B, C, S, S), each of its pixels taken from as far aside as flow (B, 2, S, S) says, in -1..1."""
    side = picture.shape[-1]
    # a network gone astray must not crash the process: a place that is no number is read out of memory's bounds
    flow = torch.nan_to_num(flow).clamp(-1, 1)
    place = (torch.arange(side, device=picture.device, dtype=flow.dtype) + 0.5) * (2 / side) - 1
    grid = torch.stack([place + flow[:, 0], place[:, None] + flow[:, 1]], -1)
    return F.grid_sample(picture, grid, mode=mode, padding_mode="border", align_corners=False)
