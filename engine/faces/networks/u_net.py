"""The small U-Net of the networks that look at a face's crop: what hides a face, and its hair, spectacles and beard."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UNet(nn.Module):
    """(N, inputs, S, S) → (N, outputs, S, S) logits; S is a multiple of 16, `widths` the channels from fine to coarse.

    Plain convolutions with batch normalization (Ronneberger, Fischer and Brox, U-Net, 2015, in a small form).
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = _block(inputs, widths[0])
        self.down = nn.ModuleList(nn.Sequential(_block(a, b, 2), _block(b, b)) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(_block(a + b, a) for a, b in itertools.pairwise(widths))
        self.out = nn.Conv2d(widths[0], outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kept = [self.stem(x)]
        for level in self.down:
            kept.append(level(kept[-1]))
        y = kept.pop()
        for level in reversed(self.up):
            beside = kept.pop()
            y = level(torch.cat([F.interpolate(y, size=beside.shape[-2:], mode="nearest"), beside], 1))
        answer: Tensor = self.out(y)
        return answer


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
