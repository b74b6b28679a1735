"""Make a voice: gather what is usable, write the draft, adapt the network."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..arrays import write_arrays
from ..durable import write_json
from ..protocol import VoiceTrainSpec
from ..provenance.consent import project_folder
from ..provenance.consented_voice import require_same_voice
from ..reporter import Part, Reporter
from ..settings import check_settings
from . import material, network
from .signal import FRAMES_A_SECOND
from .target import standard

STEPS_A_MINUTE = 120
"""Of training: half of what one idle core does, so that a minute is kept on a busy one. Steps, not the clock, decide,
so that the same recordings give the same voice."""
MOST = 180
"""Seconds of recordings that the network is adapted to; more say little new."""
REPORTED = 5
"""Steps between two reports."""


def train_voice(spec: VoiceTrainSpec, reporter: Reporter, device: str = "cpu") -> dict[str, Any]:
    """Write the voice folder `spec.output`; returns its facts. Raises NoVoiceError, MediaError, DataError, Stopped,
    and ConsentError where they are of somebody else than the consent was used for."""
    folder = Path(spec.output)
    check_settings(spec)
    gathering = Part(reporter, 0.0, 0.3 if spec.minutes else 1.0)
    recordings, notes = material.gather(spec.material, gathering, device)
    who = material.embedding_of(recordings)
    require_same_voice(project_folder(spec), spec.identity, who, Path(spec.material[0].path).name)
    card = material.save(folder, spec.identity, recordings, spec.material, notes, who)
    for text in [f"{spec.identity}: {card.described}.", *(f"{one}." for one in notes)]:
        reporter.log(text)
    if spec.minutes:
        steps = max(1, round(spec.minutes * STEPS_A_MINUTE))
        adapt(folder, recordings, np.array(card.embedding), steps, Part(reporter, 0.3, 1.0), device)
        card = replace(card, steps=steps, minutes=spec.minutes)
        write_json(folder / material.CARD, asdict(card))
    reporter.progress(1.0, "The voice is ready")
    return {"voice": spec.output, "seconds": card.seconds, "described": card.described, "steps": card.steps}


def adapt(
    folder: Path,
    recordings: list[material.Recording],
    who: np.ndarray,
    steps: int,
    reporter: Reporter,
    device: str = "cpu",
) -> None:
    """Adapt the base network to recordings and write it into the voice folder."""
    samples = _samples(recordings, Part(reporter, 0.0, 0.3), device)
    net = network.from_file(network.BASE, device)
    optimiser = torch.optim.AdamW(net.parameters(), network.RATE_OF_ADAPTING, weight_decay=1e-3)

    def watch(step: int, loss: float) -> None:
        reporter.check()
        if step % REPORTED == 0 or step == steps:
            reporter.loss(step, {"envelope": loss})
            reporter.progress(0.3 + 0.7 * step / steps, "Training the voice")

    network.train(net, [(samples, who)], range(steps), steps, network.RATE_OF_ADAPTING, optimiser, watch)
    weights = {name: value.cpu().numpy().astype(np.float16) for name, value in net.state_dict().items()}
    write_arrays(folder / material.NETWORK, network.KIND, network.SCHEMA, weights, {"steps": steps})


def _samples(recordings: list[material.Recording], reporter: Reporter, device: str) -> list[network.Sample]:
    """Recordings in every disguise, standardised each by its own mean and spread."""
    stride = max(1, -(-sum(len(r.f0) for r in recordings) // (MOST * FRAMES_A_SECOND)))
    chosen = recordings[::stride]
    level = float(np.concatenate([r.power[r.weight > 0.5] for r in chosen]).mean())
    rng = np.random.default_rng(20)
    disguises = []
    for number, how in enumerate(network.DISGUISES):
        reporter.progress(number / len(network.DISGUISES), "Disguising the recordings")
        heard = []
        for one in chosen:
            reporter.check()
            content = one.content if how == 1.0 else network.disguised(one.sound, how, rng, device)
            heard.append(replace(one, content=content[: len(one.f0)]))
        mean, spread = standard(heard)
        disguises.append([((one.content - mean) / spread).astype(np.float16) for one in heard])
    return [
        network.Sample(
            content=np.stack(contents),
            side=network.side_of(one.f0, one.power, level),
            wanted=np.concatenate([one.mel, one.noise * network.NOISE_SCALE], 1).astype(np.float32),
            weight=one.weight,
        )
        for one, contents in zip(chosen, zip(*disguises, strict=True), strict=True)
    ]
