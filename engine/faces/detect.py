"""Find every face of a picture: MTCNN for the small ones, BlazeFace for profiles and noise."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .blazeface import BlazeFace
from .boxes import overlap
from .mtcnn import Mtcnn

LONGEST_SIDE = 960
SMALLEST = 20.0


class Detections(NamedTuple):
    """n faces of one picture, best first; coordinates in its pixels."""

    boxes: np.ndarray
    """(n, 4) float32 x0 y0 x1 y1"""
    scores: np.ndarray
    """(n,) float32 0..1, the detector's own"""
    eyes: np.ndarray
    """(n, 2, 2) float32 x y; in an upright face the eye that is left in the picture comes first"""


class Detector:
    """Both detectors on a device. Call it with one picture; see `__call__`."""

    def __init__(self, device: str = "cpu") -> None:
        self.mtcnn = Mtcnn(device)
        self.blazeface = BlazeFace(device)

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of an RGB image (height, width, 3) uint8.

        The smallest are about 20 pixels, or 1/48 of the longer side where that exceeds 960.
        """
        scale = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image = np.ascontiguousarray(image)
        boxes, scores, points = (
            np.concatenate([a, b])
            for a, b in zip(_with_eyes(*self.mtcnn(image, SMALLEST)), _with_eyes(*self.blazeface(image)), strict=True)
        )
        kept = _distinct(boxes, scores)
        return Detections(boxes[kept] / scale, scores[kept], points[kept] / scale)


def _with_eyes(boxes: np.ndarray, scores: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return boxes, scores, points[:, :2]


def _distinct(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """One of several boxes around the same face: the two networks cut it more or less tightly."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        others = boxes[kept].reshape(-1, 4)
        alike = overlap(boxes[i][None], others)[0] > 0.35
        within = overlap(boxes[i][None], others, of_smaller=True)[0] > 0.7
        if not (alike | within).any():
            kept.append(int(i))
    return np.array(kept, np.int64)
