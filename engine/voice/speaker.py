"""Who speaks: the GE2E voice encoder (Wan 2018; Resemblyzer's weights), in plain torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from . import networks
from .signal import RATE, mel_bank

WINDOW = 160
"""Frames of 10 ms that are embedded at a time, as it was trained."""
STEP = 77
"""Frames between windows: 1.3 a second."""
LOUDNESS = -30.0
"""dB of full scale that quieter sound is raised to."""
WIDTH = 256


@torch.inference_mode()
def embed_windows(x: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Embeddings (windows, 256) of unit length of sound (samples,) at 16 kHz, one every 0.77 s over 1.6 s each."""
    w = networks.load("speaker", device)
    net = nn.LSTM(40, WIDTH, 3, batch_first=True).to(device)
    net.load_state_dict({key.removeprefix("lstm."): value for key, value in w.items() if key.startswith("lstm.")})
    power = float(np.mean(np.square(x, dtype=np.float64))) + 1e-12
    sound = torch.from_numpy((x * max(1.0, 10 ** (LOUDNESS / 20) / power**0.5)).astype(np.float32)).to(device)
    hann = torch.hann_window(400, device=device)
    spectrum = torch.stft(sound, 400, 160, window=hann, return_complex=True, pad_mode="constant").abs() ** 2
    mels = (mel_bank(40, 400).to(device) @ spectrum).T
    count = max(1, -(-(len(mels) - WINDOW) // STEP) + 1)
    mels = nn.functional.pad(mels, (0, 0, 0, max(0, (count - 1) * STEP + WINDOW - len(mels))))
    pieces = mels.unfold(0, WINDOW, STEP)[:count].transpose(1, 2)
    _, (hidden, _) = net(pieces)
    found = torch.relu(nn.functional.linear(hidden[-1], w["linear.weight"], w["linear.bias"]))
    return (found / found.norm(dim=1, keepdim=True).clamp(min=1e-9)).cpu().numpy()


def embed(x: np.ndarray, device: str = "cpu") -> np.ndarray:
    """One embedding (256,) of unit length for all of the sound."""
    mean = embed_windows(x, device).mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def seconds_of(window: int) -> float:
    """Where in the sound, in seconds, a window of `embed_windows` is centred."""
    return (window * STEP + WINDOW / 2) * 160 / RATE
