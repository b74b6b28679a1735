"""The folds of a performance: what an expression darkens and brightens on skin, taken from one face to another.

A mesh carries where brows, lids and lips go, not the furrow between the brows or the fold beside a mouth. How far a
face's shading differs from the same face's at rest is the expression's (an expression ratio image: Liu, Shan and
Zhang, Expressive Expression Mapping with Ratio Images, 2001); the new face is shaded as much unlike its own at rest,
and folds that a view of it brings along but the target does not make go.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .draft import features
from .filters import light, luma
from .mesh_raster import Geometry
from .relight import DARK
from .texture import carried
from .warp import Fused, Views

SIDE = 128
"""Side of the crops on which folds are told: they are no finer."""
FINE, COARSE = 0.012, 0.08
"""Folds are told finer than the first, in crop sides, and against what is wider than the second: pores, hairs and grain
are none, and light at large is the draft's to match."""
LIMITS = (0.35, 0.15)
"""No fold darkens skin by more than the first share or brightens it by more than the second: what is brighter is mostly
light that has changed."""
STRENGTH, OWN = 0.7, 0.5
"""How much of a fold comes along (all of it costs likeness), and how much of what the view brings along and the target
does not show goes: the rest of that is how the light on it differs from that on other views."""
CALM = (0.045, 0.075)
"""How far the calmest faces of somebody may lie from what faces of such bones are like at rest, in radii of the face:
up to the first they are at rest, beyond the second they are not, and nothing is known of their folds. Of the panel's 34
people 29 lie below the first; those beyond the second stare, or are startled, all through their clip."""


@dataclass(frozen=True, eq=False)
class RestFace:
    """A face at rest: its fused texture, and 0..1 how surely it is at rest."""

    fused: Fused
    trust: float


def rest_face(views: Views) -> RestFace | None:
    """The face at rest that views show, None where they never do."""
    low, high = CALM
    trust = min(max((high - views.neutral.away) / (high - low), 0.0), 1.0)
    return RestFace(views.fused, trust) if trust else None


def fold_ratio(
    target: Geometry, picture: torch.Tensor, known: torch.Tensor, face: torch.Tensor, rest: RestFace, own: RestFace
) -> torch.Tensor:
    """What a recast is multiplied by to be folded as its target is: (1, 1, S, S).

    target is one face; picture (1, 3, S, S) RGB 0..1 its crop, known (1, 1, S, S) 0..1 where that shows skin, rest the
    same face at rest; face (1, 3, S, S) RGB 0..1 is the recast, own whose face it is, at rest.
    """
    (at_rest, seen), (own_at_rest, own_seen) = (carried(target, one.fused, 1) for one in (rest, own))
    _, no_skin = features(target)
    plain = known * seen * own_seen * (1 - no_skin) * target.inside
    wanted = _shading(picture, plain) - _shading(at_rest, plain)
    shown = _shading(face, plain) - _shading(own_at_rest, plain)
    sure = plain * (1.25 * light(plain, torch.ones_like(plain), FINE / 2) - 0.25).clamp(0, 1)
    common = torch.minimum(torch.maximum(shown, wanted.clamp(max=0)), wanted.clamp(min=0))
    change = STRENGTH * (wanted - common - OWN * (shown - common))
    dark, bright = LIMITS
    change = torch.where(change < 0, dark * torch.tanh(change / dark), bright * torch.tanh(change / bright))
    return 1 + rest.trust * own.trust * sure * change


def _shading(picture: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    """How much brighter skin is than the light around it, as a share: (1, 3, S, S) RGB 0..1 → (1, 1, S, S)."""
    tones = luma(picture)
    around = light(tones, plain, COARSE)
    return light((tones - around) / (around + DARK), plain, FINE)
