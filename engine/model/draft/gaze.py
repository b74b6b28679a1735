"""Where somebody looks and how far the lids are open: measured, and the source's eyes made to do as the target's.

The irises are the mesh network's (see `face_mesh`); a draft's pixels between the lids are read from as far aside
as the iris has to go, ever less towards the lids. Where the target's lids are closed and the source's are not, the
skin above the source's upper lid and its lashes are drawn down over the eye.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ...faces.geometry.topology import EYE_CORNERS, EYES, LIDS
from ...faces.networks import weights
from ...faces.networks.face_mesh import Mesh
from .mesh_raster import Geometry, spread

REACH = 0.035
"""How far around the iris its neighbourhood goes along, in crop sides."""
LIMIT = 0.12
"""An iris that seems farther away than this (in -1..1 of a crop) was not seen."""
SHUT = (0.10, 0.19)
"""Lids no farther apart than the first, in widths of the eye, are closed; from the second on they are open."""
SPARE = (0.05, 0.12)
"""By so much more a view's lids have to be open before they are drawn over the eye, not at all and fully."""
SEEN = 0.01
"""What is read from so far aside, in -1..1 of a crop, counts fully."""
OVER = 0.2
"""A lid is drawn down farther than the lids are apart, by this part of that."""
ROOM = (0.35, 0.55)
"""Of the skin between an upper lid and the brow above it so much is drawn down at most, at the lid and at the ring
above it: beyond begins the brow."""
UNDER = (0.25, 0.55)
"""How near the lower lid it ends, on the way from the first ring of vertices below it, 0, to the lid, 1: meshes lie
inside the edges of eyes, whose white would stay as a line."""
DULL = 0.6
"""Eyes that show at least this part of the contrast that they mostly show are clear."""
FARTHEST = 2.0
"""No iris lies farther from the middle of its eye than this, in widths of the eye: what seems to is none."""

EYEBALL = 0.42
"""Radius of the eyeball in widths of the eye between its corners: 12 of 28.5 mm (Bekerman et al. 2014)."""

_ABOVE = (([247, 30, 29, 27, 28, 56, 190]), ([467, 260, 259, 257, 258, 286, 414]))
"""The first ring of vertices above the upper lid."""
_UNDER = (([25, 110, 24, 23, 22, 26, 112]), ([255, 339, 254, 253, 252, 256, 341]))
"""The first ring below the lower lid."""
_BROW = (([46, 53, 53, 52, 65, 65, 55]), ([276, 283, 283, 282, 295, 295, 285]))
"""The lower edge of the brow over each vertex of the upper lid."""
_UPPER, _LOWER = [ring[1:8] for ring in EYES], [ring[:8:-1] for ring in EYES]
"""The edges of the upper and of the lower lid, one vertex over the other."""


