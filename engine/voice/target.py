"""The voice that is heard: what a voice folder gives for a source's frames, by look-up or by its network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import material
from .analysis import Analysis
from .draft import STEP, Library, look_up, unit
from .envelope import power
from .network import Network, ask, from_file, side_of

LOUD = 20.0
"""dB under the loud parts down to which frames tell how loud a voice is on the mean."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A voice, ready to lend its envelope. `card` is its folder's."""

    card: material.Card
    library: Library
    network: Network | None = None

    @classmethod
    def load(cls, folder: Path, draft: bool = False) -> Target:
        """The voice in a folder; `draft` leaves its network aside. Raises DataError."""
        card = material.read_card(folder)
        file = folder / material.NETWORK
        trained = from_file(file) if file.is_file() and not draft else None
        return cls(card=card, library=library_of(material.load(folder)), network=trained)

    def envelope(
        self, content: np.ndarray, f0: np.ndarray, one: Analysis, loud: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mel envelope (frames, 80) less its power and share of noise (frames, 5) for a source's frames.

        `content` (frames, 1024) is standardised by the source's own mean and spread, `f0` (frames,) in Hz is the pitch
        that will be heard; `one` is the source's piece and `loud` its loud parts' level in dB.
        """
        if self.network is None:
            return look_up(content, f0, self.library)
        strength = power(one.envelope)[:, 0]
        loudest = strength[one.level > loud - LOUD]
        mean = float(loudest.mean()) if len(loudest) else float(strength.max())
        who = np.array(self.card.embedding)
        return ask(self.network, content, side_of(f0, strength, mean), who)


def standard(recordings: list[material.Recording]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (1024,) of the content of what is usable."""
    rows = np.concatenate([r.content[r.weight > 0.5] for r in recordings])
    return rows.mean(0), rows.std(0) + 1e-6


def library_of(recordings: list[material.Recording]) -> Library:
    """The usable frames of recordings, ready for look-up."""
    mean, spread = standard(recordings)
    content, voiced, mel, noise = [], [], [], []
    for one in recordings:
        even = len(one.f0) // STEP * STEP
        usable = one.weight[:even:STEP] > 0.3
        rows = np.repeat(usable, STEP)
        content.append(unit((one.content[:even:STEP][usable] - mean) / spread))
        voiced.append(one.f0[:even:STEP][usable] > 0)
        mel.append(one.mel[:even][rows])
        noise.append(one.noise[:even][rows])
    return Library(
        content=np.concatenate(content),
        voiced=np.concatenate(voiced),
        mel=np.concatenate(mel),
        noise=np.concatenate(noise),
    )
