"""The operators by which a network looks again at a part of its own picture: where, cutting it out, carrying back.

Each takes its options and tensors with the batch first, as `tflite.GraphNet` has them.

Source: Grishchenko et al., Attention Mesh, 2020; the operators of MediaPipe's mediapipe/util/tflite/operations in
their second version (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _matrix(options: dict[str, Any], landmarks: Tensor) -> Tensor:
    """(N, 468, 3) landmarks in pixels of a feature map → (N, 4, 4): pixels of the part's crop → the map's.

    The crop is upright to the line between two landmarks, and so much larger than the box around some of them.
    """
    xy = landmarks[..., :2]
    across = xy[:, options["right_rotation_idx"]] - xy[:, options["left_rotation_idx"]]
    angle = torch.atan2(across[:, 1], across[:, 0]) - options["target_rotation_radians"]
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    upright = xy[:, options["subset_idxs"]].flatten(1, -2) @ turn
    low, high = upright.amin(1), upright.amax(1)
    side = torch.tensor([options["output_width"], options["output_height"]], dtype=xy.dtype, device=xy.device)
    scale = torch.tensor([options["scale_x"], options["scale_y"]], dtype=xy.dtype, device=xy.device)
    linear = turn * (scale * (high - low) / side)[:, None]
    centre = (turn @ ((low + high) / 2)[..., None])[..., 0]
    matrix = torch.eye(4, dtype=xy.dtype, device=xy.device).repeat(len(xy), 1, 1)
    matrix[:, :2, :2] = linear
    matrix[:, :2, 3] = centre - (linear @ (side / 2)[:, None])[..., 0]
    return matrix


def _crop(options: dict[str, Any], features: Tensor, matrix: Tensor) -> Tensor:
    """(N, C, H, W) features and `_matrix` → (N, C, height, width), bilinear, 0 outside."""
    height, width = features.shape[-2:]
    rows = torch.arange(options["output_height"], dtype=features.dtype, device=features.device) + 0.5
    columns = torch.arange(options["output_width"], dtype=features.dtype, device=features.device) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([x, y], -1).view(1, -1, 2) @ matrix[:, :2, :2].transpose(1, 2) + matrix[:, None, :2, 3] - 0.5
    last = torch.tensor([width - 1, height - 1], dtype=features.dtype, device=features.device)
    inside = ((places >= 0) & (places <= last)).all(-1)
    grid = (places / last * 2 - 1).view(len(features), *y.shape, 2)
    cut = F.grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return cut * inside.view(len(features), 1, *y.shape)


def _carry(options: dict[str, Any], landmarks: Tensor, matrix: Tensor) -> Tensor:
    """(N, n, 2) points of the crop → of the picture whose pixels `matrix` leads to."""
    return landmarks @ matrix[:, :2, :2].transpose(1, 2) + matrix[:, None, :2, 3]


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Landmarks2TransformMatrix 2": _matrix,
    "TransformTensorBilinear 2": _crop,
    "TransformLandmarks 2": _carry,
}
