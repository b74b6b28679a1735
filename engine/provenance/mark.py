"""A durable, invisible mark in a recast face: put in while converting, found again after compression and scaling.

Spread spectrum in the mid frequencies of the DCT (Cox, Kilian, Leighton and Shamoon, "Secure spread spectrum
watermarking for multimedia", IEEE Trans. Image Processing 6, 1997), under a mask that follows the texture (Barni,
Bartolini, Cappellini and Piva, "A DCT-domain system for robust image watermarking", Signal Processing 66, 1998), put
in knowing the picture it goes into, whose own correlation with the mark is taken out (Malvar and Florêncio, "Improved
spread spectrum", IEEE Trans. Signal Processing 51, 2003). It lies in blue against yellow, where eyes are weakest
(Kutter, Jordan and Bossen, "Digital watermarking of color images using amplitude modulation", J. Electronic Imaging 7,
1998) and skin is smoothest, and weakly in the brightness, where texture hides it. Films store colour at half the size:
where a face is too small for that to hold a mark, or has no colour, the brightness carries all of it. It lives in the
coordinates of the face: a frame may be scaled, moved or cropped, the reader measures the face again and adds up all
frames that show it.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..faces.geometry.align import crop, crop_matrix, hull_mask, to_opencv, transform
from ..luma import BT709

SIDE = 128
"""Side of the face's crop in which the mark is defined, as `align.crop_matrix` cuts it."""
SYMBOLS, ALPHABET = 2, 256
"""A mark is one of 256 codes in each half of the coefficients: which ones is the recast's number."""
AIM = 40.0
"""Standard deviations from chance beyond which no symbol is brought; smooth faces need less than they may have."""
PRESENT = 7.0
"""Standard deviations from which a mark counts as found. By chance the best of 65536 marks, in two planes and both of
them together, at all places, about 66 of them independent, lies beyond once in 180 000 looks."""
COLOURFUL = 2.0
"""Mean distance of blue from brightness, 8-bit levels, below which a face counts as black and white."""
SMALL = 43.0
"""RMS radius of a mesh, pixels of the picture, below which its brightness is marked: a face about 100 pixels wide."""
KEY = b"Understudy mark 2"


@dataclass(frozen=True)
class Plane:
    """One dimension of colour, and what a mark in it may be.

    weights (3,) read it off RGB, axis (3,) adds a level of it to RGB; band are the DCT orders that carry it: finer ones
    fall to codecs, coarser ones are seen, or drown in the face's own shading. It is up to `texture` times as strong
    where the plane has detail to hide it as on bare skin.
    """

    weights: np.ndarray
    axis: np.ndarray
    band: tuple[int, int]
    texture: float


BRIGHTNESS = Plane(BT709, np.ones(3, np.float32), (20, 56), 3.0)
BLUE = Plane(
    np.array([0, 0, 1], np.float32) - BT709,
    np.array([-BT709[2], -BT709[2], 1 - BT709[2]], np.float32) / (1 - BT709[2]),  # of no brightness
    (10, 32),
    1.0,  # codecs spend their bits on smooth skin: there it lasts
)
PLANES = (BLUE, BRIGHTNESS)
LARGE = 86.0
"""RMS radius of a mesh from which blue is at its weakest, a face about 200 pixels wide: on the smooth skin of one that
fills the screen a stronger mark is seen as lilac and yellow blotches, where a small face needs it to last."""
IN_BLUE, BESIDE_BLUE, IN_GREY = (3.15, 2.1), 0.6, 1.9
"""The most RMS of a mark over the face, 8-bit levels: in blue at SMALL and at LARGE, in the brightness beside that, and
in the brightness alone. 42.5 dB, 45.4 dB, and 42.5 dB."""
MIXES = ((1.0, 0.0), (0.0, 1.0), (0.8, 0.6))
"""What the reader looks at: either plane alone, or both."""


@dataclass(frozen=True)
class Found:
    """What a reader found: the likeliest mark's number, and how far from chance it is (standard deviations)."""

    score: float
    number: int

    @property
    def present(self) -> bool:
        """Whether this is a mark."""
        return self.score >= PRESENT


