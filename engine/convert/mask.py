"""The mask of a recast face: drawn in, feathered, and open where somebody nearer stands and at parts that stay."""

from __future__ import annotations

import cv2
import numpy as np

from ..faces.geometry.align import LEFT_SIDE, RIGHT_SIDE
from .face_regions import region_share
from .plan import Placement

MASK_THRESHOLD = 0.02
"""A mask below this is no face."""


def face_width(placement: Placement) -> float:
    """Distance between the sides of the face in pixels of its crop, the same however the head is turned."""
    across = placement.landmarks[LEFT_SIDE] - placement.landmarks[RIGHT_SIDE]
    return float(np.linalg.norm(across))


def fit_mask(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """The mask (S, S) float32 0..1 as the placement's settings want it; never more than it was.

    Erode moves each side inwards in the crop, which is upright on the face; feather is a ramp of that width
    inside what is left, a smoothstep of the distance to its rim; parts that stay the footage's are taken out of that.
    """
    settings, width = placement.settings, face_width(placement)
    cut = subtract_nearer_faces(mask, placement)
    parts = region_share(placement)
    top, right, bottom, left = (round(value * width) for value in settings.erode)
    for rows, columns in ((top, 0), (-bottom, 0), (0, left), (0, -right)):
        if rows or columns:
            cut = np.minimum(cut, _shifted(cut, rows, columns))
    ramp = settings.feather * width
    if ramp < 1:
        return cut if parts is None else cut * parts
    # the picture's border is no rim of the face: distance is measured to where the mask is open inside it
    inside = cv2.copyMakeBorder((cut > MASK_THRESHOLD).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    t = np.clip(distance / ramp, 0, 1)
    soft: np.ndarray = np.minimum(cut, (t * t * (3 - 2 * t)).astype(np.float32))
    return soft if parts is None else soft * parts


def subtract_nearer_faces(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """The mask less the faces that stand nearer to the camera and get no recast of their own."""
    for outline in placement.nearer:
        shield: np.ndarray = np.zeros(mask.shape, np.uint8)
        cv2.fillConvexPoly(shield, np.round((outline - 0.5) * 16).astype(np.int32), 255, cv2.LINE_AA, shift=4)
        reach = max(1, len(mask) // 100)
        shield = cv2.dilate(shield, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        soft = np.maximum(shield, cv2.GaussianBlur(shield, (0, 0), reach))  # soft outside, whole inside
        mask = mask * (1 - soft.astype(np.float32) / 255)
    return mask


def _shifted(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    shift = np.array([[1, 0, columns], [0, 1, rows]], np.float32)
    return cv2.warpAffine(mask, shift, mask.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
