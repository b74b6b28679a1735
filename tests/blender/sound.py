"""Sound whose samples are known, made and mixed by Blender and the standard library."""

from __future__ import annotations

import wave
from pathlib import Path

import bpy
import numpy as np

RATE = 48000


def write(path: Path, seconds: float, seed: int = 0, rate: int = RATE) -> Path:
    """A mono WAV of noise, 16 bits: no two parts of it are alike."""
    samples = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * rate)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def mixed(path: Path) -> np.ndarray:
    """(samples, channels) of what the scene of the window plays in its range, at 48 kHz."""
    path.unlink(missing_ok=True)
    bpy.context.scene.render.ffmpeg.audio_mixrate = RATE
    assert bpy.ops.sound.mixdown(filepath=str(path), container="WAV", codec="PCM", format="S16") == {"FINISHED"}
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (RATE, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
