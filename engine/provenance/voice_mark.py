"""An inaudible mark in a recast voice: cells of 50 ms and about a sixth of an octave, a decibel up or down by a key.

`gains` is what the voice is multiplied by; `find` looks for the pattern by correlation, after the voice's own slow
spectrum is taken out of its log spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import signal

from ..media.waveform import probe_sound, read_spans, resample, to_float

STEP = 15.625
"""Hz between two gains."""
KEY = 20261130
"""Of Understudy's mark: whoever has the program can look for it, and so can a forger. It tells honest files apart."""
RATE, HOP = 16000, 160
"""Hz and samples: the mark lives under 6.2 kHz, in frames of 10 ms."""
SIZE = 512
CELL = 5
"""Frames of a cell."""
PERIOD = 64
"""Cells after which the pattern repeats: 3.2 s."""
BANDS = 24
EDGES = np.geomspace(400.0, 6200.0, BANDS + 1)
"""Hz: above the rumble of a room, and within what MP3 at 64 kbit/s keeps."""
DEPTH = 1.0
"""dB; DNSMOS of marked speech is the unmarked one's within 0.02."""
PRESENT = 5.5
"""Standard deviations from which a mark counts as found. The largest of PERIOD · CELL looks at unmarked sound is about
3; so high by chance once in 40,000 files."""
LONGEST = 600
"""Seconds of a file that are looked at, from the middle of it."""


@dataclass(frozen=True)
class FoundVoice:
    """What `find` saw: standard deviations of the best of all shifts, and the seconds it looked at."""

    score: float
    seconds: float

    @property
    def present(self) -> bool:
        """Whether the mark is there."""
        return self.score >= PRESENT


def pattern(key: int = KEY) -> np.ndarray:
    """The cells (PERIOD, BANDS) of a key, −1 or 1."""
    return np.random.default_rng(key).choice([-1.0, 1.0], (PERIOD, BANDS)).astype(np.float32)


def gains(start: int, frames: int, rate: int, key: int = KEY, depth: float = DEPTH) -> np.ndarray:
    """Factors of amplitude (frames, bins), 0 Hz to half of `rate` every 16 Hz or so, for frames of 10 ms from number
    `start` of the file on."""
    bins = round(rate / 2 / STEP) + 1
    hz = np.linspace(0, rate / 2, bins)
    cells = pattern(key)[(start + np.arange(frames)) // CELL % PERIOD]
    band = np.searchsorted(EDGES, hz, side="right") - 1
    inside = (band >= 0) & (band < BANDS)
    decibels = np.zeros((frames, bins), np.float32)
    decibels[:, inside] = cells[:, band[inside]] * depth
    return 10 ** (decibels / 20)


def find(x: np.ndarray, key: int = KEY) -> FoundVoice:
    """Look for the mark in sound (samples,) at 16 kHz."""
    seconds = len(x) / RATE
    if len(x) < RATE:
        return FoundVoice(0.0, seconds)
    spectrum = np.abs(signal.stft(x, RATE, "hann", SIZE, SIZE - HOP)[2])
    hz = np.linspace(0, RATE / 2, SIZE // 2 + 1)
    level = 20 * np.log10(spectrum + 1e-5)
    bands = np.stack([level[(hz >= a) & (hz < b)].mean(0) for a, b in pairwise(EDGES)], 1)
    cells = pattern(key)
    best = 0.0
    for offset in range(CELL):
        count = (len(bands) - offset) // CELL
        held = bands[offset : offset + count * CELL].reshape(count, CELL, BANDS).mean(1)
        best = max(best, _correlate(_without_voice(held), cells))
    return FoundVoice(best, seconds)


def _without_voice(cells: np.ndarray) -> np.ndarray:
    """What is left of cells (count, BANDS) in dB without their slow course in time and over frequency."""
    padded = np.pad(cells, ((3, 3), (0, 0)), "edge")
    slow = np.lib.stride_tricks.sliding_window_view(padded, 7, axis=0).mean(-1)
    rest = cells - slow
    rest = rest - 0.45 * (np.roll(rest, 1, 1) + np.roll(rest, -1, 1))
    return np.clip(rest / (rest.std() + 1e-9), -2.5, 2.5)


def _correlate(cells: np.ndarray, wanted: np.ndarray) -> float:
    """The best agreement over all shifts of the pattern, in standard deviations of chance."""
    folded = np.zeros((PERIOD, BANDS))
    np.add.at(folded, np.arange(len(cells)) % PERIOD, cells)
    scale = float(np.sqrt(np.square(cells).sum())) + 1e-9
    spectrum = np.fft.rfft(folded, axis=0) * np.conj(np.fft.rfft(wanted, axis=0))
    return float(np.fft.irfft(spectrum, PERIOD, axis=0).sum(1).max() / scale)


def find_in_file(path: Path, track: int = 0) -> FoundVoice:
    """Look for the mark in a track of a file. Raises MediaError where there is no sound."""
    info = probe_sound(path, track)
    length = min(info.samples, LONGEST * info.rate)
    start = (info.samples - length) // 2
    (samples,) = read_spans(info, [(start, start + length)])
    return find(resample(to_float(samples).mean(0), info.rate, RATE))
