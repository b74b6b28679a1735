"""A face in another face's light: pictures taken apart into light and detail, and put together anew."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .filters import LUMA, light, luma

REACH = 2.0
"""How far from the middle of what was seen the light is told, in standard deviations (a plane's own edge lies at 1.7):
what was fitted to the middle of a face would run away at its far cheek, which stays in the last light told."""
CELL = 4
"""Side of the cells, in pixels, whose means tell a plane."""
DARK = 0.05
"""What is added to both lights before they are compared: in the dark a ratio says nothing."""
COLOURS = 0.03
"""Skin's own colours are told finer than this, in crop sides; broader ones are of the light on its folds."""
CAST, OWN_CAST = 0.15, 0.30
"""Skin that is darker or brighter than the light around it by more than the first share is in a cast shadow, or shines,
in the target, whose light is wanted. A source's own relief, of deep sockets, reaches to the second."""
TINT = 0.6
"""So much of the broad colours about eyes and brows is of the light, and goes; the rest is the person or paint."""
TONES = 0.01
"""Skin whose tones vary by no more than this (root of the mean square) does not tell how its colour goes with them."""
HUES = 0.3
"""So far at most may darker skin be of another colour than the light's own, in parts of its luma."""
CAST_SIGMA = 0.012
"""Such light is told finer than this, in crop sides: its edges are what one sees of it."""
SHINE, OWN_SHINE = 0.15, (0.06, 0.20)
"""No gloss of the target's, and none of the source's own, is brighter on the new skin than this share: one skin's
gloss is another's chrome. On a target whose skin is dull in its light, the source's hardly shines."""
GLOSSY = 2.0
"""Gloss is brightest by so many times what a face's is by its fourth moment."""
STRONGER = 1.2
"""Skin's detail is made no stronger anywhere than so many times what it is on the whole."""
MOST = 2.0
"""Detail is made stronger or weaker by no more than this where light differs."""


def tone(picture: torch.Tensor, weight: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The light at large of a picture (B, 3, S, S): what of it runs evenly over the face.

    The plane in face coordinates `where` (B, 3, S, S) that fits best under a weight (B, 1, S, S): on a face, that
    is nearly the light of the first spherical harmonics (Basri and Jacobs 2003). A person's own shading and
    colour, of brows, beard and eye sockets, is not in it.
    """
    parts = torch.cat([weight, weight * where, weight * picture], 1)
    if picture.shape[-1] % CELL == 0:  # a plane is told as well by a cell's mean, at a fraction of the cost
        parts = F.avg_pool2d(parts, CELL)
    weight, middles, wanted = parts[:, :1], parts[:, 1:4], parts[:, 4:]
    points = middles / (weight + 1e-6)
    # summed by hand: a face must not depend on those it shares a batch with
    total = weight.sum((2, 3), keepdim=True) + 1e-3
    middle = middles.sum((2, 3), keepdim=True) / total
    reach = REACH * ((points - middle) ** 2 * weight).sum((2, 3), keepdim=True).div(total).sqrt()
    basis = torch.cat([torch.ones_like(weight), points.clamp(middle - reach, middle + reach)], 1)
    normal = torch.stack([(basis * weight * basis[:, i : i + 1]).sum((2, 3)) for i in range(4)], 2)
    wanted = torch.stack([(basis * wanted[:, c : c + 1]).sum((2, 3)) for c in range(picture.shape[1])], 2)
    normal = normal + (1e-3 * normal[:, :1, :1] + 1e-4) * torch.eye(4, device=where.device)
    fit = torch.linalg.solve_ex(normal, wanted)[0][..., None, None]  # not checked, or a GPU's host would wait
    where = where.clamp(middle - reach, middle + reach)
    result = fit[:, 0] + fit[:, 1] * where[:, :1]
    return result + fit[:, 2] * where[:, 1:2] + fit[:, 3] * where[:, 2:]


# BT.601 luma and scaled colour differences: a rotation that keeps brightness apart from colour
_TO_YCC = torch.stack([LUMA, torch.tensor([-0.169, -0.331, 0.5]), torch.tensor([0.5, -0.419, -0.081])])
_TO_RGB = torch.linalg.inv(_TO_YCC)  # here, once: on a GPU an inverse makes the host wait


@dataclass(frozen=True)
class Bands:
    """Pictures taken apart, RGB (B, 3, S, S) each: light and detail make up all but broad colours of skin.

    shade is the light at large (`tone`), light that and what of the rest is left after a wide blur, detail what is
    not; contrast (B, 3) is how strong that is in luma and both colours; cast (B, 1, S, S) is how much brighter, as a
    share, skin is than the light around it, and gloss (B, 1, 1, 1) how much so where it shines. hue (B, 3, 1, 1), of
    luma 1, is what a tone brings along in each channel: as far as detail is of_light (B, 1, S, S) that was taken out.
    """

    shade: torch.Tensor
    light: torch.Tensor
    detail: torch.Tensor
    contrast: torch.Tensor
    cast: torch.Tensor
    gloss: torch.Tensor
    hue: torch.Tensor
    of_light: torch.Tensor

    def at(self, rows: torch.Tensor) -> Bands:
        """Those of the pictures with these numbers (R,) int64, in their order."""
        return Bands(*(part[rows] for part in vars(self).values()))


def bands(
    picture: torch.Tensor, weight: torch.Tensor, skin: torch.Tensor, tinted: torch.Tensor, where: torch.Tensor
) -> Bands:
    """Take RGB pictures (B, 3, S, S) apart as they are under a weight (B, 1, S, S); `where` as for `tone`.

    Light is told by the skin (B, 1, S, S) 0..1: brows, eyes and lips are detail, however wide they are. What is
    `tinted` (B, 1, S, S) 0..1, lips and eyes, has colours of its own; elsewhere broad ones are of the light.
    """
    matrix = _TO_YCC.to(picture.device, non_blocking=True)
    plain = weight * skin
    shade = tone(picture, plain, where)
    flat = picture - shade  # first, or the edge of a shade would throw a pale stripe into the detail beside it
    tones = light(flat, plain)
    detail, lit = flat - tones, shade + tones
    hue = _hue(detail, lit, plain)
    own, bright = luma(detail), weight * (1 - tinted)
    share = own / (luma(lit).clamp(min=0) + DARK)
    of_light = torch.maximum(skin, TINT * (1 - tinted))
    broad = light(detail, bright, COLOURS)
    # of what is left, finer colours are the person's where they are other than the tones bring along
    detail = detail - of_light * (broad + (own - luma(broad)) * hue - own)
    cast = _told(share, plain)
    shining = (cast.clamp(min=0) ** 4).sum(3).sum(2) / plain.sum(3).sum(2).clamp(min=1.0)
    # what shines does so between brows and on a nose's wings, too
    small = _told(share[..., ::2, ::2], bright[..., ::2, ::2])
    glossy = F.interpolate(small, size=cast.shape[2:], mode="bilinear", align_corners=False)
    cast = torch.where(cast < 0, cast, torch.maximum(cast, glossy))
    weighted = detail * weight  # summed by hand, as in `tone`
    moments = torch.stack([(weighted * detail[:, c : c + 1]).sum((2, 3)) for c in range(3)], 2)
    total = weight.sum(3).sum(2)  # by rows: one number out of a whole plane would depend on how many threads add it up
    contrast = ((matrix @ moments * matrix).sum(2).clamp(min=0) / (total + 1e-6)).sqrt()
    return Bands(shade, lit, detail, contrast, cast, shining[..., None, None] ** 0.25, hue, of_light)


def _told(share: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """By what share places of some extent are brighter, from each pixel's and a weight, (B, 1, S, S) both."""
    found: torch.Tensor = light(share, weight, CAST_SIGMA) * (weight / 0.9).clamp(max=1) ** 2
    return found


def _hue(detail: torch.Tensor, lit: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    """How the colours of detail (B, 3, S, S) go with its tones on skin, `plain` (B, 1, S, S): (B, 3, 1, 1), of luma 1.

    The straight line of each channel over luma. Where tones hardly vary, that of the light `lit` itself, as a shadow
    in it has.
    """
    plain, detail, lit = (x[..., ::2, ::2] for x in (plain, detail, lit))
    parts = F.avg_pool2d(torch.cat([plain, plain * detail, plain * lit], 1), 2)  # grain has colours of its own
    weight = parts[:, :1]
    detail = parts[:, 1:4] / (weight + 1e-3)
    tones = luma(detail)
    total = weight.sum(3, keepdim=True).sum(2, keepdim=True) + 1e-3  # by rows, as in `bands`
    middle = parts[:, 4:].sum(3, keepdim=True).sum(2, keepdim=True) / total
    usual = (middle + 1e-3) / (luma(middle) + 1e-3)
    both = (weight * tones * detail).sum(3, keepdim=True).sum(2, keepdim=True) / total
    strength = (weight * tones**2).sum(3, keepdim=True).sum(2, keepdim=True) / total
    hue = (both + TONES**2 * usual) / (strength + TONES**2)
    hue = usual + (hue - usual).clamp(-HUES, HUES)
    return hue / luma(hue)


def relight(texture: Bands, target: Bands, skin: torch.Tensor, eyes: torch.Tensor) -> torch.Tensor:
    """A texture in the light and colour of the target's picture, RGB (B, 3, S, S).

    The low frequencies become the target's; the detail keeps its form, as much stronger as the target's light is than
    its own (a ratio image: Liu, Shan and Zhang 2001), its contrast drawn towards the target's (in luma within
    0.75..1.25, in colour down to none: black-and-white stays black-and-white). On `skin` (B, 1, S, S) 0..1 it is made
    hardly stronger than on the whole: where light grazes the source, it shows folds that a cheek in full light does
    not; as far as it is of the light its tones have the target's hue. Cast shadows and gloss are the target's, not the
    source's. What lies between the lids, `eyes` (B, 1, S, S) 0..1, is as much brighter as skin there, in the colour
    that the light has on the whole: shadows on skin are red, and told by them an eye in one would be blue beside a
    green one in the light.
    """
    # a dark eye under twice the light is twice as bright: what is added to it would be a veil
    darker = (target.shade.clamp(min=0) + DARK) / (texture.shade.clamp(min=0) + DARK)
    level = luma(darker)  # by which it is held, in all channels alike: hair of a dim warm light would go green
    ratio = level.clamp(1 / MOST, MOST) * (darker / level).clamp(1 / MOST, MOST)
    cast = ratio.mean((2, 3), keepdim=True)
    gain = (target.contrast + 1e-4) / (texture.contrast + 1e-3) / cast.mean(1)[..., 0]
    bright, colours = gain[:, :1].clamp(0.75, 1.25), gain[:, 1:].clamp(0.0, 1.25)
    held = ratio - skin * (ratio - STRONGER * cast).clamp(min=0)
    held = held + texture.of_light * (luma(held) - held)
    strong = texture.detail * held
    detail = _gained(strong, torch.cat([bright, colours], 1))
    # how dark brows and lips are is the person's: a bearded one's must not go pale on a face of little contrast
    detail = detail + (1 - skin) * ((1 - bright).clamp(min=0)[..., None, None] * luma(strong))
    detail = detail + (texture.of_light * luma(detail)) * (target.hue - 1)
    wanted = _beyond(target.cast, CAST).clamp(max=SHINE)
    shines = texture.cast.clamp(min=0)
    detail = detail * ((shines.minimum((GLOSSY * target.gloss).clamp(*OWN_SHINE)) + 1e-3) / (shines + 1e-3))
    own = _beyond(texture.cast, OWN_CAST).clamp(max=0)
    face = (target.light + detail) * ((1 + wanted) / (1 + own).clamp(min=0.3))
    tamed = torch.cat([torch.ones_like(bright), colours.clamp(max=1)], 1)
    own_eye = texture.light + texture.detail + (texture.of_light * luma(texture.detail)) * (texture.hue - 1)
    eye = own_eye * (luma(darker.clamp(max=MOST)) * (cast / cast.mean(1, keepdim=True)))
    eye = _gained(eye, tamed)
    return face + eyes * (eye - face)


def _beyond(share: torch.Tensor, least: float) -> torch.Tensor:
    return share - share.clamp(-least, least)


def _gained(picture: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """RGB (B, 3, S, S) with its luma and both colours times gain (B, 3)."""
    matrix, back = (m.to(picture.device, non_blocking=True) for m in (_TO_YCC, _TO_RGB))
    changed = (back @ (gain[..., None] * matrix))[..., None, None]  # to luma and colours, and back
    result = changed[:, :, 0] * picture[:, :1]
    for c in (1, 2):
        result = result + changed[:, :, c] * picture[:, c : c + 1]
    return result
