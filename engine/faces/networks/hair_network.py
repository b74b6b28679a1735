"""MediaPipe's hair segmentation, an optional download: finer on hair than `parser`, several times slower, hair alone.

`parser` learned hair from its answers. Wrong before black grounds, which it takes for hair.
Source: Tkachenka et al., Real-time Hair Segmentation and Recoloring on Mobile GPUs, 2019.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from ...reading import read_bytes
from . import downloads
from .tflite import GraphNet, parse

SIDE = 512


class HairNetwork:
    """The network in a file, or as it was downloaded.

    Raises ModelsMissingError when it was not fetched, DataError when the file is no such network.
    """

    def __init__(self, file: Path | None = None, device: str = "cpu") -> None:
        program, weights = parse(read_bytes(file or downloads.require("hair")))
        self.device = torch.device(device)
        self.network = GraphNet(program, {k: torch.tensor(v) for k, v in weights.items()}).to(self.device).eval()

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """How likely each pixel is hair: (N, S, S, 3) uint8 RGB crops → (N, S, S) uint8, 255 surely.

        Each is looked at twice, the second time with the first answer, as in a film that stands still.
        """
        side = pixels.shape[1]
        found = []
        for picture in pixels:
            large = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC if side < SIDE else cv2.INTER_AREA)
            x = torch.zeros(1, 4, SIDE, SIDE, device=self.device)
            x[0, :3] = torch.from_numpy(large).to(self.device).permute(2, 0, 1).float() / 255
            for _ in range(2):
                x[0, 3] = self.network(x)[0].softmax(-1)[0, ..., 1]
            likely = cv2.resize(x[0, 3].cpu().numpy(), (side, side), interpolation=cv2.INTER_AREA)
            found.append(np.round(255 * likely).astype(np.uint8))
        return np.stack(found)
