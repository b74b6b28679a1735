"""Hair over training's drafts, such as comes along into swaps, so that the network learns to take it away.

A person's frames warped onto another frame of their own have their hair where the truth has it, too; a network that
sees nothing else learns to leave it. (The idea of denoising autoencoders: Vincent et al., 2008.)
"""

from __future__ import annotations

import math

import numpy as np
import torch

from ..draft.mesh_raster import Geometry

STRANDS, STRAND_NUMBERS = 4, 7
"""Strands over a face, and what each is told by: where it begins, how far in and how far down it goes, its bow, width,
cover and tone."""
THIN, WIDE = 0.008, 0.03
"""Half of how wide a strand or smear is, in crop sides."""
HAIR = (0.3, 0.24, 0.19)
"""The brightest of them, RGB 0..1: what comes along unnoticed is dark."""
SOME = 0.5
"""Drafts whose last number lies above this have hair over them, three in ten."""
HAIR_NUMBERS = STRANDS * STRAND_NUMBERS + 1
"""Normal numbers for each sample."""


def with_hair(face: torch.Tensor, target: Geometry, numbers: torch.Tensor) -> torch.Tensor:
    """Drafts (B, 3, S, S) RGB 0..1, some with strands and smears of hair over the upper rim of the face.

    numbers (B, HAIR_NUMBERS), on the CPU, are normal; all zero leaves a draft alone.
    """
    chosen = torch.from_numpy(np.flatnonzero(numbers[:, -1].numpy() > SOME))
    if not len(chosen):
        return face
    size, device = face.shape[-1], face.device
    told = numbers[chosen, :-1].view(-1, STRANDS, STRAND_NUMBERS).to(device, non_blocking=True)
    some = chosen.to(device, non_blocking=True)
    brightest = torch.tensor(HAIR).to(device, non_blocking=True)
    grid = torch.arange(size, device=device) + 0.5
    result = face[some]
    for path, (width, cover, tone) in zip(
        _paths(target.points[some], told).unbind(1), torch.sigmoid(told[..., 4:]).permute(1, 2, 0), strict=True
    ):
        across, down = (grid - path[..., axis, None] for axis in range(2))
        away = (across[:, :, None] ** 2 + down[..., None] ** 2).amin(1).sqrt()
        width = size * (THIN + (WIDE - THIN) * width)[:, None, None]
        covered = torch.sigmoid((width - away) / (0.4 * width)) * cover[:, None, None]
        colour = (0.5 + 0.5 * tone)[:, None] * brightest
        result = result + covered[:, None] * (colour[..., None, None] - result)
    return face.index_copy(0, some, result * target.inside[some])


def _paths(points: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """Where strands told by (B, STRANDS, STRAND_NUMBERS) run on faces (B, 468, 2): (B, STRANDS, 14, 2) crop pixels."""
    middle, across = points.mean(1), (points[:, 454] - points[:, 234]) / 2
    down = torch.stack([-across[:, 1], across[:, 0]], 1)  # the face's own axes, whatever way it is turned in its crop
    angle = math.pi * torch.sigmoid(1.5 * told[..., 0])  # from the left over the forehead to the right
    # in parts of half the face's width: from its rim to three quarters of the way, and down or up from there
    begin = torch.stack([-torch.cos(angle), -torch.sin(angle) - 0.1], -1)
    end = begin * (0.75 + 0.12 * told[..., 1:2])
    end = torch.stack([end[..., 0], end[..., 1] + 0.35 * told[..., 2]], -1)
    bend = (begin + end) / 2 + 0.1 * told[..., 3:4] * (end - begin).flip(-1)
    t = torch.linspace(0, 1, 14, device=points.device)[:, None]
    path = (1 - t) ** 2 * begin[:, :, None] + 2 * t * (1 - t) * bend[:, :, None] + t**2 * end[:, :, None]
    return middle[:, None, None] + path[..., :1] * across[:, None, None] + path[..., 1:] * down[:, None, None]
