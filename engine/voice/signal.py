"""What every step on sound shares: rates, resampling that keeps the sample count, levels, spectra.

Sound is float32, full scale −1..1, shaped (samples,) or (channels, samples). Frames are `HOP` apart: frame t is
centred on sample t·HOP at `RATE`.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

RATE = 16000
"""Hz: what pitch, content and envelope are measured at."""
HOP = 160
"""Samples between frames at `RATE`: 10 ms."""
FRAMES_A_SECOND = RATE // HOP
SILENCE = 1e-5
"""−100 dB of full scale: what is under it is silent."""


def frames_of(samples: int) -> int:
    """How many frames sound of so many samples at `RATE` has."""
    return samples // HOP + 1


def decibels(x: np.ndarray) -> float:
    """Root mean square in dB of full scale; −100 for silence."""
    return 20 * math.log10(max(float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if x.size else 0.0, SILENCE))


def levels(x: np.ndarray, width: int = 320) -> np.ndarray:
    """Level of sound (samples,) at `RATE` in dB of full scale, one a frame, each over `width` samples around it."""
    power = np.cumsum(np.pad(np.square(x, dtype=np.float64), (width // 2 + 1, width)))
    at = np.arange(frames_of(len(x))) * HOP
    mean = (power[at + width] - power[at]) / width
    return (10 * np.log10(np.maximum(mean, SILENCE**2))).astype(np.float32)


def at_frames(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Rows of `values` (frames, …), one every 10 ms, at `times` in seconds, linear in between, held at the ends."""
    at = np.clip(times * FRAMES_A_SECOND, 0, len(values) - 1)
    low = np.minimum(at.astype(int), max(len(values) - 2, 0))
    share = (at - low).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - share) + values[np.minimum(low + 1, len(values) - 1)] * share


@functools.lru_cache(maxsize=8)
def mel_bank(bands: int, size: int, rate: int = RATE) -> Tensor:
    """Slaney's mel filter bank (bands, size // 2 + 1), areas normalised, 0 Hz to half of `rate`; librosa's default."""

    def to_mel(hz: np.ndarray) -> np.ndarray:
        return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1) / 1000) / np.log(6.4))

    def to_hz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))

    edges = to_hz(np.linspace(0, float(to_mel(np.array(rate / 2))), bands + 2))
    bins = np.linspace(0, rate / 2, size // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return torch.from_numpy(bank.astype(np.float32))


def filter_changes(x: np.ndarray, rate: int, gains: np.ndarray, window: float = 0.02) -> np.ndarray:
    """Sound (…, samples) at `rate` through gains that vary over time and frequency; the same shape.

    `gains` (frames, bins): factors of amplitude every 10 ms, bins from 0 Hz to half of `rate`. A gain of one leaves
    the sound as it is within rounding: what is computed is the change alone. `window` is in seconds.
    """
    size, hop = _even(window * rate), _even(window * rate) // 4
    transform = 1 << (size - 1).bit_length()
    hann = torch.hann_window(size)
    sound = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    spectrum = torch.stft(sound, transform, hop, size, hann, return_complex=True, pad_mode="constant")
    rows = at_frames(gains, np.arange(spectrum.shape[-1]) * hop / rate)
    bins = np.linspace(0, gains.shape[1] - 1, transform // 2 + 1)
    change = torch.from_numpy(at_bins(rows, bins).T.astype(np.float32)) - 1
    return x + torch.istft(spectrum * change, transform, hop, size, hann, length=x.shape[-1]).numpy()


def at_bins(rows: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Columns of `rows` at fractional places, linear in between."""
    low = np.minimum(bins.astype(int), max(rows.shape[1] - 2, 0))
    share = (bins - low).astype(np.float32)
    return rows[:, low] * (1 - share) + rows[:, np.minimum(low + 1, rows.shape[1] - 1)] * share


def _even(samples: float) -> int:
    return max(8, 4 * round(samples / 4))
