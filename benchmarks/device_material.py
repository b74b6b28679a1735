"""What the other parts of `device.py` work with: scans of the pair, facesets, and weights that change something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from device_parts import Bench
from torch import nn
from understudy.engine.faces.facesets.faceset import Faceset
from understudy.engine.faces.scan import scan
from understudy.engine.media.reader import probe
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.model_folder import facesets, prepare, read_card
from understudy.engine.model.networks.refiner_network import SIZES
from understudy.engine.model.networks.shared_encoder import Net
from understudy.engine.model.training import training_step
from understudy.engine.model.training.checkpoints import export_weights, new_training_for
from understudy.engine.model.training.dataset import TrainingSet, make_training_set
from understudy.engine.model.training.trainer import canonical_shape
from understudy.engine.protocol import Clip, Identity, Material
from understudy.engine.reporter import Silent

FRAMES, TINY_FRAMES = 120, 16
KINDS = (("standard", "refine"), ("quick", "refine"), ("fine", "refine"), ("standard", "shared"))
ROUSED = 0.02
"""How far the heads of a network that was not trained are from nothing, so that it changes the draft."""


def material(bench: Bench) -> dict[str, Any]:
    """Scan the pair on the processor, gather facesets for every preset, and give each model weights."""
    counts = {}
    for who, path in zip(("shot", "face"), bench.pair, strict=True):
        if not (bench.scan(who) / "scan.json").is_file():
            scan(first_frames(bench, path), bench.scan(who), Silent(), "cpu", bench.work / "kept" / "cpu")
    people = [Identity(name=who, material=[Material(scan=str(bench.scan(who)), person=0)]) for who in ("shot", "face")]
    for preset, network in KINDS:
        folder = bench.model(preset, network)
        card = prepare(folder, people, preset, Silent(), network)
        if not (folder / "weights.safetensors").is_file():
            training = new_training_for(card, torch.device("cpu"))
            rouse(training.average)
            export_weights(folder, card, training)
        counts[f"{preset} {network}"] = [len(s) for s in facesets(folder, card)]
    return {"words": f"Faces of the shot and of the face: {counts}.", "faces": counts}


def first_frames(bench: Bench, path: Path) -> Clip:
    """The range of a movie or picture that is scanned."""
    count = probe(path).frames
    return Clip(path=str(path), start=0, end=min(count, TINY_FRAMES if bench.tiny else FRAMES))


def rouse(network: Net) -> None:
    """Give the heads of an untrained network small weights, the same ones every time: it changes drafts then."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for decoder in network.decoders:
            head = decoder.get_submodule("head")
            assert isinstance(head, nn.Conv2d)
            head.weight += (ROUSED * torch.randn(head.weight.shape, generator=generator)).to(head.weight)


class Faces:
    """A model's faces on a device, as the training has them."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.card = read_card(folder)
        self.size, self.width = SIZES[self.card.preset]
        self.sets: list[Faceset] = facesets(folder, self.card)
        self.views = [make_views(s, device) for s in self.sets]
        self.materials: list[TrainingSet] = [
            make_training_set(s, v, self.size, Silent()) for s, v in zip(self.sets, self.views, strict=True)
        ]
        self.shape = canonical_shape(self.sets).to(device)
        self.device = device

    def training(self) -> training_step.Training:
        """A new training of this model, its heads roused, so that gradients reach all of it."""
        made = new_training_for(self.card, self.device)
        rouse(made.refiner)
        return made
