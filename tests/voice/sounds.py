"""Voices that tests make for themselves: known pitch, known words of vowels and hisses, one throat or another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import signal

VOWELS = np.array(
    ((650, 1080, 2650), (400, 2000, 2550), (290, 870, 2240), (530, 1850, 2500), (570, 840, 2400), (270, 2300, 3000))
)
"""Formants in Hz of a grown man (Peterson and Barney 1952), about."""
MELODY = (0, 4, 7, 5, 4, 2, 0, 7)
"""Semitones over the lowest note."""


def voice(
    seconds: float, rate: int = 16000, throat: float = 1.0, pitch: float = 120.0, sung: bool = False, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(samples,) float32 of somebody who says vowels and hisses, and f0 in Hz every sample, 0 where unvoiced.

    `throat` shifts the formants (1.2: a woman's), `pitch` is the lowest in Hz; sung ones hold notes of `MELODY`. Like
    enough to a voice that the separator takes it for one: formants glide, breath follows the pulses, pitch trembles.
    """
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    time = np.arange(count) / rate
    length = 0.5 if sung else 0.2
    number = (time / length).astype(int)
    inside = time / length - number
    sounds = number[-1] + 1

    def smooth(values: np.ndarray, width: float) -> np.ndarray:
        kernel = np.hanning(round(width * rate))
        half = len(kernel) // 2
        return np.convolve(np.pad(values, half, "edge"), kernel / kernel.sum(), "same")[half:][:count]

    if sung:
        steps = np.array(MELODY)[number % len(MELODY)] + 0.3 * np.sin(2 * np.pi * 5.5 * time)
    else:
        steps = 3 * np.sin(2 * np.pi * time / 1.7) + rng.normal(0, 1, sounds)[number] - 1.5 * (time % 2)
    tremble = smooth(rng.standard_normal(count), 0.01)
    hz = pitch * 2 ** ((smooth(steps, 0.06) + 0.17 * tremble / tremble.std()) / 12)
    vowel, order = rng.integers(0, len(VOWELS), sounds), rng.random(sounds)
    hiss, pause = (order[number] < 0.45) & (inside > 0.7), (order[number] > 0.75) & (not sung)
    loud = smooth(np.where(hiss | pause, 0.0, 0.5 + 0.5 * np.sin(np.pi * inside)), 0.02)
    formants = [smooth(VOWELS[vowel[number], n].astype(float), 0.08) * throat for n in range(3)]
    formants += [np.full(count, 3400 * throat), np.full(count, 4400 * throat)]
    phase = 2 * np.pi * np.cumsum(hz) / rate
    x = np.zeros(count)
    for k in range(1, int(9000 / hz.min()) + 1):
        at, strength = hz * k, np.full(count, 1 / k)
        for middle, width in zip(formants, (70, 90, 130, 200, 250), strict=True):
            strength *= (middle**2 / np.sqrt((at**2 - middle**2) ** 2 + (at * width) ** 2 + 1)) ** 0.7
        x += np.where(at < min(9000, rate * 0.45), strength * np.cos(k * phase + 0.9 * k % 3), 0)
    x *= loud / np.abs(x).max()
    noise = rng.standard_normal(count)
    sharp = signal.butter(2, min(4000 * throat, rate * 0.4), "high", fs=rate, output="sos")
    soft = signal.butter(1, (800, min(7000, rate * 0.45)), "band", fs=rate, output="sos")
    x += 0.1 * signal.sosfilt(sharp, noise) * smooth((hiss & ~pause).astype(float), 0.02)
    x += 0.02 * signal.sosfilt(soft, noise) * loud * (0.6 + 0.4 * np.cos(phase))
    x += 1e-4 * rng.standard_normal(count)
    return (x / np.abs(x).max() * 0.5).astype(np.float32), np.where(loud > 0.3, hz, 0)


def accompaniment(seconds: float, rate: int = 16000) -> np.ndarray:
    """(samples,) float32 of chords of strings, no voice in them."""
    time = np.arange(round(seconds * rate)) / rate
    chords = ((98, 147, 196, 247), (131, 196, 262, 330), (147, 220, 294, 370), (98, 147, 196, 247))
    bar = (time / 1.5).astype(int) % len(chords)
    swell = 0.5 + 0.5 * np.abs(np.sin(np.pi * time / 1.5))
    x = sum(
        np.where(bar == n, sum(signal.sawtooth(2 * np.pi * hz * time + i) for i, hz in enumerate(chord)), 0)
        for n, chord in enumerate(chords)
    )
    x = signal.sosfilt(signal.butter(2, 3000, fs=rate, output="sos"), x * swell)
    return (x / np.abs(x).max() * 0.4).astype(np.float32)


def write(path: Path, sound: np.ndarray, rate: int, sample: str = "s16") -> Path:
    """A WAV of (channels, samples) float32 or of (samples,); sample s16, s24 or flt."""
    import av

    rows = np.atleast_2d(sound)
    codec, kind = {"s16": ("pcm_s16le", "s16"), "s24": ("pcm_s24le", "s32"), "flt": ("pcm_f32le", "flt")}[sample]
    packed = np.ascontiguousarray(rows.T)
    if kind == "s16":
        packed = np.rint(np.clip(packed, -1, 1) * 32767).astype(np.int16)
    elif kind == "s32":
        packed = (np.rint(np.clip(packed, -1, 1) * 8388607).astype(np.int64) << 8).astype(np.int32)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(rows)]
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        for first in range(0, len(packed), 4096):
            frame = av.AudioFrame.from_ndarray(packed[first : first + 4096].reshape(1, -1), kind, layout)
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
