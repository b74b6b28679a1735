"""A face's expression corrected by hand: lids and mouth that are opened or closed, before anything is drawn."""

from __future__ import annotations

import numpy as np

from ...faces.geometry.align import frontalise, head_rotation, mesh_radius
from ...faces.geometry.topology import EYE_CORNERS, EYES
from .rest import MEAN
from .shape import AVERAGE, LOWER_LIPS, UPPER_LIPS

WIDER = 0.3
"""How far lids go apart that are opened wholly, beyond what they are, in widths of the eye."""
DROP = 0.3
"""How far the lower lip goes down with a mouth that is opened wholly, in radii of the face."""
STEPS = 8
"""Steps over the mesh over which the skin about the lids goes along."""

_UPPER_LIDS, _LOWER_LIDS = ([ring[1:8] for ring in EYES], [ring[:8:-1] for ring in EYES])
_MOUTH_Y, _CHIN_Y = float(MEAN[[61, 291], 1].mean()), float(MEAN[152, 1])
_HALF_WIDTH = float(np.abs(MEAN[[61, 291], 0]).mean())


def _jaw() -> np.ndarray:
    """(468,) 0..1: how far each vertex goes along with the lower lip: the chin wholly, the hinges of the jaw not."""
    down = np.clip((MEAN[:, 1] - _MOUTH_Y) / (MEAN[LOWER_LIPS[0, 4], 1] - _MOUTH_Y + 0.05), 0, 1)
    aside = np.clip((np.abs(MEAN[:, 0]) - 0.3 * _HALF_WIDTH) / (1.7 * _HALF_WIDTH), 0, 1)
    share: np.ndarray = down * (1 - aside**2 * (3 - 2 * aside))
    return share.astype(np.float32)


_JAW = _jaw()
_ARCH = np.sqrt(np.clip(1 - (MEAN[LOWER_LIPS[0], 0] / (1.02 * _HALF_WIDTH)) ** 2, 0, 1)).astype(np.float32)
"""(9,): how far the lower lip's vertices go down where its middle goes by one; its corners stay."""


def opened(landmarks: np.ndarray, lids: np.ndarray | float, mouth: np.ndarray | float) -> np.ndarray:
    """Faces (N, 468, 3) in any unit, their lids and mouth open by so much more: the same shape, float32.

    lids and mouth, (N,) or one for all, -1..1: 0 as they are, -1 shut, 1 open by `WIDER` or `DROP` more. The upper lid
    moves, and the skin about it goes along; the lower lip moves, and the jaw goes along.
    """
    count = len(landmarks)
    lids, mouth = (np.broadcast_to(np.asarray(x, np.float32), count) for x in (lids, mouth))
    if not lids.any() and not mouth.any():
        return landmarks
    straight = frontalise(landmarks)
    moved = np.zeros_like(straight)
    if lids.any():
        moved += _moved_lids(straight, lids)
    if mouth.any():
        moved += _moved_jaw(straight, mouth)
    moved = mesh_radius(landmarks)[:, None, None] * (moved @ head_rotation(landmarks))
    return (landmarks + moved).astype(np.float32)


def _moved_lids(straight: np.ndarray, lids: np.ndarray) -> np.ndarray:
    moved = np.zeros_like(straight)
    for (a, b), ring, upper, lower in zip(EYE_CORNERS, EYES, _UPPER_LIDS, _LOWER_LIDS, strict=True):
        width = np.linalg.norm(straight[:, a] - straight[:, b], axis=-1)
        apart = straight[:, lower] - straight[:, upper]  # (N, 7, 3)
        arch = np.sin(np.pi * np.arange(1, 8) / 8).astype(np.float32)
        wider = -(WIDER * width * np.maximum(lids, 0))[:, None] * arch  # upwards is less
        part = np.zeros_like(straight)
        part[:, upper] = -np.minimum(lids, 0)[:, None, None] * apart
        part[:, upper, 1] += wider
        free = ~np.isin(np.arange(straight.shape[1]), ring)
        for _ in range(STEPS):
            part[:, free] = (AVERAGE @ part)[:, free]
        moved += part
    return moved


def _moved_jaw(straight: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    gap = straight[:, LOWER_LIPS[0]] - straight[:, UPPER_LIPS[0]]  # (N, 9, 3)
    by = np.minimum(mouth, 0)[:, None, None] * gap
    by[..., 1] += (DROP * np.maximum(mouth, 0))[:, None] * _ARCH
    moved = _JAW[:, None] * by[:, 4:5]
    for ring in LOWER_LIPS:
        moved[:, ring] = by
    for ring in UPPER_LIPS:
        moved[:, ring] = 0
    moved[:, [61, 291, 78, 308]] = 0
    return moved