def looks(landmarks: np.ndarray, irises: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Where both eyes look, (N, 4), and how far their lids are open, (N, 2), right eye first, in widths of the eye.

    landmarks (N, 468, 3) and irises (N, 2, 2) in one unit. Where each iris lies from the middle between the eye's
    corners, along them and down from them; not a number where it was not measured.
    """
    gazes, openings = [], []
    for eye, (a, b) in enumerate(EYE_CORNERS):
        across = landmarks[:, b, :2] - landmarks[:, a, :2]
        width = np.maximum(np.hypot(across[:, 0], across[:, 1]), 1e-6)
        apart = [np.linalg.norm(landmarks[:, u, :2] - landmarks[:, v, :2], axis=-1) for u, v in LIDS[eye]]
        openings.append(np.mean(apart, 0) / width)
        if irises is None:
            gazes.append(np.full((len(landmarks), 2), np.nan))
            continue
        away = irises[:, eye] - (landmarks[:, a, :2] + landmarks[:, b, :2]) / 2
        along = (away * across).sum(1) / width**2
        down = (across[:, 0] * away[:, 1] - across[:, 1] * away[:, 0]) / width**2
        gazes.append(np.clip(np.stack([along, down], 1), -FARTHEST, FARTHEST))
    return np.concatenate(gazes, 1).astype(np.float32), np.stack(openings, 1).astype(np.float32)


def clear_eyes(pictures: np.ndarray, landmarks: np.ndarray, lids: np.ndarray) -> np.ndarray:
    """How clearly pictures show the eyes that their meshes tell open: (N,) 0..1, the worse of both eyes.

    (N, S, S, 3) uint8 RGB, (N, 468, 3) in its pixels, lids (N, 2) as from `looks`. In a blink or a fast turn a mesh may
    have open eyes where the picture has lids or a smear: between them it shows less difference of light and dark than
    most of these pictures do. Closed eyes are as clear as can be.
    """
    found = np.zeros((len(pictures), 2), np.float32)
    for n, (picture, points) in enumerate(zip(pictures, landmarks, strict=True)):
        for eye, ring in enumerate(EYES):
            low = np.maximum(np.floor(points[ring, :2].min(0)).astype(int), 0)
            high = np.ceil(points[ring, :2].max(0)).astype(int) + 1
            part = picture[low[1] : high[1], low[0] : high[0]]
            if not part.size:
                continue
            inside = np.zeros(part.shape[:2], np.uint8)
            cv2.fillPoly(inside, [np.round((points[ring, :2] - low - 0.5) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
            tones = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)[inside > 0]
            found[n, eye] = tones.std() / (tones.mean() + 8) if tones.size else 0
    usual = np.maximum(DULL * np.quantile(found, 0.7, axis=0), 1e-6)
    low_lids, high_lids = SHUT
    is_open = np.clip((lids - low_lids) / (high_lids - low_lids), 0, 1)
    clear: np.ndarray = 1 - (is_open * (1 - np.clip(found / usual, 0, 1))).max(1)
    return clear


@functools.cache
def _mesh(device: str) -> Mesh | None:
    return None if weights.missing() else Mesh(device)


def irises(pictures: np.ndarray, landmarks: np.ndarray, device: torch.device) -> np.ndarray | None:
    """Centres of both irises, right one first: (N, S, S, 3) uint8 RGB, (N, 468, 3) → (N, 2, 2) float32 in its pixels.

    None where the network is not at hand.
    """
    mesh = _mesh(str(device))
    return None if mesh is None else mesh.irises(list(pictures), landmarks)


def shifted_irises(landmarks: np.ndarray, irises: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Irises (N, 2, 2) of eyes turned by (N, 2) `degrees`, to the right of the picture and up, in the landmarks' unit.

    An eyeball's radius is taken as `EYEBALL` widths of the eye.
    """
    if not degrees.any():
        return irises
    right, up = EYEBALL * np.sin(np.radians(degrees)).T
    shifted = irises.copy()
    for eye, (a, b) in enumerate(EYE_CORNERS):
        across = landmarks[:, b, :2] - landmarks[:, a, :2]
        above = np.stack([across[:, 1], -across[:, 0]], 1)
        shifted[:, eye] += right[:, None] * across + up[:, None] * above
    return shifted.astype(np.float32)


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


def closing(target: Geometry, there: torch.Tensor, limits: tuple[float, float] = SHUT) -> torch.Tensor:
    """How far each eye of a view, whose lids are apart by (B, 2) of its widths, has to close to be as the target's:
    (B, 2) 0..1, more than nothing only where that one is as good as closed (`limits` as `SHUT`)."""
    here = torch.stack([_apart(target.points, eye) for eye in range(2)], 1)
    closed = 1 - ((here - limits[0]) / (limits[1] - limits[0])).clamp(0, 1)
    return closed * ((there - here - SPARE[0]) / (SPARE[1] - SPARE[0])).clamp(0, 1)


def shut(target: Geometry, places: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Where to read a texture from, and where, so that eyes which are closed in the target and open in the view close.

    places (B, 2, S, S) are where each pixel reads in the view's picture, -1..1; points (B, 468, 2) the view's
    vertices there, -1..1. Returns other places and how much what is read there counts, (B, 1, S, S) 0..1; None where
    no eye has to close. The two are mixed as pictures: places between those of a lid and of the cheek below would read
    the white of the eye.
    """
    amount = closing(target, torch.stack([_apart(points, eye) for eye in range(2)], 1))
    if places.device.type == "cpu" and not amount.any():
        return None
    rise = torch.cat([torch.zeros_like(points), torch.zeros_like(points)], 2)
    for eye in range(2):
        upper, lower, above, under = (rings[eye] for rings in (_UPPER, _LOWER, _ABOVE, _UNDER))
        lids = (1 + OVER) * amount[:, eye, None, None] * (points[:, upper] - points[:, lower])
        rise[:, lower, :2] = rise[:, under, :2] = lids
        far = lids.norm(dim=2, keepdim=True).clamp(min=1e-6)
        room = (points[:, _BROW[eye]] - points[:, upper]).norm(dim=2, keepdim=True)
        beyond = (points[:, above] - points[:, upper]).norm(dim=2, keepdim=True)
        rise[:, upper, :2] = lids * (ROOM[0] * room / far).clamp(max=1)
        rise[:, above, :2] = lids * ((ROOM[1] * room - beyond) / far).clamp(0, 0.6)
        rise[:, lower, 2] = ((amount[:, eye, None] - 0.5) / 0.5).clamp(0, 1)
        rise[:, under, 3] = 1
    values = spread(target, rise)
    read, edge, is_under = values[:, :2], values[:, 2:3], values[:, 3:]
    low, high = UNDER
    share = (read.norm(dim=1, keepdim=True) / SEEN).clamp(max=1)
    share = torch.where(is_under > 0, ((edge - low) / (high - low)).clamp(0, 1), share)
    return places + read, share


def _apart(points: torch.Tensor, eye: int) -> torch.Tensor:
    """How far the lids of an eye are open in (B, 468, 2), in its widths: (B,)."""
    a, b = EYE_CORNERS[eye]
    upper, lower = (list(x) for x in zip(*LIDS[eye], strict=True))
    apart = (points[:, upper] - points[:, lower]).norm(dim=-1).mean(1)
    return apart / (points[:, a] - points[:, b]).norm(dim=-1).clamp(min=1e-6)
