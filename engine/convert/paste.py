"""Put a recast crop back into its frame."""

from __future__ import annotations

import cv2
import numpy as np

from ..faces.align import to_opencv


def paste(picture: np.ndarray, matte: np.ndarray, face: np.ndarray, mask: np.ndarray, matrix: np.ndarray) -> None:
    """Blend one recast crop into a frame, in place.

    picture (H, W, 3) uint8 RGB and matte (H, W) float32 0..1, how much of each pixel is recast, are changed;
    face (R, R, 3) float32 0..255 and mask (R, R) float32 0..1 belong to the crop that `matrix` (2, 3) cut.
    Pixels where the mask is nothing keep their very value.
    """
    size = len(mask)
    factor = int(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))  # crop pixels to a source pixel
    if factor >= 2:  # averaged first, or a small face would shimmer
        small = max(1, size // factor)
        face = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, (small, small), interpolation=cv2.INTER_AREA)
        matrix, size = matrix * (small / size), small
    corners = np.array([[[0.0, 0.0], [size, 0.0], [0.0, size], [size, size]]])
    around = cv2.transform(corners, cv2.invertAffineTransform(matrix))[0]
    height, width = picture.shape[:2]
    x0, y0 = np.clip(np.floor(around.min(0)).astype(int), 0, (width, height))
    x1, y1 = np.clip(np.ceil(around.max(0)).astype(int) + 1, 0, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    back = matrix.copy()
    back[:, 2] += matrix[:, :2] @ (x0, y0)
    area = (int(x1 - x0), int(y1 - y0))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # OpenCV wants output → input, which is what cut the crop
    alpha = cv2.warpAffine(mask, to_opencv(back), area, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    fresh = cv2.warpAffine(face, to_opencv(back), area, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    old = picture[y0:y1, x0:x1]
    blended = old + alpha[..., None] * (fresh - old)
    changed = alpha > 1 / 510
    old[changed] = np.clip(np.round(blended[changed]), 0, 255).astype(np.uint8)
    beneath = matte[y0:y1, x0:x1]
    beneath[changed] = (beneath + alpha * (1 - beneath))[changed]
