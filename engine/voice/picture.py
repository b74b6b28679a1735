"""Spectrograms to look at: for previews, and for whoever judges a voice by eye."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from scipy import signal

from ..durable import write_bytes

WIDTH, HEIGHT = 720, 200
"""Pixels of one spectrogram."""
TOP = 8000
"""Hz."""
DEPTH = 70.0
"""dB from the brightest to black."""


def draw_spectrograms(path: Path, sounds: list[np.ndarray], rate: int) -> None:
    """A JPEG of sounds (samples,) at `rate`, one above the other, 0 to 8 kHz, brightness in dB."""
    rows = [_spectrogram(sound, rate) for sound in sounds]
    gap = np.full((6, WIDTH, 3), 90, np.uint8)
    picture = np.concatenate([part for row in rows for part in (row, gap)][:-1])
    write_bytes(path, cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())


def _spectrogram(sound: np.ndarray, rate: int) -> np.ndarray:
    size = max(64, round(0.04 * rate))
    power = np.abs(signal.stft(sound, rate, "hann", size, size * 3 // 4)[2])
    shown = power[: max(2, round(TOP / rate * size) + 1)]
    level = 20 * np.log10(shown + 1e-6)
    grey = np.clip((level - level.max()) / DEPTH + 1, 0, 1)
    small = cv2.resize((grey[::-1] * 255).astype(np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return cv2.applyColorMap(small, cv2.COLORMAP_INFERNO)
