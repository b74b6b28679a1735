"""The refined voice: a small network that says which envelope a person gives to what is said.

It learns by letting each person re-enact themself in disguise: the content is that of a copy played faster or slower,
through a room or an old film's sound track, the envelope that of the clean recording. So what it takes from the
content is the words alone, and who speaks comes from the embedding and from what it was adapted to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import signal
from torch import Tensor, nn

from ..arrays import read_arrays
from ..errors import DataError
from .content import find_content
from .envelope import BANDS, NOISE_BANDS
from .signal import RATE, decibels

KIND, SCHEMA = "voice network", 1
CONTENT, WHO, SIDE = 1024, 256, 3
WIDTH, BLOCKS, KERNEL = 192, 5, 5
NOISE_SCALE = 3.0
"""What the shares of noise are multiplied by, so that they weigh like the log envelope."""
SEGMENT, BATCH = 150, 16
"""Frames (1.5 s) and pieces of a training step."""
RATE_OF_BASE, RATE_OF_ADAPTING = 2e-3, 1e-3
"""Learning rates of AdamW, falling with the root of what is left."""
WARM_UP = 30
DROPPED = 0.1
"""Share of the content's features that a step does without."""
BASE = Path(__file__).with_name("base.safetensors")
"""The base network, trained on the people of `base.md`; float16."""
DISGUISES: tuple[float | str, ...] = (1.0, 0.8, 0.9, 1.12, 1.25, "room", "film")
"""How a recording is disguised: speeds, a room, a film's sound track of 1942 with hiss."""


class Network(nn.Module):
    """Content (B, 1024, T), side (B, 3, T), who (B, 256) → mel envelope and noise (B, 85, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.content = nn.Conv1d(CONTENT, WIDTH, 1)
        self.side = nn.Conv1d(SIDE, WIDTH, 3, padding=1)
        self.who = nn.Linear(WHO, WIDTH)
        self.blocks = nn.ModuleList(_Block() for _ in range(BLOCKS))
        self.out = nn.Conv1d(WIDTH, BANDS + NOISE_BANDS, 1)

    def forward(self, content: Tensor, side: Tensor, who: Tensor) -> Tensor:
        """The envelope, log, less the frame's power, and the shares of noise times `NOISE_SCALE`."""
        h = self.content(content) + self.side(side) + self.who(who)[..., None]
        for block in self.blocks:
            h = h + block(h)
        return self.out(h)


def from_file(path: Path, device: str = "cpu") -> Network:
    """The network of a file, float32. Raises DataError, also when some of its numbers are not finite."""
    arrays, _ = read_arrays(path, KIND, SCHEMA, again="Make the voice again.")
    net = Network()
    try:
        net.load_state_dict({name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()})
    except RuntimeError:
        raise DataError(f"{path} holds another network. Make the voice again.") from None
    return net.to(device)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=KERNEL // 2, groups=WIDTH)
        self.norm = nn.GroupNorm(1, WIDTH)
        self.wide = nn.Conv1d(WIDTH, 2 * WIDTH, 1)
        self.narrow = nn.Conv1d(2 * WIDTH, WIDTH, 1)

    def forward(self, h: Tensor) -> Tensor:
        return self.narrow(F.gelu(self.wide(self.norm(self.over_time(h)))))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What is learned from a recording: `content` (disguises, n, 1024) standardised, float16; `side` (n, 3); `wanted`
    (n, 85); `weight` (n,)."""

    content: np.ndarray
    side: np.ndarray
    wanted: np.ndarray
    weight: np.ndarray


def side_of(f0: np.ndarray, power: np.ndarray, mean_power: float) -> np.ndarray:
    """(n, 3): log pitch about 150 Hz (0 unvoiced), voiced, and the frame's log power about the voice's mean."""
    voiced = f0 > 0
    pitch = np.where(voiced, (np.log(np.maximum(f0, 1)) - 5) / 0.5, 0)
    return np.stack([pitch, voiced, (power - mean_power) / 3], 1).astype(np.float32)


def disguised(sound: np.ndarray, how: float | str, rng: np.random.Generator, device: str = "cpu") -> np.ndarray:
    """Content (n, 1024) of a recording (samples,) in disguise."""
    if isinstance(how, float):
        return find_content(sound, how, device)
    return find_content(through_room(sound, rng) if how == "room" else through_film(sound, rng), device=device)


def through_room(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sound at 16 kHz in a room of 0.25 to 0.8 s."""
    seconds = rng.uniform(0.25, 0.8)
    time = np.arange(int(1.2 * seconds * RATE)) / RATE
    response = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds) * 0.25
    response[0] = 4.0
    response /= np.sqrt(np.square(response).sum())
    return signal.fftconvolve(sound, response)[: len(sound)].astype(np.float32)


