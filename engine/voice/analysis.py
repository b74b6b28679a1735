"""What is known of a piece of voice, frame by frame: pitch, envelope, breath, words, level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .content import find_content
from .envelope import find_envelope, find_noise
from .pitch import find_pitch
from .signal import levels


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Of sound (samples,) at 16 kHz, 10 ms a frame: `f0` (frames,) in Hz, 0 unvoiced; `envelope` (frames, 513), log
    power density; `noise` (frames, 5), its share; `content` (frames, 1024); `level` (frames,) in dB of full scale."""

    sound: np.ndarray
    f0: np.ndarray
    envelope: np.ndarray
    noise: np.ndarray
    content: np.ndarray
    level: np.ndarray


def analyse(x: np.ndarray, device: str = "cpu") -> Analysis:
    """Measure a piece of one voice, 30 s at most, at 16 kHz."""
    f0 = find_pitch(x, device=device)
    return Analysis(
        sound=x,
        f0=f0,
        envelope=find_envelope(x, f0),
        noise=find_noise(x, f0),
        content=find_content(x, device=device),
        level=levels(x),
    )
