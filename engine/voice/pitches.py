"""Ranges of voices: names of notes, whether somebody sings, and how far a melody has to be moved."""

from __future__ import annotations

import math

import numpy as np

from .signal import FRAMES_A_SECOND

NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
HELD = 0.25
"""Seconds for which a sung note keeps its pitch."""
STEADY = 60.0
"""Cents within which it does, vibrato's slow mean."""
SUNG = 0.1
"""Share of the voiced time in held notes from which it is song: six readers have .00, two singers .23 and .52."""
ABOVE_SPEECH = 4.0
"""Semitones by which people sing higher than they speak, about."""


def note(hz: float) -> str:
    """The nearest note's name, as in A2 or F♯4."""
    number = round(69 + 12 * math.log2(hz / 440))
    return f"{NAMES[number % 12]}{number // 12 - 1}"


def is_sung(f0: np.ndarray) -> bool:
    """Whether a pitch track (frames,) in Hz, 10 ms a frame, is mostly held notes."""
    return held_share(f0) > SUNG


def held_share(f0: np.ndarray) -> float:
    """Share of the voiced frames that lie in notes held for `HELD` seconds."""
    voiced = f0 > 0
    if voiced.sum() < FRAMES_A_SECOND / 2:
        return 0.0
    cents = 1200 * np.log2(np.where(voiced, f0, 1.0))
    width = round(HELD * FRAMES_A_SECOND)
    if len(f0) < width:
        return 0.0
    kernel = np.hanning(17) / np.hanning(17).sum()  # takes vibrato out, 5 to 7 a second
    smooth = np.convolve(cents, kernel, "same")
    windows = np.lib.stride_tricks.sliding_window_view(smooth, width)
    whole = np.lib.stride_tricks.sliding_window_view(voiced, width).all(1)
    held = whole & (np.ptp(windows, axis=1) < STEADY)
    inside = np.convolve(held.astype(float), np.ones(width))[: len(f0)] > 0
    return float((inside & voiced).sum() / voiced.sum())


def propose(source: np.ndarray, target: float, sung: bool, target_sung: bool) -> tuple[int, float]:
    """Octaves and semitones that bring a pitch track (frames,) in Hz into the range of a voice of median `target`.

    A song moves by whole octaves, so that it stays in tune with what accompanies it; speech by whole semitones.
    """
    voiced = source[source > 0]
    if not len(voiced):
        return 0, 0.0
    apart = 12 * math.log2(target / float(np.exp(np.median(np.log(voiced)))))
    if sung:
        return round((apart + (0.0 if target_sung else ABOVE_SPEECH)) / 12), 0.0
    return 0, float(round(apart - (ABOVE_SPEECH if target_sung else 0.0)))


def describe(seconds: float, sung: bool, f0: np.ndarray) -> str:
    """What a voice's recordings are in words: "48 s usable, no singing, A2 to E4"."""
    low, high = np.percentile(f0[f0 > 0], (5, 95))
    return f"{seconds:.0f} s usable, {'with singing' if sung else 'no singing'}, {note(low)} to {note(high)}"
