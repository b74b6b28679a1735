"""Look for a face only where it ought to be: a detector on a small window, cheap enough for every frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..detectors import Detector
from ..geometry import align
from ..geometry.boxes import overlap

WINDOW_PIXELS = 192
"""Pixels of the window as the detector sees it."""
WINDOW_SIZES = 2.2
"""The window's side in sizes of the face."""
MAX_SIZE_RATIO = 1.6
"""A face is not larger or smaller than expected by more than this."""
MIN_OVERLAP = 0.2
"""Overlap, over their union, of the place expected and the face found."""


def detect_nearby(
    detect: Detector, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, float] | None]:
    """For each of n places the face that is there: its box (4,) in the picture's pixels and the detector's score.

    `images` are n RGB pictures (height, width, 3) uint8, the same one for several places; `boxes` are n times (4,)
    x0 y0 x1 y1, where a face is expected. None where the detector sees none of about that size there.
    """
    matrices = []
    for box in boxes:
        scale = WINDOW_PIXELS / (WINDOW_SIZES * max(float((box[2:] - box[:2]).max()), 1.0))
        matrices.append(np.column_stack([np.eye(2) * scale, WINDOW_PIXELS / 2 - scale * (box[:2] + box[2:]) / 2]))
    crops = [align.crop(image, matrix, WINDOW_PIXELS) for image, matrix in zip(images, matrices, strict=True)]
    answers = detect(crops, WINDOW_PIXELS / WINDOW_SIZES / MAX_SIZE_RATIO) if crops else []
    seen: list[tuple[np.ndarray, float] | None] = []
    for box, matrix, answer in zip(boxes, matrices, answers, strict=True):
        there = (answer.boxes - np.tile(matrix[:, 2], 2)) / matrix[0, 0]
        ratio = (there[:, 2:] - there[:, :2]).max(1) / max(float((box[2:] - box[:2]).max()), 1.0)
        common = overlap(box[None], there)[0]
        common[(ratio > MAX_SIZE_RATIO) | (ratio < 1 / MAX_SIZE_RATIO)] = 0
        best = int(common.argmax()) if len(common) else -1
        seen.append((there[best], float(answer.scores[best])) if best >= 0 and common[best] > MIN_OVERLAP else None)
    return seen
