"""dlib's face recognition network: read from its `.dat` file as data, and run in torch.

Source: dlib_face_recognition_resnet_model_v1 by Davis King (CC0); dlib/dnn/layers.h for the
serialisation, examples/dnn_face_recognition_ex.cpp for the architecture.
"""

from __future__ import annotations

import re

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import DataError

MEAN = (122.782, 117.001, 104.298)
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Channels, residual blocks, and whether the first block halves the picture."""

_LAYER = re.compile(rb"\x01(?:\x05(con)_4|\x07(affine)_|\x04(fc)_2)")


def parse(data: bytes) -> dict[str, np.ndarray]:
    """The weights as `FaceNet` wants them, float32; each batch norm is folded into its convolution.

    Raises DataError when the bytes are not that network.
    """
    try:
        return _named(_layers(data))
    except (ValueError, IndexError, StopIteration) as error:
        raise DataError(f"This is not dlib's face recognition network ({error}). Fetch the networks again.") from None


def _layers(data: bytes) -> list[tuple[str, np.ndarray]]:
    """Every layer with weights, input first.

    A layer is its name (a length-prefixed string) followed by a tensor (the fully connected one
    tells its outputs and inputs before that): version 2, four sizes, then little-endian float32.
    Integers are one byte of length and sign, then that many bytes.
    """
    found: list[tuple[str, np.ndarray]] = []
    place = 0
    while match := _LAYER.search(data, place):
        kind = next(group for group in match.groups() if group).decode()
        sizes = []
        place = match.end()
        for _ in range(7 if kind == "fc" else 5):
            length = data[place]
            if not 1 <= length <= 8:
                raise ValueError("a number in it is damaged")
            sizes.append(int.from_bytes(data[place + 1 : place + 1 + length], "little"))
            place += 1 + length
        version, *shape = sizes[-5:]
        count = shape[0] * shape[1] * shape[2] * shape[3]
        if version != 2 or not 0 < count * 4 <= len(data) - place:
            raise ValueError("a layer in it is damaged")
        found.append((kind, np.frombuffer(data, "<f4", count, place)))
        place += 4 * count
    return found


def _named(layers: list[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    weights: dict[str, np.ndarray] = {}
    remaining = iter(layers)

    def take(kind: str) -> np.ndarray:
        got, values = next(remaining, ("nothing", np.empty(0, np.float32)))
        if got != kind:
            raise ValueError(f"{got} stands where {kind} should")
        return values

    def conv(name: str, out: int, into: int, size: int) -> None:
        values = take("con")
        if values.size != out * (into * size * size + 1):
            raise ValueError(f"{name} has a wrong size")
        gain, offset = take("affine").reshape(2, out)
        kernel, bias = values[:-out].reshape(out, into, size, size), values[-out:]
        weights[f"{name}.weight"] = kernel * gain[:, None, None, None]
        weights[f"{name}.bias"] = bias * gain + offset

    conv("stem", 32, 3, 7)
    before = 32
    for stage, (channels, blocks, _) in enumerate(STAGES):
        for block in range(blocks):
            conv(f"stages.{stage}.{block}.first", channels, before, 3)
            conv(f"stages.{stage}.{block}.second", channels, channels, 3)
            before = channels
    weights["out.weight"] = np.ascontiguousarray(take("fc").reshape(256, 128).T)
    return weights


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.first = nn.Conv2d(before, channels, 3, 2 if halve else 1, 0 if halve else 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu_(self.first(x)))
        if not self.halve:
            return F.relu_(x + y)
        # dlib's add_prev: what differs in size or channels counts as zero
        shortcut = F.avg_pool2d(x, 2)
        channels, height, width = (max(a, b) for a, b in zip(shortcut.shape[1:], y.shape[1:], strict=True))

        def grown(t: Tensor) -> Tensor:
            return F.pad(t, (0, width - t.shape[3], 0, height - t.shape[2], 0, channels - t.shape[1]))

        return F.relu_(grown(shortcut) + grown(y))


class FaceNet(nn.Module):
    """(N, 3, 150, 150) float32 RGB 0..255 → (N, 128): nearer than about 0.5 is the same person."""

    mean: Tensor

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        stages, before = [], 32
        for channels, blocks, halve in STAGES:
            stages.append(
                nn.Sequential(*(_Block(channels if i else before, channels, halve and not i) for i in range(blocks)))
            )
            before = channels
        self.stages = nn.Sequential(*stages)
        self.out = nn.Linear(256, 128, bias=False)
        self.load_state_dict(weights)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.features(x)[1]

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The features after the stem and after each stage, fine to coarse, and the embedding."""
        x = F.max_pool2d(F.relu_(self.stem((x - self.mean) / 256)), 3, 2)
        found = [x]
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found, self.out(x.mean((2, 3)))
