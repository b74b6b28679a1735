"""Filters over batches of pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ...luma import BT601

LIGHT_SIGMA = 0.10
"""The light on a face is what is left of its picture after a blur this wide, in crop sides."""

LUMA = torch.from_numpy(BT601)
"""What red, green and blue count in luma (ITU-R BT.601)."""


def luma(picture: torch.Tensor) -> torch.Tensor:
    """The luma of RGB (B, 3, H, W): (B, 1, H, W)."""
    return (picture * LUMA.to(picture.device, non_blocking=True)[:, None, None]).sum(1, keepdim=True)


def light(picture: torch.Tensor, weight: torch.Tensor, sigma: float = LIGHT_SIGMA) -> torch.Tensor:
    """The low frequencies of a picture (B, C, S, S) under a weight (B, 1, S, S), unmixed with what is outside."""
    both = blur(torch.cat([picture * weight, weight], 1), sigma * picture.shape[-1])
    return both[:, :-1] / (both[:, -1:] + 1e-3)


def blur(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Separable Gaussian blur of (B, C, H, W), borders repeated; wide ones on a reduced picture."""
    reduction = max(1, int(sigma / 2))
    if reduction > 1:
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % reduction, 0, -height % reduction), mode="replicate")  # whole cells: no stretching
        small = blur(F.avg_pool2d(x, reduction), sigma / reduction)
        large = F.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return large[..., :height, :width]
    radius = max(1, int(3 * sigma + 0.5))
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    if x.device.type == "cpu":
        if not (x.requires_grad and torch.is_grad_enabled()):
            # where a convolution of one channel takes twenty times as long
            return _summed(_summed(padded, kernel[radius:].tolist(), 3), kernel[radius:].tolist(), 2)
        # every plane a channel, side by side in memory: five times as fast, with its gradient, as what is summed
        padded = padded.flatten(0, 1)[None].contiguous(memory_format=torch.channels_last)
    kernel = kernel.expand(padded.shape[1], 1, -1)
    with torch.autocast(x.device.type, enabled=False):  # differences of moments bear no rounding
        rows = F.conv2d(padded, kernel[:, :, None], groups=padded.shape[1])
        return F.conv2d(rows, kernel[..., None], groups=padded.shape[1]).reshape(x.shape)


def eroded(x: torch.Tensor, reach: int) -> torch.Tensor:
    """The least of (B, C, H, W) over the square that reaches so far to each side; the border counts as 0."""
    return _extreme(F.pad(x, (reach, reach, reach, reach)), reach, torch.minimum)


def grown(x: torch.Tensor, reach: int) -> torch.Tensor:
    """The most of (B, C, H, W) 0..1 over the square that reaches so far to each side; the border counts as 0.

    On a CPU pooling over such a window takes ten times as long.
    """
    return _extreme(F.pad(x, (reach, reach, reach, reach)), reach, torch.maximum)


def closed(x: torch.Tensor, reach: int) -> torch.Tensor:
    """(B, C, H, W) 0..1 grown by so much to each side and drawn in again: gaps up to twice as wide are filled.

    The border neither grows nor draws in.
    """
    return _extreme(F.pad(grown(x, reach), (reach, reach, reach, reach), value=1.0), reach, torch.minimum)


def _extreme(x: torch.Tensor, reach: int, better: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """The extreme of every square that reaches so far to each side; the result is smaller by its reach."""
    for axis in (3, 2):
        covered = 1  # spans double until they make up the window
        while covered < 2 * reach + 1:
            step = min(covered, 2 * reach + 1 - covered)
            length = x.shape[axis] - step
            x = better(x.narrow(axis, 0, length), x.narrow(axis, step, length))
            covered += step
    return x


def _summed(x: torch.Tensor, weights: list[float], axis: int) -> torch.Tensor:
    """A symmetric filter along an axis, its weights from the middle outwards; the result is shorter by its reach."""
    reach = len(weights) - 1
    length = x.shape[axis] - 2 * reach
    total = x.narrow(axis, reach, length) * weights[0]
    for step, weight in enumerate(weights[1:], 1):
        both = x.narrow(axis, reach - step, length) + x.narrow(axis, reach + step, length)
        total = total.add_(both, alpha=weight)
    return total
