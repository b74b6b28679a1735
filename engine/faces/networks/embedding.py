"""Who a face is: 128 numbers, nearer than about 0.5 for two pictures of one person.

Source: dlib's face recognition network and its face chips (`get_face_chip_details`), CC0 and
Boost licence; the mean face is dlib's.
"""

from __future__ import annotations

import numpy as np
import torch

from ..geometry import align
from . import weights
from .dlib import FaceNet

SIZE = 150
PADDING = 0.25
BATCH = 16

# mesh points that stand for dlib's 68, from 27 on (nose, eyes, lips; brows and jaw are not used)
_NOSE = [168, 197, 5, 4, 75, 97, 2, 326, 305]
_EYES = [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]
_UPPER_LIP = [61, 39, 37, 0, 267, 269, 291]
_INNER_UPPER_LIP = [78, 82, 13, 312, 308]
POINTS = np.array([*_NOSE, *_EYES, *_UPPER_LIP, *_INNER_UPPER_LIP])
"""(33,) mesh points a chip is fitted to: those dlib uses, without the lower lip, which speaks."""

# fmt: off
_MEAN_X = (
    0.490127, 0.490127, 0.490127, 0.490127, 0.36688, 0.426036, 0.490127, 0.554217, 0.613373,
    0.121737, 0.187122, 0.265825, 0.334606, 0.260918, 0.182743,
    0.645647, 0.714428, 0.793132, 0.858516, 0.79751, 0.719335,
    0.254149, 0.340985, 0.428858, 0.490127, 0.551395, 0.639268, 0.726104,
    0.290379, 0.428096, 0.490127, 0.552157, 0.689874,
)
_MEAN_Y = (
    0.203352, 0.307009, 0.409805, 0.515625, 0.587326, 0.609345, 0.628106, 0.609345, 0.587326,
    0.216423, 0.178758, 0.179852, 0.231733, 0.245099, 0.244077,
    0.231733, 0.179852, 0.178758, 0.216423, 0.244077, 0.245099,
    0.780233, 0.745405, 0.727388, 0.742578, 0.727388, 0.745405, 0.780233,
    0.784792, 0.778746, 0.785343, 0.778746, 0.784792,
)
# fmt: on
MEAN_FACE = (np.column_stack([_MEAN_X, _MEAN_Y]) + PADDING) / (2 * PADDING + 1) * SIZE + 0.5
"""(33, 2) where `POINTS` lie in a chip, in chip pixels (centres at integers + 0.5)."""


def chip_matrix(landmarks: np.ndarray) -> np.ndarray:
    """(2, 3) float64: the similarity that takes source pixels to the chip's, from (468, 2 or 3)."""
    source = landmarks[POINTS, :2].astype(np.float64)
    center, target = source.mean(0), MEAN_FACE.mean(0)
    # least squares over x' = a x - b y, y' = b x + a y: one complex division
    z, w = (source - center) @ [1, 1j], (MEAN_FACE - target) @ [1, 1j]
    factor = np.vdot(z, w) / max(np.vdot(z, z).real, 1e-9)
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, target - turn @ center])


class Embedder:
    """The recognition network on a device."""

    def __init__(self, device: str = "cpu") -> None:
        tensors, _ = weights.load("embedding", device)
        self.device = device
        self.network = FaceNet(tensors).to(device).eval()

    @torch.inference_mode()
    def embed(self, images: list[np.ndarray], landmarks: list[np.ndarray] | np.ndarray) -> np.ndarray:
        """n RGB images (height, width, 3) uint8 with one face's (468, 2 or 3) landmarks each.

        Returns (n, 128) float32. The same image may be given for several faces.
        """
        pairs = zip(images, landmarks, strict=True)
        chips = [align.crop(image, chip_matrix(points), SIZE) for image, points in pairs]
        if not chips:
            return np.empty((0, 128), np.float32)
        found = []
        for batch in torch.split(torch.from_numpy(np.stack(chips)), BATCH):
            found.append(self.network(batch.to(self.device).permute(0, 3, 1, 2).float()).cpu())
        return torch.cat(found).numpy()

    def embed_one(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(128,) float32 of one face of one image."""
        return self.embed([image], [landmarks])[0]
