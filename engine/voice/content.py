"""What is said, without who says it: middle layers of Whisper base's encoder (Radford 2022), in plain torch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..media.waveform import resample
from . import networks
from .signal import FRAMES_A_SECOND, RATE, at_frames, frames_of, mel_bank

LAYERS = (3, 4)
"""Of six, counted from 1: deeper ones lose the sound, earlier ones keep the speaker."""
HEAD = 64
"""Width of an attention head, in every Whisper."""
A_SECOND = 50
"""Features a second."""
LONGEST = 30.0
"""Seconds that it has positions for."""


@torch.inference_mode()
def find_content(x: np.ndarray, disguise: float = 1.0, device: str = "cpu") -> np.ndarray:
    """Features (frames, 1024), float32, of sound (samples,) at 16 kHz, one row every 10 ms; at most 30 s.

    `disguise` d gives those of a copy that is played d times as fast and laid on the same frames: its pitch and
    formants are shifted, its words are not.
    """
    faster = resample(x, RATE, round(RATE / disguise)) if disguise != 1.0 else x
    if len(faster) > LONGEST * RATE:
        raise ValueError("content is found in pieces of 30 s at most")
    found = _encode(torch.from_numpy(np.ascontiguousarray(faster)).to(device), networks.load("content", device))
    times = np.arange(frames_of(len(x))) / FRAMES_A_SECOND
    at = (times / disguise * A_SECOND - 0.25) / FRAMES_A_SECOND  # a feature's middle lies between its two hops
    return at_frames(found.cpu().numpy(), at)


def _encode(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    """(samples,) → (features, layers · width)."""

    def norm(y: Tensor, name: str) -> Tensor:
        return F.layer_norm(y, y.shape[-1:], w[f"{name}/layer_norm/gamma"], w[f"{name}/layer_norm/beta"])

    h = F.gelu(F.conv1d(_log_mel(x)[None], w["conv1/weight"], w["conv1/bias"], padding=1))
    h = F.gelu(F.conv1d(h, w["conv2/weight"], w["conv2/bias"], stride=2, padding=1))[0].T
    h = h + w["position_encodings/encodings"][: len(h)]
    heads, kept = h.shape[1] // HEAD, []
    for layer in range(max(LAYERS)):
        name = f"layer_{layer}/self_attention"
        projected = F.linear(norm(h, name), w[f"{name}/linear_0/weight"], w[f"{name}/linear_0/bias"])
        query, key, value = projected.view(len(h), 3, heads, HEAD).permute(1, 2, 0, 3)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(0, 1).reshape(len(h), -1)
        h = h + F.linear(mixed, w[f"{name}/linear_1/weight"], w[f"{name}/linear_1/bias"])
        name = f"layer_{layer}/ffn"
        wide = F.gelu(F.linear(norm(h, name), w[f"{name}/linear_0/weight"], w[f"{name}/linear_0/bias"]))
        h = h + F.linear(wide, w[f"{name}/linear_1/weight"], w[f"{name}/linear_1/bias"])
        if layer + 1 in LAYERS:
            kept.append(h)
    return torch.cat(kept, 1)


def _log_mel(x: Tensor) -> Tensor:
    """Whisper's log mel spectrum (80, frames)."""
    window = torch.hann_window(400, device=x.device)
    power = torch.stft(x, 400, 160, window=window, return_complex=True)[..., :-1].abs() ** 2
    logs = (mel_bank(80, 400).to(x.device) @ power).clamp(min=1e-10).log10()
    return (torch.maximum(logs, logs.max() - 8) + 4) / 4
