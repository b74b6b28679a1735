"""Where a face sits: its crop, its pose, its expression, its hull. Plain geometry over landmarks.

Landmarks are (..., 468, 3) float32 as `alignments` describes them.
"""

from __future__ import annotations

import cv2
import numpy as np

from .topology import MIRROR

FOREHEAD, CHIN = 10, 152
RIGHT_SIDE, LEFT_SIDE = 234, 454
RIGHT_EYE, LEFT_EYE = 33, 263
CROP_RADII = 3.7
"""Side of a crop in root-mean-square radii of the mesh: a frontal face fills about 70 % of the height."""


def mesh_radius(landmarks: np.ndarray) -> np.ndarray:
    """Size of a face that does not change as the head turns: RMS 3D distance from its centroid, (...,)."""
    centred = landmarks - landmarks.mean(-2, keepdims=True)
    return np.sqrt((centred**2).sum(-1).mean(-1))


def crop_matrix(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The similarity that brings one upright, centred, size-normalised face into a size × size crop.

    landmarks (468, 3) → (2, 3) float64, source pixels → crop pixels (centres at integer + 0.5).
    The roll is taken from the eye line and the brow–chin line together, so that it holds on turned heads.
    """
    points = landmarks[:, :2].astype(np.float64)
    across = points[LEFT_EYE] - points[RIGHT_EYE]
    down = points[CHIN] - points[FOREHEAD]
    right = across + np.array([down[1], -down[0]])
    right /= max(float(np.hypot(*right)), 1e-6)
    scale = size / (CROP_RADII * max(float(mesh_radius(landmarks)), 1e-6))
    linear = scale * np.array([right, [-right[1], right[0]]])
    centre = (points.min(0) + points.max(0)) / 2
    return np.column_stack([linear, size / 2 - linear @ centre])


def transform(landmarks: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Carry (468, 3) landmarks through a (2, 3) similarity; z scales with it."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    flat = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.column_stack([flat, landmarks[:, 2] * scale]).astype(np.float32)


def fit_to_box(landmarks: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Landmarks (468, 3) moved and scaled into a detector's box (4,), in its middle and of its area."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    scale = float(np.sqrt(np.prod(box[2:] - box[:2]) / max(float(np.prod(high - low)), 1e-9)))
    centre = np.append((low + high) / 2, 0)
    return ((landmarks - centre) * scale + np.append((box[:2] + box[2:]) / 2, 0)).astype(np.float32)


def to_opencv(matrix: np.ndarray) -> np.ndarray:
    """The same (2, 3) transform for OpenCV, whose pixel centres are at integers."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return shifted


def crop(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Cut one size × size crop (H, W, 3) uint8 out of an image, edges repeated, in one resampling.

    A strong reduction is area-averaged first, so that a large face does not alias.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.5:
        factor = int(0.5 / scale) + 1
        corners = cv2.transform(
            np.array([[[0.0, 0], [size, 0], [0, size], [size, size]]]), cv2.invertAffineTransform(matrix)
        )[0]
        low = np.clip(np.floor(corners.min(0)).astype(int) - factor, 0, None)
        high = np.ceil(corners.max(0)).astype(int) + factor
        part = image[low[1] : high[1], low[0] : high[0]]
        height, width = part.shape[0] // factor, part.shape[1] // factor
        if min(height, width) > 0:
            part = part[: height * factor, : width * factor]
            image = cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_AREA)
            matrix = np.column_stack([matrix[:, :2] * factor, matrix[:, 2] + matrix[:, :2] @ low])
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, to_opencv(matrix), (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def crop_box(matrix: np.ndarray, size: int, width: int, height: int) -> tuple[int, int, int, int]:
    """The rectangle x0, y0, x1, y1 of a width × height image that `crop` reads from."""
    corners = np.array([[[0.0, 0], [size, 0], [0, size], [size, size]]])
    around = cv2.transform(corners, cv2.invertAffineTransform(matrix))[0]
    margin = 4 + int(0.5 / float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))))
    x0, y0 = np.clip(np.floor(around.min(0)).astype(int) - margin, 0, (width, height)).tolist()
    x1, y1 = np.clip(np.ceil(around.max(0)).astype(int) + margin, 0, (width, height)).tolist()
    return x0, y0, x1, y1


def head_rotation(landmarks: np.ndarray) -> np.ndarray:
    """(..., 468, 3) → (..., 3, 3): rows are the head's right-to-left, down and backward axes in camera space."""
    across = landmarks[..., LEFT_SIDE, :] - landmarks[..., RIGHT_SIDE, :]
    down = landmarks[..., CHIN, :] - landmarks[..., FOREHEAD, :]
    x = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    y = down - (down * x).sum(-1, keepdims=True) * x
    y = y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-9)
    return np.stack([x, y, np.cross(x, y)], -2)


def yaw_pitch(landmarks: np.ndarray) -> np.ndarray:
    """(..., 468, 3) → (..., 2) degrees: yaw positive towards the picture's right, pitch when the head nods down."""
    backward = head_rotation(landmarks)[..., 2, :]
    yaw = np.degrees(np.arctan2(-backward[..., 0], backward[..., 2]))
    pitch = np.degrees(np.arctan2(-backward[..., 1], np.hypot(backward[..., 0], backward[..., 2])))
    return np.stack([yaw, pitch], -1)


def frontalise(landmarks: np.ndarray) -> np.ndarray:
    """The face seen from straight ahead, centred and of unit size: (..., 468, 3)."""
    centred = landmarks - landmarks.mean(-2, keepdims=True)
    turned = centred @ np.swapaxes(head_rotation(landmarks), -1, -2)
    return turned / np.maximum(mesh_radius(landmarks), 1e-9)[..., None, None]


def mirror(landmarks: np.ndarray, width: float) -> np.ndarray:
    """The same face in a picture of this width flipped left to right."""
    flipped = landmarks[..., MIRROR, :].copy()
    flipped[..., 0] = width - flipped[..., 0]
    return flipped


def hull_mask(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The convex hull of the landmarks filled: (size, size) uint8, 255 inside."""
    mask = np.zeros((size, size), np.uint8)
    hull = cv2.convexHull(landmarks[:, :2].astype(np.float32))
    cv2.fillConvexPoly(mask, np.round((hull - 0.5) * 16).astype(np.int32), 255, cv2.LINE_AA, shift=4)
    return mask
