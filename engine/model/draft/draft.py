"""The draft: a recast with no training. The source person's own frames, warped through the mesh
onto the target's geometry, in the target's light. Training refines it (see `networks`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ...faces.geometry.topology import BROWS
from .filters import blur, closed, light, luma
from .gaze import closing
from .mesh_raster import AROUND, Geometry, about_each_eye, spread_alike, upper_face, widened
from .relight import Bands, bands, relight
from .rest import MEAN
from .texture import carried
from .views import EXPRESSIVE_VERTICES, LIPS
from .warp import Views, not_drawn_out, points_of, warp

NARROW = (0.15, 0.24)
"""Lids that are apart by less than the first, in widths of the eye, leave so little of it to be seen that they are the
target's own; from the second on they are not."""
BESIDE_NARROW = (0.24, 0.34)
"""The same of an eye beside such a one."""
FILL = 0.04
"""How far around what a view shows another one that fills it takes its tones, in crop sides."""
GAP = 0.02
"""What a view does not show but is no wider than twice this, in crop sides, is drawn out of what it shows beside it:
another one's picture would stand there as a line, along the far side of a nose."""
UNLIKE = (0.025, 0.05)
"""Lips this far apart (root of the mean square, crop sides) are of another form: at the first a view's own still
serve, at the second they would be drawn out like a comb, and what all frames show of them at rest is better."""

EYE_GAINS = (0.7, 1.3)
"""By so much eyes are made darker or brighter at most."""
OPEN = (0.001, 0.003)
"""Parts of the crop that an eye fills from which it begins to be open, and is open, enough to tell how bright it is."""

_NOSTRILS = [98, 97, 2, 326, 327, 60, 75, 240, 99, 20, 290, 305, 460, 328, 250]
_FEATURES = torch.zeros(468, 2)
"""Which vertices lie in a brow, and which in anything that is no plain skin."""
_FEATURES[np.concatenate(BROWS), 0] = 1
_FEATURES[[*EXPRESSIVE_VERTICES.tolist(), *np.concatenate(BROWS), *_NOSTRILS], 1] = 1

_BEARDED = torch.from_numpy(np.clip((MEAN[:, 1:2] - MEAN[2, 1]) / 0.1 + 1, 0, 1).astype(np.float32))
"""Which vertices lie lower than the base of the nose, where lips, chin and jaw are."""


def features(target: Geometry) -> tuple[torch.Tensor, torch.Tensor]:
    """Where brows are, and where brows, eyes, nostrils or lips, each with a little around: (B, 1, S, S) 0..1."""
    found = widened(target, spread_alike(target, _FEATURES))
    return found[:, :1], found[:, 1:]


def bearded(target: Geometry) -> torch.Tensor:
    """Where a beard grows on those who have one, softly: (B, 1, S, S) 0..1."""
    return spread_alike(target, _BEARDED)


def unlike_lips(target: Geometry, views: Views, choice: torch.Tensor) -> torch.Tensor:
    """How little the mouths of views (B,) int64 fit the targets' in form: (B, 1, 1, 1), 0 well to 1 not at all."""
    points, is_mirrored = points_of(views, choice)
    here, there = target.points[:, LIPS] / target.size, points[:, LIPS] / views.pixels.shape[-1]
    there = torch.stack([torch.where(is_mirrored[:, None], -there[..., 0], there[..., 0]), there[..., 1]], -1)
    away = (here - here.mean(1, keepdim=True)) - (there - there.mean(1, keepdim=True))
    low, high = UNLIKE
    return (((away**2).sum(2).mean(1).sqrt() - low) / (high - low)).clamp(0, 1)[:, None, None, None]


@dataclass(frozen=True)
class Draft:
    """B drafts, (B, ·, S, S) each, RGB 0..1, 0 outside the mesh.

    face is the recast; `second` the second view and `whole` what all frames together show, both in their own light,
    by which a network knows the person's own tones from the target's; coverage where any of them has a face to give
    at all (0..1); light the target's.
    """

    face: torch.Tensor
    second: torch.Tensor
    whole: torch.Tensor
    coverage: torch.Tensor
    light: torch.Tensor


