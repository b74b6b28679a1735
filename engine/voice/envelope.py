"""How a voice sounds, frame by frame: its spectral envelope without the harmonics, and how much of it is breath.

The envelope is CheapTrick's (Morise 2015): a window of three periods, power smoothed over two thirds of f0, and a
lifter that takes what is left of the harmonics out of the cepstrum. The share of noise is that of Boersma (1993), by
the autocorrelation at one period, in bands. The scale is that of power density: noise of unit power filtered by
exp(envelope / 2) has the sound's level.
"""

from __future__ import annotations

import functools
import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .signal import HOP, RATE, frames_of

SIZE = 1024
"""Samples of a spectrum: three periods of 71 Hz are 676."""
BINS = SIZE // 2 + 1
LOWEST = 71.0
"""Hz: windows of lower voices are those of this pitch."""
UNVOICED = 500.0
"""Hz: the pitch that an unvoiced frame is windowed and smoothed by, CheapTrick's default."""
LIFTER = -0.15
"""CheapTrick's compensation of the smoothing, q1."""
FLOOR = 1e-10
"""Power added everywhere: −100 dB."""
BANDS = 80
"""Of the mel envelope that is learned and looked up."""
NOISE_EDGES = (0.0, 1000.0, 2000.0, 4000.0, 6000.0, 8000.0)
"""Hz between the bands in which the share of noise is told."""
NOISE_BANDS = len(NOISE_EDGES) - 1
PIECE = 1000
"""Frames computed at a time."""


def find_envelope(x: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Log power envelope (frames, 513), float32, of sound (samples,) at 16 kHz with its pitch (frames,) in Hz."""
    hz = torch.from_numpy(np.where(f0 > 0, np.maximum(f0, LOWEST), UNVOICED).astype(np.float32))
    frames = _windowed(x, hz, 3.0)
    pieces = zip(torch.split(frames, PIECE), torch.split(hz, PIECE), strict=True)
    return torch.cat([_cheaptrick(piece, pitch) for piece, pitch in pieces]).numpy()


def find_noise(x: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Share of noise in amplitude 0..1 (frames, 5), float32, by `NOISE_EDGES`; 1 where nothing is voiced.

    It is the share in power taken as one in amplitude: measured at a single pitch a window, the share is too high
    wherever the pitch glides, and copies of speech sound nearer to it so (DNSMOS 2.8 in place of 2.3).
    """
    hz = torch.from_numpy(np.where(f0 > 0, np.maximum(f0, LOWEST), UNVOICED).astype(np.float32))
    frames = _windowed(x, hz, 4.0)
    window = _windowed(np.ones(len(x), np.float32), hz, 4.0, centred=False)
    found = []
    for piece, shape, pitch in zip(*(torch.split(part, PIECE) for part in (frames, window, hz)), strict=True):
        found.append(_periodicity(piece, shape, pitch))
    share = np.clip(1 - torch.cat(found).numpy(), 0.01, 1)
    return np.where(f0[:, None] > 0, share, 1).astype(np.float32)


def to_mel(envelope: np.ndarray) -> np.ndarray:
    """(frames, 513) → (frames, 80): the mean of the log envelope in bands even on the mel scale."""
    return envelope @ _mel_means()


def from_mel(mel: np.ndarray) -> np.ndarray:
    """(frames, 80) → (frames, 513), linear between the bands' middles."""
    return mel @ mel_spread()


def power(envelope: np.ndarray) -> np.ndarray:
    """Log of the summed power of each frame (frames, 1)."""
    top = envelope.max(1, keepdims=True)
    return top + np.log(np.exp(envelope - top).sum(1, keepdims=True))


@functools.cache
def _mel_means() -> np.ndarray:
    middles, bins = _mel_edges(), np.linspace(0, RATE / 2, BINS)
    rising = (bins - middles[:-2, None]) / np.diff(middles)[:-1, None]
    falling = (middles[2:, None] - bins) / np.diff(middles)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling))
    return (bank / bank.sum(1, keepdims=True)).astype(np.float32).T


@functools.cache
def mel_spread() -> np.ndarray:
    """(80, 513): what each mel band adds to each bin."""
    bins, middles = np.linspace(0, RATE / 2, BINS), _mel_edges()[1:-1]
    return np.stack([np.interp(bins, middles, row) for row in np.eye(BANDS)]).astype(np.float32)


