"""Filters over batches of pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F


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
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, kernel[:, :, None], groups=x.shape[1])
    return F.conv2d(rows, kernel[..., None], groups=x.shape[1])
