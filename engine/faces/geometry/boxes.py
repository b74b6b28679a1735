"""Boxes x0 y0 x1 y1: overlap and suppression of the lesser of two that show the same thing."""

from __future__ import annotations

import numpy as np


def areas(boxes: np.ndarray) -> np.ndarray:
    """(n, 4) → (n,)"""
    size = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return size[..., 0] * size[..., 1]


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The areas (n, m) in which boxes (n, 4) and (m, 4) overlap."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    size = np.maximum(high - low, 0)
    return size[..., 0] * size[..., 1]


def overlap(a: np.ndarray, b: np.ndarray, of_smaller: bool = False) -> np.ndarray:
    """(n, m) 0..1: shared area over the union, or over the smaller of the two."""
    common, first, second = intersection(a, b), areas(a)[:, None], areas(b)[None]
    whole = np.minimum(first, second) if of_smaller else first + second - common
    return common / np.maximum(whole, 1e-9)


def suppress(boxes: np.ndarray, scores: np.ndarray, limit: float, of_smaller: bool = False) -> np.ndarray:
    """Indices (k,) of the boxes kept, best first: none overlaps a better one by more than `limit`."""
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[overlap(boxes[best][None], boxes[order], of_smaller)[0] <= limit]
    return np.array(kept, np.int64)
