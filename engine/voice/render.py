"""A piece of voice made anew: its own waveform through the change of envelope, or harmonics and noise in its place.

What has no pitch (breath, consonants, laughter, the room after a word) is always the actor's own waveform, filtered;
what has one is that too, or is synthesised where the pitch is moved or the words are dry and alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..media.waveform import resample
from .analysis import Analysis
from .envelope import BINS, from_mel, power
from .excitation import match_level, synthesise
from .signal import FRAMES_A_SECOND, RATE, filter_changes

SMOOTH = 2.0
"""Frames (20 ms) over which the change of envelope is smoothed: rougher changes cost words, smoother ones likeness."""
HIGHEST, LOWEST = 2.3, -3.45
"""Of the log of a gain: +20 and −30 dB. More would raise what a separator or a codec left of a band."""
CARRIED = (6600.0, 7200.0)
"""Hz: the mean change here goes on above, where 16 kHz sound tells nothing."""
TAIL = 0.12
"""Seconds after voiced sound from which what sounds without pitch is the room's."""
TAIL_FALL = 12.0
"""dB by which the room is drawn down where it shall not stay."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How pieces of one take are made: `synth` voiced sound anew, moved by `semitones`; `band` Hz that the film's own
    sound reaches from and to; `keep_room`."""

    synth: bool
    semitones: float
    band: tuple[float, float]
    keep_room: bool


def change_of(piece: Analysis, mel: np.ndarray, band: tuple[float, float]) -> np.ndarray:
    """Change of the log power envelope (frames, 513) that turns a piece's voice into one of this `mel` (frames, 80).

    Every frame keeps its power; outside the film's band nothing changes.
    """
    wanted = from_mel(mel)
    wanted = wanted + power(piece.envelope) - power(wanted)
    change = gaussian_filter1d(wanted - piece.envelope, SMOOTH, axis=0)
    low, high = (round(hz / RATE * 2 * (BINS - 1)) for hz in CARRIED)
    change[:, high:] = change[:, low:high].mean(1, keepdims=True)
    hz = np.linspace(0, RATE / 2, BINS)
    edge = np.clip((hz - band[0] / 1.4) / (band[0] * 0.4 + 1), 0, 1)
    edge *= np.clip((band[1] * 1.1 - hz) / (band[1] * 0.1 + 1), 0, 1) if band[1] < RATE / 2 * 0.95 else 1
    return (change * edge).astype(np.float32)


def render(
    voice: np.ndarray, rate: int, piece: Analysis, change: np.ndarray, noise: np.ndarray, manner: Manner, start: int
) -> np.ndarray:
    """The new voice: the same shape as `voice` (channels, samples) at `rate`, whose mean at 16 kHz `piece` describes.

    `noise` (frames, 5) is the target's share of noise; `start` the take's frame that the piece begins with.
    """
    gains = np.exp(np.clip(change / 2, LOWEST, HIGHEST))
    if not manner.keep_room:
        gains = gains * _dry(piece)[:, None]
    filtered = filter_changes(voice, rate, gains)
    if not manner.synth or not (piece.f0 > 0).any():
        return filtered
    f0 = piece.f0 * 2 ** (manner.semitones / 12)
    shares = np.where(piece.f0[:, None] > 0, noise, 1).astype(np.float32)
    made = synthesise((piece.envelope + change).astype(np.float32), shares, f0.astype(np.float32), start)
    made = np.pad(made, (0, max(0, len(piece.sound) - len(made))))[: len(piece.sound)]
    made = match_level(made, piece.sound)
    middle = filtered.mean(0)
    high = middle - resample(resample(middle, rate, RATE), RATE, rate)[: len(middle)] if rate > RATE else 0.0
    fresh = np.pad(resample(made, RATE, rate), (0, rate))[: len(middle)] + high
    at = np.arange(len(middle)) / rate * FRAMES_A_SECOND
    voiced = np.interp(at, np.arange(len(f0)), gaussian_filter1d((f0 > 0).astype(float), 1.0))
    mono = voice.mean(0)
    pan = (voice @ mono) / max(float(mono @ mono), 1e-12)
    return (filtered + pan[:, None] * (voiced * (fresh - middle))).astype(np.float32)


def _dry(piece: Analysis) -> np.ndarray:
    """Gains (frames,) that draw down what sounds after voiced sound has ended and falls."""
    since = np.full(len(piece.f0), np.inf)
    last = -np.inf
    for number, hz in enumerate(piece.f0):
        last = number if hz > 0 else last
        since[number] = number - last
    falling = gaussian_filter1d(np.gradient(piece.level.astype(float)), 3) < 0
    tail = (since > TAIL * FRAMES_A_SECOND) & falling
    return 10 ** (-TAIL_FALL / 20 * gaussian_filter1d(tail.astype(float), 3))


def film_band(mean: np.ndarray) -> tuple[float, float]:
    """Hz between which a film's sound lies, by its mean power spectrum (513,): where it falls 50 dB under its top."""
    level = 10 * np.log10(np.maximum(gaussian_filter1d(mean, 2), 1e-20))
    inside = np.flatnonzero(level > level.max() - 50)
    return float(inside[0]) * RATE / 2 / (BINS - 1), float(inside[-1]) * RATE / 2 / (BINS - 1)
