"""The draft: a recast with no training. The source person's own frames, warped through the mesh
onto the target's geometry, in the target's light. Training refines it (see `networks`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..faces.topology import MIRROR
from .filters import blur
from .gaze import turned
from .mesh import Geometry, spread
from .views import VISIBLE, Views, take

_MIRROR = torch.from_numpy(MIRROR)
LIGHT_SIGMA = 0.10
"""The target's light is what is left of it after a blur this wide, in crop sides."""


def warp(
    target: Geometry,
    views: Views,
    choice: torch.Tensor,
    shift: torch.Tensor | None = None,
    gaze: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One view for each target, in the target's geometry.

    choice (B,) int64 view numbers → texture (B, 3, S, S) float 0..1 RGB, and (B, 1, S, S) 0..1 each:
    `own`, where it is the view's face and not its hair or what is behind it, and `visible`, how much of
    that the view showed well, not turned away. The crop of the views may be larger than the target's.
    shift (B, 468, 2) in pixels of the views' crop moves the places that vertices are read from (training's
    way to learn from imperfect warps). gaze (B, 2, 2) are the target's irises in its crop's pixels: the eyes
    look there.
    """
    count = len(views)
    frame, is_mirrored = choice % count, choice >= count
    points, facing = views.landmarks[frame], views.facing[frame]
    flip = _MIRROR.to(points.device, non_blocking=True)
    # a mirrored view reads each vertex's texture where its twin on the other side is
    points = torch.where(is_mirrored[:, None, None], points[:, flip], points)
    facing = torch.where(is_mirrored[:, None], facing[:, flip], facing)
    side = views.pixels.shape[-1]
    if shift is not None:
        points = points + shift
    values = spread(target, torch.cat([points * (2 / side) - 1, facing[..., None]], -1))
    picture = take(views.pixels, frame).float() / 255
    if side > 1.5 * target.size:  # do not alias where the target is rendered smaller
        picture = F.interpolate(picture, size=(target.size, target.size), mode="area")
    places = values[:, :2]
    if gaze is not None and views.irises is not None:
        seen = views.irises[frame]
        seen = torch.where(is_mirrored[:, None, None], seen.flip(1), seen)  # each eye reads the other one's place
        places = turned(target, places, gaze, seen * (2 / side) - 1)
    sampled = F.grid_sample(
        picture, places.permute(0, 2, 3, 1), mode="bilinear", padding_mode="border", align_corners=False
    )
    low, high = VISIBLE
    own = sampled[:, 3:] * target.inside
    return sampled[:, :3] * target.inside, own, ((values[:, 2:] - low) / (high - low)).clamp(0, 1) * own


def light(picture: torch.Tensor, weight: torch.Tensor, sigma: float = LIGHT_SIGMA) -> torch.Tensor:
    """The low frequencies of a picture (B, 3, S, S) under a weight (B, 1, S, S), unmixed with what is outside."""
    both = blur(torch.cat([picture * weight, weight], 1), sigma * picture.shape[-1])
    return both[:, :3] / (both[:, 3:] + 1e-3)


# BT.601 luma and scaled colour differences: a rotation that keeps brightness apart from colour
_TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
_TO_RGB = torch.linalg.inv(_TO_YCC)  # here, once: on a GPU an inverse makes the host wait


def relight(
    texture: torch.Tensor, weight: torch.Tensor, picture: torch.Tensor, inside: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    """Bring a texture into the light and colour of the target's picture.

    The low frequencies become the target's (`wanted`, its `light`); the rest keeps its form, its contrast
    drawn towards the target's (in luma within 0.75..1.25, in colour down to none: black-and-white stays
    black-and-white). weight says where the texture is real, inside where the target's face is; all
    (B, ·, S, S), RGB 0..1.
    """
    detail = texture - light(texture, weight)
    matrix, back = (m.to(texture.device, non_blocking=True) for m in (_TO_YCC, _TO_RGB))

    def spread_of(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """(B, 3): deviation of luma and both colours, from the second moments of R, G and B."""
        weighted = x * w
        moments = torch.stack([(weighted * x[:, c : c + 1]).sum((2, 3)) for c in range(3)], 2)
        return ((matrix @ moments * matrix).sum(2).clamp(min=0) / (w.sum((2, 3)) + 1e-6)).sqrt()

    gain = (spread_of(picture - wanted, inside) + 1e-5) / (spread_of(detail, weight) + 1e-4)
    gain = torch.cat([gain[:, :1].clamp(0.75, 1.25), gain[:, 1:].clamp(0.0, 1.25)], 1)
    changed = (back @ (gain[..., None] * matrix))[..., None, None]  # to luma and colours, and back
    for c in range(3):  # summed by hand: a face must not depend on those it shares a batch with
        wanted = wanted + changed[:, :, c] * detail[:, c : c + 1]
    return wanted.clamp(0, 1)


@dataclass(frozen=True)
class Draft:
    """B drafts, (B, ·, S, S) each, RGB 0..1, 0 outside the mesh.

    face is the recast, `second` the second view alone, coverage where either view has a face to give at all
    (0..1), light the target's.
    """

    face: torch.Tensor
    second: torch.Tensor
    coverage: torch.Tensor
    light: torch.Tensor


def draft(
    target: Geometry,
    picture: torch.Tensor,
    views: Views,
    choice: torch.Tensor,
    shift: torch.Tensor | None = None,
    gaze: torch.Tensor | None = None,
) -> Draft:
    """Recast B faces with two views each.

    picture (B, 3, S, S) RGB 0..1 is the target's own crop; choice (B, 2) int64; `shift` and `gaze` as in `warp`,
    for both. The second view fills what the first shows badly; what both show badly is stretched from the first,
    and what is no face in either (hair, background) is left to the target's light. The opening of the mouth
    stays the target's: teeth and tongue belong to the performance, and the source seldom shows the right ones.
    """
    wanted = light(picture, target.inside)
    first, own_first, seen_first = warp(target, views, choice[:, 0], shift, gaze)
    second, own_second, seen_second = warp(target, views, choice[:, 1], shift, gaze)
    first = relight(first, seen_first, picture, target.inside, wanted)
    second = relight(second, seen_second, picture, target.inside, wanted)
    first = wanted + own_first * (first - wanted)
    second = first + seen_second * (second - first)
    face = second + seen_first * (first - second)
    coverage = torch.maximum(own_first, own_second)
    soft_mouth = blur(target.mouth, 0.008 * target.size) * target.mouth
    face = face + soft_mouth * (picture - face)
    inside = target.inside
    return Draft(face * inside, second * inside, torch.maximum(coverage, soft_mouth), wanted * inside)
