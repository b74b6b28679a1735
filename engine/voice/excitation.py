"""Sound from pitch, envelope and noise: harmonics and noise, each through its own envelope, in torch.

Phases are those of the whole take (`phase_of`), and the noise at a sample is always the same, so that pieces of
one take made apart fit together.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .envelope import noise_spread
from .signal import HOP, RATE, SILENCE

SIZE = 1024
"""Samples of the spectra that shape the excitation."""
NOISE_PIECE = 1 << 14
"""Samples of noise that share a seed."""


def synthesise(envelope: np.ndarray, noise: np.ndarray, f0: np.ndarray, start: int = 0) -> np.ndarray:
    """Sound ((frames − 1) · HOP samples,) at 16 kHz, float32.

    `envelope` (frames, 513) log power density, `noise` (frames, 5) its share of noise in amplitude, `f0` (frames,) in
    Hz, 0 where unvoiced. `start` is the take's frame that these begin with.
    """
    comb = torch.from_numpy(harmonics(f0))
    hiss = torch.from_numpy(white(start * HOP, (len(f0) - 1) * HOP))
    levels = torch.from_numpy(envelope)
    share = torch.from_numpy(noise @ noise_spread()).clamp(0, 1)
    voiced = torch.sqrt(1 - share.square()) * minimum_phase(levels)
    return shape(comb, hiss, voiced.T, (share * torch.exp(levels / 2)).T).numpy()


def minimum_phase(envelope: Tensor) -> Tensor:
    """The filter (…, 513), complex, whose power is exp(envelope) and whose sound comes as early as it can."""
    cepstrum = torch.fft.irfft(envelope / 2)
    fold = torch.zeros(cepstrum.shape[-1], device=envelope.device)
    fold[0], fold[1 : len(fold) // 2], fold[len(fold) // 2] = 1, 2, 1
    return torch.exp(torch.fft.rfft(cepstrum * fold))


def shape(comb: Tensor, hiss: Tensor, harmonic_gain: Tensor, noise_gain: Tensor) -> Tensor:
    """Both excitations (…, samples) through their gains (…, 513, frames), summed: (…, samples)."""
    window = torch.hann_window(SIZE, device=comb.device)

    def spectrum(x: Tensor) -> Tensor:
        return torch.stft(x, SIZE, HOP, window=window, return_complex=True, pad_mode="constant")

    both = spectrum(comb) * harmonic_gain + spectrum(hiss) * noise_gain
    return torch.istft(both, SIZE, HOP, window=window, length=comb.shape[-1])


def harmonics(f0: np.ndarray, phase: float | None = None) -> np.ndarray:
    """A flat comb of all harmonics under 8 kHz, of unit power, silent where unvoiced: ((frames − 1) · HOP,).

    It fades over one frame where the voice sets in or ends.
    """
    voiced = f0 > 0
    if not voiced.any():
        return np.zeros((len(f0) - 1) * HOP, np.float32)
    known = np.flatnonzero(voiced)
    filled = np.exp(np.interp(np.arange(len(f0)), known, np.log(f0[known])))
    at = np.arange((len(f0) - 1) * HOP) / HOP
    hz = np.interp(at, np.arange(len(f0)), filled)
    turn = 2 * math.pi * (np.cumsum(hz / RATE) + (phase or 0.0))
    count = np.floor(RATE / 2 / hz)
    half = np.sin(turn / 2)
    near = np.abs(half) < 1e-4
    kernel = np.where(near, 2 * count + 1, np.sin((2 * count + 1) * turn / 2) / np.where(near, 1, half)) - 1
    loud = np.interp(at, np.arange(len(f0)), voiced.astype(float))
    return (kernel / 2 * np.sqrt(4 * hz / RATE) * loud).astype(np.float32)


def white(start: int, count: int) -> np.ndarray:
    """Noise of unit power, float32: sample n of it is the same whatever piece it is made in."""
    first, last = start // NOISE_PIECE, (start + count - 1) // NOISE_PIECE
    pieces = [
        np.random.default_rng([7, piece % (1 << 31)]).standard_normal(NOISE_PIECE, np.float32)
        for piece in range(first, last + 1)
    ]
    return np.concatenate(pieces)[start - first * NOISE_PIECE :][:count]


def match_level(sound: np.ndarray, wanted: np.ndarray, width: int = 2400) -> np.ndarray:
    """`sound` with the slow level of `wanted`, both (samples,) at 16 kHz; over `width` samples, by 12 dB at most."""
    kernel = np.hanning(width)
    kernel /= kernel.sum()

    def slow(x: np.ndarray) -> np.ndarray:
        return np.sqrt(np.convolve(np.square(x, dtype=np.float64), kernel, "same") + SILENCE**2)

    return (sound * np.clip(slow(wanted) / slow(sound), 0.25, 4.0)).astype(np.float32)
