"""The fastest way to run is found by trying, and a step never makes the device wait for the host."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.model_folder import facesets, prepare, read_card
from understudy.engine.model.networks import perceptual_losses, precision, refiner_network
from understudy.engine.model.networks.shared_encoder import make_network
from understudy.engine.model.training import checkpoints, trainer, training_step
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.protocol import Identity, Material, Network, TrainSettings
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def log(self, text: str, level: str = "info") -> None:
        self.texts.append(text)


@pytest.fixture
def network() -> Any:
    return make_network("shared", 1, 64, 6)


def batch() -> precision.Inputs:
    return [torch.rand(2, 3, 64, 64)], [torch.tensor([0, 1])]


def slower(run: Any, seconds: float) -> Any:
    def way(*inputs: Any) -> Any:
        time.sleep(seconds)
        return run(*inputs)

    return way


def test_the_fastest_way_is_chosen_and_what_fails_is_said(network: Any) -> None:
    def broken(*inputs: Any) -> Any:
        raise RuntimeError("no kernel for this card\nand much more")

    told = Told()
    quick = make_network("shared", 1, 64, 3)
    plain = torch.nn.Module()
    plain.forward = slower(network, 0.05)  # type: ignore[method-assign]
    ways = {"slow": slower(network, 0.2), "broken": broken, "quick": quick}
    assert precision.choose_fastest(plain, ways, batch(), told) is quick
    assert "broken: RuntimeError: no kernel for this card" in told.texts[0] and "runs quick" in told.texts[1]
    assert precision.choose_fastest(network, {"slow": slower(network, 0.2)}, batch(), told) is network
    assert all(p.grad is None for p in network.parameters())  # trying leaves no gradients

    def full(*inputs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    assert precision.choose_fastest(network, {"quick": quick, "full": full}, batch(), told) is network
    assert "no memory to try" in told.texts[-1]


def test_without_a_compiler_training_goes_on_as_it_is(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("/nowhere/g++",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    torch._dynamo.reset()
    told = Told()
    ways = {name: precision.compiled(network, options) for name, options in precision.COMPILE_OPTIONS.items()}
    assert precision.choose_fastest(network, ways, batch(), told) is network
    assert sum("cannot run compiled" in text for text in told.texts) == 2 and "as it is" in told.texts[-1]
    assert precision.fastest_run(network, batch(), told) is network  # on a CPU nothing is tried


def test_what_torch_compiles_lies_in_the_home_folder(tmp_path: Path) -> None:
    """An optimizer is enough for torch to make the folder."""
    (tmp_path / "temporary").mkdir()
    code = "import understudy.engine.job_bodies, torch; torch.optim.AdamW(torch.nn.Linear(2, 2).parameters())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TORCH", "TRITON"))}
    places = {"TMPDIR": str(tmp_path / "temporary"), "UNDERSTUDY_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", code], check=True, env=kept | places)
    assert (tmp_path / "home" / "compiled").is_dir()
    assert not list((tmp_path / "temporary").iterdir())


def test_a_batch_grows_with_the_memory() -> None:
    giga = 1 << 30
    assert [precision.fitting_factor(giga, n * giga) for n in (1, 3, 4, 7, 8, 16, 80)] == [1, 1, 2, 2, 4, 4, 4]
    assert precision.batch_factor(CPU, lambda *inputs: None, batch()) == 1


class NoWaiting(TorchDispatchMode):
    """Fails where a picture's or a weight's value is asked for: on a GPU the host would wait for it.

    Whole numbers may be: whose faces were drawn lies on the host.
    """

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.name()
        read = "_local_scalar_dense" in name and args[0].is_floating_point()
        waits = any(word in name for word in ("nonzero", "_linalg_check_errors", "masked_select", "aten::equal"))
        assert not (read or waits), f"{name} waits for the device"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["refine", "shared"])
def test_a_step_reads_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, carphone_folder: Path, astronaut_folder: Path, kind: Network
) -> None:
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))
    people = [
        Identity(name=name, material=[Material(scan=str(scan), person=0)])
        for name, scan in (("man", carphone_folder), ("woman", astronaut_folder))
    ]
    monkeypatch.setattr(perceptual_losses, "PERCEPTUAL_STEPS", 1)
    monkeypatch.setattr(perceptual_losses, "ADVERSARIAL_STEPS", (0, 4))
    card = prepare(tmp_path, people, "quick", Silent(), kind)
    card = replace(card, settings=TrainSettings(likeness=True, adversarial=True))
    sets = facesets(tmp_path, read_card(tmp_path))
    materials = [make_training_set(s, make_views(s, CPU), 64, Silent()) for s in sets]
    state, shape = checkpoints.new_training_for(card, CPU), trainer.canonical_shape(sets)
    for _ in range(training_step.BATCH_REPEATS):  # the first ones make what is kept
        training_step.step(state, materials, shape, Silent())
    with NoWaiting(), pytest.raises(AssertionError, match="waits"):
        shape.sum().item()
    with NoWaiting(), pytest.raises(AssertionError, match="waits"):
        torch.linalg.inv(torch.eye(3))
    for _ in range(training_step.BATCH_REPEATS):
        with NoWaiting():
            losses = training_step.step(state, materials, shape, Silent())
        assert losses.isfinite().all()
    assert state.step == 2 * training_step.BATCH_REPEATS
