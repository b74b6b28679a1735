"""The recast face takes on the colour of the one it replaces.

Every method is measured on one frame as a small vector, and applied from a vector: between the two, `track.py`
averages over neighbouring frames, so that a colour never pumps. Only what the two faces differ by is averaged:
a flash or a lamp that swings is in both, and stays.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..luma import BT601
from ..media.float_view import max_channel
from ..protocol import ColourMethod

STATISTICS_SIZE = 96
"""Pixels a side on which colours are measured: finer ones are grain and hairs."""
LIGHT_GRID = 32
"""Cells a side of the map of light."""
LIGHT_SIGMA = 0.10
"""Width of the light's blur, in crop sides."""
HISTOGRAM_LEVELS = np.linspace(0, 255, 33)
_QUANTILES = (np.arange(32) + 0.5) / 32
_MIN_SAMPLES = 40
GAIN_RANGE = (0.8, 1.25)
"""Contrast is changed within these: two people's faces differ in relief by more than in light."""


def measure(method: ColourMethod, face: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What turns the colours of one crop into the other's, as a flat float32 vector.

    face (S, S, 3) float32 and target (S, S, 3) uint8 or float32, RGB 0..255; weight (S, S) float32 0..1 is where
    both are skin. Too little skin gives what changes nothing.

    reinhard   gains of L, a, b, and both means (Reinhard et al. 2001)
    mkl        a symmetric (3, 3) matrix, and both means in RGB: the linear map between the two Gaussians that
               moves colours least (Pitié and Kokaram 2007)
    histogram  33 steps for each channel of RGB, at LEVELS: how far quantiles lie apart
    light      (32, 32, 3): what is left of the difference after a wide blur
    """
    if method == "none":
        return np.zeros(0, np.float32)
    if method == "light":
        return _light(face, target, weight)
    ours, theirs = samples(face, target, weight)
    if len(ours) < _MIN_SAMPLES:
        return neutral(method)
    alike = _matching_pixels(ours, theirs)
    if method == "reinhard":
        a, b = _lab(ours), _lab(theirs)
        gain = np.clip((_spread(b) + 0.3) / (_spread(a) + 0.3), *GAIN_RANGE)
        gain = 1 + _correlation(a, b) * (gain - 1)
        return np.concatenate([gain, a[alike].mean(0), b[alike].mean(0)]).astype(np.float32)
    if method == "mkl":
        means = ours[alike].mean(0), theirs[alike].mean(0)
        matrix = np.eye(3) + _correlation(ours, theirs).mean() * (_monge(ours, theirs) - np.eye(3))
        return np.concatenate([matrix.ravel(), *means]).astype(np.float32)
    ours, theirs = ours[alike], theirs[alike]
    steps = []
    for channel in range(3):
        x, y = (np.quantile(values[:, channel], _QUANTILES) for values in (ours, theirs))
        steps.append(np.interp(HISTOGRAM_LEVELS, x + np.arange(32) * 1e-4, y - x))
    return np.concatenate(steps).astype(np.float32)


def neutral(method: ColourMethod) -> np.ndarray:
    """The vector that changes nothing."""
    if method == "reinhard":
        return np.array([1, 1, 1, 0, 0, 0, 0, 0, 0], np.float32)
    if method == "mkl":
        return np.concatenate([np.eye(3).ravel(), np.zeros(6)]).astype(np.float32)
    return np.zeros(
        {"none": 0, "histogram": 3 * len(HISTOGRAM_LEVELS), "light": LIGHT_GRID * LIGHT_GRID * 3}[method], np.float32
    )


def apply(method: ColourMethod, face: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The face (S, S, 3) float32 RGB 0..255 in the colours that a vector of `measure` asks for."""
    if method == "none" or not vector.size:
        return face
    if method == "light":
        grid = vector.reshape(LIGHT_GRID, LIGHT_GRID, 3)
        return face + cv2.resize(grid, face.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    if method == "histogram":
        steps = vector.reshape(3, len(HISTOGRAM_LEVELS))
        moved = [np.interp(face[..., c], HISTOGRAM_LEVELS, HISTOGRAM_LEVELS + steps[c]) for c in range(3)]
        return np.stack(moved, -1).astype(np.float32)
    ours, theirs = vector[-6:-3], vector[-3:]
    if method == "reinhard":
        lab = (_lab(face) - ours) * vector[:3] + theirs
        return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB) * 255, 0, 255)
    matrix = vector[:9].reshape(3, 3).astype(np.float64)
    mapped: np.ndarray = cv2.transform(face, np.column_stack([matrix, theirs - matrix @ ours]))
    return np.clip(mapped, 0, 255, out=mapped)


