"""No machine of the tests has a graphics card: torch's `meta` device stands for one. It has shapes and no numbers, so
that whatever is made on the wrong device meets another one there, and whatever asks for a value is seen."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from understudy import engine
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.model_folder import facesets, prepare, read_card
from understudy.engine.model.networks import perceptual_losses, precision, refiner_network
from understudy.engine.model.networks.shared_encoder import make_network
from understudy.engine.model.recast import Source, recast
from understudy.engine.model.training import checkpoints, trainer, training_step
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.protocol import Identity, Material, Network, TrainSettings
from understudy.engine.reporter import Silent

CPU, PRETEND = torch.device("cpu"), torch.device("meta")
ENGINE = Path(str(engine.__file__)).resolve().parent
VALUES = {"aten::_local_scalar_dense", "aten::item", "aten::is_nonzero"}
COPIES = {"aten::_to_copy", "aten::to.dtype_layout", "aten::to.device"}


class Counting(TorchDispatchMode):
    """Counts what makes the host wait for the pretended device, by the module of the engine that asked; gives zeros
    for what is copied to the host, and one for a value."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        there = bool(args) and isinstance(args[0], torch.Tensor) and args[0].is_meta
        if there and function.name() in VALUES:
            self.waits[_asking()] += 1
            return 1
        if there and function.name() in COPIES and kwargs.get("device") == CPU:
            self.waits[_asking()] += 1
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        return function(*args, **kwargs)


def _asking() -> str:
    frame: Any = sys._getframe(2)
    while frame and ENGINE not in Path(frame.f_code.co_filename).resolve().parents:
        frame = frame.f_back
    return Path(frame.f_code.co_filename).stem if frame else "elsewhere"


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch has for real devices only: autocast, and the fused optimiser."""
    plain, adam = torch.autocast, torch.optim.AdamW

    def autocast(device_type: str, *arguments: Any, **more: Any) -> Any:
        return contextlib.nullcontext() if device_type == "meta" else plain(device_type, *arguments, **more)

    monkeypatch.setattr(torch, "autocast", autocast)
    monkeypatch.setattr(precision, "autocast", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.optim, "AdamW", lambda *a, fused=False, **k: adam(*a, foreach=False, **k))


def moved(thing: Any) -> Any:
    """A copy whose tensors are on the pretended device."""
    if isinstance(thing, torch.Tensor):
        return thing.to(PRETEND)
    if is_dataclass(thing):
        return replace(thing, **{f.name: moved(getattr(thing, f.name)) for f in fields(thing)})  # type: ignore[type-var]
    return thing


@pytest.fixture(scope="module")
def folders(
    tmp_path_factory: pytest.TempPathFactory, carphone_folder: Path, astronaut_folder: Path
) -> dict[Network, Path]:
    """A small model of either kind."""
    made: dict[Network, Path] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(refiner_network.SIZES, "quick", (64, 8))
        people = [
            Identity(name=name, material=[Material(scan=str(scan), person=0)])
            for name, scan in (("man", carphone_folder), ("woman", astronaut_folder))
        ]
        kinds: tuple[Network, ...] = ("refine", "shared")
        for kind in kinds:
            made[kind] = tmp_path_factory.mktemp(kind)
            prepare(made[kind], people, "quick", Silent(), kind)
    return made


@pytest.mark.parametrize("kind", ["refine", "shared"])
def test_a_step_stays_on_its_device(
    folders: dict[Network, Path], pretended: None, monkeypatch: pytest.MonkeyPatch, kind: Network
) -> None:
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))
    monkeypatch.setattr(perceptual_losses, "PERCEPTUAL_STEPS", 1)
    monkeypatch.setattr(perceptual_losses, "ADVERSARIAL_STEPS", (0, 4))
    card = replace(read_card(folders[kind]), settings=TrainSettings(likeness=False, adversarial=True))
    sets = facesets(folders[kind], card)
    materials = [make_training_set(s, make_views(s, CPU), 64, Silent()) for s in sets]
    chosen = {"views", "maps", "displacement"}  # the rest is what batches are drawn by, on the host
    there = [replace(m, **{name: moved(getattr(m, name)) for name in chosen}) for m in materials]
    state, shape = checkpoints.new_training_for(card, PRETEND), trainer.canonical_shape(sets).to(PRETEND)
    with Counting() as counting:
        for _ in range(2 * training_step.BATCH_REPEATS):
            losses = training_step.step(state, there, shape, Silent())
    assert losses.device == PRETEND and not counting.waits


def test_a_recast_waits_for_its_device_as_often_as_is_known(
    folders: dict[Network, Path], pretended: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the picture in which the irises are looked for and what the mesh network finds there, and whether what the
    refiner made is finite."""
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))
    sets = facesets(folders["refine"], read_card(folders["refine"]))
    views = moved(make_views(sets[0], CPU))
    network = make_network("refine", 2, 64, 8).to(PRETEND)
    source = Source(views, network, 0, 64, trainer.canonical_shape(sets).to(PRETEND))
    picture, own = (torch.zeros(2, n, 128, 128, device=PRETEND) for n in (3, 1))
    choice = torch.zeros(2, 2, dtype=torch.int64, device=PRETEND)
    landmarks = np.repeat(sets[1].landmarks[:1], 2, 0)
    with torch.inference_mode(), Counting() as counting:
        face, mask = recast(source, landmarks, picture, own, choice)
    assert face.device == mask.device == PRETEND
    assert counting.waits == {"recast": 2, "face_mesh": 2}
