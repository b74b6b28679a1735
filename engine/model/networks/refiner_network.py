"""The refiner: a shared encoder, and for each identity a decoder with a mask head.

A U-Net that turns a draft into the finished face. The encoder learns how warped faces, their geometry
and their light hang together from everybody's frames; each decoder learns one face. The plan is that of
the shared-encoder swap (deepfakes/faceswap's *original*), fed with drafts in place of crops; that warped
input makes a small network sharp within minutes is what the draft buys.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ...protocol import Preset
from ..draft.draft import Draft, features
from ..draft.filters import light
from ..draft.mesh_raster import Geometry, about_eyes, spread
from ..draft.warp import moved

INPUT_CHANNELS = 3 + 3 + 3 + 3 + 3 + 3 + 2 + 5 + 1 + 1
"""Draft, second view, texture of all frames, the target's light, its mouth opening, canonical mesh coordinates,
displacement from the person's face at rest, lips, between the lids, brows, all features, eyes with their lids and the
mouth's opening, coverage, inside."""
EARLIER_CHANNELS = {17: [(6, 3), (18, 7)], 20: [(18, 7)]}
"""How many channels refiners saw before: the place, and the number, of those that they lack (the texture of all frames;
how the face is moved, and where its features are)."""
X_CHANNELS = (15, 18)
"""Those of them that change their sign where a face is mirrored: the canonical x, and the displacement along it."""
FEATURES, KEPT = slice(23, 24), slice(24, 25)
"""The channels of them that say where no plain skin is (brows, eyes, nostrils and lips), and what stays the draft's:
eyes, which it turns and closes by geometry where the source never looked or blinked so, and the mouth's inside, which
is the target's."""
LIGHT_WIDTH = 0.04
"""What is wider than this on skin is light, in crop sides; folds and the rims of features are finer."""
DISPLACEMENT_GAIN = 10.0
"""Displacements are some hundredths of the face's radius."""
SIZES: dict[Preset, tuple[int, int]] = {"quick": (128, 24), "standard": (256, 48), "fine": (512, 64)}
"""Preset → side of the crop in pixels, channels at the finest level."""

LEAKY_SLOPE = 0.1
MASK_BIAS = 4.0
CHANGE_SCALE = 0.2
"""The draft is nearly right: small changes come easily, so that the first steps spoil nothing."""
FLOW_SCALE = 0.04
"""The same for how far the draft is moved, in -1..1 of a crop."""
FLOW_RIM = 0.05
"""Within this of the face's rim, in crop sides, the draft is moved less: there is nothing outside to move in."""


def _block(inputs: int, outputs: int, stride: int = 1, convolutions: int = 2) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n in range(convolutions):
        first = n == 0
        layers.append(nn.Conv2d(inputs if first else outputs, outputs, 3, stride if first else 1, 1))
        layers.append(nn.LeakyReLU(LEAKY_SLOPE, inplace=True))
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """(B, INPUTS, S, S) → features at S/2, S/4, S/8, S/16.

    The finest level works on pixels folded two by two: the draft brings the finest detail itself, and
    what is saved there pays for four times the steps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 6 * width]
        self.stages = nn.ModuleList([_block(4 * INPUT_CHANNELS, width, convolutions=1)])
        self.stages.extend(_block(i, o, 2) for i, o in pairwise(widths))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features from fine to coarse."""
        x = F.pixel_unshuffle(x, 2)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Refined(NamedTuple):
    """B faces that a network made, float32: face (B, 3, S, S) RGB 0..1, mask logits (B, 1, S, S), flow (B, 2, S, S),
    from how far aside each pixel of the draft was taken before it was changed, x then y, -1..1 being the crop (None
    where there was no draft)."""

    face: torch.Tensor
    mask: torch.Tensor
    flow: torch.Tensor | None = None


