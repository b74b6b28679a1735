"""The draft: a recast with no training. The source person's own frames, warped through the mesh
onto the target's geometry, in the target's light. Training refines it (see `networks`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .filters import blur, closed, light
from .fusion import carried
from .mesh import Geometry, spread
from .warp import Views, warp

OWN = 0.5
"""How much of the tones between light at large and fine detail (of eye sockets, cheeks, a beard's shadow) stays the
source's inside the face; at its rim all are the target's, or a seam would show."""
RIM = 0.06
"""How far the rim reaches into the face, in crop sides."""
FILL = 0.04
"""How far around what a view shows another one that fills it takes its tones, in crop sides."""
GAP = 0.02
"""What a view does not show but is no wider than twice this, in crop sides, is drawn out of what it shows beside it:
another one's picture would stand there as a line, along the far side of a nose."""


def tone(picture: torch.Tensor, weight: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The light at large of a picture (B, 3, S, S): what of it runs evenly over the face.

    The plane in face coordinates `where` (B, 3, S, S) that fits best under a weight (B, 1, S, S): on a face, that
    is nearly the light of the first spherical harmonics (Basri and Jacobs 2003). A person's own shading and
    colour, of brows, beard and eye sockets, is not in it.
    """
    basis = [torch.ones_like(where[:, 0]), *where.unbind(1)]
    # summed by hand: a face must not depend on those it shares a batch with
    weighted = torch.stack(basis, 1) * weight
    normal = torch.stack([(weighted * b[:, None]).sum((2, 3)) for b in basis], 2)
    wanted = torch.stack([(weighted * picture[:, c : c + 1]).sum((2, 3)) for c in range(picture.shape[1])], 2)
    normal = normal + (1e-3 * normal[:, :1, :1] + 1e-3) * torch.eye(4, device=where.device)
    fit = torch.linalg.solve_ex(normal, wanted)[0][..., None, None]  # not checked, or a GPU's host would wait
    result = fit[:, 0] + fit[:, 1] * basis[1][:, None]
    return result + fit[:, 2] * basis[2][:, None] + fit[:, 3] * basis[3][:, None]


# BT.601 luma and scaled colour differences: a rotation that keeps brightness apart from colour
_TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
_TO_RGB = torch.linalg.inv(_TO_YCC)  # here, once: on a GPU an inverse makes the host wait


@dataclass(frozen=True)
class Bands:
    """Pictures taken apart, RGB (B, 3, S, S) each; together they are the picture.

    shade is the light at large (`tone`), tones what of the rest is left after a wide blur, detail what is not;
    contrast (B, 3) is how strong that is in luma and both colours.
    """

    shade: torch.Tensor
    tones: torch.Tensor
    detail: torch.Tensor
    contrast: torch.Tensor

    @property
    def light(self) -> torch.Tensor:
        """All but the detail."""
        return self.shade + self.tones

    def at(self, rows: torch.Tensor) -> Bands:
        """Those of the pictures with these numbers (R,) int64, in their order."""
        return Bands(self.shade[rows], self.tones[rows], self.detail[rows], self.contrast[rows])


def bands(picture: torch.Tensor, weight: torch.Tensor, where: torch.Tensor) -> Bands:
    """Take RGB pictures (B, 3, S, S) apart as they are under a weight (B, 1, S, S); `where` as for `tone`."""
    matrix = _TO_YCC.to(picture.device, non_blocking=True)
    shade = tone(picture, weight, where)
    flat = picture - shade  # first, or the edge of a shade would throw a pale stripe into the detail beside it
    tones = light(flat, weight)
    detail = flat - tones
    weighted = detail * weight  # summed by hand, as in `tone`
    moments = torch.stack([(weighted * detail[:, c : c + 1]).sum((2, 3)) for c in range(3)], 2)
    contrast = ((matrix @ moments * matrix).sum(2).clamp(min=0) / (weight.sum((2, 3)) + 1e-6)).sqrt()
    return Bands(shade, tones, detail, contrast)


def relight(texture: Bands, target: Bands, within: torch.Tensor) -> torch.Tensor:
    """A texture in the light and colour of the target's picture, RGB (B, 3, S, S).

    The low frequencies become the target's, but where `within` (B, 1, S, S) 0..1 allows, the source keeps tones of
    its own; the detail keeps its form, its contrast drawn towards the target's (in luma within 0.75..1.25, in
    colour down to none: black-and-white stays black-and-white).
    """
    gain = (target.contrast + 1e-4) / (texture.contrast + 1e-3)
    luma, colours = gain[:, :1].clamp(0.75, 1.25), gain[:, 1:].clamp(0.0, 1.25)
    detail = _gained(texture.detail, torch.cat([luma, colours], 1))
    own = _gained(texture.tones, torch.cat([torch.ones_like(luma), colours.clamp(max=1)], 1))
    return target.light + within * (own - target.tones) + detail


def _gained(picture: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """RGB (B, 3, S, S) with its luma and both colours times gain (B, 3)."""
    matrix, back = (m.to(picture.device, non_blocking=True) for m in (_TO_YCC, _TO_RGB))
    changed = (back @ (gain[..., None] * matrix))[..., None, None]  # to luma and colours, and back
    result = changed[:, :, 0] * picture[:, :1]
    for c in (1, 2):
        result = result + changed[:, :, c] * picture[:, c : c + 1]
    return result


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
    """Recast B faces with two views each.

    picture (B, 3, S, S) RGB 0..1 is the target's own crop, own_mask (B, 1, S, S) 0..1 where its face is and not its
    hair; choice (B, 2) int64; `shift` and `gaze` as in `warp`, for both. The second view fills what the first shows
    badly, the texture of all frames what both do; what none shows well is stretched from the first, and what is no
    face in any (hair, background) is left to the target's light. The opening of the mouth stays the target's: teeth
    and tongue belong to the performance, and the source seldom shows the right ones.

    With `rows` (R,) int64, which of the B faces each draft is of, there are R drafts, and choice is (R, 2): what does
    not depend on the views is made once for all drafts of a face. `shift` is (R, 468, 2) then.
    """
    size = target.size
    inside = target.inside
    where = spread(
        target, torch.from_numpy(views.neutral.face).to(inside.device, non_blocking=True).expand(len(picture), -1, -1)
    )
    wanted = bands(picture, inside * own_mask + 1e-3 * inside, where)
    within = OWN * (2 * blur(inside, RIM * size) - 1).clamp(0, 1)
    # lips must not be drawn out around an open mouth
    beside = 1 - (8 * blur(target.mouth, 2 * GAP * size)).clamp(max=1)
    soft_mouth = blur(target.mouth, 0.008 * size) * target.mouth
    whole, seen_whole = carried(target, views, len(picture))
    whole_lit = _lit(whole, seen_whole, where, wanted, within)
    if rows is not None:
        target, wanted = target.at(rows), wanted.at(rows)
        shared = (picture, inside, where, within, beside, soft_mouth, whole, seen_whole, whole_lit)
        picture, inside, where, within, beside, soft_mouth, whole, seen_whole, whole_lit = (x[rows] for x in shared)
        gaze = None if gaze is None else gaze[rows]
    first, own_first, seen_first = warp(target, views, choice[:, 0], shift, gaze)
    second, own_second, seen_second = warp(target, views, choice[:, 1], shift, gaze)
    gap = max(1, round(GAP * size))
    seen_first = seen_first + beside * (own_first * closed(seen_first, gap) - seen_first)
    seen_second = seen_second + beside * (own_second * closed(seen_second, gap) - seen_second)
    first = _lit(first, seen_first, where, wanted, within)
    second_lit = _lit(second, seen_second, where, wanted, within)
    face = wanted.light + own_first * (first - wanted.light)
    for texture, shown in ((whole_lit, seen_whole), (second_lit, seen_second)):
        # in the first one's tones beside it, or the place that is filled would show as a line
        fitting = texture + light(first - texture, shown * seen_first, FILL)
        face = face + shown * (fitting - face)
    face = (face + seen_first * (first - face)).clamp(0, 1)
    coverage = torch.maximum(torch.maximum(own_first, own_second), seen_whole)
    face = face + soft_mouth * (picture - face)
    return Draft(
        face=face * inside,
        second=second * own_second,
        whole=whole * seen_whole,
        coverage=torch.maximum(coverage, soft_mouth),
        light=wanted.light.clamp(0, 1) * inside,
    )


def _lit(
    texture: torch.Tensor, real: torch.Tensor, where: torch.Tensor, wanted: Bands, within: torch.Tensor
) -> torch.Tensor:
    """A texture (B, 3, S, S) in the target's light, judged by what of it is `real` (B, 1, S, S) 0..1."""
    return relight(bands(texture, real, where), wanted, within * blur(real, RIM * texture.shape[-1]))
