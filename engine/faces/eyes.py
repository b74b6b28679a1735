"""Eyes looked at closely: the mesh knows where they are, but hardly when they close.

Source: Ablavatski et al., Real-time Pupil Tracking from Monocular Video for Digital Puppetry, 2020;
MediaPipe's iris_landmark network, its region of interest, and its table of which mesh points the
71 eye points are (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from . import align, weights
from .tflite import GraphNet
from .topology import LEFT_EYE_CORNERS, MIRROR, RIGHT_EYE_CORNERS

SIZE = 64
MARGIN = 2.3
BATCH = 32
IRIS_POINTS = 5
"""The iris's centre, then its rim."""
WORTH_LOOKING = (5.0, 12.0)
"""Width of an eye in source pixels: below the first the mesh keeps its points, above the second the new ones count."""

# fmt: off
RIGHT_EYE = np.array([
    33, 7, 163, 144, 145, 153, 154, 155, 133,  # lower lid
    246, 161, 160, 159, 158, 157, 173,  # upper lid
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,  # rings around it
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
])
# fmt: on
"""(71,) the mesh vertices that the network's points are, for the person's right eye."""


class Eyes:
    """Call it with pictures and the mesh landmarks of their faces; see `__call__`."""

    def __init__(self, device: str = "cpu") -> None:
        tensors, facts = weights.load("iris", device)
        self.device = device
        self.network = GraphNet(facts["program"], tensors).to(device).eval()

    def __call__(self, images: Sequence[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
        """Put lids, corners and brows where they are: (n, 468, 3) → a new (n, 468, 3) float32.

        `images` are n RGB pictures (height, width, 3) uint8, one for each face; x and y change, z stays the
        mesh's.
        """
        refined = landmarks.copy()
        for face, vertices, width, points, _ in self._look(images, landmarks):
            low, high = WORTH_LOOKING
            trust = float(np.clip((width - low) / (high - low), 0, 1))
            refined[face, vertices, :2] += trust * (points - refined[face, vertices, :2])
        return refined

    def irises(self, images: Sequence[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
        """Centres of both irises, the person's right one first: images as above → (n, 2, 2) float32 source pixels."""
        centres = [iris for *_, iris in self._look(images, landmarks)]
        return np.asarray(centres, np.float32).reshape(-1, 2, 2)

    @torch.inference_mode()
    def _look(
        self, images: Sequence[np.ndarray], landmarks: np.ndarray
    ) -> list[tuple[int, np.ndarray, float, np.ndarray, np.ndarray]]:
        """Right eye, left eye, face by face: face, vertices, width of the eye, their (71, 2) places, the iris (2,)."""
        # the network knows one eye; the other is shown to it in a mirror
        eyes = [
            (face, vertices, _region(landmarks[face], corners, flip))
            for face in range(len(landmarks))
            for vertices, corners, flip in (
                (RIGHT_EYE, RIGHT_EYE_CORNERS, False),
                (MIRROR[RIGHT_EYE], LEFT_EYE_CORNERS, True),
            )
        ]
        if not eyes:
            return []
        crops = torch.from_numpy(np.stack([align.crop(images[face], m, SIZE) for face, _, (m, _) in eyes]))
        found = []
        for batch in torch.split(crops, BATCH):
            outputs = self.network(batch.to(self.device).permute(0, 3, 1, 2).float().div_(255))
            lids = next(o for o in outputs if o.numel() == 3 * len(RIGHT_EYE) * len(batch))
            iris = next(o for o in outputs if o.numel() == 3 * IRIS_POINTS * len(batch))
            both = torch.cat([o.reshape(len(batch), -1, 3)[..., :2] for o in (lids, iris)], 1)
            found.append(both.float().cpu())
        looked = []
        for (face, vertices, (matrix, width)), points in zip(eyes, torch.cat(found).numpy(), strict=True):
            back = cv2.invertAffineTransform(matrix)
            seen = points @ back[:, :2].T + back[:, 2]
            looked.append((face, vertices, width, seen[: len(RIGHT_EYE)], seen[len(RIGHT_EYE)]))
        return looked


def _region(landmarks: np.ndarray, corners: tuple[int, int], flip: bool) -> tuple[np.ndarray, float]:
    """The (2, 3) matrix that cuts one eye's crop, corner to corner level, and the eye's width in source pixels."""
    first, second = landmarks[list(corners), :2].astype(np.float64)
    across = second - first
    width = max(float(np.hypot(*across)), 1e-3)
    cos, sin = across / width * SIZE / (MARGIN * width)
    turn = np.array([[cos, sin], [-sin, cos]])
    if flip:
        turn[0] *= -1
    return np.column_stack([turn, SIZE / 2 - turn @ (first + second) / 2]), width