class Decoder(nn.Module):
    """One identity: features → (B, 4, S, S), three channels of change to the draft and one mask logit, and
    (B, 2, S/2, S/2), how to move the draft."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                _block(10 * width, 4 * width),
                _block(6 * width, 2 * width),
                _block(3 * width, width, convolutions=1),
            ]
        )
        self.head = nn.Conv2d(width, 16 + 2, 3, 1, 1)

    def forward(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode from the coarsest feature up."""
        x = features[-1]
        for stage, skip in zip(self.stages, features[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = stage(torch.cat([x, skip], 1))
        x = self.head(x)
        return F.pixel_shuffle(x[:, :16], 2), x[:, 16:]


class Refiner(nn.Module):
    """The shared encoder and a decoder for each of `identities`, in their order."""

    def __init__(self, identities: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(width)
        self.decoders = nn.ModuleList(Decoder(width) for _ in range(identities))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE)
                nn.init.zeros_(module.bias)
        for decoder in self.decoders:  # before the first step the refined face is the draft itself
            head = decoder.get_submodule("head")
            assert isinstance(head, nn.Conv2d)
            nn.init.zeros_(head.weight)
            assert head.bias is not None
            nn.init.constant_(
                head.bias[12:16], MASK_BIAS
            )  # the mask's four, as they are folded: all of the draft is face

    def forward(
        self, inputs: list[torch.Tensor | None], rows: list[torch.Tensor] | None = None
    ) -> list[Refined | None]:
        """Refine a batch for each identity (None: nothing for this one) in one pass of the encoder.

        Each entry is (B_k, INPUTS, S, S) as `refiner_input` makes it. With `rows`, which of all these faces, one
        identity's after the other's, each decoder is given, borrowed ones too: (R_k,) int64.
        """
        results: list[Refined | None] = []
        for decoder, given in zip(self.decoders, encode_batch(self.encoder, inputs, rows), strict=True):
            if given is None:
                results.append(None)
                continue
            x, features = given
            change, move = (part.float() for part in decoder(features))
            move = F.interpolate(move, scale_factor=2, mode="bilinear", align_corners=False)
            reach = round(FLOW_RIM * x.shape[-1])
            within = (2 * F.avg_pool2d(x[:, -1:], 2 * reach + 1, 1, reach) - 1).clamp(0, 1)
            free = 1 - x[:, KEPT]
            flow = FLOW_SCALE * within * free * move
            face = moved(x[:, :3], flow) + CHANGE_SCALE * free * _without_light(change[:, :3], x)
            results.append(Refined(face.clamp(0, 1), change[:, 3:], flow))
        return results


def _without_light(change: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """A change (B, 3, S, S) to a draft that leaves the light on its skin alone.

    What is wide on skin is the target's light, which the draft has and no truth of the source's own frames shows: a
    network that may change it learns to even it out.
    """
    skin = inputs[:, -1:] * (1 - inputs[:, FEATURES])
    return change - skin * light(change, skin + 1e-3, LIGHT_WIDTH)


def encode_batch(
    encoder: Callable[[torch.Tensor], list[torch.Tensor]],
    inputs: list[torch.Tensor | None],
    rows: list[torch.Tensor] | None,
) -> list[tuple[torch.Tensor, list[torch.Tensor]] | None]:
    """Encode every face once: for each decoder its inputs and their features, None where it has none."""
    present = [x for x in inputs if x is not None]
    whole = torch.cat(present)
    features = encoder(whole)
    if rows is not None:
        return [(whole[r], [f[r] for f in features]) for r in rows]  # index_select would lose the memory's layout
    parts = zip(*(torch.split(f, [len(x) for x in present]) for f in features), strict=True)
    return [None if x is None else (x, list(next(parts))) for x in inputs]


def refiner_input(
    target: Geometry,
    drafted: Draft,
    picture: torch.Tensor,
    shape: torch.Tensor,
    displacement: torch.Tensor,
) -> torch.Tensor:
    """Stack what the refiner sees: (B, INPUT_CHANNELS, S, S) float32.

    picture (B, 3, S, S) RGB 0..1 is the target's crop; shape (468, 3) the canonical face, whose coordinates
    tell the network which part of the face a pixel is; displacement (B, 468, 2) by how much the face differs from the
    source's at rest (`shape.displacements`).
    """
    table = torch.cat([shape.expand(len(picture), -1, -1), DISPLACEMENT_GAIN * displacement], 2)
    brows, no_skin = features(target)
    seen = [drafted.face, drafted.second, drafted.whole, drafted.light, picture * target.mouth, spread(target, table)]
    kept = torch.maximum(about_eyes(target), target.mouth)
    form = [target.lips, target.eyes.sum(1, keepdim=True), brows, no_skin, kept]
    return torch.cat([*seen, *form, drafted.coverage, target.inside], 1)


def mirrored_input(inputs: torch.Tensor) -> torch.Tensor:
    """What a network sees (B, INPUT_CHANNELS or 3, S, S), in a mirror."""
    found = inputs.flip(3)
    if found.shape[1] == INPUT_CHANNELS:
        found[:, X_CHANNELS] *= -1
    return found


def upgrade_weights(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights, averages and moments of a refiner that saw less and did not move the draft, widened to today's.

    What it lacks begins at zero, as if it had never mattered; others are given back as they are.
    """
    first = "encoder.stages.0.0.weight"
    seen = next((t.shape[1] // 4 for name, t in tensors.items() if name.endswith(first) and t.ndim == 4), None)
    if seen not in EARLIER_CHANNELS:
        return tensors
    result = dict(tensors)
    for name, t in tensors.items():
        if not t.ndim:
            continue  # the optimiser's count of steps
        if name.endswith(first):
            for place, count in EARLIER_CHANNELS[seen]:  # each channel is four, folded two by two
                more = t.new_zeros(t.shape[0], 4 * count, *t.shape[2:])
                t = torch.cat([t[:, : 4 * place], more, t[:, 4 * place :]], 1)
            result[name] = t
        elif name.endswith((".head.weight", ".head.bias")) and t.shape[0] == 16:
            result[name] = torch.cat([t, t.new_zeros(2, *t.shape[1:])])
    return result
