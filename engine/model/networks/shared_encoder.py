"""The shared encoder: for footage where the mesh does not hold (profiles, blur, hands all over the face).

The face's own crop, with no mesh and no draft, goes through a shared encoder and a narrow code; each identity's
decoder makes that person's face with that pose, expression and light out of it, and a mask. The plan is that of
deepfakes/faceswap's *original* and DeepFaceLab's *df*; it is trained by the trainer that trains the refiner, on the
same facesets and, where there was no mesh, on the crops that the track carried. It needs hours where the refiner
needs minutes: it has to learn what the draft simply shows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from ...protocol import Network
from ..draft.warp import take
from ..training.dataset import Draws, TrainingSet, augment_light, render
from .refiner_network import LEAKY_SLOPE, MASK_BIAS, Refined, Refiner, encode_batch

BOTTLENECK_SIZE = 8
"""Side of the features at their coarsest, whatever the size of the crop."""
CODE_LENGTH = 256
"""Numbers that a face is told in: too few to tell the decoder whose face it was."""
WARP_NODES = 5
JITTER_DEGREES, JITTER_ZOOM, JITTER_SHIFT = 8.0, 0.06, 0.04
"""Standard deviations of the turn in degrees, of the size, and of the place in crop sides: as carried crops lie."""
WARP_STRENGTH = 0.03
"""How far the nodes of the input's grid are moved, in crop sides: the decoder has to know its face to undo it."""
BACKGROUND_WEIGHT = 0.1
"""What pixels outside of the face count, so that it meets its surroundings."""


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(LEAKY_SLOPE, inplace=True))


