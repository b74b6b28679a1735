"""Carry a face from one frame to the next by optical flow, where the landmark network does not see it.

Source: Lucas and Kanade in pyramids (Bouguet, 2000), checked forward and backward (Kalal et al.,
Forward-Backward Error, 2010).
"""

from __future__ import annotations

import cv2
import numpy as np

from ..geometry import align
from ..geometry.topology import OVAL

CROP_PIXELS = 160
"""Pixels of the crop that the flow is measured in, so that a face's size does not change the cost."""
MARGIN = 1.7
GRID = 12
WINDOW = (15, 15)
MAX_ERROR = 0.015
"""A point that does not come back to within this share of the crop has lost its way."""
MIN_POINTS_SHARE = 0.5
"""Share of the points that must come back, and agree on one motion, for a face to be carried."""
INLIER_DISTANCE = 0.012
"""Points that agree lie within this share of the crop from where the common motion takes them."""
MAX_STEP = 0.35
"""Of the face's size: from one frame to the next nothing moves further."""


def carry_landmarks(before: np.ndarray, after: np.ndarray, landmarks: np.ndarray) -> np.ndarray | None:
    """Where a face (468, 3) of the picture `before` is in `after`, both RGB (height, width, 3) uint8.

    It moves, turns and grows as one; a change of expression or of view is not followed. None where the
    pictures do not say: too few points come back, they do not agree, or the face leaves the picture.
    """
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    side, center = MARGIN * float((high - low).max()), (low + high) / 2
    scale = CROP_PIXELS / max(side, 4.0)
    matrix = np.column_stack([np.eye(2) * scale, CROP_PIXELS / 2 - scale * center])
    first, second = (cv2.cvtColor(align.crop(i, matrix, CROP_PIXELS), cv2.COLOR_RGB2GRAY) for i in (before, after))
    outline = (landmarks[OVAL, :2] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    points = _points(outline)
    if len(points) < 12:
        return None
    forth, seen, _ = cv2.calcOpticalFlowPyrLK(first, second, points, points.copy(), winSize=WINDOW, maxLevel=3)
    back, seen_back, _ = cv2.calcOpticalFlowPyrLK(second, first, forth, points.copy(), winSize=WINDOW, maxLevel=3)
    good = (seen[:, 0] > 0) & (seen_back[:, 0] > 0) & (np.linalg.norm(back - points, axis=1) < MAX_ERROR * CROP_PIXELS)
    if good.mean() < MIN_POINTS_SHARE:
        return None
    motion, agree = cv2.estimateAffinePartial2D(
        points[good], forth[good], method=cv2.RANSAC, ransacReprojThreshold=INLIER_DISTANCE * CROP_PIXELS, maxIters=200
    )
    if motion is None or agree.sum() < MIN_POINTS_SHARE * len(points):
        return None
    lifted = [np.vstack([m, [0, 0, 1]]) for m in (matrix, motion)]
    whole = (np.linalg.inv(lifted[0]) @ lifted[1] @ lifted[0])[:2]
    growth = float(np.sqrt(abs(np.linalg.det(whole[:, :2]))))
    moved = whole[:, :2] @ center + whole[:, 2]
    inside = (moved > 0).all() and (moved < [after.shape[1], after.shape[0]]).all()
    if not 0.8 < growth < 1.25 or np.hypot(*(moved - center)) > MAX_STEP * side / MARGIN or not inside:
        return None
    return align.transform(landmarks, whole)


def _points(outline: np.ndarray) -> np.ndarray:
    """A grid over the face, inside its outline: (n, 2) float32."""
    low, high = outline.min(0), outline.max(0)
    x, y = np.meshgrid(*(np.linspace(a, b, GRID + 2)[1:-1] for a, b in zip(low, high, strict=True)))
    grid = np.column_stack([x.ravel(), y.ravel()]).astype(np.float32)
    hull = cv2.convexHull(outline)
    return grid[[cv2.pointPolygonTest(hull, (float(px), float(py)), False) > 0 for px, py in grid]]


def blend_landmarks(forward: np.ndarray, backward: np.ndarray, share: float) -> np.ndarray:
    """Between the same face carried from before and from after, `share` 0..1 of the way: (468, 3)."""
    return (forward * (1 - share) + backward * share).astype(np.float32)
