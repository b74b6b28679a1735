"""A training that meets with an accident goes on, and says so; one that is done knows it."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from understudy.engine.errors import DataError, UnderstudyError
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.model_folder import facesets, load_refiner, prepare, read_card
from understudy.engine.model.networks import perceptual_losses, refiner_network
from understudy.engine.model.training import checkpoints, trainer, training_step, validation
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.protocol import Identity, Material, TrainSettings, TrainSpec, Verdict, to_json
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
DRAWN = Path(__file__).parents[1] / "service"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))
    monkeypatch.setattr(trainer, "PREVIEW_SECONDS", 1e9)
    monkeypatch.setattr(validation.weights, "missing", lambda: ["all"])  # no time for the nets here


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.verdicts: list[Verdict] = []

    def log(self, text: str, level: str = "info") -> None:
        self.texts.append(text)

    def verdict(self, verdict: Verdict, text: str, seconds_left: float | None) -> None:
        self.verdicts.append(verdict)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[Identity]:
    """Three drawn people of 24 frames each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DRAWN)
        from training import make_scan

    scans = tmp_path_factory.mktemp("drawn")
    return [
        Identity(name=name, material=[Material(scan=str(make_scan(scans / name, 24, seed)), person=0)])
        for seed, name in enumerate(["Ada", "Bea", "Cay"])
    ]


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory, people: list[Identity]) -> Path:
    """A model folder of the first two of them, with nothing trained."""
    folder = tmp_path_factory.mktemp("gathered") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(refiner_network.SIZES, "quick", (64, 8))
        prepare(folder, people[:2], "quick", Silent())
    return folder


@pytest.fixture
def folder(tmp_path: Path, gathered: Path) -> Path:
    """A copy of it, which the test may train."""
    return Path(shutil.copytree(gathered, tmp_path / "model"))


def ready(folder: Path) -> tuple[training_step.Training, list[Any], torch.Tensor]:
    card = read_card(folder)
    sets = facesets(folder, card)
    materials = [make_training_set(s, make_views(s, CPU), 64, Silent()) for s in sets]
    return training_step.new_training(len(sets), 8, CPU), materials, trainer.canonical_shape(sets)


def test_a_network_gone_astray_goes_back_and_slows_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = read_card(folder)
    state, materials, shape = ready(folder)
    for _ in range(3):
        training_step.step(state, materials, shape, Silent())
    checkpoints.save_checkpoint(folder, card, state)

    class Poisons(Told):
        """Puts a not-a-number into the very weights, at the sixth step; ends two steps after training went on."""

        watch: Any

        def progress(self, fraction: float, message: str) -> None:
            if message == "Training, step 6" and not self.texts.count("poisoned"):
                self.texts.append("poisoned")
                with torch.no_grad():
                    next(self.watch.training.refiner.parameters())[0] = float("nan")
            elif message == "Training, step 5" and self.texts.count("poisoned"):
                self.watch.minutes = 1e-9

    told = Poisons()
    watching = trainer._Monitor

    def watch(*arguments: Any) -> Any:
        told.watch = watching(*arguments)
        return told.watch

    monkeypatch.setattr(trainer, "_Monitor", watch)
    for seconds in ("SCORE_SECONDS", "CHECKPOINT_SECONDS"):  # nothing is kept between, however slow the machine is
        monkeypatch.setattr(trainer, seconds, 1e9)
    done = trainer.train(folder, card, math.inf, CPU, told)
    assert "poisoned" in told.texts
    assert any("became NaN" in t and "from step 3 at 0.5" in t for t in told.texts)
    kept = checkpoints.resume(folder, done, CPU)
    assert kept is not None and kept.rate == 0.5 and kept.step > 3 and checkpoints.is_finite(kept)
    refiner = load_refiner(folder, done)
    assert refiner is not None and all(p.isfinite().all() for p in refiner.parameters())


def test_weights_that_stay_poisoned_end_in_a_sentence(folder: Path) -> None:
    card = read_card(folder)
    state, _, _ = ready(folder)
    with torch.no_grad():
        state.refiner.encoder.stages[0][0].weight[:] = 1e38  # sound as numbers go, but nothing comes of it
    checkpoints.save_checkpoint(folder, card, state)
    with pytest.raises(DataError, match="became NaN"):
        trainer.train(folder, card, 1.0, CPU, Told())