def _widths(size: int, width: int) -> list[int]:
    """Channels at S/2, S/4, … down to LOW."""
    levels = (size // 2 // BOTTLENECK_SIZE).bit_length()
    return [min(2**n, 8) * width for n in range(levels)]


class SharedEncoder(nn.Module):
    """(B, 3, S, S) → (B, C, LOW, LOW), through a code of CODE numbers."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        widths = _widths(size, width)
        self.down = nn.Sequential(_block(12, widths[0]), *(_block(i, o, 2) for i, o in pairwise(widths)))
        self.code = nn.Linear(widths[-1] * BOTTLENECK_SIZE**2, CODE_LENGTH)
        self.open = nn.Linear(CODE_LENGTH, widths[-1] * BOTTLENECK_SIZE**2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = self.down(F.pixel_unshuffle(x, 2))
        code = self.code(x.flatten(1))
        code = code * (code.square().mean(1, keepdim=True) + 1e-6).rsqrt()  # DeepFaceLab's option u
        return F.leaky_relu(self.open(code), LEAKY_SLOPE).reshape(x.shape)


class SharedDecoder(nn.Module):
    """One identity: features → (B, 4, S, S), logits of RGB and of the mask."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        widths = _widths(size, width)[::-1]
        stages: list[nn.Module] = [_block(widths[0], widths[0])]
        for inputs, outputs in pairwise(widths):
            stages += [_block(inputs, 4 * outputs), nn.PixelShuffle(2), _block(outputs, outputs)]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Conv2d(widths[-1], 16, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return F.pixel_shuffle(self.head(self.stages(x)), 2)


class Shared(nn.Module):
    """The shared encoder and a decoder for each of `identities`, in their order; crops of `size`."""

    def __init__(self, identities: int, size: int, width: int) -> None:
        super().__init__()
        self.encoder = SharedEncoder(size, width)
        self.decoders = nn.ModuleList(SharedDecoder(size, width) for _ in range(identities))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE)
                nn.init.zeros_(module.bias)
        for decoder in self.decoders:
            head = cast(nn.Conv2d, decoder.get_submodule("head"))
            nn.init.normal_(head.weight, std=0.02)  # begin grey, not wild
            assert head.bias is not None
            nn.init.constant_(
                head.bias[12:], -MASK_BIAS
            )  # and unseen: a face shows where the mask has learned that it is one

    def forward(
        self, inputs: list[torch.Tensor | None], rows: list[torch.Tensor] | None = None
    ) -> list[Refined | None]:
        """As `Refiner.forward`, each entry a crop (B_k, 3, S, S) RGB 0..1 of anybody's."""
        results: list[Refined | None] = []
        for decoder, given in zip(self.decoders, encode_batch(lambda x: [self.encoder(x)], inputs, rows), strict=True):
            if given is None:
                results.append(None)
                continue
            made = decoder(given[1][0]).float()
            results.append(Refined(made[:, :3].sigmoid(), made[:, 3:]))
        return results


Net = Refiner | Shared


def make_network(kind: Network, identities: int, size: int, width: int) -> Net:
    """A network of either kind, untrained; steps of both take about the same time."""
    return Shared(identities, size, width * 4 // 3) if kind == "shared" else Refiner(identities, width)


def draw_crops(materials: list[TrainingSet], number: int, count: int, generator: torch.Generator) -> Draws:
    """Draw a batch of one's own crops.

    `Draws.bend` is (B, 2 + NODES², 2): the place; the turn and the size; the nodes of the grid.
    """
    material = materials[number]
    frame = torch.multinomial(material.weights, count, replacement=True, generator=generator)
    return Draws(
        material=torch.full((count,), number),
        lender=torch.full((count,), -1),
        lent=torch.zeros(count, dtype=torch.int64),
        frame=frame,
        choice=torch.zeros(count, 2, dtype=torch.int64),
        light=torch.rand(count, 7, generator=generator),
        bend=torch.randn(count, 2 + WARP_NODES**2, 2, generator=generator),
        flip=torch.rand(count, generator=generator) < 0.5,
        own=~material.coarse[frame],
        hair=torch.zeros(count, 0),
    )


def render_crops(materials: list[TrainingSet], draws: Draws) -> tuple[torch.Tensor, ...]:
    """Make the pictures of what `draw_crops` drew, of one identity, as `material.render` does.

    The input is the crop in another place, light and size, bent by a grid as faceswap bends it; the truth is not bent.
    A mask that is not `own` (the mesh did not hold there) is no truth.
    """
    material = materials[int(draws.material[0])]
    device = material.maps.device
    frame = draws.frame.to(device, non_blocking=True)
    view = take(material.views.pixels, frame).float() / 255
    coarse = (~draws.own).to(device, non_blocking=True)[:, None, None, None]
    view = torch.cat([augment_light(view[:, :3], draws.light.to(device, non_blocking=True)), view[:, 3:]], 1)
    count, size = len(view), view.shape[-1]
    dice = draws.bend.to(device, non_blocking=True)
    angle, zoom = torch.deg2rad(JITTER_DEGREES * dice[:, 1, 0]), 1 + JITTER_ZOOM * dice[:, 1, 1]
    side = 1 - 2 * draws.flip.to(device, non_blocking=True).float()
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    linear = torch.stack([side * cos, -sin, side * sin, cos], 1).reshape(count, 2, 2)
    matrix = torch.cat([linear, 2 * JITTER_SHIFT * dice[:, 0, :, None]], 2)
    nodes = 2 * WARP_STRENGTH * dice[:, 2:].permute(0, 2, 1).reshape(count, 2, WARP_NODES, WARP_NODES)
    bend = F.interpolate(nodes, size=(size, size), mode="bicubic", align_corners=True)
    straight = F.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    bent = straight + torch.einsum("bij,bjhw->bhwi", matrix[:, :, :2], bend)
    truth = F.grid_sample(view, straight, padding_mode="border", align_corners=False)
    inputs = F.grid_sample(view[:, :3], bent, padding_mode="border", align_corners=False)
    mask = truth[:, 3:]
    weight = BACKGROUND_WEIGHT + torch.where(coarse, _face_ellipse(mask), mask)
    return inputs, truth[:, :3], mask, weight, draws.own.to(device, non_blocking=True)


def render_for(
    network: Net, materials: list[TrainingSet], draws: Draws, shape: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The pictures of what was drawn for this kind of network."""
    return render_crops(materials, draws) if isinstance(network, Shared) else render(materials, draws, shape)


def identity_warp(network: Net, count: int) -> torch.Tensor:
    """`Draws.bend` of a batch that lies where it lies."""
    return torch.zeros(count, 2 + WARP_NODES**2 if isinstance(network, Shared) else 7, 2)


def _face_ellipse(like: torch.Tensor) -> torch.Tensor:
    """Where a carried face is bound to be: a soft ellipse in the crop, 0..1."""
    place = (torch.arange(like.shape[-1], device=like.device) + 0.5) / like.shape[-1] * 2 - 1
    distance = ((place / 0.6) ** 2 + (place[:, None] / 0.75) ** 2).sqrt()
    return ((1.3 - distance) / 0.3).clamp(0, 1).expand_as(like)


def border_window(size: int, device: torch.device) -> torch.Tensor:
    """1 amid a crop and 0 at its border, (size, size): a face that leaves its crop must not end in a line."""
    rim = torch.arange(size, device=device).float()
    rim = (torch.minimum(rim, rim.flip(0)) / (0.06 * size)).clamp(max=1)
    return torch.minimum(rim, rim[:, None])
