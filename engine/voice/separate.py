"""Voice and rest of a mix: Spleeter's two stems (Hennequin 2020), its U-Nets written out for inference.

The voice is what is estimated; the rest is the mix without it, so that both always sum to the mix.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..media.waveform import resample
from . import networks

RATE = 44100
"""Hz the network was trained at."""
SIZE, HOP = 4096, 1024
"""Samples of its spectra and between them."""
BINS = 1024
"""Bins that it sees (11 kHz); above them the mask of the highest `CARRIED` goes on."""
CARRIED = 64
FRAMES = 64
"""The U-Net halves time six times: frames come in multiples of this."""
STRONGEST = 2.0
"""Power of the magnitudes in the mask (Wiener)."""


@torch.inference_mode()
def separate(mix: np.ndarray, rate: int, device: str = "cpu") -> np.ndarray:
    """The voice in a mix (channels, samples), float32: the same shape, in sync. The rest is `mix` less it.

    One or two channels; a mono mix is shown to the network on both.
    """
    sound = resample(mix, rate, RATE)
    both = np.ascontiguousarray(np.broadcast_to(sound, (2, sound.shape[1])) if len(sound) == 1 else sound)
    window = torch.hann_window(SIZE)
    x = torch.from_numpy(both)
    spectrum = torch.stft(x, SIZE, HOP, window=window, return_complex=True, pad_mode="constant")
    magnitude = spectrum[:, :BINS].abs()
    length = magnitude.shape[2]
    padded = F.pad(magnitude, (0, -length % FRAMES)).transpose(1, 2)[None].to(device)
    powers = []
    for stem in ("voice", "rest"):
        estimate = _unet(padded, networks.load("separator", device), stem)[0].transpose(1, 2)[:, :, :length]
        powers.append(estimate.cpu() ** STRONGEST)
    mask = (powers[0] + 5e-11) / (powers[0] + powers[1] + 1e-10)
    above = mask[:, -CARRIED:].mean(1, keepdim=True).expand(-1, spectrum.shape[1] - BINS, -1)
    voice = torch.istft(spectrum * torch.cat([mask, above], 1), SIZE, HOP, window=window, length=x.shape[1])
    found = voice.mean(0, keepdim=True) if len(mix) == 1 else voice
    return resample(found.numpy(), RATE, rate)[:, : mix.shape[1]]


def _unet(x: Tensor, w: dict[str, Tensor], stem: str) -> Tensor:
    """(1, 2, frames, bins) of magnitudes → those of one stem."""

    def norm(y: Tensor, layer: str) -> Tensor:
        return y * w[f"{stem}.{layer}.scale"][:, None, None] + w[f"{stem}.{layer}.shift"][:, None, None]

    skips, y = [], x
    for level in range(1, 7):
        layer = f"{stem}.down{level}_conv.1"
        y = F.conv2d(F.pad(y, (1, 2, 1, 2)), w[f"{layer}.weight"], w[f"{layer}.bias"], stride=2)
        skips.append(y)
        if level < 6:
            y = F.leaky_relu(norm(y, f"down{level}_act.0"), 0.2)
    for level in range(1, 7):
        layer = f"{stem}.up{level}.0"
        y = y if level == 1 else torch.cat([skips[6 - level], y], 1)
        y = F.conv_transpose2d(y, w[f"{layer}.weight"], w[f"{layer}.bias"], stride=2)[:, :, 1:-2, 1:-2]
        y = norm(F.relu(y), f"up{level}.3")
    mask = F.conv2d(y, w[f"{stem}.up7.0.weight"], w[f"{stem}.up7.0.bias"], padding=3, dilation=2)
    return torch.sigmoid(mask) * x
