"""Parts of the face that stay the footage's: forehead, brows, eyes, nose, mouth, jaw, softly, as the mesh has them."""

from __future__ import annotations

import numpy as np
import torch

from ..faces.geometry.topology import BROWS, EYES, MIRROR, OUTER_LIPS
from ..model.draft.mesh_raster import geometry, spread, triangle_map
from ..model.draft.rest import MEAN
from ..model.draft.shape import AVERAGE
from ..protocol import REGIONS
from .plan import Placement

_ABOUT_EYES = [130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232]
_ABOUT_EYES += [233, 244, 113, 225, 224, 223, 222, 221, 189]
"""Two rings around the right eye."""
_NOSE = [168, 193, 188, 114, 217, 198, 129, 64, 98, 97, 2, 326, 327, 294, 358, 420, 437, 343, 412, 417]
"""The nose's outline: from between the eyes down its right side, along its base, and up."""
SOFTENING = 2
"""Steps over the mesh over which one part passes into what is beside it."""


def _memberships() -> np.ndarray:
    """(6, 468) 0..1, in the order of `REGIONS`: how far each vertex belongs to each; together at most 1."""
    x, y = MEAN[:, 0], MEAN[:, 1]
    every = np.arange(len(MEAN))
    brow = np.isin(every, np.concatenate(BROWS))
    eyes = np.isin(every, [*np.concatenate(EYES), *_ABOUT_EYES, *MIRROR[_ABOUT_EYES]]) & ~brow
    nose = _inside(_NOSE) & ~eyes
    lips = np.abs(MEAN[:, None, :2] - MEAN[OUTER_LIPS, :2]).max(2).min(1) < 0.06 * np.ptp(y)
    mouth = (_inside(list(OUTER_LIPS)) | lips) & ~nose
    over_brows = np.interp(np.abs(x), *_brow_line())
    forehead = (y < over_brows) & ~brow & ~eyes
    jaw = (y > MEAN[[61, 291], 1].mean()) & ~mouth
    found = np.stack([forehead, brow, eyes, nose, mouth, jaw]).astype(np.float32)
    for _ in range(SOFTENING):
        found = (found + found @ AVERAGE.T) / 2
    found[REGIONS.index("brows"), brow] = 1  # narrow: softened, nothing of them would be left
    return found / np.maximum(found.sum(0), 1)


def _brow_line() -> tuple[np.ndarray, np.ndarray]:
    """The height of the brows at ascending distances from the middle of the mean face."""
    points = MEAN[BROWS[0], :2]
    order = np.argsort(np.abs(points[:, 0]))
    return np.abs(points[order, 0]), points[order, 1]


def _inside(outline: list[int]) -> np.ndarray:
    """(468,) which vertices of the mean face lie within an outline of vertices, or on it."""
    polygon = MEAN[outline, :2]
    inside = np.isin(np.arange(len(MEAN)), outline)
    x, y = MEAN[:, 0], MEAN[:, 1]
    crossed = np.zeros(len(MEAN), bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        spans = (ay > y) != (by > y)
        crossed ^= spans & (x < (bx - ax) * (y - ay) / (by - ay if by != ay else 1.0) + ax)
    return inside | crossed


MEMBERSHIPS = _memberships()
assert len(MEMBERSHIPS) == len(REGIONS)


def region_share(placement: Placement) -> np.ndarray | None:
    """How much of its recast a crop is to show, (S, S) float32 0..1, 0 outside the mesh; None: all of every part."""
    wanted = np.array(placement.settings.regions, np.float32)
    if (wanted >= 1).all():
        return None
    share = torch.from_numpy(1 - MEMBERSHIPS.T @ (1 - wanted))[None, :, None]
    points = placement.landmarks
    target = geometry(torch.from_numpy(points)[None], torch.from_numpy(triangle_map(points, placement.size))[None])
    spread_out: np.ndarray = spread(target, share)[0, 0].clamp(0, 1).numpy()
    return spread_out
