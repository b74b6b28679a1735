"""One texture of a person out of many of their frames, in the mesh's own plane.

Two frames never show all of a face. Every frame is unrolled through the mesh, as if the face were a label
around a cylinder, and what is seen best, sharpest and at rest counts most; what no frame shows is taken from
the other side of the face. (Projection through a tracked mesh into one texture: Blanz and Vetter 1999, in a
simple form.)
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ...faces.geometry.topology import MIRROR
from .filters import blur, light, luma
from .mesh_raster import Geometry, about_eyes, eased, geometry, given, softened, spread, triangle_map
from .relight import DARK
from .warp import VISIBLE, Fused, Views, sample, warp

SIDE = 192
"""Side of the texture in pixels, at most that of the person's crops."""
FRAMES = 48
"""Frames that are unrolled, spread evenly over the turns of the head; more would only take longer."""
AXIS = 1.0
"""How far behind the middle of the face the cylinder's axis lies, in radii of the mesh."""
REST = 0.03
"""A face whose expression is this far from its usual one counts a third."""
GLANCE = 0.1
"""Eyes that look so far aside of where they mostly look, in widths of the eye, count a third."""
HOLE = 0.025
"""What was not seen but is no wider than twice this, in sides of the texture, is closed; as far the rim is cut."""
FILLS = (0.08, 0.03, 0.01)
"""How widely holes are closed, in sides of the texture, the nearest that shows anything counting."""
ENOUGH = 0.15
"""Weight, in parts of a frame that shows it well, below which a place was not really seen."""
OWN = 0.5
"""What is less surely the face than this in a frame lends nothing: a little of a strand in each of many frames would
make up a strand."""
BARE = (0.35, 0.65)
"""Of the frames that look at a place, the part that has to show skin there for it to begin to be believed, and to be:
where most have hair, the rest have what is left of hair."""
UNLIKE = 0.16
"""By how much (of luma's logarithm) a frame may differ from what most frames show somewhere to count a third there: a
strand of hair, a hand, a highlight that passes."""


def fuse(views: Views, sharpness: np.ndarray) -> torch.Tensor:
    """What all frames together show of a face, unrolled: (1, 4, U, U) uint8, RGB and how surely it was seen.

    sharpness (N,) as in a faceset. The views' own `texture` is not read.
    """
    side, device = min(SIDE, views.pixels.shape[-1]), views.landmarks.device
    flat = unrolled(views.neutral.face) * side
    target = geometry(
        torch.from_numpy(flat[None]).to(device), torch.from_numpy(triangle_map(flat, side)[None]).to(device)
    )
    turn = views.pose[: len(views), 0]
    rows = np.argsort(turn, kind="stable")[np.linspace(0, len(views) - 1, min(FRAMES, len(views))).round().astype(int)]
    moved = views.expression[rows] - np.median(views.expression[: len(views)], 0)
    away = np.sqrt((moved**2).sum(1))
    sharp = (sharpness[rows] / max(float(np.median(sharpness)), 1e-6)).clip(0.2, 1.5)
    trust = (sharp * views.exposed[rows]) ** 2 * np.exp(-(away - away.min()) / REST)
    # eyes that look to several sides would be mixed: both come from one frame, the best of those that look as usual
    eyes = about_eyes(target)
    looking = np.nan_to_num(views.gaze[rows])
    aside = np.abs(looking - np.median(looking, 0)).max(1)
    best = int((trust * views.lids[rows].min(1) * views.clear[rows] ** 2 * np.exp(-aside / GLANCE)).argmax())
    textures, weights, looked = [], [], torch.zeros(1, 1, side, side, device=device)
    low, high = VISIBLE
    for n, (row, trusted) in enumerate(zip(rows.tolist(), (trust / trust.max()).tolist(), strict=True)):
        texture, own, _ = warp(target, views, torch.tensor([row], device=device))
        facing = ((spread(target, views.facing[row][None, :, None]) - low) / (high - low)).clamp(0, 1)
        here = (trusted * (1 - eyes) + (n == best) * eyes) * facing**2
        looked += here
        textures.append(texture)
        weights.append(here * ((own - OWN) / (1 - OWN)).clamp(min=0))
    shown, counts = torch.cat(textures), torch.cat(weights)
    total = counts.sum(0, keepdim=True)
    low, high = BARE
    total = total * ((total / looked.clamp(min=1e-6) - low) / (high - low)).clamp(0, 1)
    counts = counts * _alike(shown, counts)
    weight = (total / ENOUGH).clamp(0, 1)
    colour = (shown * counts).sum(0, keepdim=True) / counts.sum(0, keepdim=True).clamp(min=1e-6)
    sure = _sure(weight, target.inside)
    weight = -F.max_pool2d(-weight, 3, 1, 1)  # at the edge of a hole lies a little of what was cut out
    near = light(colour, weight, FILLS[0])  # holes, of nostrils, lips and strands, are closed by what is around them
    for sigma in FILLS[1:]:
        near = near + (20 * blur(weight, sigma * side)).clamp(max=1) * (light(colour, weight, sigma) - near)
    colour = near + weight * (colour - near)
    # the plane is alike on both sides: what is missing comes from the other one, in the light of this one
    other, twin = colour.flip(3), sure.flip(3)
    here = light(colour, sure)
    near = blur(sure, 0.1 * side)
    other = other + (near / 0.05).clamp(0, 1) * (here - light(other, twin))
    result = torch.cat([other + sure * (colour - other), torch.maximum(sure, twin)], 1)
    return (result.clamp(0, 1) * 255).round().byte()


