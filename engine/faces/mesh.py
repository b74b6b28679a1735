"""The face mesh: 468 points in three dimensions, measured twice so that the start does not matter.

Source: Kartynnik et al., Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs,
2019; MediaPipe's face_landmark network and its regions of interest (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from . import align, weights
from .alignments import LANDMARKS
from .tflite import GraphNet
from .topology import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS

SIZE = 192
MARGIN = 1.5
BATCH = 16
NEAR = 0.02
"""Shares of a region's side, and radians, up to which a second pass measures nothing new."""
EYE_LINE = (RIGHT_EYE_CORNERS[0], LEFT_EYE_CORNERS[1])
"""The outer corners: the person's right eye (left in the picture), then the left one."""


def region_of_face(landmarks: np.ndarray) -> np.ndarray:
    """(4,) x, y, side, angle: the square around (468, 2 or 3) landmarks, upright to the eye line."""
    points = landmarks[:, :2].astype(np.float64)
    angle = _angle(points[EYE_LINE[0]], points[EYE_LINE[1]])
    cos, sin = np.cos(angle), np.sin(angle)
    turned = points @ np.array([[cos, -sin], [sin, cos]])
    low, high = turned.min(0), turned.max(0)
    center = np.array([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
    return np.array([*center, MARGIN * (high - low).max(), angle])


def region_of_detection(box: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """(4,) x, y, side, angle from a detector's box (4,) and eyes (2, 2), left in the picture first."""
    size = box[2:] - box[:2]
    return np.array([*(box[:2] + box[2:]) / 2, MARGIN * size.max(), _angle(eyes[0], eyes[1])])


def region_matrix(region: np.ndarray, size: int) -> np.ndarray:
    """(2, 3) float64: source pixels → pixels of the region's size × size crop (centres at integer + 0.5)."""
    x, y, side, angle = region
    scale = size / max(side, 1.0)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([turn, size / 2 - turn @ [x, y]])


def box_of(landmarks: np.ndarray) -> np.ndarray:
    """(..., 468, 2 or 3) → (..., 4) x0 y0 x1 y1."""
    return np.concatenate([landmarks[..., :2].min(-2), landmarks[..., :2].max(-2)], -1)


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arctan2(b[1] - a[1], b[0] - a[0]))


def _elsewhere(region: np.ndarray, looked_at: np.ndarray) -> bool:
    """Whether a face's own region is so far from the one that was cut that a second look is worth it."""
    moved = np.hypot(*(region[:2] - looked_at[:2])) / max(region[2], 1.0)
    grown = abs(np.log(max(region[2], 1.0) / max(looked_at[2], 1.0)))
    turned = abs((region[3] - looked_at[3] + np.pi) % (2 * np.pi) - np.pi)
    return bool(moved > NEAR or grown > NEAR or turned > NEAR)


class Mesh:
    """Call it with pictures and where their faces are; see `__call__`."""

    def __init__(self, device: str = "cpu") -> None:
        tensors, facts = weights.load("mesh", device)
        self.device = device
        self.network = GraphNet(facts["program"], tensors).to(device).eval()

    def __call__(self, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Measure n faces, each twice: in its region, and in the one that the first answer gives.

        `images` are n RGB pictures (height, width, 3) uint8, the same one for several faces where it shows
        them; `regions` are n times x, y, side, angle (see `region_of_face`). Returns landmarks (n, 468, 3)
        float32 in source pixels (pixel centres at integers + 0.5; z in the same unit, smaller nearer) and
        scores (n,) 0..1, near 0 where no face is to be seen.
        """
        landmarks, scores = self.once(images, regions)
        # a first answer that is no face at all has no region to look at again; one that was looked at
        # where it is needs no second look
        own = [region_of_face(points) for points in landmarks]
        again = [i for i in range(len(own)) if scores[i] > 0.05 and _elsewhere(own[i], regions[i])]
        if again:
            landmarks[again], scores[again] = self.once([images[i] for i in again], [own[i] for i in again])
        return landmarks, scores

    @torch.inference_mode()
    def once(self, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The same in one pass."""
        if not regions:
            return np.empty((0, LANDMARKS, 3), np.float32), np.empty(0, np.float32)
        matrices = [region_matrix(region, SIZE) for region in regions]
        crops = torch.from_numpy(np.stack([align.crop(i, m, SIZE) for i, m in zip(images, matrices, strict=True)]))
        points, logits = [], []
        for batch in torch.split(crops, BATCH):
            pixels = batch.to(self.device).permute(0, 3, 1, 2).float().div_(255)  # stays channels last
            mesh, flag = self.network(pixels)
            points.append(mesh.reshape(-1, LANDMARKS, 3).float().cpu())
            logits.append(flag.reshape(-1).float().cpu())
        found = torch.cat(points).numpy()
        back = [cv2.invertAffineTransform(matrix) for matrix in matrices]
        measured = np.stack([align.transform(p, m) for p, m in zip(found, back, strict=True)])
        return measured, torch.cat(logits).sigmoid().numpy()