def draft(
    target: Geometry,
    picture: torch.Tensor,
    views: Views,
    choice: torch.Tensor,
    own_mask: torch.Tensor,
    shift: torch.Tensor | None = None,
    gaze: torch.Tensor | None = None,
    rows: torch.Tensor | None = None,
) -> Draft:
    """Recast B faces with three views each.

    picture (B, 3, S, S) RGB 0..1 is the target's own crop, own_mask (B, 1, S, S) 0..1 where its face is and not its
    hair; choice (B, 3) int64; `shift` and `gaze` as in `warp`, for all. The second view fills what the first shows
    badly, the texture of all frames what both do; the third shows the eyes (with choice (B, 2) the first does). What
    none shows well is stretched from the first, and what is no face in any (hair, background) is left to the target's
    light. The opening of the mouth stays the target's: teeth and tongue belong to the performance, and the source
    seldom shows the right ones. So do closed lids where the source shows open ones alone.

    With `rows` (R,) int64, which of the B faces each draft is of, there are R drafts, and choice has R rows: what does
    not depend on the views is made once for all drafts of a face. `shift` is (R, 468, 2) then.
    """
    size = target.size
    inside = target.inside
    where = spread_alike(target, torch.from_numpy(views.neutral.face))
    brows, no_skin = features(target)
    skin = (1 - no_skin).clamp(min=1e-3)
    eyes = target.eyes.sum(1, keepdim=True)
    tinted = torch.maximum(target.lips, eyes).clamp(max=1)
    wanted = bands(picture, inside * own_mask + 1e-3 * inside, skin, tinted, where)
    # a beard is dark, and no shadow
    wanted = replace(wanted, cast=wanted.cast.clamp(min=0) + (1 - bearded(target)) * wanted.cast.clamp(max=0))
    # lips must not be drawn out around an open mouth
    beside = 1 - (8 * blur(target.mouth, 2 * GAP * size)).clamp(max=1)
    soft_mouth = blur(target.mouth, 0.006 * size) * inside
    whole, seen_whole = carried(target, views.fused, len(picture))
    whole_lit = _lit(whole, seen_whole, skin, tinted, where, wanted, eyes)
    lips = target.lips * seen_whole
    if rows is not None:
        target, wanted = target.at(rows), wanted.at(rows)
        picture, inside, where, brows, skin, lips = (x[rows] for x in (picture, inside, where, brows, skin, lips))
        shared = (eyes, tinted, beside, soft_mouth, whole, seen_whole, whole_lit)
        eyes, tinted, beside, soft_mouth, whole, seen_whole, whole_lit = (x[rows] for x in shared)
        gaze = None if gaze is None else gaze[rows]
    first, own_first, seen_first = warp(target, views, choice[:, 0], shift, gaze)
    second, own_second, seen_second = warp(target, views, choice[:, 1], shift, gaze)
    gap = max(1, round(GAP * size))
    seen_first = seen_first + beside * (own_first * closed(seen_first, gap) - seen_first)
    seen_second = seen_second + beside * (own_second * closed(seen_second, gap) - seen_second)
    if (enough := not_drawn_out(target, views, choice[:, 0])) is not None:
        seen_first = seen_first * enough
    if (enough := not_drawn_out(target, views, choice[:, 1])) is not None:
        seen_second = seen_second * enough
    first = _lit(first, seen_first, skin, tinted, where, wanted, eyes)
    if choice.shape[1] > 2:
        eyed, own_eyed, seen_eyed = warp(target, views, choice[:, 2], shift, gaze)
        eyed = _lit(eyed, seen_eyed, skin, tinted, where, wanted, eyes)
        eyed = as_bright_eyes(eyed, picture, target.eyes, own_eyed)
        around = upper_face(target)
        first = first + around * own_eyed * (eyed - first)
        own_first = own_first + around * (own_eyed - own_first)
        seen_first = seen_first + around * (seen_eyed - seen_first)
    second_lit = _lit(second, seen_second, skin, tinted, where, wanted, eyes)
    own_lips = [1 - lips * unlike_lips(target, views, view) for view in choice.unbind(1)]
    face = wanted.light + own_first * (first - wanted.light)
    for texture, shown in ((whole_lit, seen_whole), (second_lit, seen_second * own_lips[1])):
        # in the first one's tones beside it, or the place that is filled would show as a line
        fitting = texture + light(first - texture, shown * seen_first * own_lips[0], FILL)
        face = face + shown * (fitting - face)
    face = (face + seen_first * own_lips[0] * (first - face)).clamp(0, 1)
    coverage = torch.maximum(torch.maximum(own_first, own_second), seen_whole)
    # a brow of the target's must not stand above one of the source's that its fringe nearly reaches
    coverage = torch.maximum(coverage, brows * (2 * blur(coverage, AROUND * size)).clamp(max=1))
    face = _with_own_lids(face, picture, target, views, choice[:, -1])
    face = face + soft_mouth * (picture - face)
    return Draft(
        face=face * inside,
        second=second * own_second,
        whole=whole * seen_whole,
        coverage=torch.maximum(coverage, soft_mouth),
        light=wanted.light.clamp(0, 1) * inside,
    )


