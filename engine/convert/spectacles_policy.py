"""Whose spectacles a recast shows: those of the footage, none, or those of the new face (`ConvertSettings`)."""

from __future__ import annotations

import numpy as np

from ..faces.facesets.drawn_spectacles import drawn_spectacles
from ..faces.facesets.spectacles import SKIN, Spectacles
from .mask import MASK_THRESHOLD


def over_and_under(
    face: np.ndarray,
    mask: np.ndarray,
    filled: np.ndarray,
    off: np.ndarray,
    worn: Spectacles | None,
    landmarks: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """A recast face with what has to lie under it and over it, as one picture and its mask.

    face (S, S, 3) float32 RGB 0..255 and mask (S, S) float32 0..1; filled (S, S, 3) RGB 0..255 is the footage's crop
    without the spectacles that were worn in it, as far as `off` (S, S) float32 0..1 says: arms reach beyond the face.
    `worn` are put on the new face, landmarks (468, 3), in its light.
    """
    over, colours = np.zeros_like(mask), face
    if worn is not None:
        x, y = np.round(landmarks[SKIN, :2]).astype(int).clip(0, len(mask) - 1).T
        skin = (mask > MASK_THRESHOLD).astype(np.float32)
        colours, over = drawn_spectacles(worn, landmarks, skin, float(np.median(face[y, x].mean(1))))
    under = (1 - mask) * off
    whole = 1 - (1 - over) * (1 - mask) * (1 - off)
    mixed = over[..., None] * colours + ((1 - over) * mask)[..., None] * face + ((1 - over) * under)[..., None] * filled
    return np.where(whole[..., None] > 1e-6, mixed / np.maximum(whole[..., None], 1e-6), face).astype(np.float32), whole
