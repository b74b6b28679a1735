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
    down_only, brightest = (torch.tensor(x).to(device, non_blocking=True) for x in ([0.0, 1.0], HAIR))
    some = chosen.to(device, non_blocking=True)
    points = target.points[some]
    middle, across = points.mean(1), (points[:, 454] - points[:, 234]) / 2
    down = torch.stack([-across[:, 1], across[:, 0]], 1)  # the face's own axes, whatever way it is turned in its crop
    angle = math.pi * torch.sigmoid(1.5 * told[..., 0])  # from the left over the forehead to the right
    # in parts of half the face's width: from its rim to three quarters of the way, and down or up from there
    begin = torch.stack([-torch.cos(angle), -torch.sin(angle) - 0.1], -1)
    end = begin * (0.75 + 0.12 * told[..., 1:2]) + 0.35 * told[..., 2:3] * down_only
    bend = (begin + end) / 2 + 0.1 * told[..., 3:4] * (end - begin).flip(-1)
    t = torch.linspace(0, 1, 14, device=device)[:, None]
    path = (1 - t) ** 2 * begin[:, :, None] + 2 * t * (1 - t) * bend[:, :, None] + t**2 * end[:, :, None]
    path = middle[:, None, None] + path[..., :1] * across[:, None, None] + path[..., 1:] * down[:, None, None]
    grid = torch.arange(size, device=device) + 0.5
    result = face[some]
    for number in range(STRANDS):
        width, cover, tone = torch.sigmoid(told[:, number, 4:]).unbind(1)
        places = path[:, number, :, :, None]
        away = (grid - places[:, :, 0])[:, :, None] ** 2 + (grid - places[:, :, 1])[..., None] ** 2
        width = size * (THIN + (WIDE - THIN) * width)[:, None, None]
        covered = torch.sigmoid((width - away.amin(1).sqrt()) / (0.4 * width)) * cover[:, None, None]
        colour = (0.5 + 0.5 * tone)[:, None] * brightest
        result = result + covered[:, None] * (colour[..., None, None] - result)
    return face.index_copy(0, some, result * target.inside[some])
