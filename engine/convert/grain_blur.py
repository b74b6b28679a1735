"""The recast face takes on the softness, motion blur and grain of the picture around it.

As with colour, what a frame shows is measured as a small vector and averaged over its neighbours before it is
applied: grain is fresh in every frame, its strength is not.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from ..luma import BT601

GRAIN_LENGTH = 3
"""Length of a grain vector: strength in luma and in chroma (8-bit levels), and size (blur in source pixels)."""
_REBLUR_SIGMA = 1.0
"""Blur by which edges are softened once more to see how soft they are, crop pixels."""
_SHARPNESS_TOLERANCE = 1.4
"""Footage only this much softer than the recast is left alone: on clean footage two faces' edges differ by up to 1.3,
and what is taken off softer footage for it is what the measured edges are softer by than a blur alone makes them."""
_SHUTTER_SIGMA = 0.35
"""Deviation of the blur that a shutter open all the time leaves, in parts of the motion (a box has 1 / √12)."""
_MIN_GRAIN = 0.5
_MAX_GRAIN = 30.0
NOISE_SHEET_SIZE = 1024
"""Side of the sheet of noise that grain is cut out of, anywhere: drawing it anew takes ten times as long."""
_FROM_YCC = np.array([[1, 1.403, 0], [1, -0.714, -0.344], [1, 0, 1.773]])
MAX_COARSE_RATIO = 1.9
"""Detail whose strength grows by this much in a picture of half the size is no grain at all."""


def measure_blur(face: np.ndarray, target: np.ndarray, mask: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """By how much the recast is sharper than the footage: Gaussian blur (along, across) the motion, crop pixels.

    face, target (S, S, 3) RGB 0..255; mask (S, S) 0..1; motion (2,) crop pixels a frame. The sharpest edges of
    both are compared: lids, lashes and nostrils of the one, and of the other also the hair and jaw beside the
    face, which move with it.
    """
    inside = mask > 0.7
    if inside.sum() < 400:
        return np.zeros(2, np.float32)
    reach = len(mask) // 8
    head = cv2.dilate(inside.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0  # not what it fades into
    speed = float(np.hypot(*motion))
    along = np.array(motion) / speed if speed > 1 else np.array([1.0, 0.0])
    ours, theirs = (cv2.GaussianBlur(np.float32(x) @ BT601, (0, 0), 0.7) for x in (face, target))
    both = np.stack([along, [-along[1], along[0]]])
    wanted = [
        np.sqrt(max(see**2 - (_SHARPNESS_TOLERANCE * have) ** 2, 0))
        for have, see in zip(_softness(ours, inside, both), _softness(theirs, head, both), strict=True)
    ]
    if speed <= 1:
        return np.full(2, min(wanted), np.float32)
    across = min(wanted)
    return np.array([np.clip(wanted[0], across, max(across, _SHUTTER_SIGMA * speed)), across], np.float32)


def apply_blur(face: np.ndarray, vector: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The face (S, S, 3) softened by a vector of `measure_blur`."""
    along, across = (float(v) for v in vector)
    if max(along, across) < 0.4:
        return face
    if along - across < 0.5:
        return cv2.GaussianBlur(face, (0, 0), max(along, 0.3), borderType=cv2.BORDER_REPLICATE)
    return cv2.filter2D(face, -1, _oriented(along, max(across, 0.3), motion), borderType=cv2.BORDER_REPLICATE)