def samples(face: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours of both crops where they are skin and not clipped: two (N, 3) float32, pixel for pixel."""
    face, target, weight = (_downscaled(x, STATISTICS_SIZE) for x in (face, target, weight))
    bright, dark = max_channel(np.maximum(face, target)), max_channel(np.minimum(face, target))
    used = (weight > 0.6) & (bright < 252) & (dark > 3)
    return face[used], target[used]


def _matching_pixels(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Which pixels show the same thing in both faces: (N,) bool, skin mostly.

    The faces lie over one another; brows, lashes, glasses and beards do not match and would count as colour.
    Where the two differ by least, once gain and offset are allowed for, is looked at again, three times.
    """
    used = np.ones(len(ours), bool)
    for part in (0.85, 0.7, 0.6):
        a, b = ours[used], theirs[used]
        gain = np.clip((b.std(0) + 1) / (a.std(0) + 1), *GAIN_RANGE)
        left = max_channel(np.abs((ours - a.mean(0)) * gain + b.mean(0) - theirs))
        used = left <= np.quantile(left, part)
    return used


def measure_tint(target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Whether footage has no colours of its own: [1 or 0, a, b, c, d] float32.

    In black-and-white or toned footage Cb = a + b·Y and Cr = c + d·Y, everywhere.
    """
    small = _downscaled(target, STATISTICS_SIZE)
    weight = _downscaled(weight, STATISTICS_SIZE) > 0.1
    if weight.sum() < _MIN_SAMPLES:
        weight = np.ones_like(weight)
    ycc = cv2.cvtColor(small / 255, cv2.COLOR_RGB2YCrCb)[weight][:, [0, 2, 1]] * 255
    y = np.stack([np.ones(len(ycc)), ycc[:, 0]], 1)
    lines, *_ = np.linalg.lstsq(y, ycc[:, 1:], rcond=None)
    spread = float(np.sqrt(((ycc[:, 1:] - y @ lines) ** 2).mean()))
    return np.array([spread < 1.6, lines[0, 0], lines[1, 0], lines[0, 1], lines[1, 1]], np.float32)


def apply_tint(face: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The face without colours of its own, where the footage has none."""
    if vector[0] <= 0.5:
        return face
    luma = (face @ BT601)[..., None]
    ycc = np.concatenate([luma, vector[3] + vector[4] * luma, vector[1] + vector[2] * luma], -1) / 255
    return np.clip(cv2.cvtColor(ycc.astype(np.float32), cv2.COLOR_YCrCb2RGB) * 255, 0, 255)


def _light(face: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    size = 2 * LIGHT_GRID
    away = _downscaled(target, size) - _downscaled(face, size)
    used = _downscaled(weight, size)
    if used.sum() < _MIN_SAMPLES:
        return neutral("light")
    sigma = LIGHT_SIGMA * size
    spread = cv2.GaussianBlur(np.dstack([away * used[..., None], used]), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    level = (away * used[..., None]).sum((0, 1)) / used.sum()
    # where the face is far, the light of the whole of it
    grid = (spread[..., :3] + 0.02 * level) / (spread[..., 3:] + 0.02)
    return cv2.resize(grid, (LIGHT_GRID, LIGHT_GRID), interpolation=cv2.INTER_AREA).ravel()


def _spread(values: np.ndarray) -> np.ndarray:
    """How far most of the values (N, 3) lie apart: (3,), a standard deviation where they are Gaussian."""
    low, high = np.quantile(values, (0.1, 0.9), axis=0)
    return (high - low) / 2.563


def _correlation(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far contrast may be compared at all: (3,) 0..1, the part of one face's variance that the other explains.

    Faces of unlike relief differ in contrast under the same light; only where both rise and fall together does
    a difference tell of light.
    """
    a, b = ours - ours.mean(0), theirs - theirs.mean(0)
    both = (a * b).mean(0) / np.maximum(a.std(0) * b.std(0), 1e-3)
    return np.clip(both, 0, 1) ** 2


def _monge(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    floor = np.eye(3) * 2.0**2
    a, b = (np.cov(x.T.astype(np.float64)) + floor for x in (ours, theirs))
    root = _root(a)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _root(root @ b @ root) @ inverse
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.clip(values, *GAIN_RANGE)) @ vectors.T


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _lab(rgb: np.ndarray) -> np.ndarray:
    """(…, 3) RGB 0..255 → CIE Lab, float32."""
    flat = np.ascontiguousarray(rgb, np.float32).reshape(1, -1, 3) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(rgb.shape)


def _downscaled(picture: np.ndarray, size: int) -> np.ndarray:
    if picture.shape[0] > size:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return picture.astype(np.float32)