def _alike(shown: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """How much frames (F, 3, U, U) RGB 0..1 show what most show, by their weights (F, 1, U, U): (F, 1, U, U) 0..1."""
    tones = (luma(shown) + DARK).log()
    level = (tones * counts).sum((2, 3), keepdim=True) / counts.sum((2, 3), keepdim=True).clamp(min=1e-6)
    tones = tones - level
    order = tones.argsort(0)
    half = counts.gather(0, order).cumsum(0)
    middle = (half < half[-1:] / 2).sum(0, keepdim=True).clamp(max=len(tones) - 1)
    median = tones.gather(0, order.gather(0, middle))
    return torch.exp(-(((tones - median) / UNLIKE) ** 2))


def _sure(weight: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """How surely each place was seen, 0..1: small holes closed, and less towards where hair and rim lie."""
    reach = round(HOLE * weight.shape[-1])
    seen = F.max_pool2d(weight, 2 * reach + 1, 1, reach)
    seen = -F.max_pool2d(-torch.maximum(seen, 1 - inside), 4 * reach + 1, 1, 2 * reach)  # the mesh's edge hides nothing
    return blur(seen, reach / 2) * inside


def unrolled(neutral: np.ndarray) -> np.ndarray:
    """A face at rest (468, 3), straight ahead and of unit size, rolled off a cylinder: (468, 3), x and y in 0..1.

    Both sides alike; the third column keeps the order in depth.
    """
    even = (neutral + neutral[MIRROR] * [-1, 1, 1]) / 2
    angle = np.arctan2(even[:, 0], AXIS - even[:, 2])
    low, high = even[:, 1].min(), even[:, 1].max()
    across = 0.5 + 0.48 * angle / np.abs(angle).max()
    down = 0.02 + 0.96 * (even[:, 1] - low) / (high - low)
    return np.column_stack([across, down, even[:, 2] - even[:, 2].min()]).astype(np.float32)


def carried(target: Geometry, fused: Fused, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The fused texture in each target's geometry: (B, 3, S, S) RGB 0..1 and (B, 1, S, S) 0..1 where it was seen."""
    shown = given(target, fused.most.expand(count, -1))
    values = spread(target, torch.cat([fused.plane.expand(count, -1, -1), shown[..., None]], 2))
    found = sample((fused.texture.float() / 255).expand(count, -1, -1, -1), eased(target, values[:, :2]))
    return found[:, :3] * target.inside, found[:, 3:] * softened(target, values[:, 2:])