@functools.cache
def noise_spread() -> np.ndarray:
    """(5, 513): the share of noise in each bin from that of the bands."""
    bins, middles = np.linspace(0, RATE / 2, BINS), (np.array(NOISE_EDGES[1:]) + NOISE_EDGES[:-1]) / 2
    return np.stack([np.interp(bins, middles, row) for row in np.eye(NOISE_BANDS)]).astype(np.float32)


def _mel_edges() -> np.ndarray:
    top = 2595 * math.log10(1 + RATE / 2 / 700)  # O'Shaughnessy's mel: no two bands fall into one bin
    return 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)


def _windowed(x: np.ndarray, hz: Tensor, periods: float, centred: bool = True) -> Tensor:
    """(frames, SIZE): Hann windows of so many periods around every frame's middle, their squares summing to one."""
    padded = np.pad(x, (SIZE // 2, SIZE + HOP)).astype(np.float32)
    pieces = torch.from_numpy(padded).unfold(0, SIZE, HOP)[: frames_of(len(x))]
    offset = (torch.arange(SIZE) - SIZE // 2).float()
    half = torch.clamp(periods / 2 * RATE / hz, max=SIZE / 2 - 1)[:, None]
    window = torch.where(offset.abs() <= half, 0.5 + 0.5 * torch.cos(math.pi * offset / half), 0)
    window = window / window.square().sum(1, keepdim=True).sqrt()
    out = pieces * window
    if centred:
        out = out - window * (out.sum(1, keepdim=True) / window.sum(1, keepdim=True))
    return out


def _cheaptrick(frames: Tensor, hz: Tensor) -> Tensor:
    spectrum = torch.fft.rfft(frames).abs().square()
    bins = torch.arange(BINS, dtype=torch.float32)
    width = hz[:, None] * (SIZE / RATE)  # f0 in bins
    mirrored = (width - bins).clamp(min=0)
    low = mirrored.long().clamp(max=BINS - 2)
    share = mirrored - low
    reflected = spectrum.gather(1, low) * (1 - share) + spectrum.gather(1, low + 1) * share
    spectrum = spectrum + torch.where(bins < width, reflected, 0)
    summed = torch.cumsum(torch.cat([spectrum.flip(1)[:, :-1], spectrum, spectrum.flip(1)[:, 1:]], 1).double(), 1)
    above = _between(summed, bins + (BINS - 1) + width / 3)
    below = _between(summed, bins + (BINS - 1) - width / 3)
    smooth = ((above - below) / (2 * width / 3)).float() + FLOOR
    cepstrum = torch.fft.irfft(torch.log(smooth))
    quefrency = torch.arange(SIZE).minimum(SIZE - torch.arange(SIZE)) / RATE * hz[:, None]
    lifter = torch.sinc(quefrency) * (1 - 2 * LIFTER + 2 * LIFTER * torch.cos(2 * math.pi * quefrency))
    return torch.fft.rfft(cepstrum * lifter).real.float()


def _between(summed: Tensor, at: Tensor) -> Tensor:
    """Running sums read between bins (bin k reaches from k − ½ to k + ½)."""
    edge = at - 0.5
    low = edge.long().clamp(0, summed.shape[1] - 2)
    share = (edge - low).double()
    return summed.gather(1, low) * (1 - share) + summed.gather(1, low + 1) * share


def _periodicity(frames: Tensor, window: Tensor, hz: Tensor) -> Tensor:
    """(frames, 5): the highest normalised autocorrelation within 3 % of one period, in bands."""
    spectrum = torch.fft.rfft(frames, 2 * SIZE).abs().square()
    shape = torch.fft.rfft(window, 2 * SIZE).abs().square()
    bins = torch.arange(SIZE + 1, dtype=torch.float32)
    bands = _noise_members()
    whole = spectrum @ bands + 1e-12
    best = torch.zeros(len(frames), NOISE_BANDS)
    for stretch in np.linspace(0.97, 1.03, 13):
        lag = RATE / hz[:, None] * float(stretch)
        wave = torch.cos(math.pi / SIZE * bins * lag)
        envelope = (shape * wave).sum(1, keepdim=True) / shape.sum(1, keepdim=True)
        best = torch.maximum(best, (spectrum * wave) @ bands / whole / envelope.clamp(min=0.1))
    return best.clamp(0, 1)


@functools.cache
def _noise_members() -> Tensor:
    hz = torch.linspace(0, RATE / 2, SIZE + 1)
    edges = [*NOISE_EDGES[:-1], NOISE_EDGES[-1] + 1]
    return torch.stack([((hz >= a) & (hz < b)).float() for a, b in pairwise(edges)], 1)
