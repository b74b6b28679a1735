"""Which pixels of a crop are the person's face: the landmarks' hull, less the hair that hangs into it, and less what
stands in front of it (`occlusion`).

The mesh reaches to where the hairline is on most people; a fringe, a hat or a headband lies inside it. Where somebody
drew a mask of a frame by hand, it holds instead: `masks/NNNNNN.png` in the scan folder, by source frame number.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch

from ...errors import DataError
from ..geometry.align import hull_mask
from ..geometry.topology import BROWS, EYES
from ..networks.occlusion import hidden

FOLDER = "masks"
"""Inside a scan folder: masks drawn by hand."""

# the part of the hull above the brows and along the temples, in order
_FOREHEAD = [127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356, 300, 293, 334, 296, 336]
_FOREHEAD += [9, 107, 66, 105, 63, 70]
_SKIN = [[117, 118, 101, 36, 205, 187, 123], [346, 347, 330, 266, 425, 411, 352], [6, 197, 195, 5, 4, 45, 220, 122]]
"""Both cheeks and the ridge of the nose: skin on everyone but the most bearded or masked."""
STRAND = 0.1
"""How far from hair that was found strands of it are looked for, in crop sides."""
_FLOOR = np.diag([14.0, 3.5, 3.5]) ** 2
"""Variance of skin that is there anyway, in 8-bit Lab: light falls off over a forehead, hue hardly."""
LIKE_SKIN = (2.6, 4.2)
"""Mahalanobis distance from the cheeks' colour: below the first it is skin, above the second it is not."""


