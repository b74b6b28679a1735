"""Where somebody looks: irises measured, and the source's eyes turned to where the target's look.

The irises are the mesh network's (see `face_mesh`); a draft's pixels between the lids are read from as far aside
as the iris has to go, ever less towards the lids.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F

from ...faces.networks import weights
from ...faces.networks.face_mesh import Mesh
from .mesh_raster import Geometry

REACH = 0.035
"""How far around the iris its neighbourhood goes along, in crop sides."""
LIMIT = 0.12
"""An iris that seems farther away than this (in -1..1 of a crop) was not seen."""


@functools.cache
def _mesh(device: str) -> Mesh | None:
    return None if weights.missing() else Mesh(device)


def irises(pictures: np.ndarray, landmarks: np.ndarray, device: torch.device) -> np.ndarray | None:
    """Centres of both irises, right one first: (N, S, S, 3) uint8 RGB, (N, 468, 3) → (N, 2, 2) float32 in its pixels.

    None where the network is not at hand.
    """
    mesh = _mesh(str(device))
    return None if mesh is None else mesh.irises(list(pictures), landmarks)


def turned(target: Geometry, places: torch.Tensor, wanted: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Places to read a texture from, changed so that the source's irises come to lie where the target's are.

    places (B, 2, S, S) are where each pixel reads in the source's picture, -1..1; wanted (B, 2, 2) the target's
    irises in pixels of its crop; shown (B, 2, 2) the source's, -1..1.
    """
    size = target.size
    centre = torch.arange(size, device=places.device, dtype=places.dtype) + 0.5
    between = target.eyes
    for eye in range(2):
        here = wanted[:, eye, :, None, None]
        at = (here * 2 / size - 1).permute(0, 2, 3, 1)  # (B, 1, 1, 2)
        read = F.grid_sample(places, at, padding_mode="border", align_corners=False)
        seen = F.grid_sample(between[:, eye : eye + 1], at, padding_mode="border", align_corners=False)
        away = shown[:, eye, :, None, None] - read
        known = (away.norm(dim=1, keepdim=True) < LIMIT) & (seen > 0.5)  # a closed eye has no iris to move
        near_x, near_y = (torch.exp(-((centre - here[:, n, 0]) ** 2) / (2 * (REACH * size) ** 2)) for n in (0, 1))
        share = between[:, eye] * near_x[:, None] * near_y[..., None]
        places = places + away * known * share[:, None]
    return places
