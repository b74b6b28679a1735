"""What a recast face has to be changed by to belong to its frame: measured frame by frame, averaged over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from . import blend, colour_matching, grain_blur
from .face_batch import Face
from .patch import Place, warped_face, warped_mask

AVERAGING_RADIUS = 8
"""Frames to each side that a frame's measures are averaged over."""
AVERAGING_SIGMA = 4.0


@dataclass(frozen=True, eq=False)
class Measures:
    """Flat float32 vectors, empty where the settings ask for none; see the functions that measure and apply them."""

    colour: np.ndarray
    tint: np.ndarray
    membrane: np.ndarray
    blur: np.ndarray
    grain: np.ndarray


NOTHING = np.zeros(0, np.float32)


def measure_face(face: Face, place: Place, under: np.ndarray) -> Measures:
    """Measure one face against its frame; `under` (h, w, 3) float32 RGB 0..255 is the frame at `place`."""
    settings = face.placement.settings
    vector = colour_matching.measure(settings.colour, face.face, face.target, face.mask)
    tint = colour_matching.measure_tint(face.target, face.mask)
    membrane = blur = grain = NOTHING
    if settings.blend == "seamless":
        coloured = colour_matching.apply(settings.colour, face.face, vector)
        membrane = blend.measure_membrane(coloured, face.target, face.mask)
    if settings.match_sharpness:
        blur = grain_blur.measure_blur(face.face, face.target, face.mask, face.placement.motion)
    if settings.match_grain:
        grain = _grain(face, place, under)
    return Measures(vector, tint, membrane, blur, grain)


def average_measures(own: int, frames: Sequence[int], measures: Sequence[Measures]) -> Measures:
    """The measures of frame `own` from those of a track's frames around it, nearer ones counting more."""
    distance = np.array(frames, float) - own
    weights = np.exp(-(distance**2) / (2 * AVERAGING_SIGMA**2))
    weights /= weights.sum()
    columns = {}
    for field in fields(Measures):
        stack = np.stack([getattr(m, field.name) for m in measures])
        columns[field.name] = (weights @ stack.astype(np.float64)).astype(np.float32)
    return Measures(**columns)


def _grain(face: Face, place: Place, under: np.ndarray) -> np.ndarray:
    """The grain that the face lacks: the footage's where the face will be, less what the recast shows itself."""
    middle = np.s_[_centre(under.shape[0]), _centre(under.shape[1])]
    part = place.part(*middle)
    inside = warped_mask(face.mask, part) > 0.5
    footage = grain_blur.measure_grain(under[middle], inside)
    if not footage[0]:
        return footage
    return grain_blur.missing_grain(footage, grain_blur.measure_grain(warped_face(face.face, part), inside))


def _centre(length: int, most: int = 320) -> slice:
    """The middle of a side: grain is the same everywhere, and need not be looked for everywhere."""
    begin = max(0, (length - most) // 2)
    return slice(begin, min(begin + most, length))