def measure_grain(picture: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Grain of a part of a frame: (luma, chroma, size) float32, levels of 255 and source pixels of blur.

    picture (H, W, 3) RGB 0..255 at the frame's own resolution; where (H, W) bool. The flattest quarter of its
    tiles is looked at, through a filter that a slope or an edge does not pass (Immerkær 1996).
    """
    ycc = cv2.cvtColor(np.ascontiguousarray(picture, np.float32) / 255, cv2.COLOR_RGB2YCrCb) * 255
    luma = _strength(ycc[..., 0], where)
    if luma < _MIN_GRAIN / 2:
        return np.zeros(GRAIN_LENGTH, np.float32)
    chroma = (_strength(ycc[..., 1], where) + _strength(ycc[..., 2], where)) / 2
    half = ycc[: len(ycc) // 2 * 2, : ycc.shape[1] // 2 * 2, 0]
    coarse = cv2.resize(half, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    spread = _strength(coarse, where[: len(half) : 2, : half.shape[1] : 2])
    sizes, ratios, seen = _grain_table()
    size = float(np.interp(np.clip(spread / luma, ratios[0], ratios[-1]), ratios, sizes))
    gain = float(np.interp(size, sizes, seen))  # how much of grain of this size the filter lets through
    # what is coarser than any grain is the picture's own: pores, cloth, the blocks of a codec
    sure = float(np.clip((MAX_COARSE_RATIO - spread / luma) / (MAX_COARSE_RATIO - ratios[-1]), 0, 1))
    most = _MAX_GRAIN
    return np.array([sure * min(luma / gain, most), sure * min(chroma / gain, most), size], np.float32)


def grain(shape: tuple[int, int], vector: np.ndarray, seed: tuple[int, ...]) -> np.ndarray | None:
    """Fresh grain (H, W, 3) float32 RGB levels for a vector of `measure_grain`, the same for the same seed.

    None where there is too little to see.
    """
    luma, chroma, size = (float(v) for v in vector)
    if luma < _MIN_GRAIN:
        return None
    sheet = _noise_sheet(round(20 * size) / 20 if size > 0.2 else 0.0)
    if max(shape) > NOISE_SHEET_SIZE // 2:  # room to choose a place in
        sheet = np.tile(sheet, [1 + 2 * side // NOISE_SHEET_SIZE for side in shape])
    # places in the sheet depend on the seed alone: the same frame gets the same grain whatever was made before it
    generator = np.random.Generator(np.random.SFC64(list(seed)))
    planes = []
    for strength in (luma, chroma, chroma):
        y, x = (int(generator.integers(0, whole - side + 1)) for whole, side in zip(sheet.shape, shape, strict=True))
        planes.append(sheet[y : y + shape[0], x : x + shape[1]] * np.float32(strength))
    return cv2.transform(cv2.merge(planes), _FROM_YCC)


def missing_grain(footage: np.ndarray, recast: np.ndarray) -> np.ndarray:
    """The grain to add to a face that has some of its own, vectors of `measure_grain`."""
    strength = np.sqrt(np.maximum(footage[:2] ** 2 - recast[:2] ** 2, 0))
    return np.array([*strength, footage[2]], np.float32)


def _softness(luma: np.ndarray, where: np.ndarray, directions: np.ndarray) -> list[float]:
    """Blur of the sharpest of the strong edges across each of the directions (N, 2), a Gaussian's deviation in pixels.

    An edge of deviation s softened by t once more loses its slope by √(s² + t²) / s (Zhuo and Sim 2011).
    """

    def slopes(picture: np.ndarray) -> np.ndarray:
        gradient = [cv2.Sobel(picture, cv2.CV_32F, *order)[where] for order in ((1, 0), (0, 1))]
        return np.abs(directions.astype(np.float32) @ np.stack(gradient))

    found = []
    softer = cv2.GaussianBlur(luma, (0, 0), _REBLUR_SIGMA, borderType=cv2.BORDER_REPLICATE)
    for first, again in zip(slopes(luma), slopes(softer), strict=True):
        strong = first >= np.quantile(first, 0.9)
        ratio = np.quantile(first[strong] / np.maximum(again[strong], 1e-3), 0.8)
        found.append(float(_REBLUR_SIGMA / np.sqrt(max(float(ratio) ** 2 - 1, 0.01))))
    return found


def _oriented(along: float, across: float, motion: np.ndarray) -> np.ndarray:
    reach = int(np.ceil(3 * along))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    u = motion / max(float(np.hypot(*motion)), 1e-6)
    kernel = np.exp(-(((x * u[0] + y * u[1]) / along) ** 2 + ((-x * u[1] + y * u[0]) / across) ** 2) / 2)
    return (kernel / kernel.sum()).astype(np.float32)


_FILTER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def _strength(channel: np.ndarray, where: np.ndarray, tile: int = 8) -> float:
    """Standard deviation of the grain in one channel."""
    rows, columns = channel.shape[0] // tile, channel.shape[1] // tile
    if rows < 1 or columns < 1:
        return 0.0
    passed = cv2.filter2D(channel, -1, _FILTER, borderType=cv2.BORDER_REFLECT) ** 2 / 36

    def tiles(values: np.ndarray) -> np.ndarray:
        cut = np.ascontiguousarray(values[: rows * tile, : columns * tile], np.float32)
        return cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA)

    energy = tiles(passed)[tiles(where.astype(np.float32)) > 0.95]
    if len(energy) < 4:
        return 0.0
    flat = np.sort(energy)[: max(4, len(energy) // 4)]
    # the quietest quarter of the tiles is quieter than all of them are: by this much for 64 samples of grain
    return float(np.sqrt(flat.mean() / 0.80))


@functools.cache
def _grain_table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grain sizes, what the coarse strength is to the fine one for each, and how strong unit grain is measured."""
    generator = np.random.Generator(np.random.SFC64(1))
    plain = generator.standard_normal((384, 384), np.float32)
    sizes = np.array([0.0, 0.35, 0.45, 0.55, 0.65])  # coarser ones cannot be told from pores and cloth
    everywhere = np.ones(plain.shape, bool)
    ratios, seen = [], []
    for size in sizes:
        field = plain if size < 0.2 else cv2.GaussianBlur(plain, (0, 0), size)
        field = field / field.std()
        coarse = cv2.resize(field, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        fine = _strength(field, everywhere)
        ratios.append(_strength(coarse, everywhere[::2, ::2]) / fine)
        seen.append(fine)
    return sizes, np.array(ratios), np.array(seen)


@functools.lru_cache(8)
def _noise_sheet(size: float) -> np.ndarray:
    """(SHEET, SHEET) float32 grain of unit strength, blurred by `size`."""
    plain = np.random.Generator(np.random.SFC64(2)).standard_normal((NOISE_SHEET_SIZE, NOISE_SHEET_SIZE), np.float32)
    if not size:
        return plain
    soft = cv2.GaussianBlur(plain, (0, 0), size, borderType=cv2.BORDER_REFLECT)
    return soft / soft.std()
