"""Where a crop lies in its frame, and a recast crop made into the rectangle of the frame that it changes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..faces.geometry.align import to_opencv

VISIBLE_ALPHA = 1 / 510
"""Less of the new face than this cannot change an 8-bit sample."""


@dataclass(frozen=True, eq=False)
class Place:
    """A rectangle of the frame, x0 y0 x1 y1 (exclusive), with the crop of `size` in it; matrix (2, 3) leads there."""

    box: tuple[int, int, int, int]
    matrix: np.ndarray
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        x0, y0, x1, y1 = self.box
        return y1 - y0, x1 - x0

    def part(self, rows: slice, columns: slice) -> Place:
        """A part of the rectangle by itself."""
        x, y = self.box[:2]
        matrix = self.matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ (columns.start, rows.start)
        return Place((x + columns.start, y + rows.start, x + columns.stop, y + rows.stop), matrix, self.size)


def place_of(matrix: np.ndarray, mask: np.ndarray, width: int, height: int) -> Place | None:
    """Where in a width × height frame the face of a crop lies, None where it is outside of it.

    matrix (2, 3) is what cut the crop; mask (S, S) float32: only what it shows is looked at.
    """
    size = len(mask)
    rows, columns = (np.flatnonzero((mask > VISIBLE_ALPHA).any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    left, right, top, bottom = columns[0] - 1, columns[-1] + 2, rows[0] - 1, rows[-1] + 2
    corners = np.array([[[left, top], [right, top], [left, bottom], [right, bottom]]], np.float64)
    around = cv2.transform(corners, cv2.invertAffineTransform(matrix))[0]
    x0, y0 = np.clip(np.floor(around.min(0)).astype(int) - 1, 0, (width, height)).tolist()
    x1, y1 = np.clip(np.ceil(around.max(0)).astype(int) + 2, 0, (width, height)).tolist()
    if x1 <= x0 or y1 <= y0:
        return None
    back = np.array(matrix, np.float64)
    back[:, 2] += back[:, :2] @ (x0, y0)
    return Place((x0, y0, x1, y1), back, size)


def warped_face(face: np.ndarray, place: Place) -> np.ndarray:
    """A crop's face (S, S, 3) float32 in the frame's pixels: (h, w, 3)."""
    face, matrix = _downscaled(face, place)
    # enlarged: cubic keeps what the network drew; reduced: linear, as it was averaged
    enlarging = abs(np.linalg.det(matrix[:, :2])) < 1
    return cv2.warpAffine(
        face,
        to_opencv(matrix),
        place.shape[::-1],
        # OpenCV wants output → input, which is what cut the crop
        flags=cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if enlarging else cv2.INTER_LINEAR),
        borderMode=cv2.BORDER_REPLICATE,
    )


def warped_mask(mask: np.ndarray, place: Place) -> np.ndarray:
    """A crop's mask (S, S) float32 0..1 in the frame's pixels: (h, w), 0 where it shows nothing."""
    mask, matrix = _downscaled(mask, place)
    alpha = cv2.warpAffine(
        mask,
        to_opencv(matrix),
        place.shape[::-1],
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.where(alpha > VISIBLE_ALPHA, alpha, 0)


def _downscaled(picture: np.ndarray, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """A picture of the crop, and what leads to it: averaged first where it is far reduced, or it would shimmer."""
    factor = int(np.sqrt(abs(np.linalg.det(place.matrix[:, :2]))))  # crop pixels to a source pixel
    if factor < 2:
        return picture, place.matrix
    small = max(1, place.size // factor)
    return cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA), place.matrix * (small / place.size)