def number_of(text: str) -> int:
    """The 16-bit number by which a mark names a recast."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:2], "big")


def embed(face: np.ndarray, mask: np.ndarray, landmarks: np.ndarray, radius: float, number: int) -> np.ndarray:
    """Put the mark of a recast into one of its faces.

    face (R, R, 3) float32 RGB 0..255 and mask (R, R) float32 0..1 as they will be pasted, landmarks (468, 3) of the
    recast face in the pixels of that crop, radius of its mesh (`align.mesh_radius`) in pixels of the picture; number as
    `number_of` gives it. Returns the marked face. Deterministic.
    """
    size = len(face)
    there = to_opencv(crop_matrix(landmarks, SIDE))
    if (shrink := size // SIDE) > 1:  # averaged first, as a reader's crop is
        small = size // shrink
        pixels: Any = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA)
        inside: Any = cv2.resize(mask, (small, small), interpolation=cv2.INTER_AREA)
        scaled = to_opencv(crop_matrix(landmarks * (small / size), SIDE))
    else:
        pixels, inside, scaled = face, mask, there
    inside = cv2.warpAffine(inside, scaled, (SIDE, SIDE))
    core = inside > 0.5
    if not core.any():
        return face
    pixels = cv2.warpAffine(pixels, scaled, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    colourful = radius >= SMALL and np.abs(pixels[core] @ BLUE.weights).mean() >= COLOURFUL
    marked = face.astype(np.float32)
    blue = float(np.interp(radius, (SMALL, LARGE), IN_BLUE))
    for plane, strength in zip(PLANES, (blue, BESIDE_BLUE) if colourful else (0.0, IN_GREY), strict=True):
        if strength:
            added: Any = _wave(pixels @ plane.weights, inside, core, plane, strength, number).astype(np.float32)
            added = cv2.warpAffine(added, there, (size, size), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
            for channel, share in enumerate(plane.axis):
                marked[..., channel] += added * share
    return np.clip(marked, 0, 255, out=marked)


def _wave(
    values: np.ndarray, inside: np.ndarray, core: np.ndarray, plane: Plane, strength: float, number: int
) -> np.ndarray:
    """What to add to a plane's values (SIDE, SIDE), of at most this RMS, so that they carry the number `inside` (core:
    above a half)."""
    plan = _plan(plane.band)
    code = plan.codes[np.repeat(divmod(number, ALPHABET), len(plan.order) // SYMBOLS), np.arange(len(plan.order))]
    half = len(code) // SYMBOLS
    fine, spread = _split(values)
    loud = np.minimum(spread, plane.texture)
    host, seen = fine / spread * inside, loud / spread * inside
    found, level = _whitened(plan, host)
    per_unit = level / max(float((seen * inside).mean()), 1e-6)  # of wave, for one standard deviation
    budget = (strength * SIDE / per_unit) ** 2 / float((loud[core] ** 2).mean())
    projected = _projected(code, found)
    reach = _reach(projected, budget)
    wave: Any = np.zeros((SIDE, SIDE), np.float32)
    for again in (False, True):  # a second time for what the window of the face takes away
        if again:
            projected = _projected(code, _whitened(plan, host + wave * seen)[0])
        push = np.maximum(reach - projected, 0) * per_unit / np.sqrt(half)
        spectrum = np.zeros(SIDE * SIDE, np.float32)
        spectrum[plan.order] = code * np.repeat(push, half)
        wave = wave + cv2.idct(spectrum.reshape(SIDE, SIDE))
    added = loud * wave
    return added * min(1.0, strength / max(float(np.sqrt((added[core] ** 2).mean())), 1e-6))


class Reader:
    """Adds up one face over the frames that show it, and says whether it carries a mark."""

    def __init__(self) -> None:
        self._sums: list[Any] = [np.zeros((SIDE, SIDE), np.float32) for _ in PLANES]
        self.frames = 0

    def add(self, picture: np.ndarray, landmarks: np.ndarray) -> None:
        """One more frame: picture (H, W, 3) uint8 RGB, landmarks (468, 3) of the face in it."""
        matrix = crop_matrix(landmarks, SIDE)
        hull: Any = hull_mask(transform(landmarks, matrix), SIDE).astype(np.float32) / 255
        hull = cv2.GaussianBlur(hull, (0, 0), 2)
        pixels: Any = crop(picture, matrix, SIDE).astype(np.float32)
        for total, plane in zip(self._sums, PLANES, strict=True):
            fine, spread = _split(pixels @ plane.weights)
            total += fine / spread * hull
        self.frames += 1

    def join(self, other: Reader) -> None:
        """Add all that another reader has seen: another face, or the same one in another shot."""
        for total, more in zip(self._sums, other._sums, strict=True):
            total += more
        self.frames += other.frames

    def found(self) -> Found:
        """The verdict on all frames so far: the best of the places a little off the one where the mark should be."""
        if not self.frames:
            return Found(0.0, 0)
        found = []
        for matrix in _places():
            scores = np.stack([_scores(total, plane, matrix) for total, plane in zip(self._sums, PLANES, strict=True)])
            for mix in MIXES:
                high, low = np.tensordot(mix, scores, 1)
                number = int(high.argmax()) * ALPHABET + int(low.argmax())
                found.append(Found(float(high.max() + low.max()) / 2**0.5, number))
        return max(found, key=lambda f: f.score)


def _scores(total: np.ndarray, plane: Plane, matrix: np.ndarray) -> np.ndarray:
    """(SYMBOLS, ALPHABET) how far from chance each symbol is in a sum of crops, at a place."""
    plan = _plan(plane.band)
    values = _whitened(plan, cv2.warpAffine(total, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR))[0]
    halves = zip(np.split(plan.codes, SYMBOLS, 1), np.split(values, SYMBOLS), strict=True)
    return np.stack([codes @ half / max(float(np.linalg.norm(half)), 1e-6) for codes, half in halves])


@dataclass(frozen=True)
class _Plan:
    """The n coefficients: order (n,) places in the flattened DCT, one symbol's before the other's; codes (256, n) ±1;
    powers (n, 3) of their radius, and fit (3, n), which finds a parabola over it."""

    order: np.ndarray
    codes: np.ndarray
    powers: np.ndarray
    fit: np.ndarray


@functools.cache
def _plan(band: tuple[int, int]) -> _Plan:
    """A fixed shuffle and fixed codes, the same for every Understudy, so that any can read any other's mark."""
    v, u = np.mgrid[0:SIDE, 0:SIDE]
    radius = np.hypot(u, v).ravel()
    places = np.flatnonzero((radius >= band[0]) & (radius < band[1]))
    places = places[: len(places) // 8 * 8]
    key = KEY + repr(band).encode()
    dice = np.frombuffer(hashlib.shake_256(key).digest(4 * len(places)), "<u4")
    order = places[np.argsort(dice, kind="stable")]
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(key + b" codes").digest(ALPHABET * len(order) // 8), "u1"))
    powers = np.vander(radius[order] / band[1], 3)
    codes = (bits.astype(np.float32) * 2 - 1).reshape(ALPHABET, -1)
    return _Plan(order, codes, powers.astype(np.float32), np.linalg.pinv(powers).astype(np.float32))


@functools.cache
def _places() -> list[np.ndarray]:
    """Where a mark may lie: turned, scaled and moved as much as measuring a face twice differs."""
    found = []
    for scale in (0.985, 1.0, 1.015):
        for angle in (-1.0, 0.0, 1.0):
            matrix = cv2.getRotationMatrix2D((SIDE / 2 - 0.5, SIDE / 2 - 0.5), angle, scale)
            found += [matrix + np.array([[0, 0, x], [0, 0, y]]) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)]
    return found


def _reach(projected: np.ndarray, budget: float) -> float:
    """How far from chance a symbol can be brought, up to AIM, when the squares of all pushes may sum to `budget`."""
    low, high = 0.0, AIM
    for _ in range(12):
        middle = (low + high) / 2
        fits = (np.maximum(middle - projected, 0) ** 2).sum() <= budget
        low, high = (middle, high) if fits else (low, middle)
    return low


def _projected(code: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How far from chance each symbol of a mark is."""
    return (code * values).reshape(SYMBOLS, -1).sum(1) / np.sqrt(len(code) / SYMBOLS)


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plane's detail, and how strong it is around each pixel (plus one level), both in levels."""
    fine = values - cv2.GaussianBlur(values, (0, 0), 3)
    return fine, np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 3)) + 1.0


def _whitened(plan: _Plan, evened: np.ndarray) -> tuple[np.ndarray, float]:
    """The mark's coefficients of an evened-out crop, of unit variance at every radius and outliers cut; their RMS."""
    values = cv2.dct(evened).ravel()[plan.order]
    power = values * values
    mean = float(power.mean())
    level = np.sqrt(np.maximum(plan.powers @ (plan.fit @ power), 1e-3 * mean + 1e-12))
    return np.clip(values / level, -3, 3), mean**0.5
