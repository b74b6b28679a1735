"""Reference networks, built like for like from their published definitions: what Understudy is compared with.

faceswap `original` (64 px) and `dfl-h128` (plugins/train/model of deepfakes/faceswap), and DeepFaceLab's SAEHD
df-ud 256 with its usual widths (DeepFakeArchi of iperov/DeepFaceLab: autoencoder 256, encoder 64, decoder 64, mask
22). Own code, own words; the definitions' shapes. `Twin.forward` takes a batch a side in two passes of the
encoder, as those programs do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn
from understudy.engine.model.networks.losses import face_loss
from understudy.engine.model.networks.precision import autocast

RATE = 5e-5
"""The learning rate that faceswap has by default."""


def convolution(inputs: int, outputs: int, kernel: int = 5, stride: int = 2) -> nn.Sequential:
    """A convolution with `same` padding and a leaky rectifier."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.LeakyReLU(0.1))


def upscale(inputs: int, outputs: int) -> nn.Sequential:
    """Twice the size by depth to space."""
    return nn.Sequential(nn.Conv2d(inputs, 4 * outputs, 3, 1, 1), nn.LeakyReLU(0.1), nn.PixelShuffle(2))


class FaceswapEncoder(nn.Module):
    """Four strided convolutions, two dense layers, one upscale."""

    def __init__(self, size: int, middle: int, low: int, channels: int, outputs: int) -> None:
        super().__init__()
        widths = [3, 128, 256, 512, 1024]
        self.down = nn.Sequential(*(convolution(i, o) for i, o in itertools.pairwise(widths)))
        self.dense = nn.Sequential(nn.Linear(1024 * (size // 16) ** 2, middle), nn.Linear(middle, low * low * channels))
        self.low, self.channels = low, channels
        self.up = upscale(channels, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) → features."""
        x = self.dense(self.down(x).flatten(1))
        return cast(torch.Tensor, self.up(x.reshape(-1, self.channels, self.low, self.low)))


class SaehdEncoder(nn.Module):
    """DeepFaceLab's df encoder and inter, options u (normalised code) and d (half the resolution in the code)."""

    def __init__(self, size: int = 256, code: int = 256, width: int = 64) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 8 * width]
        self.down = nn.Sequential(*(convolution(i, o) for i, o in itertools.pairwise(widths)))
        self.low, self.code = size // 32, code
        self.dense = nn.Sequential(nn.Linear(8 * width * (size // 16) ** 2, code), nn.Linear(code, self.low**2 * code))
        self.up = upscale(code, code)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) → (B, code, S/16, S/16)."""
        x = self.down(x).flatten(1)
        x = x * (x.square().mean(1, keepdim=True) + 1e-6).rsqrt()
        return cast(torch.Tensor, self.up(self.dense(x).reshape(-1, self.code, self.low, self.low)))


class Residual(nn.Module):
    """Two convolutions beside the way straight through."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return F.leaky_relu(x + self.second(F.leaky_relu(self.first(x), 0.2)), 0.2)


class SaehdDecoder(nn.Module):
    """DeepFaceLab's decoder with option d: four pictures of half the size, folded into one; and a mask."""

    def __init__(self, code: int = 256, width: int = 64, mask: int = 22) -> None:
        super().__init__()
        widths = [code, 8 * width, 4 * width, 2 * width]
        stages = [nn.Sequential(upscale(i, o), Residual(o)) for i, o in itertools.pairwise(widths)]
        self.face = nn.Sequential(*stages)
        self.outputs = nn.ModuleList(nn.Conv2d(2 * width, 3, k, 1, k // 2) for k in (1, 3, 3, 3))
        marks = [code, 8 * mask, 4 * mask, 2 * mask, mask]
        self.mask = nn.Sequential(*(upscale(i, o) for i, o in itertools.pairwise(marks)), nn.Conv2d(mask, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Code → (B, 4, S, S): RGB and mask, 0..1."""
        y = self.face(x)
        parts = torch.stack([out(y) for out in self.outputs], 2)  # (B, 3, 4, S/2, S/2)
        return torch.cat([F.pixel_shuffle(parts.flatten(1, 2), 2), self.mask(x)], 1).sigmoid()


class Twin(nn.Module):
    """A shared encoder and a decoder a side."""

    def __init__(self, name: str) -> None:
        super().__init__()
        if name == "original":
            self.size = 64
            self.encoder: nn.Module = FaceswapEncoder(64, 1024, 4, 1024, 512)
            decoders = [self._decoder([512, 256, 128, 64]) for _ in range(2)]
        elif name == "dfl-h128":
            self.size = 128
            self.encoder = FaceswapEncoder(128, 512, 8, 512, 512)
            decoders = [self._decoder([512, 512, 256, 128]) for _ in range(2)]
        elif name == "saehd-df-ud-256":
            self.size = 256
            self.encoder = SaehdEncoder()
            decoders = [SaehdDecoder() for _ in range(2)]
        else:
            raise ValueError(f"There is no twin {name}.")
        self.decoders = nn.ModuleList(decoders)

    @staticmethod
    def _decoder(widths: list[int]) -> nn.Module:
        stages = [upscale(i, o) for i, o in itertools.pairwise(widths)]
        return nn.Sequential(*stages, nn.Conv2d(widths[-1], 3, 5, 1, 2), nn.Sigmoid())

    def forward(self, sides: list[torch.Tensor]) -> list[torch.Tensor]:
        """A batch a side → what each side's decoder makes of it."""
        return [decoder(self.encoder(x)) for decoder, x in zip(self.decoders, sides, strict=True)]


def warped(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """faceswap's training pair of faces (B, 3, S, S) on any device: turned, scaled, shifted, flipped a little; and that
    bent by a 5 x 5 grid. Returns the bent one first."""
    count, size, device = len(x), x.shape[-1], x.device
    angle = (torch.rand(count, device=device) - 0.5) * 2 * math.radians(10)
    zoom = 1 + (torch.rand(count, device=device) - 0.5) * 0.1
    flip = 1 - 2 * (torch.rand(count, device=device) < 0.5).float()
    move = (torch.rand(count, 2, device=device) - 0.5) * 0.2
    matrix = torch.stack(
        [
            torch.stack([flip * zoom * angle.cos(), -zoom * angle.sin(), move[:, 0]], 1),
            torch.stack([flip * zoom * angle.sin(), zoom * angle.cos(), move[:, 1]], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    truth = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    nodes = torch.randn(count, 2, 5, 5, device=device) * (5 / 128)
    bend = F.interpolate(nodes, size=(size, size), mode="bicubic", align_corners=True)
    straight = torch.eye(2, 3, device=device).expand(count, 2, 3)
    plain = F.affine_grid(straight, [count, 3, size, size], align_corners=False)
    return F.grid_sample(truth, plain + bend.permute(0, 2, 3, 1), padding_mode="border", align_corners=False), truth


def drawn_pairs(faces: list[torch.Tensor], batch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A batch a side out of all faces (N, 3, S, S) of each, as `warped` makes it."""
    return [warped(x[torch.randint(len(x), (batch,), device=x.device)]) for x in faces]


def step_as_faceswap(twin: Twin, faces: list[torch.Tensor], batch: int) -> Callable[[], None]:
    """What makes one whole step as faceswap does: float32, the encoder once for each side, Adam."""
    weight = torch.ones(batch, 1, twin.size, twin.size, device=faces[0].device)
    adam = torch.optim.Adam(twin.parameters(), RATE, betas=(0.5, 0.99), eps=1e-7, foreach=False)

    def step() -> None:
        fed = drawn_pairs(faces, batch)
        adam.zero_grad(set_to_none=True)
        made = twin([p[0] for p in fed])
        torch.autograd.backward(sum(face_loss(m[:, :3], p[1], weight).mean() for m, p in zip(made, fed, strict=True)))
        adam.step()

    return step


def step_as_ours(
    twin: Twin,
    faces: list[torch.Tensor],
    batch: int,
    encode: Callable[..., torch.Tensor] | None = None,
    decode: list[Callable[..., torch.Tensor]] | None = None,
) -> Callable[[], None]:
    """What makes one whole step of the same network as we run ours: one pass of the encoder, channels last, fused
    AdamW, bfloat16 where the machine is faster with it. `encode` and `decode` are its parts where they are compiled."""
    device = faces[0].device
    weight = torch.ones(batch, 1, twin.size, twin.size, device=device)
    network = twin.to(memory_format=torch.channels_last)
    encoder, decoders = encode or network.encoder, decode or list(network.decoders)
    fused = torch.optim.AdamW(network.parameters(), RATE, betas=(0.5, 0.99), eps=1e-7, fused=True)

    def step() -> None:
        fed = drawn_pairs(faces, batch)
        fused.zero_grad(set_to_none=True)
        with autocast(device):
            features = encoder(torch.cat([p[0] for p in fed])).split(batch)
            made = [decoder(x).float() for decoder, x in zip(decoders, features, strict=True)]
        torch.autograd.backward(sum(face_loss(m[:, :3], p[1], weight).mean() for m, p in zip(made, fed, strict=True)))
        fused.step()

    return step


PUBLISHED = {"original": (69_662_976, 6_199_747)}
"""Encoder's and decoder's parameters as faceswap's own log prints them (its issue tracker has many)."""


def parameters(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(p.numel() for p in module.parameters())


if __name__ == "__main__":
    for name in ("original", "dfl-h128", "saehd-df-ud-256"):
        twin = Twin(name)
        counts = parameters(twin.encoder), parameters(twin.decoders[0])
        known = PUBLISHED.get(name)
        verdict = "" if known is None else "  as published" if counts == known else f"  BUT PUBLISHED ARE {known}"
        print(f"{name}: encoder {counts[0]:,}, decoder {counts[1]:,}{verdict}")
