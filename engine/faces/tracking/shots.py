"""Where one shot ends and the next begins: cuts at once, dissolves and fades in their middle.

Frames are judged by small pictures of them, `signature`, so that a clip can be divided anew without
decoding it. Dissolves are found by what they are, a picture that is mixed of two others (as Zhang et
al.'s twin comparison, Automatic partitioning of full-motion video, 1993, looks for slow changes, but
with the mixture itself as the proof, so that a pan or a zoom is none).
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

WIDTH, HEIGHT = 48, 27
BINS = 16
MIN_CHANGE = 0.05
"""Mean difference 0..1 of two small grey pictures below which no cut is seen."""
TIMES_USUAL = 3.0
"""A cut changes the picture this many times more than the frames before it did."""
COLOURS = 0.25
"""Share of the picture whose colours are others after a cut; a hand or a pan moves colours, a cut replaces them."""
ZOOMS = (1.0, 0.92, 0.85, 0.78, 0.7, 1.09, 1.18, 1.3)
"""By which a picture is made larger to see whether it is another one, zoomed."""
FLAT_DEVIATION = 0.03
"""Standard deviation of a picture that shows nothing, as at the end of a fade."""
TIMES_SUDDEN, COLOURS_SUDDEN = 15.0, 0.1
"""After stillness less will do: two dark shots share most of their colours."""
MEMORY_FRAMES = 12
"""Frames that the usual change is taken from."""
DISSOLVE_FRAMES = (50, 25, 12, 6)
"""Frames from the last pure picture of a dissolve to the first one of the next shot: tried, then made longer."""
MAX_UNEXPLAINED = 0.5
"""What the mixture of both ends leaves unexplained in the frames between, as a share of the ends' difference: both
shots go on moving in a dissolve. That its share grows evenly tells it from a pan."""
MIN_END_DIFFERENCE = 0.10
"""Root mean square difference 0..1 of the two ends of a dissolve."""


def signature(image: np.ndarray) -> np.ndarray:
    """(27, 48, 3) uint8: an RGB picture (height, width, 3) uint8 made small."""
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def cuts(signatures: np.ndarray) -> np.ndarray:
    """(m, 27, 48, 3) uint8 of frames in order → (m,) bool: a new shot begins at once with this frame."""
    greys, colours = _greys(signatures), _colours(signatures)
    found = np.zeros(len(signatures), bool)
    usual: list[float] = []
    for i in range(1, len(signatures)):
        change = float(np.abs(greys[i] - greys[i - 1]).mean())
        replaced = float(np.abs(colours[i] - colours[i - 1]).sum(1).max() / 2)
        level = float(np.median(usual[-MEMORY_FRAMES:])) if usual else 0.0
        sudden = change > TIMES_SUDDEN * level and replaced > COLOURS_SUDDEN
        if change > max(MIN_CHANGE, TIMES_USUAL * level) and (replaced > COLOURS or sudden):
            found[i] = True
            usual.clear()
        else:
            usual.append(change)
    return found


def dissolves(signatures: np.ndarray) -> np.ndarray:
    """(m, 27, 48, 3) uint8 → (m,) bool: the middle of a dissolve or a fade lies before this frame."""
    found = np.zeros(len(signatures), bool)
    pictures = np.stack([cv2.GaussianBlur(s.astype(np.float32) / 255, (0, 0), 1.0) for s in signatures])
    pictures = pictures.reshape(len(signatures), -1)
    ranges: list[list[int]] = []
    start = 0
    while start < len(pictures) - DISSOLVE_FRAMES[-1]:
        possible = [length for length in DISSOLVE_FRAMES if start + length < len(pictures)]
        lengths = [length for length in possible if _is_mixed(pictures[start : start + length + 1])]
        if not lengths:
            start += 1
            continue
        end = start + lengths[0]
        if ranges and start - ranges[-1][1] <= DISSOLVE_FRAMES[-1]:  # the same dissolve goes on
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
        start = end
    for start, end in ranges:
        found[(start + end + 1) // 2] = True
    return found


def _is_mixed(pictures: np.ndarray) -> bool:
    """Whether each of (n, pixels) lies between the first and the last, a little nearer to the last every time."""
    first, way = pictures[0], pictures[-1] - pictures[0]
    length = float(way @ way)
    if np.sqrt(length / len(way)) < MIN_END_DIFFERENCE:
        return False
    middle = pictures[len(pictures) // 2] - first  # most ranges are refused here, at once
    if np.linalg.norm(middle - (middle @ way) / length * way) > MAX_UNEXPLAINED * np.sqrt(length):
        return False
    away = pictures - first
    share = away @ way / length
    left = np.linalg.norm(away - share[:, None] * way, axis=1) / np.sqrt(length)
    steps = np.diff(share)
    even = steps.min() > 0.3 / len(steps) and steps.max() < 2.0 / len(steps)
    return bool(left.max() < MAX_UNEXPLAINED and even and not _is_camera_move(first, pictures[-1]))


def _is_camera_move(first: np.ndarray, later: np.ndarray) -> bool:
    """Whether a picture (pixels,) is rather another one that a pan or a zoom has moved than a new one."""
    a, b = (picture.reshape(HEIGHT, WIDTH, -1) for picture in (first, later))
    if min(a.std(), b.std()) < FLAT_DEVIATION:
        return False
    inner = np.ascontiguousarray(b[HEIGHT // 4 : -HEIGHT // 4, WIDTH // 4 : -WIDTH // 4])
    still = np.square(a[HEIGHT // 4 : -HEIGHT // 4, WIDTH // 4 : -WIDTH // 4] - inner).mean()
    zoomed = [cv2.resize(inner, None, fx=zoom, fy=zoom) for zoom in ZOOMS]
    apart = [cv2.matchTemplate(a, part, cv2.TM_SQDIFF).min() / part.size for part in zoomed]
    return bool(min(apart) < 0.4 * still)


def split_into_shots(signatures: np.ndarray) -> np.ndarray:
    """(m, 27, 48, 3) uint8 of frames in order → (m,) int32: the shot, counted from 0, of each."""
    hard = cuts(signatures)
    begins = hard.copy()
    edges = [0, *np.flatnonzero(hard).tolist(), len(hard)]
    for start, end in pairwise(edges):
        if end - start > DISSOLVE_FRAMES[-1]:
            begins[start:end] |= dissolves(signatures[start:end])
    return np.cumsum(begins).astype(np.int32)


def _greys(signatures: np.ndarray) -> list[np.ndarray]:
    # a blur makes camera motion of a pixel or two count for less than a new picture
    return [cv2.GaussianBlur(s.astype(np.float32).mean(2) / 255, (0, 0), 1.0) for s in signatures]


def _colours(signatures: np.ndarray) -> np.ndarray:
    """(m, 3, 16) shares of the picture in each bin of each channel."""
    return np.stack(
        [[np.bincount(s[..., c].ravel() // (256 // BINS), minlength=BINS) for c in range(3)] for s in signatures]
    ) / (WIDTH * HEIGHT)
