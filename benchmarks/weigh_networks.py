"""Arrangements of the swap's network weighed against each other at equal processor time.

usage: python benchmarks/weigh_networks.py CLIP OTHER_CLIP OUT_FOLDER [--who refine df liae modulated] [--minutes 3]

  refine     the default: drafts in, a U-Net, a decoder for each identity
  df         `networks.shared_encoder`: crops in, an encoder, a narrow code, a decoder an identity (DeepFaceLab's df)
  liae       the same encoder, two inner layers (everybody's and one's own) and one decoder (DeepFaceLab's liae)
  modulated  the same encoder and one decoder, whose channels each identity scales and shifts (FiLM, Perez et al. 2018)

All at 64 pixels, through the same step (training.step), with the same losses, batch and optimiser, for so many
minutes of processor time; columns and sheets are those of train_equal.py. The draft is a row, too.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import nn
from train_equal import Bench, bytes_of, make_bench, masks_of, pictures_of, reenacted
from understudy.engine.model.draft.shape import difference, move_picture, neutral_face, reshaped
from understudy.engine.model.draft.views import choose_views, make_views
from understudy.engine.model.draft.warp import Views
from understudy.engine.model.networks import refiner_network
from understudy.engine.model.networks.shared_encoder import (
    BOTTLENECK_SIZE,
    Net,
    Shared,
    SharedDecoder,
    SharedEncoder,
    make_network,
)
from understudy.engine.model.recast import Source, recast
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.model.training.trainer import canonical_shape
from understudy.engine.model.training.training_step import Training, new_training, step
from understudy.engine.model.training.validation import DEFAULT_SHAPE
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
SIZE, WIDTH = 64, 24


class Liae(Shared):
    """Two inner layers, one of them for all; one decoder."""

    def __init__(self, identities: int, size: int, width: int) -> None:
        super().__init__(identities, size, width)
        channels = self.encoder.open.out_features // BOTTLENECK_SIZE**2
        inner = self.encoder.open
        self.encoder = _Code(size, width)
        shared, one = copy.deepcopy(inner), SharedDecoder(size, width)
        one.stages.insert(0, nn.Conv2d(2 * channels, channels, 1))
        self.decoders = nn.ModuleList(_Inner(shared, copy.deepcopy(inner), one) for _ in range(identities))


class _Code(SharedEncoder):
    """The encoder as far as the code."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width)
        del self.open

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = self.code(self.down(nn.functional.pixel_unshuffle(x, 2)).flatten(1))
        return code * (code.square().mean(1, keepdim=True) + 1e-6).rsqrt()


class _Inner(nn.Module):
    def __init__(self, shared: nn.Module, own: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.shared, self.own, self.decoder = shared, own, decoder

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        both = [nn.functional.leaky_relu(layer(code), 0.1) for layer in (self.shared, self.own)]
        return self.decoder(torch.cat(both, 1).reshape(len(code), -1, BOTTLENECK_SIZE, BOTTLENECK_SIZE))


class Modulated(Shared):
    """One decoder, each identity with its own scales and shifts of its channels."""

    def __init__(self, identities: int, size: int, width: int) -> None:
        super().__init__(identities, size, width)
        one = SharedDecoder(size, width)
        self.decoders = nn.ModuleList(_Film(one) for _ in range(identities))


class _Film(nn.Module):
    def __init__(self, decoder: SharedDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        # after every convolution, as far as there are some of its channels
        counts = [stage[0].out_channels for stage in decoder.stages if isinstance(stage, nn.Sequential)]
        self.scales = nn.ParameterList(torch.ones(1, count, 1, 1) for count in counts)
        self.shifts = nn.ParameterList(torch.zeros(1, count, 1, 1) for count in counts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        number = 0
        for stage in self.decoder.stages:
            x = stage(x)
            if isinstance(stage, nn.Sequential):
                x = x * self.scales[number] + self.shifts[number]
                number += 1
        return nn.functional.pixel_shuffle(self.decoder.head(x), 2)


def build(name: str) -> Net:
    torch.manual_seed(0)
    if name in ("refine", "df"):
        return make_network("refine" if name == "refine" else "shared", 2, SIZE, WIDTH)
    return {"liae": Liae, "modulated": Modulated}[name](2, SIZE, WIDTH * 4 // 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--who", nargs="+", default=["refine", "df", "liae", "modulated"])
    parser.add_argument("--minutes", type=float, default=3.0)
    options = parser.parse_args()
    refiner_network.SIZES["quick"] = (SIZE, WIDTH)  # facesets of twice that
    torch.set_flush_denormal(True)
    bench = make_bench(options.first, options.second, options.out.resolve())
    views = [make_views(s, CPU) for s in bench.sets]
    shape = canonical_shape(bench.sets)
    measure(bench, "draft", 0.0, 0, None, views, shape)
    for name in options.who:
        training = new_training(2, 8, CPU)
        network = build(name)
        training.refiner, training.average = network, copy.deepcopy(network).requires_grad_(False)
        training.optimiser = torch.optim.AdamW(
            network.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=1e-3, fused=True
        )
        train(training, bench, views, shape, 60 * options.minutes)
        measure(bench, name, options.minutes, training.step, training.average, views, shape)
        count = sum(p.numel() for p in network.parameters())
        print(f"  {name}: {count:,} parameters, {60 * options.minutes / training.step:.3f} s a step", flush=True)


def train(training: Training, bench: Bench, views: list[Views], shape: torch.Tensor, seconds: float) -> None:
    materials = [make_training_set(s, v, SIZE, Silent()) for s, v in zip(bench.sets, views, strict=True)]
    end = time.process_time() + seconds
    while time.process_time() < end:
        step(training, materials, shape, Silent())


@torch.inference_mode()
def measure(
    bench: Bench, name: str, minutes: float, steps: int, network: Net | None, views: list[Views], shape: torch.Tensor
) -> None:
    swaps, similar = [], []
    for target, (faces, rows) in enumerate(zip(bench.sets, bench.rows, strict=True)):
        source = 1 - target
        amount = 0.0 if isinstance(network, Shared) else DEFAULT_SHAPE
        change = difference(neutral_face(faces.landmarks), views[source].neutral, amount)
        moved = reshaped(faces.landmarks[rows], change)
        shown = torch.cat([pictures_of(faces.pixels[rows]), masks_of(faces.masks[rows])], 1)
        shown = move_picture(shown, faces.landmarks[rows], moved)[0]
        choice = torch.from_numpy(choose_views(faces.landmarks, views[source])[rows])
        who = Source(views[source], network, source, SIZE, shape)
        face, mask = recast(who, moved, shown[:, :3], shown[:, 3:], choice)
        swaps.append((bytes_of(shown[:, :3] + mask * (face - shown[:, :3])), moved))
        if isinstance(network, Shared):
            held = bench.held[target]
            own = Source(views[target], network, target, SIZE, shape)
            picture = pictures_of(faces.pixels[held])
            made = recast(own, faces.landmarks[held], picture, torch.ones_like(picture[:, :1]), choice)[0]
        else:
            made = reenacted(bench, target, network, views, shape)
        similar.append(bench.similarity(target, made))
    bench.row(name, minutes, steps, float(np.mean(similar)), swaps)


if __name__ == "__main__":
    main()
