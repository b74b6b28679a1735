"""The face mesh: 468 points in three dimensions, measured twice so that the start does not matter, by two networks.

The one knows best whether there is a face, and how profiles lie; the other looks again at its own lips and eyes, and
is by far the more exact on them and the steadier where it sees the face. What only the second takes for a face is one
if both lay the same mesh over it.

Source: Kartynnik et al., Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs, 2019; Grishchenko et
al., Attention Mesh, 2020; MediaPipe's face_landmark and face_landmark_with_attention networks, their regions of
interest, and the tables of which mesh points the finer ones are (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from ..alignments import LANDMARKS
from ..geometry import align
from ..geometry.topology import LEFT_EYE_CORNERS, MIRROR, RIGHT_EYE_CORNERS
from . import weights
from .tflite import GraphNet

SIZE = 192
MARGIN = 1.5
BATCH = 16
EYE_LINE = (RIGHT_EYE_CORNERS[0], LEFT_EYE_CORNERS[1])
"""The outer corners: the person's right eye (left in the picture), then the left one."""
MESH, LIPS, RIGHT_EYE, LEFT_EYE, RIGHT_IRIS, LEFT_IRIS, SCORE = range(7)
"""The finer network's outputs; right and left are the person's."""
AGREE = 0.2
"""Mean distance of both networks' points, as a share of the mesh's radius, up to which they see the same face: 0.05 is
usual on faces, 0.3 and more on other things."""
CERTAIN = 0.95
"""The first network's score from which a face will not be doubted in the better region either."""
ALONE = 0.6
"""The highest score of a face that only the finer network sees: it now and then takes a bookshelf for one."""

# fmt: off
LIP_POINTS = np.array([
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,  # outer edge
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,  # inner edge
    76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,  # between them
    62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
])
"""(80,) the mesh vertices that the network's lips are."""
EYE_POINTS = np.array([
    33, 7, 163, 144, 145, 153, 154, 155, 133,  # lower lid
    246, 161, 160, 159, 158, 157, 173,  # upper lid
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,  # rings around it
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
])
"""(71,) those that its right eye is; the left one's are their mirror."""
# fmt: on
FINE = ((LIPS, LIP_POINTS), (RIGHT_EYE, EYE_POINTS), (LEFT_EYE, MIRROR[EYE_POINTS]))
"""What the finer network looks at again, and where in the mesh it goes."""


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


class Mesh:
    """Call it with pictures and where their faces are; see `__call__`."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        tensors, facts = weights.load("mesh", device)
        self.whole = GraphNet(facts["program"], tensors).to(device).eval()
        tensors, facts = weights.load("attention", device)
        self.fine, self.eyes = (
            GraphNet(facts["program"], tensors, outputs).to(device).eval()
            for outputs in ((MESH, SCORE, LIPS, RIGHT_EYE, LEFT_EYE), (RIGHT_IRIS, LEFT_IRIS))
        )

    def __call__(self, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Measure n faces, each twice: in its region, and again in the one that the first answer gives.

        `images` are n RGB pictures (height, width, 3) uint8, the same one for several faces where it shows
        them; `regions` are n times x, y, side, angle (see `region_of_face`). Returns landmarks (n, 468, 3)
        float32 in source pixels (pixel centres at integers + 0.5; z in the same unit, smaller nearer) and
        scores (n,) 0..1, near 0 where no face is to be seen.
        """
        if not regions:
            return np.empty((0, LANDMARKS, 3), np.float32), np.empty(0, np.float32)
        landmarks, scores = self._measure(self.whole, images, regions)
        better = [region_of_face(points) for points in landmarks]
        finer, sure = self._measure(self.fine, images, better)
        # what both are sure of at once needs no second word of the first
        doubted = np.flatnonzero((scores < CERTAIN) | (sure < 0.5)).tolist()
        if doubted:
            again = self._measure(self.whole, [images[i] for i in doubted], [better[i] for i in doubted])
            landmarks[doubted], scores[doubted] = again
        return _together(landmarks, scores, finer, sure)

    def once(self, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The same in one pass: the faces, one at least, are where the regions say."""
        landmarks, scores = self._measure(self.whole, images, regions)
        return _together(landmarks, scores, *self._measure(self.fine, images, regions))

    def _measure(
        self, network: GraphNet, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks (n, 468, 3) and scores (n,) of one network in one pass."""
        matrices = [region_matrix(region, SIZE) for region in regions]
        mesh, score, *parts = self._look(network, images, matrices)
        found = mesh.reshape(-1, LANDMARKS, 3)
        for (_, points), part in zip(FINE, parts, strict=False):
            found[:, points, :2] = part.reshape(-1, len(points), 2)
        back = [cv2.invertAffineTransform(matrix) for matrix in matrices]
        measured = np.stack([align.transform(p, m) for p, m in zip(found, back, strict=True)])
        return measured, 1 / (1 + np.exp(-score.reshape(-1).clip(-80, 80)))

    def irises(self, images: Sequence[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
        """Centres of both irises, the person's right one first: n images as above, landmarks (n, 468, 3) of their
        faces → (n, 2, 2) float32 source pixels."""
        if not len(images):
            return np.empty((0, 2, 2), np.float32)
        matrices = [region_matrix(region_of_face(points), SIZE) for points in landmarks]
        both = [part.reshape(len(matrices), -1, 2)[:, 0] for part in self._look(self.eyes, images, matrices)]
        back = [cv2.invertAffineTransform(matrix) for matrix in matrices]
        centres = np.stack(both, 1)
        return np.stack([c @ m[:, :2].T + m[:, 2] for c, m in zip(centres, back, strict=True)]).astype(np.float32)

    @torch.inference_mode()
    def _look(self, network: GraphNet, images: Sequence[np.ndarray], matrices: list[np.ndarray]) -> list[np.ndarray]:
        """The network's outputs, (n, …) each, for the crops that `region_matrix` cuts."""
        crops = torch.from_numpy(np.stack([align.crop(i, m, SIZE) for i, m in zip(images, matrices, strict=True)]))
        batches = [
            network(batch.to(self.device).permute(0, 3, 1, 2).float().div_(255))  # stays channels last
            for batch in torch.split(crops, BATCH)
        ]
        return [torch.cat(parts).float().cpu().numpy() for parts in zip(*batches, strict=True)]


def _together(
    landmarks: np.ndarray, scores: np.ndarray, finer: np.ndarray, sure: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One answer (n, 468, 3), (n,) of both networks' landmarks and scores."""
    apart = np.linalg.norm((finer - landmarks)[..., :2], axis=-1).mean(1) / align.mesh_radius(finer)
    found = np.where((sure > 0.5)[:, None, None], finer, landmarks)
    return found, np.maximum(scores, np.where(apart < AGREE, np.minimum(sure, ALONE), 0))
