"""Make a voice: gather what is usable, write the draft, adapt the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..protocol import VoiceTrainSpec
from ..reporter import Part, Reporter
from . import material


def train_voice(spec: VoiceTrainSpec, reporter: Reporter, device: str = "cpu") -> dict[str, Any]:
    """Write the voice folder `spec.output`; returns its facts. Raises NoVoiceError, MediaError, DataError, Stopped."""
    folder = Path(spec.output)
    gathering = Part(reporter, 0.0, 0.3 if spec.minutes else 1.0)
    recordings, notes = material.gather(spec.material, gathering, device)
    card = material.save(folder, spec.identity, recordings, spec.material, notes)
    for text in [f"{spec.identity}: {card.described}.", *(f"{one}." for one in notes)]:
        reporter.log(text)
    reporter.progress(1.0, "The voice is ready")
    return {"voice": spec.output, "seconds": card.seconds, "described": card.described, "steps": card.steps}
