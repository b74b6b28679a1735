"""A face's parts that no mesh knows: hair, the rims and lenses of spectacles, beards, told by a small network.

It looks at a face's crop and at where the mesh expects its parts. It was trained by tools/train_parser.py: hair by the
answers of MediaPipe's hair segmentation (Apache-2.0), the rest on what was drawn over faces; docs/dev/parser.md says on
whose. Skin, brows, eyes and lips are told by the mesh itself.

`parser.safetensors` is the project's own, under its licence.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from .occlusion import CHANNELS as LAYERED
from .occlusion import expected, network_input

SIZE = 192
"""Side of what the network sees, in pixels; it is the whole crop."""
CLASSES = ("hair", "rim", "lens", "beard")
"""What it tells, each by itself: a lens lies over skin, a strand of hair may lie over a beard."""
HAIR, RIM, LENS, BEARD = range(len(CLASSES))
BATCH = 16
WEIGHTS = Path(__file__).with_name("parser.safetensors")
_CHANNELS = 4 * 3 + LAYERED - 3


class ParserNet(nn.Module):
    """A U-Net on half the side: (N, _CHANNELS, S/2, S/2) as `folded` makes it → (N, classes, S, S) logits."""

    def __init__(self, widths: Sequence[int] = (16, 32, 48, 64, 80)) -> None:
        super().__init__()
        self.stem = _block(_CHANNELS, widths[0])
        self.down = nn.ModuleList(nn.Sequential(_block(a, b, 2), _block(b, b)) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in itertools.pairwise(widths))
        self.out = nn.Conv2d(widths[0], 4 * len(CLASSES), 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kept = [self.stem(x)]
        for level in self.down:
            kept.append(level(kept[-1]))
        y = kept.pop()
        for level in reversed(self.up):
            beside = kept.pop()
            y = level(torch.cat([F.interpolate(y, size=beside.shape[-2:], mode="nearest"), beside], 1))
        return F.pixel_shuffle(self.out(y), 2)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def folded(pixels: Tensor, layers: Tensor) -> Tensor:
    """(N, 3, S, S) RGB and (N, L, S/2, S/2) expected layers, both uint8, as the network wants them.

    Each two by two pixels become channels of one; a face's own mean and contrast are taken out.
    """
    side = layers.shape[-1]
    small = F.avg_pool2d(pixels.float(), pixels.shape[-1] // side)
    x = network_input(small, layers)
    hull = layers[:, :1].float() / 255
    area = hull.sum((2, 3), keepdim=True).clamp_min(1)
    middle = (small / 255 * hull).sum((2, 3), keepdim=True) / area
    spread = (((small / 255 - middle) ** 2 * hull).sum((2, 3), keepdim=True) / area).mean(1, keepdim=True).sqrt()
    fine = F.pixel_unshuffle((pixels.float() / 255 - middle) / (spread + 0.03) / 2, 2)
    return torch.cat([fine, x[:, 3:]], 1).contiguous(memory_format=torch.channels_last)


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
    way = cv2.INTER_AREA if side > SIZE else cv2.INTER_LINEAR
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