def face_masks(
    pixels: np.ndarray, landmarks: np.ndarray, device: torch.device | str = "cpu", look: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Where N faces are, and what stands in front of them: both (N, S, S) uint8.

    pixels (N, S, S, 3) uint8 RGB crops, landmarks (N, 468, 3) in their pixels. The first is `face_mask`'s; the
    second is 255 where something hides the face (`occlusion.hidden`), and nothing where it was not to `look`.
    """
    own = np.stack([face_mask(p, points) for p, points in zip(pixels, landmarks, strict=True)])
    return own, hidden(pixels, landmarks, device) if look else np.zeros_like(own)


def face_mask(pixels: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 RGB crop and (468, 3) landmarks in its pixels → (S, S) uint8, 255 where the face is.

    Skin colour is learned from the cheeks and the nose of this very crop (a Gaussian in Lab); above the
    brows, what is clearly of another colour is taken out. Black-and-white crops are judged by brightness.
    """
    size = len(pixels)
    hull = hull_mask(landmarks, size)
    distance = _unlike_skin(pixels, landmarks)
    if distance is None:
        return hull
    other: np.ndarray = np.clip((distance - LIKE_SKIN[0]) / (LIKE_SKIN[1] - LIKE_SKIN[0]), 0, 1)
    forehead = np.zeros((size, size), np.uint8)
    _fill(forehead, landmarks[_FOREHEAD])
    # brows reach over the line of their landmarks: what is taken out must lie clear of them
    clear = max(1, size // 14)
    forehead[:-clear] &= forehead[clear:]
    gate = cv2.GaussianBlur(forehead, (0, 0), size / 90).astype(np.float32) / 255
    other = cv2.GaussianBlur((other * gate).astype(np.float32), (0, 0), size / 110)
    # hair shines: whatever is above hair is hair, of whatever colour
    hanging = np.maximum.accumulate(other[::-1], axis=0)[::-1]
    other = cv2.GaussianBlur(np.where(forehead > 0, hanging, other), (0, 0), size / 110)
    return np.round(hull * (1 - np.clip(1.3 * other, 0, 1))).astype(np.uint8)


def bare(pixels: np.ndarray, mask: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """A mask of `face_mask` with no hair left in it, of a face that is to be seen elsewhere: the same shapes.

    In a face that is replaced a strand at the temple is no harm; one that lends its skin would bring it along, where
    it looks like a second brow. What is unlike skin and hangs together with hair that was found, down to the eyes,
    goes, and a seam along it.
    """
    size = len(pixels)
    reach = max(1, size // 64)
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    hull: np.ndarray = cv2.erode((hull_mask(landmarks, size) > 0).astype(np.uint8), window)
    hull[max(0, round(float(landmarks[[33, 263], 1].max()))) :] = 0
    found: np.ndarray = hull & (mask < 128)
    if not found.any():
        return mask
    distance = _unlike_skin(pixels, landmarks)
    if distance is None:
        return mask
    features: np.ndarray = np.zeros((size, size), np.uint8)
    for ring in (*BROWS, *EYES):  # unlike skin, and no hair
        _fill(features, landmarks[ring])
    open_ground: np.ndarray = hull & (cv2.dilate(features, window, iterations=2) == 0)
    open_ground &= cv2.distanceTransform(1 - found, cv2.DIST_L2, 3) < STRAND * size
    unlike = (open_ground & (distance > LIKE_SKIN[0])).astype(np.uint8)
    dark = cv2.morphologyEx(unlike, cv2.MORPH_OPEN, window[:3, :3])
    _, parts = cv2.connectedComponents(found | dark, connectivity=4)
    hair = np.isin(parts, np.unique(parts[found > 0])).astype(np.uint8)
    away = cv2.distanceTransform(1 - hair, cv2.DIST_L2, 3)
    return np.minimum(mask, np.round(255 * np.clip(away / reach - 1, 0, 1))).astype(np.uint8)


def _unlike_skin(pixels: np.ndarray, landmarks: np.ndarray) -> np.ndarray | None:
    """How far each pixel's colour is from this face's skin: (S, S) float32, see LIKE_SKIN; None where none is seen."""
    size = len(pixels)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), max(0.6, size / 160)).astype(np.float32)
    sample = np.zeros((size, size), np.uint8)
    for ring in _SKIN:
        _fill(sample, landmarks[ring])
    skin = lab[sample > 0]
    if len(skin) < 20:
        return None
    middle = np.median(skin, 0)
    away = skin - middle
    near = away[np.linalg.norm(away, axis=1) <= np.quantile(np.linalg.norm(away, axis=1), 0.8)]
    spread = np.linalg.inv(near.T @ near / max(len(near), 1) + _FLOOR)
    # distances in the unit of the skin's own spread: plain ones, once that is made a sphere
    sphere = np.linalg.cholesky(spread).T
    off = cv2.transform(lab, np.column_stack([sphere, -sphere @ middle]))
    distance: np.ndarray = np.sqrt(off[..., 0] ** 2 + off[..., 1] ** 2 + off[..., 2] ** 2)
    return distance


def drawn_path(scan: Path, frame: int) -> Path:
    """Where the mask of a source frame drawn by hand would lie."""
    return scan / FOLDER / f"{frame:06d}.png"


def drawn_mask(scan: Path, frame: int, height: int, width: int) -> np.ndarray | None:
    """(H, W) uint8 drawn by hand for a source frame, 255 where a face may be replaced; None where nobody drew one.

    Raises DataError when it is no picture, or not of the footage's size.
    """
    path = drawn_path(scan, frame)
    if not path.is_file():
        return None
    mask = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE) if path.stat().st_size else None
    if mask is None:
        raise DataError(f"The drawn mask {path} is no picture. Save it as a grey PNG, or delete it.")
    if mask.shape != (height, width):
        raise DataError(
            f"The drawn mask {path} is {mask.shape[1]}×{mask.shape[0]}, but its footage is {width}×{height}. "
            "Draw it at the footage's size, or delete it."
        )
    return mask


def check_drawn(scan: Path, frames: Iterable[int], height: int, width: int) -> None:
    """Read what was drawn for these source frames, so that a bad one is told before hours of work. Raises DataError."""
    if (scan / FOLDER).is_dir():
        for frame in frames:
            drawn_mask(scan, frame, height, width)


def _fill(mask: np.ndarray, ring: np.ndarray) -> None:
    cv2.fillPoly(mask, [np.round((ring[:, :2] - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, shift=4)
