"""The draft voice: nothing is trained. The target's own frames that say the same lend their envelope (kNN-VC's idea,
Baas 2023, with envelopes in place of a vocoder's features)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAREST = 4
"""Frames that are averaged: fewer sound rough, more sound like nobody."""
STEP = 2
"""Frames between looked-up ones: content has 50 features a second."""
WEIGHTS = (0.5, 1.0, 1.0, 0.5)
"""Of the frames −1 … 2 around a looked-up one, which overlap with the next one's."""
MISVOICED = 0.15
"""Taken off the cosine of a frame that is voiced where the source's is not, or the other way round."""
PIECE = 500
"""Frames looked up at a time."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """A target's frames: `content` (n // 2, 1024) standardised and of unit length, `voiced` (n // 2,), `mel` (n, 80)
    log envelope less the frame's power, `noise` (n, 5)."""

    content: np.ndarray
    voiced: np.ndarray
    mel: np.ndarray
    noise: np.ndarray


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length one."""
    return (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9)).astype(np.float32)


def look_up(content: np.ndarray, f0: np.ndarray, library: Library) -> tuple[np.ndarray, np.ndarray]:
    """Mel envelope (frames, 80) and share of noise (frames, 5) of the target for a source's frames.

    `content` (frames, 1024) is standardised by the source's own mean and spread.
    """
    frames = len(content)
    mel, noise = np.zeros((frames, library.mel.shape[1]), np.float32), np.zeros((frames, 5), np.float32)
    weight = np.zeros((frames, 1), np.float32)
    at = np.arange(0, frames, STEP)
    for first in range(0, len(at), PIECE):
        places = at[first : first + PIECE]
        likeness = unit(content[places]) @ library.content.T
        likeness -= MISVOICED * ((f0[places] > 0)[:, None] != library.voiced)
        count = min(NEAREST, likeness.shape[1])
        nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count] * STEP
        for offset, share in enumerate(WEIGHTS, -1):
            inside = (places + offset >= 0) & (places + offset < frames)
            rows = np.clip(nearest[inside] + offset, 0, len(library.mel) - 1)
            mel[places[inside] + offset] += share * library.mel[rows].mean(1)
            noise[places[inside] + offset] += share * library.noise[rows].mean(1)
            weight[places[inside] + offset] += share
    weight = np.maximum(weight, 1e-3)
    return mel / weight, noise / weight
