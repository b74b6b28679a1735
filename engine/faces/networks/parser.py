"""A face's parts that no mesh knows: hair, the rims and lenses of spectacles, beards, told by a small network.

It looks at a face's crop and at where the mesh expects its parts. It was trained by tools/train_parser.py: hair by the
answers of MediaPipe's hair segmentation (Apache-2.0), the rest on what was drawn over faces; docs/dev/parser.md says on
whose. Skin, brows, eyes and lips are told by the mesh itself.

`parser.safetensors` is the project's own, under its licence.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from .occlusion import CHANNELS as LAYERED
from .occlusion import expected, tones
from .u_net import UNet

SIZE = 192
"""Side of what the network sees, in pixels; it is the whole crop."""
CLASSES = ("hair", "rim", "lens", "beard")
"""What it tells, each by itself: a lens lies over skin, a strand of hair may lie over a beard."""
HAIR, RIM, LENS, BEARD = range(len(CLASSES))
BATCH = 16
WEIGHTS = Path(__file__).with_name("parser.safetensors")
_CHANNELS = 4 * 3 + LAYERED - 3


class ParserNet(UNet):
    """A U-Net on half the side: (N, _CHANNELS, S/2, S/2) as `folded` makes it → (N, classes, S, S) logits."""

    def __init__(self) -> None:
        super().__init__(_CHANNELS, 4 * len(CLASSES), (16, 32, 48, 64, 80))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.pixel_shuffle(super().forward(x), 2)


def folded(pixels: Tensor, layers: Tensor) -> Tensor:
    """(N, 3, S, S) RGB and (N, L, S/2, S/2) expected layers, both uint8, as the network wants them.

    Each two by two pixels become channels of one; a face's own mean and contrast are taken out.
    """
    side = layers.shape[-1]
    small = F.avg_pool2d(pixels.float(), pixels.shape[-1] // side)
    where = layers.float() / 255
    middle, spread = tones(small / 255, where[:, :1])
    fine = F.pixel_unshuffle((pixels.float() / 255 - middle) / (spread + 0.03) / 2, 2)
    return torch.cat([fine, where - 0.5], 1).contiguous(memory_format=torch.channels_last)


@cache
def _network(device: str) -> nn.Module:
    net = ParserNet()
    net.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()}, strict=False)
    return net.requires_grad_(False).to(torch.device(device), memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # torch's own stubs lack it


@torch.inference_mode()
def parse(pixels: np.ndarray, landmarks: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
    """How likely each pixel of N crops is hair, rim, lens or beard: (N, classes, S, S) uint8, 255 surely.

    pixels (N, S, S, 3) uint8 RGB crops, landmarks (N, 468, 3) in their pixels.
    """
    side = pixels.shape[1]
    way = cv2.INTER_AREA if side > SIZE else cv2.INTER_LANCZOS4  # linear takes a small face its rims and stubble
    small = np.stack([cv2.resize(p, (SIZE, SIZE), interpolation=way) for p in pixels])
    layers = np.stack([expected(points * (SIZE / 2 / side), SIZE // 2) for points in landmarks])
    net = _network(str(device))
    found = []
    for some, where in zip(
        torch.split(torch.from_numpy(small), BATCH), torch.split(torch.from_numpy(layers), BATCH), strict=True
    ):
        likely = net(folded(some.to(device).permute(0, 3, 1, 2), where.to(device))).sigmoid()
        if side != SIZE:
            likely = F.interpolate(likely.float(), size=(side, side), mode="bilinear", align_corners=False)
        found.append((likely.float() * 255).round().byte().cpu())
    return torch.cat(found).numpy()
