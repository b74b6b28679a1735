"""Losses beyond pixels: the distance of face embeddings, and a critic (adversarial loss).

Both look at a decoder's own faces only, and at every second step: each costs about as much as decoding. Their weights
rise by themselves, the critic's late, when there is something to finish.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ...faces.networks import weights
from ...faces.networks.dlib import FaceNet
from ...faces.networks.embedding import SIZE, Embedder
from ...protocol import TrainSettings
from .losses import adversarial_loss, critic_loss, likeness_loss
from .precision import autocast

PERCEPTUAL_STEPS = 2
"""Steps between two looks, which count so many times."""
LIKENESS_WEIGHT, LIKENESS_STEPS = 0.1, (0, 200)
ADVERSARIAL_WEIGHT, ADVERSARIAL_STEPS = 0.04, (200, 600)
"""Weights beside `face_loss`, and the steps from which and by which they have risen to that."""
CRITIC_LEARNING_RATE = 4e-4
CHIP_MARGIN = 0.03
"""What a crop shows around the picture that the recognition network is used to, at each side."""


class Critic(nn.Module):
    """(B, 3, S, S) RGB 0..1 → (B, 1, S/8, S/8): how real each patch of 38 pixels looks, above 0 where more so.

    Strided convolutions under spectral normalisation (Isola et al. 2017, Miyato et al. 2018).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(4 * width, 1, 3, 1, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        found: torch.Tensor = self.layers(2 * x - 1)
        return found.float()


@dataclass
class PerceptualNetworks:
    """The networks that look at a training's faces; None where they are not asked for, or not at hand."""

    likeness: FaceNet | None
    critic: Critic | None
    optimiser: torch.optim.AdamW | None


def make_perceptual(settings: TrainSettings, width: int, device: torch.device) -> PerceptualNetworks:
    """What the settings ask for; the critic is as narrow as the refiner's finest level."""
    likeness = None
    if settings.likeness and not weights.missing():
        network = Embedder(str(device)).network.requires_grad_(False)
        likeness = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as in `begin`
    if not settings.adversarial:
        return PerceptualNetworks(likeness, None, None)
    critic = Critic(width).to(device)
    return PerceptualNetworks(
        likeness, critic, torch.optim.AdamW(critic.parameters(), CRITIC_LEARNING_RATE, betas=(0.0, 0.99), fused=True)
    )


def ramp(step: int, steps: tuple[int, int]) -> float:
    """How far a weight has risen at a step, 0..1."""
    first, full = steps
    return min(1.0, max(0.0, (step - first + 1) / (full - first)))


def perceptual_due(finishing: PerceptualNetworks, step: int) -> bool:
    """Whether anybody looks at the faces of this step."""
    return step % PERCEPTUAL_STEPS == 0 and (finishing.likeness is not None or critic_due(finishing, step))


def critic_due(finishing: PerceptualNetworks, step: int) -> bool:
    """Whether the critic does."""
    return finishing.critic is not None and step % PERCEPTUAL_STEPS == 0 and step >= ADVERSARIAL_STEPS[0]


def perceptual_loss(
    finishing: PerceptualNetworks,
    step: int,
    face: torch.Tensor,
    truth: torch.Tensor,
    within: torch.Tensor,
    share: float,
) -> torch.Tensor:
    """Loss (B,) of faces (B, 3, S, S) RGB 0..1 against their truths, where `within` (B, 1, S, S) 0..1.

    Around the face it is the truth that is looked at. What the critic learns from these faces, each counting as
    `share` of a step's, is added to its own gradients; the step of its optimiser is the caller's.
    """
    face = truth + within * (face - truth)
    loss = torch.zeros(len(face), device=face.device)
    if finishing.likeness is not None:
        chips, true_chips = (chip(x) for x in (face, truth))
        with autocast(face.device):
            loss = loss + LIKENESS_WEIGHT * ramp(step, LIKENESS_STEPS) * likeness_loss(
                finishing.likeness, chips, true_chips
            )
    critic = finishing.critic
    if critic is None or not critic_due(finishing, step):
        return PERCEPTUAL_STEPS * loss
    cover = F.avg_pool2d(within, 8)
    critic.requires_grad_(False)  # it must not learn to be pleased
    with autocast(face.device):
        loss = loss + ADVERSARIAL_WEIGHT * ramp(step, ADVERSARIAL_STEPS) * adversarial_loss(critic(face), cover)
    critic.requires_grad_(True)
    with autocast(face.device):
        made, real = critic(torch.cat([face.detach(), truth])).chunk(2)
    torch.autograd.backward(share * critic_loss(made, real, cover).sum())
    return PERCEPTUAL_STEPS * loss


def chip(picture: torch.Tensor) -> torch.Tensor:
    """Crops (B, 3, S, S) RGB 0..1 as the recognition network is used to faces: (B, 3, 150, 150) 0..255."""
    margin = round(CHIP_MARGIN * picture.shape[-1])
    inner = picture[..., margin : picture.shape[-1] - margin, margin : picture.shape[-1] - margin]
    mode = "area" if inner.shape[-1] > 1.5 * SIZE else "bilinear"
    found = F.interpolate(inner, size=(SIZE, SIZE), mode=mode)
    return 255 * found.contiguous(memory_format=torch.channels_last)
