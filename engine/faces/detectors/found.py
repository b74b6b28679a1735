"""What a detector answers for one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Found(NamedTuple):
    """n faces of one picture, best first; coordinates in its pixels."""

    boxes: np.ndarray
    """(n, 4) float32 x0 y0 x1 y1"""
    scores: np.ndarray
    """(n,) float32 0..1, the detector's own"""
    points: np.ndarray
    """(n, 5, 2) float32: the eyes (left in the picture of an upright face first), the tip of the nose, the
    corners of the mouth in the same order; NaN where the detector does not tell"""

    def only(self, rows: np.ndarray) -> Found:
        """Some of the faces."""
        return Found(self.boxes[rows], self.scores[rows], self.points[rows])


def found(boxes: np.ndarray, scores: np.ndarray, points: np.ndarray) -> Found:
    """`Found` of the right shapes and types, even of nothing."""
    return Found(
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(scores, np.float32).reshape(-1),
        np.asarray(points, np.float32).reshape(-1, 5, 2),
    )


def no_faces() -> Found:
    """No face."""
    empty = np.empty(0, np.float32)
    return found(empty, empty, empty)


def join(answers: Sequence[Found]) -> Found:
    """Several answers about one picture as one."""
    return Found(*(np.concatenate(parts) for parts in zip(no_faces(), *answers, strict=True)))