def test_a_batch_too_large_for_the_memory_is_halved_with_the_same_result(folder: Path) -> None:
    whole, materials, shape = ready(folder)
    parted, _, _ = ready(folder)
    told = Told()

    def tight(inputs: list[torch.Tensor | None], rows: list[torch.Tensor]) -> Any:
        """The network, where memory holds three faces a decoder."""
        if max(len(r) for r in rows) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return parted.refiner(inputs, rows)

    parted.network = tight
    for _ in range(3):
        a, b = (training_step.step(s, materials, shape, told) for s in (whole, parted))
        assert torch.allclose(a, b, rtol=1e-3)
    assert parted.parts == 4 and sum("Memory ran out" in t for t in told.texts) == 2
    for p, q in zip(whole.refiner.parameters(), parted.refiner.parameters(), strict=True):
        assert torch.allclose(p, q, atol=3e-4)

    def full(*inputs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    parted.network = full
    with pytest.raises(UnderstudyError, match="not enough memory"):
        training_step.step(parted, materials, shape, told)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(folder: Path) -> None:
    card = read_card(folder)
    state, materials, shape = ready(folder)
    for _ in range(5):
        training_step.step(state, materials, shape, Silent())
        checkpoints.save_checkpoint(folder, card, state)
    names = sorted(p.name for p in folder.glob("checkpoint*"))
    assert names == ["checkpoint-1.safetensors", "checkpoint-2.safetensors", "checkpoint.safetensors"]
    newest = folder / names[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    told = Told()
    kept = checkpoints.resume(folder, card, CPU, told)
    assert kept is not None and kept.step == 4 and "Going on from step 4" in told.texts[0]


def test_somebody_added_later_takes_nothing_from_the_others(folder: Path, people: list[Identity]) -> None:
    card = read_card(folder)
    card = trainer.train(folder, card, 0.03, CPU, Silent())
    before = checkpoints.resume(folder, card, CPU)
    untouched = (folder / "facesets" / "0.faceset").stat().st_mtime_ns
    more = prepare(folder, [people[2], people[0], people[1]], "quick", Silent())
    assert more.identities == ["Ada", "Bea", "Cay"] and more.steps == card.steps
    assert (folder / "facesets" / "0.faceset").stat().st_mtime_ns == untouched
    after = checkpoints.resume(folder, more, CPU)
    assert before is not None and after is not None and after.step == before.step
    theirs = [list(d.parameters()) for d in (*before.refiner.decoders, *after.refiner.decoders)]
    for a, b, a2, b2, c in zip(*theirs, strict=True):
        assert torch.equal(a, a2) and torch.equal(b, b2)
        assert torch.allclose(c, (a + b) / 2)
    assert load_refiner(folder, more) is not None
    more = trainer.train(folder, more, more.minutes + 0.03, CPU, Silent())
    assert more.steps > card.steps
    with pytest.raises(DataError, match="already holds a model of Ada, Bea, Cay"):
        prepare(folder, people[:1], "quick", Silent())


def test_a_warm_start_begins_with_what_another_model_learned(
    tmp_path: Path, folder: Path, people: list[Identity]
) -> None:
    old, new = folder, tmp_path / "new"
    card = read_card(old)
    card = trainer.train(old, card, 0.03, CPU, Silent())
    fresh = prepare(new, people[1:], "quick", Silent())
    warm = checkpoints.warm_start(old, card, fresh, CPU)
    known = load_refiner(old, card)
    assert known is not None and warm.step == 0
    for a, b in zip(known.encoder.parameters(), warm.refiner.encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(known.decoders[1].parameters(), warm.refiner.decoders[0].parameters(), strict=True):
        assert torch.equal(a, b)
    told = Told()
    trainer.train(new, fresh, 0.03, CPU, told, old)
    assert any("has learned" in t for t in told.texts)
    with pytest.raises(UnderstudyError, match="of the preset quick"):
        checkpoints.warm_start(old, card, replace(fresh, preset="standard"), CPU)


def test_training_without_a_limit_ends_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "SCORE_SECONDS", 0.4)
    monkeypatch.setattr(trainer, "MAX_OVERHEAD_RATIO", 1.0)
    monkeypatch.setattr("understudy.engine.model.training.convergence.MIN_STEPS", 5)
    monkeypatch.setattr(training_step, "LEARNING_RATE", 1e-7)  # nothing more to learn at this rate
    card = read_card(folder)
    told = Told()
    card = replace(card, settings=TrainSettings(likeness=True))
    done = trainer.train(folder, card, float("inf"), CPU, told)
    assert any("without the likeness" in text for text in told.texts)  # `small` took the nets away
    assert told.verdicts[-1] == "converged" and done.steps >= 5


TWO = """
import sys, torch
from pathlib import Path
from understudy.engine.model.networks import perceptual_losses, refiner_network
from understudy.engine.model.training import trainer, training_step
refiner_network.SIZES["quick"] = (64, 8)
perceptual_losses.ADVERSARIAL_STEPS = (0, 2)
from understudy.engine.model.model_folder import facesets, read_card
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.model.draft.views import make_views
from understudy.engine.protocol import TrainSettings
from understudy.engine.reporter import Silent
rank = training_step.join_ranks()
folder = Path(sys.argv[1])
sets = facesets(folder, read_card(folder))
materials = [make_training_set(s, make_views(s, torch.device("cpu")), 64, Silent()) for s in sets]
state = training_step.new_training(len(sets), 8, torch.device("cpu"), settings=TrainSettings(adversarial=True))
trainer._connect(state, materials, trainer.canonical_shape(sets), Silent())
for _ in range(4):
    losses = training_step.step(state, materials, trainer.canonical_shape(sets), Silent())
    torch.distributed.all_reduce(losses)
    if not rank:
        print("LOSSES", *losses.tolist(), flush=True)
from understudy.engine import job_bodies
from understudy.engine.protocol import TrainSpec, from_json
import json
spec = from_json(TrainSpec, json.loads(sys.argv[2]))
done = job_bodies.run("train", spec, Silent())
sys.stdout.write(f"DONE {rank} {done['steps']}\\n")  # at once: the other process writes its own beside it
sys.stdout.flush()
assert not torch.distributed.is_initialized()
"""


def test_two_processes_train_as_one(
    tmp_path: Path,
    folder: Path,
    people: list[Identity],
    record_consent: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(perceptual_losses, "ADVERSARIAL_STEPS", (0, 2))
    record_consent(tmp_path, *(person.name for person in people[:2]))
    (tmp_path / "two.py").write_text(TWO)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    spec = TrainSpec(identities=people[:2], output=str(folder), minutes=0.05)
    command += [str(tmp_path / "two.py"), str(folder), json.dumps(to_json(spec))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert ran.returncode == 0, ran.stderr[:3000]
    together = [[float(x) for x in line.split()[1:]] for line in ran.stdout.splitlines() if line.startswith("LOSSES")]
    done = [line.split()[1:] for line in ran.stdout.splitlines() if line.startswith("DONE")]
    assert sorted(rank for rank, _ in done) == ["0", "1"] and len({steps for _, steps in done}) == 1
    assert read_card(folder).steps == int(done[0][1]) > 0
    _, materials, shape = ready(folder)
    alone = training_step.new_training(2, 8, CPU, settings=TrainSettings(adversarial=True))
    expected = [training_step.step(alone, materials, shape, Silent()) for _ in range(4)]
    assert torch.allclose(torch.tensor(together), torch.stack(expected), rtol=1e-3)


KILLED = """
import sys
from pathlib import Path
import torch
from understudy.engine.model.networks import precision, refiner_network
from understudy.engine.model.training import trainer, validation
from understudy.engine.model.model_folder import read_card
from understudy.engine.reporter import Silent
refiner_network.SIZES["quick"] = (64, 8)
trainer.CHECKPOINT_SECONDS, trainer.PREVIEW_SECONDS, trainer.SCORE_SECONDS = 1.0, 1e9, 1e9  # it never converges
validation.weights.missing = lambda: ["all"]
precision.autocast_dtype = lambda kind: None  # it is found by timing, and may differ from one process to the next
class Prints(Silent):
    def loss(self, step, values):
        print(step, *values.values(), flush=True)
folder = Path(sys.argv[1])
trainer.train(folder, read_card(folder), 10.0, torch.device("cpu"), Prints())
"""


def test_a_training_killed_while_it_runs_goes_on_along_the_same_curve(tmp_path: Path, folder: Path) -> None:
    card = read_card(folder)
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py"), str(folder)]

    def until(enough: Callable[[int], bool]) -> dict[int, list[float]]:
        """The losses that a training told of until it was killed, without warning and between any two instructions."""
        told: dict[int, list[float]] = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                step, *values = line.split()
                told[int(step)] = [float(v) for v in values]
                if enough(int(step)):
                    process.kill()
                    break
        assert process.returncode < 0
        return told

    before = until(lambda step: 3 <= read_card(folder).steps < step - 2)
    state = checkpoints.resume(folder, card, CPU)
    assert state is not None and 3 <= state.step < max(before)
    after = until(lambda step: step >= max(before) + 2)
    assert min(after) == state.step + 1
    again = sorted(set(before) & set(after))
    assert again == list(range(state.step + 1, max(before) + 1))
    assert torch.allclose(*(torch.tensor([told[s] for s in again]) for told in (before, after)), rtol=1e-4)