def _with_own_lids(
    face: torch.Tensor, picture: torch.Tensor, target: Geometry, views: Views, choice: torch.Tensor
) -> torch.Tensor:
    """Faces (B, 3, S, S) whose closed eyes are the target's own in its picture, where the view that shows the eyes,
    choice (B,), has open ones: skin drawn down over an open eye looks like a disc. In the face's tones beside them."""
    there = views.openness[choice]
    amount = closing(target, there, NARROW)
    # both together, or they would not be a pair for a frame, whatever the view's are; not where one winks
    beside = closing(target, torch.ones_like(there), BESIDE_NARROW)
    amount = torch.maximum(amount, amount.amax(1, keepdim=True) * beside)
    if face.device.type == "cpu" and not amount.any():
        return face
    own = (about_each_eye(target) * amount[..., None, None]).sum(1, keepdim=True).clamp(max=1)
    fitting = picture + light(face - picture, target.inside * (1 - own) + 1e-3, FILL)
    return face + own * (fitting - face)


def as_bright_eyes(face: torch.Tensor, picture: torch.Tensor, eyes: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """A face (B, 3, S, S) RGB 0..1 whose open eyes are as bright as the target's in its picture, each by itself.

    eyes (B, 2, S, S) 0..1 is where each lies; known (B, 1, S, S) 0..1 what of the face is its own. The whites of
    people's eyes hardly differ: how bright they are is light, or the shadow of brows.
    """
    for side in range(2):
        eye = eyes[:, side : side + 1]
        inside = eye * known
        wanted, shown = (_bright(luma(x), inside) for x in (picture, face))
        area = inside.sum(3).sum(2)[..., None, None] / eye.shape[-1] ** 2
        is_open = ((area - OPEN[0]) / (OPEN[1] - OPEN[0])).clamp(0, 1)
        gain = ((wanted + 0.02) / (shown + 0.02)).clamp(*EYE_GAINS)
        face = face * (1 + is_open * eye * (gain - 1))
    return face.clamp(max=1)


def _bright(tones: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """How bright the brighter part of tones (B, 1, S, S) is under a weight: the root of a high moment, (B, 1, 1, 1)."""
    total = weight.sum(3).sum(2) + 1e-6  # by rows, as in `relight.bands`
    return ((tones**4 * weight).sum(3).sum(2) / total)[..., None, None] ** 0.25


def _lit(
    texture: torch.Tensor,
    real: torch.Tensor,
    skin: torch.Tensor,
    tinted: torch.Tensor,
    where: torch.Tensor,
    wanted: Bands,
    eyes: torch.Tensor,
) -> torch.Tensor:
    """A texture (B, 3, S, S) in the target's light, judged by what of it is `real` and `skin`, (B, 1, S, S) 0..1."""
    return relight(bands(texture, real, skin, tinted, where), wanted, skin, eyes)
