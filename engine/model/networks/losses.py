"""Losses, as plain functions that return one value for each sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...faces.networks.dlib import FaceNet
from ..draft.filters import blur, luma

DETAIL_LOSS_WEIGHT = 4.0
"""Weight of `detail_loss` beside `face_loss`."""
FEATURE_LEVELS = 3
"""Levels of the recognition network whose features count, from the finest: after its stem and two stages."""


def ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Local structural similarity of (B, C, H, W) in 0..1: (B, C, H, W), 1 where alike.

    Wang et al. 2004, a Gaussian window of sigma 1.5 and the usual constants.
    """
    channels = a.shape[1]
    moments = blur(torch.cat([a, b, a * a, b * b, a * b], 1), 1.5)
    mean_a, mean_b, aa, bb, ab = torch.split(moments, channels, 1)
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * (ab - mean_a * mean_b) + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (aa - mean_a**2 + bb - mean_b**2 + c2)
    return top / bottom


def face_loss(face: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Multi-scale SSIM and L1 in equal parts under a weight (B, 1, H, W): (B,).

    The structure is compared at the pictures' own scale and at half of it.
    """
    absolute = _weighted((face - truth).abs(), weight)
    structure = _weighted(1 - ssim(face, truth), weight)
    coarse, coarse_truth, coarse_weight = (F.avg_pool2d(x, 2) for x in (face, truth, weight))
    structure = (structure + _weighted(1 - ssim(coarse, coarse_truth), coarse_weight)) / 2
    return structure / 2 + 2 * absolute


def detail_loss(face: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """How much weaker or stronger the fine detail of luma is, wherever exactly it lies: (B,).

    A face between two possible places of an edge errs least where it is blurred. Asked for the strength of detail as
    well, the network keeps the draft's.
    """
    both = torch.cat([luma(face), luma(truth)], 1)
    strength = (blur((both - blur(both, 1.5)) ** 2, 2.5) + 1e-5).sqrt()
    return DETAIL_LOSS_WEIGHT * _weighted((strength[:, :1] - strength[:, 1:]).abs(), weight)


def _weighted(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (x.mean(1, keepdim=True) * weight).sum((1, 2, 3)) / (weight.sum((1, 2, 3)) + 1e-6)


def mask_loss(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the mask head against 0..1 masks (B, 1, H, W): (B,)."""
    return F.binary_cross_entropy_with_logits(logits, mask, reduction="none").mean((1, 2, 3))


def likeness_loss(network: FaceNet, face: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """How differently the recognition network sees faces (B, 3, 150, 150) RGB 0..255 and their truths: (B,).

    Half of it is the squared distance of the embeddings, about 0.3 between two people; half how far its first features
    point apart, as in LPIPS (Zhang et al. 2018), with equal weights.
    """
    with torch.no_grad():
        true_features, true_embedding = network.features(truth)
    features, embedding = network.features(face)
    apart = [
        (_unit_features(a) - _unit_features(b)).square().sum(1).mean((1, 2))
        for a, b in zip(features[:FEATURE_LEVELS], true_features[:FEATURE_LEVELS], strict=True)
    ]
    identity = (embedding.float() - true_embedding.float()).square().sum(1)
    return (torch.stack(apart).mean(0) + identity) / 2


def _unit_features(features: torch.Tensor) -> torch.Tensor:
    return F.normalize(features.float(), dim=1, eps=1e-3)


def adversarial_loss(scores: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
    """How little a critic's scores (B, 1, H, W) take faces for real, where they cover (B, 1, H, W) 0..1: (B,)."""
    return _weighted(-scores, cover)


def critic_loss(made: torch.Tensor, real: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
    """Hinge loss of a critic that has to tell the scores of made faces from those of real ones: (B,)."""
    return _weighted(F.relu(1 + made) + F.relu(1 - real), cover)
