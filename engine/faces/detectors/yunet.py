"""YuNet: small and quick, good in crowds and on profiles, poor under heavy noise. An optional download.

Source: Wu et al., YuNet: A Tiny Millisecond-level Face Detector, 2023; the network of the OpenCV
zoo (MIT), run by OpenCV itself on the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ...errors import DataError
from ..networks import downloads
from .found import Found, found, no_faces

SCORE = 0.6
OVERLAP = 0.3
LARGEST = 300.0
"""The network was trained on faces up to about this many pixels: pictures are shrunk so that larger ones fit."""


class YuNet:
    """A detector; see `Detector`."""

    def __init__(self, file: Path | None = None) -> None:
        """From a file of the network; None is the installed one."""
        path = file or downloads.require("yunet")
        try:
            self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), SCORE, OVERLAP)
        except cv2.error:
            raise DataError(
                f"The detector {path} is damaged. Delete it and run `understudy models fetch --detector yunet`."
            ) from None

    def __call__(self, images: Sequence[np.ndarray], smallest: float = 20.0) -> list[Found]:
        """See `Detector`."""
        return [self._one(image) for image in images]

    def _one(self, image: np.ndarray) -> Found:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        height, width = bgr.shape[:2]
        scales = [1.0]
        if min(height, width) > 1.4 * LARGEST:
            scales.append(LARGEST / min(height, width))
        rows = [self._at(bgr, scale) for scale in scales]
        every = np.concatenate(rows)
        if not len(every):
            return no_faces()
        kept = np.array(
            cv2.dnn.NMSBoxes(every[:, :4].tolist(), every[:, 14].tolist(), SCORE, OVERLAP), np.int64
        ).reshape(-1)
        every = every[kept]
        corners = np.concatenate([every[:, :2], every[:, :2] + every[:, 2:4]], 1)
        return found(corners, every[:, 14], every[:, 4:14].reshape(-1, 5, 2))

    def _at(self, bgr: np.ndarray, scale: float) -> np.ndarray:
        """(n, 15) x, y, width, height, five points, score, in pixels of the whole picture."""
        small = bgr if scale == 1 else cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self.network.setInputSize((small.shape[1], small.shape[0]))
        _, faces = self.network.detect(small)
        if faces is None:
            return np.empty((0, 15), np.float32)
        return np.concatenate([faces[:, :14] / scale, faces[:, 14:]], 1).astype(np.float32)
