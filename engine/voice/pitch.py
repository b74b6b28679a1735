"""The pitch of a voice: SwiftF0 (Nieradzik 2025), its convolutions written out in torch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from . import networks
from .signal import FRAMES_A_SECOND, RATE, frames_of

SWIFT_HOP = 256
"""Samples between its frames: 16 ms."""
SIZES = (1024, 2048, 512)
PADDING = (
    (1, 1), (3, 1), (3, 1), (51, 0), (51, 0), (54, 0), (54, 0), (40, 0), (40, 0), (48, 0), (48, 0), (6, 1), (6, 1),
)  # fmt: skip
DILATION = (1, 1, 1, 17, 17, 27, 27, 40, 40, 48, 48, 2, 2)
"""Of its thirteen convolutions over frequency (128 bands) and time; a first one, then six residual pairs."""
SEARCHED = 96
"""Bands that the pitch is looked for in; it gives 95 steps from 46.9 to 2094 Hz."""
LOWEST, HIGHEST = 60.0, 1100.0
"""Hz of voices: a low bass to a soprano's C6."""
VOICED = 0.5
"""Its confidence from which a frame is voiced, as it was calibrated."""
QUIET = 1e-3
"""Peak under which a frame is silent: the network answers digital silence at random."""


@torch.inference_mode()
def find_pitch(x: np.ndarray, lowest: float = LOWEST, highest: float = HIGHEST, device: str = "cpu") -> np.ndarray:
    """f0 in Hz of sound (samples,) at 16 kHz, one value every 10 ms (`frames_of`), 0 where nothing is voiced."""
    pitch, confidence = _swift(x, lowest, highest, device)
    times = np.arange(frames_of(len(x))) / FRAMES_A_SECOND
    known = np.arange(len(pitch)) * SWIFT_HOP / RATE
    sure = confidence >= VOICED
    if sure.sum() < 2:
        return np.zeros(len(times), np.float32)
    voiced = np.interp(times, known, sure.astype(float)) > 0.5
    filled = np.exp2(np.interp(times, known[sure], np.log2(pitch[sure])))
    return np.where(voiced, filled, 0).astype(np.float32)


def _swift(x: np.ndarray, lowest: float, highest: float, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Pitch in Hz and confidence 0..1 every 16 ms."""
    w = networks.load("pitch", device)
    frames = max(len(x) // SWIFT_HOP, 1)
    sound = torch.from_numpy(np.pad(x, (0, max(0, SWIFT_HOP - len(x)))).astype(np.float32)).to(device)
    spectra = []
    for size in SIZES:
        padded = F.pad(sound, (size // 2, size))
        pieces = padded.unfold(0, size, SWIFT_HOP)[:frames] * w[f"window{size}"]
        spectra.append(torch.log(torch.fft.rfft(pieces).abs() @ w[f"bank{size}"] + 1e-8).T)
    h = first = torch.stack(spectra)[None]

    def conv(y: torch.Tensor, number: int) -> torch.Tensor:
        padding, dilation = PADDING[number], (DILATION[number], 1)
        return F.conv2d(y, w[f"conv{number}.weight"], w[f"conv{number}.bias"], padding=padding, dilation=dilation)

    h = F.relu(conv(h, 0))
    for number in range(1, 13, 2):
        h = F.relu(h + conv(F.relu(conv(h, number)), number + 1))
    h = F.pad(h[:, :, :SEARCHED], (1, 1, 1, 0))
    h = F.relu(F.conv2d(h, w["conv13.weight"], w["conv13.bias"]))
    peaks = F.conv2d(h, w["conv14.weight"], w["conv14.bias"], padding=(2, 0)).amax(2)
    voiced = torch.cat([peaks, first.mean((1, 2))[:, None]], 1)
    voiced = F.relu(F.conv1d(voiced, w["conv16.weight"], w["conv16.bias"], padding=1))
    confidence = torch.sigmoid(F.conv1d(voiced, w["conv17.weight"], w["conv17.bias"]))[0, 0]
    scores = F.conv2d(h, w["conv15.weight"], w["conv15.bias"])[0, 0].T
    return _peak(scores, w["log_hz"], lowest, highest, confidence, sound[: frames * SWIFT_HOP])


def _peak(
    scores: torch.Tensor,
    log_hz: torch.Tensor,
    lowest: float,
    highest: float,
    confidence: torch.Tensor,
    sound: torch.Tensor,
) -> tuple[np.ndarray, np.ndarray]:
    """The best step of each frame (frames, 95) and its neighbours, weighted by their softmax."""
    allowed = (log_hz.exp() >= lowest) & (log_hz.exp() <= highest)
    inside = torch.where(allowed, scores, -torch.inf)
    around = inside.argmax(1, keepdim=True) + torch.arange(-1, 2, device=scores.device)
    padded = F.pad(inside, (1, 1), value=-torch.inf)
    share = torch.softmax(padded.gather(1, around + 1).double(), 1)
    pitch = (share * log_hz[around.clamp(0, len(log_hz) - 1)]).sum(1).exp()
    loud = sound.view(len(confidence), -1).abs().amax(1) >= QUIET
    sure = torch.where(allowed[scores.argmax(1)] & loud, confidence, 0)
    return pitch.float().cpu().numpy(), sure.cpu().numpy()
