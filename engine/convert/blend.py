"""Hide the seam between a recast face and its frame."""

from __future__ import annotations

import cv2
import numpy as np

from ..protocol import BlendMethod

MEMBRANE_GRID = 32
"""Cells a side of the membrane."""
MAX_BANDS = 6


def measure_membrane(face: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What is to be added to the face so that it meets the footage along its rim: (32, 32, 3) float32, flat.

    The gradient-domain paste (Pérez et al. 2003) adds the membrane that is stretched over the rim's
    differences; here it is interpolated by a pyramid of normalised averages (Farbman et al. 2011), coarse
    enough that one noisy pixel of the rim moves nothing.
    """
    # the rim: where the mask is neither open nor whole
    rim = np.clip(4 * mask * (1 - mask), 0, 1) ** 2
    weighted = np.dstack([(target.astype(np.float32) - face) * rim[..., None], rim])
    cells = cv2.resize(weighted, (MEMBRANE_GRID, MEMBRANE_GRID), interpolation=cv2.INTER_AREA)
    return fill_by_pyramid(cells[..., :3], cells[..., 3], 1e-3).ravel()


def membrane(vector: np.ndarray, size: int) -> np.ndarray:
    """A vector of `measure_membrane` as a (size, size, 3) map."""
    return cv2.resize(vector.reshape(MEMBRANE_GRID, MEMBRANE_GRID, 3), (size, size), interpolation=cv2.INTER_CUBIC)


def fill_by_pyramid(weighted: np.ndarray, weight: np.ndarray, enough: float) -> np.ndarray:
    """Values known where there is weight, carried smoothly to where there is none.

    weighted (H, W, 3) float32 is value · weight. Pull and push over a pyramid: a cell without weight
    takes what the coarser cell knows.
    """
    if min(weight.shape) <= 2 or (weight >= enough).all():
        return weighted / np.maximum(weight, enough)[..., None]
    both = cv2.pyrDown(np.dstack([weighted, weight]))
    coarse = fill_by_pyramid(both[..., :3], both[..., 3], enough)
    fine = cv2.pyrUp(coarse, dstsize=weight.shape[::-1])
    missing = np.clip(1 - weight / enough, 0, 1)[..., None]
    known = np.where(weight[..., None] > 0, weighted / np.maximum(weight, 1e-6)[..., None], 0)
    return known + missing * (fine - known)


def extend_face(face: np.ndarray, target: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The face (S, S, 3) carried on beyond its rim: outside `known` (S, S) 0..1 it is the target plus what the
    two differ by along the rim. A blend may then reach outwards without reading what is not there."""
    away = (face - target) * known[..., None]
    return target + fill_by_pyramid(away, known, 0.5)


def blend(old: np.ndarray, new: np.ndarray, alpha: np.ndarray, method: BlendMethod) -> np.ndarray:
    """`new` over `old`, (H, W, 3) float32 each, by alpha (H, W) float32 0..1; `old` where alpha is 0.

    multiband blends every octave over a width of its own (Burt and Adelson 1983); the others mix by alpha
    (seamless has moved the face's colours before, by `membrane`).
    """
    change = new - old
    if method != "multiband":
        change *= cv2.merge([alpha, alpha, alpha])
        change += old
        return change
    bands = int(np.clip(np.log2(max(min(alpha.shape), 2)) - 3, 1, MAX_BANDS))
    step = 1 << bands
    rows, columns = alpha.shape
    padding = (0, -rows % step, 0, -columns % step)
    change = cv2.copyMakeBorder(change, *padding, cv2.BORDER_REPLICATE)
    masks = [cv2.copyMakeBorder(alpha, *padding, cv2.BORDER_REPLICATE)]
    mixed = []
    for _ in range(bands):
        small = cv2.pyrDown(change)
        mixed.append((change - cv2.pyrUp(small)) * masks[-1][..., None])
        change = small
        masks.append(cv2.pyrDown(masks[-1]))
    whole = change * masks[-1][..., None]
    for band in reversed(mixed):
        whole = cv2.pyrUp(whole) + band
    # coarse octaves reach beyond the mask: let go of them before it ends, or it would end in a line
    hold = np.clip(3 * alpha, 0, 1)
    hold = hold * hold * (3 - 2 * hold)
    result: np.ndarray = old + hold[..., None] * whole[:rows, :columns]
    return result
