"""What lenses reflect: light that lies over the face behind them."""

from __future__ import annotations

import cv2
import numpy as np

from ..geometry.topology import EYES

LIGHT_BLUR = 0.1
"""The light on a face is what is left of its skin after a blur this wide, in crop sides."""
MAX_SKIN_LEVELS = 13.0
"""8-bit levels by which plain skin is brighter than the light on it, at most."""
MAX_EYE_LEVELS = 50.0
"""The same of eyes, whose whites are bright, and of this much around them, in crop sides:"""
LIDS = 0.012
MIN_SKIN_CHROMA = 12.0
"""8-bit levels by which skin is redder than blue, or nothing tells bright skin from light that lies over it."""
REFLECTION_BLUR = 0.004
"""How soft reflections are made, in crop sides: what is finer is the footage's noise."""


def reflections(pixels: np.ndarray, skin: np.ndarray, lenses: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The light that lenses add to a face, by 8-bit levels: (S, S, 3) uint8, 0 where there is none.

    pixels (S, S, 3) uint8 RGB; skin (S, S) uint8, 255 where they show nothing but the face; lenses the same, where
    lenses lie before it; landmarks (468, 3) in its pixels.
    """
    if not lenses.any():
        return np.zeros_like(pixels)
    size = len(pixels)
    picture, lens = pixels.astype(np.float32), lenses.astype(np.float32)[..., None] / 255
    weight = skin.astype(np.float32)[..., None] / 255 * (1 - lens)
    wide = _wide(np.dstack([picture * weight, weight]), LIGHT_BLUR * size)
    around = wide[..., :3] / (wide[..., 3:] + 1e-3)
    eyes = np.zeros((size, size), np.uint8)
    for ring in EYES:
        cv2.fillPoly(eyes, [np.round(landmarks[ring, :2] - 0.5).astype(np.int32)], 255, cv2.LINE_AA)
    reach = max(1, round(LIDS * size))
    about = cv2.blur(cv2.dilate(eyes, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), (2 * reach + 1,) * 2)
    least = MAX_SKIN_LEVELS + (MAX_EYE_LEVELS - MAX_SKIN_LEVELS) * about[..., None].astype(np.float32) / 255
    more = picture - around
    red, blue = around[..., :1], around[..., 2:]
    # skin in more light is brighter in its own colour; what reflects adds as much blue as red, or more
    grey = (more[..., 2:] * red - more[..., :1] * blue) / np.maximum(red - blue, MIN_SKIN_CHROMA)
    added = np.clip(np.minimum(more, np.where(red - blue > MIN_SKIN_CHROMA, grey, 0)) - least, 0, None)
    soft = cv2.GaussianBlur(added, (0, 0), max(0.5, REFLECTION_BLUR * size)) * lens
    return np.round(np.minimum(soft, 255)).astype(np.uint8)


def _wide(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A wide blur of (S, S, C), made on a reduced picture."""
    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / 4, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(blurred, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
