"""The fade at profiles: a recast face gives way to the footage's own where the mesh fails on it."""

from __future__ import annotations

import numpy as np

FADE_FRAMES = 6
"""Frames over which a recast face gives way to the footage's own before the mesh fails on it (a profile, mostly),
and comes back after it: what cannot be recast is left alone, and nothing jumps."""


def fade_opacity(frames: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """How much of a recast face shows at each of a track's frames, (T,) 0..1, by how near the mesh fails on it."""
    if not len(failed):
        return np.ones(len(frames))
    distance = np.abs(frames[:, None] - failed).min(1)
    t = np.clip(distance / (FADE_FRAMES + 1), 0, 1)
    return t * t * (3 - 2 * t)