def through_film(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sound at 16 kHz with the hiss and the band, 90 to 6500 Hz, of an optical sound track."""
    hiss = rng.standard_normal(len(sound)).astype(np.float32)
    noisy = sound + hiss * 10 ** ((decibels(sound) - rng.uniform(20, 35)) / 20)
    return signal.sosfilt(signal.butter(4, (90, 6500), "band", fs=RATE, output="sos"), noisy).astype(np.float32)


def train(
    network: Network,
    people: Sequence[tuple[Sequence[Sample], np.ndarray]],
    steps: range,
    total: int,
    highest: float,
    optimiser: torch.optim.Optimizer,
    watch: Callable[[int, float], None],
) -> None:
    """Steps of training on people: samples and the embedding of who it is. Each step's chances come from its number,
    so that a training that was interrupted goes on as if it had not been."""
    device = next(network.parameters()).device
    network.train()
    for step in steps:
        rng = np.random.default_rng([20, step])
        for group in optimiser.param_groups:
            group["lr"] = highest * min(1, (step + 1) / WARM_UP) * (1 - step / total) ** 0.5
        content, side, who, wanted, weight = (
            torch.from_numpy(np.stack(part)).to(device) for part in zip(*_batch(people, rng), strict=True)
        )
        kept = torch.from_numpy((rng.random((BATCH, CONTENT, 1)) > DROPPED).astype(np.float32)).to(device)
        told = network(content * kept, side, who)
        loss = (weight * (told - wanted).abs()).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        watch(step + 1, float(loss.detach()))


def _batch(
    people: Sequence[tuple[Sequence[Sample], np.ndarray]], rng: np.random.Generator
) -> list[tuple[np.ndarray, ...]]:
    rows: list[tuple[np.ndarray, ...]] = []
    for _ in range(BATCH):
        samples, who = people[int(rng.integers(len(people)))]
        lengths = np.array([len(sample.side) for sample in samples], float)
        sample = samples[int(rng.choice(len(samples), p=lengths / lengths.sum()))]
        length = min(SEGMENT, len(sample.side))
        first = int(rng.integers(len(sample.side) - length + 1))
        padding = ((0, SEGMENT - length), (0, 0))
        way = rng.integers(len(sample.content))
        parts = (sample.content[way], sample.side, sample.wanted, sample.weight[:, None])
        content, side, wanted, weight = (
            np.pad(part[first : first + length], padding, "edge").T.astype(np.float32) for part in parts
        )
        weight = weight * np.where(side[1:2] > 0, 1.0, 0.5) / (1 + np.exp(-side[2:3] * 1.5 - 2))
        rows.append((content, side, who.astype(np.float32), wanted, weight.astype(np.float32)))
    return rows


@torch.inference_mode()
def ask(network: Network, content: np.ndarray, side: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mel envelope (n, 80) and share of noise (n, 5) for frames of content (n, 1024), standardised, and side (n, 3)."""
    device = next(network.parameters()).device
    network.eval()
    rows = [torch.from_numpy(np.ascontiguousarray(part.T[None], np.float32)).to(device) for part in (content, side)]
    told = network(*rows, torch.from_numpy(who[None].astype(np.float32)).to(device))[0].T.float().cpu().numpy()
    return told[:, :BANDS], np.clip(told[:, BANDS:] / NOISE_SCALE, 0.01, 1)
