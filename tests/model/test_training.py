"""Training: it learns, and goes on where it stopped as if it had not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from understudy.engine.errors import DataError, Stopped
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.model_folder import SCHEMA, ModelCard, load_refiner, prepare, read_card, write_card
from understudy.engine.model.networks import refiner_network
from understudy.engine.model.training import (
    checkpoints,
    dataset,
    trainer,
    training_preview,
    training_step,
)
from understudy.engine.model.training.convergence import Score
from understudy.engine.protocol import Identity, Material
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
CARD = ModelCard(schema=SCHEMA, preset="quick", identities=["man", "woman"], material=[[], []])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))


@pytest.fixture
def materials(small: None, carphone_faces: Any, astronaut_faces: Any) -> list[dataset.TrainingSet]:
    return [dataset.make_training_set(s, make_views(s, CPU), 64, Silent()) for s in (carphone_faces, astronaut_faces)]


def shape_of(*sets: Any) -> torch.Tensor:
    return trainer.canonical_shape(list(sets))


def held_loss(state: training_step.Training, materials: list[dataset.TrainingSet], shape: torch.Tensor) -> float:
    """The loss on 64 samples that are the same every time."""
    draws = dataset.draw(materials, [(0, 64)], 0, torch.Generator().manual_seed(3))
    inputs, truth, _, weight, _ = dataset.render(materials, draws, shape)
    with torch.no_grad():
        result = state.average([inputs, None])[0]
    assert result is not None
    return training_step.face_loss(result[0], truth, weight).mean().item()


def test_candidates_are_never_held_out_nor_the_frame_itself_or_its_neighbours(
    carphone_faces: Any, astronaut_faces: Any
) -> None:
    held, trained = dataset.hold_out(carphone_faces)
    count = len(carphone_faces)
    assert len(held) and not set(held) & set(trained)
    assert carphone_faces.frame[held].min() - carphone_faces.frame[trained].max() > dataset.EXCLUDED_NEIGHBOURS
    candidates = dataset.find_candidates(carphone_faces, make_views(carphone_faces, CPU), trained)
    for row, views in enumerate(candidates):
        assert set(views % count) <= set(trained)
        assert (abs(views % count - row) > dataset.EXCLUDED_NEIGHBOURS).all() or len(
            trained
        ) <= 2 * dataset.EXCLUDED_NEIGHBOURS + 1
    nothing, everything = dataset.hold_out(astronaut_faces)
    assert not len(nothing) and len(everything) == 1
    alone = dataset.find_candidates(astronaut_faces, make_views(astronaut_faces, CPU), everything)
    assert alone.tolist() == [[0]]  # one picture: itself, led astray, is all there is


def test_whole_tracks_are_held_out_where_there_are_several(carphone_faces: Any) -> None:
    shot = np.repeat([0, 1, 2, 3], [20, 16, 6, 6]).astype(np.int32)
    held, trained = dataset.hold_out(replace(carphone_faces, shot=shot))
    assert set(shot[held]) == {2} and set(shot[trained]) == {0, 1, 3}


def test_before_the_first_step_the_recast_is_the_draft(
    materials: list[dataset.TrainingSet], carphone_faces: Any
) -> None:
    state = training_step.new_training(2, 8, CPU)
    draws = dataset.draw(materials, [(0, 4)], 0, state.generator)
    inputs, truth, mask, weight, own = dataset.render(materials, draws, shape_of(carphone_faces))
    assert inputs.shape == (4, refiner_network.INPUT_CHANNELS, 64, 64) and truth.shape == (4, 3, 64, 64)
    assert mask.shape == weight.shape == (4, 1, 64, 64) and own.all()
    result = state.refiner([inputs, None])
    assert result[1] is None and result[0] is not None
    assert torch.equal(result[0][0], inputs[:, :3].clamp(0, 1))


def test_training_learns(materials: list[dataset.TrainingSet], carphone_faces: Any) -> None:
    state = training_step.new_training(2, 8, CPU)
    shape = shape_of(carphone_faces)
    before = held_loss(state, materials, shape)
    for _ in range(400):  # it mends the strength of fine detail first, which costs a good draft some likeness
        training_step.step(state, materials, shape, Silent())
    assert held_loss(state, materials, shape) < 0.97 * before


def test_resume_continues_the_same_curve(
    tmp_path: Path, materials: list[dataset.TrainingSet], carphone_faces: Any
) -> None:
    shape = shape_of(carphone_faces)
    steady = training_step.new_training(2, 8, CPU)
    curve = [training_step.step(steady, materials, shape, Silent()) for _ in range(6)]
    broken = training_step.new_training(2, 8, CPU)
    for _ in range(3):
        training_step.step(broken, materials, shape, Silent())
    broken.scores.append(Score(3, 9.0, 0.1, 0.3, 2.0, 0.12, 0.9))
    checkpoints.save_checkpoint(tmp_path, CARD, broken)
    resumed = checkpoints.resume(tmp_path, CARD, CPU)
    assert resumed is not None and resumed.step == 3 and resumed.scores == broken.scores
    again = [training_step.step(resumed, materials, shape, Silent()) for _ in range(3)]
    assert torch.allclose(torch.stack(again), torch.stack(curve[3:]), rtol=1e-4)
    for network in ("refiner", "average"):
        for a, b in zip(getattr(steady, network).parameters(), getattr(resumed, network).parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.safetensors", "model.json"]


def test_stopping_keeps_what_was_learned(
    small: None, tmp_path: Path, carphone_folder: Path, astronaut_folder: Path
) -> None:
    class StopsSoon(Silent):
        checks = 0

        def progress(self, fraction: float, message: str) -> None:
            self.training = message.startswith("Training")

        def check(self) -> None:
            self.checks += getattr(self, "training", False)
            if self.checks > 4:
                raise Stopped("Stopped.")

    people = [
        Identity(name=name, material=[Material(scan=str(scan), person=0)])
        for name, scan in (("man", carphone_folder), ("woman", astronaut_folder))
    ]
    card = prepare(tmp_path, people, "quick", Silent())
    with pytest.raises(Stopped):
        trainer.train(tmp_path, card, 5.0, CPU, StopsSoon())
    kept = read_card(tmp_path)
    assert kept.steps > 0 and kept.minutes > 0
    refiner = load_refiner(tmp_path, kept)
    assert refiner is not None and not refiner.training
    done = trainer.train(tmp_path, kept, kept.minutes / 2, CPU, Silent())  # its time is up already
    assert done.steps == kept.steps
    columns = cv2.imread(str(tmp_path / "preview.jpg")).max((0, 2))
    assert len(columns) == 720 and (columns > 40).all()  # the woman's one photograph leaves no part empty


def test_few_pictures_stand_beside_each_other() -> None:
    def kinds(pictures: int) -> list[np.ndarray]:
        return [np.full((pictures, 64, 64, 3), 60 * (kind + 1), np.uint8) for kind in range(4)]

    shapes = [training_preview.grid(kinds(n)).shape for n in range(1, 7)]
    assert shapes == [(height, 720, 3) for height in (180, 360, 240, 720, 576, 480)]
    assert [int(c) for c in training_preview.grid(kinds(1))[90, 90::180, 0]] == [60, 120, 180, 240]
    assert [int(c) for c in training_preview.grid(kinds(2))[90::180, 90, 0]] == [60, 180]
    assert all(training_preview.grid(kinds(n)).min() == 60 for n in range(1, 7))


def test_a_model_folder_is_not_taken_over_by_other_people(tmp_path: Path, carphone_folder: Path) -> None:
    man = [Identity(name="man", material=[Material(scan=str(carphone_folder), person=0)])]
    card = prepare(tmp_path, man, "draft", Silent())
    assert load_refiner(tmp_path, card) is None
    assert prepare(tmp_path, man, "quick", Silent()).preset == "quick"  # a draft grows into a model
    other = [Identity(name="other", material=man[0].material)]
    with pytest.raises(DataError, match="already holds a model of man"):
        prepare(tmp_path, other, "quick", Silent())
    with pytest.raises(DataError, match="Choose another folder"):
        prepare(tmp_path, man, "standard", Silent())
    with pytest.raises(DataError, match="name of its own"):
        prepare(tmp_path, [*man, *man], "quick", Silent())


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "other"])
def test_damaged_files_say_so(small: None, tmp_path: Path, damage: str) -> None:
    card = replace(CARD, steps=1)
    write_card(tmp_path, card)
    state = training_step.new_training(2, 8, CPU)
    checkpoints.save_checkpoint(tmp_path, card, state)
    for name in ("checkpoint.safetensors", "weights.safetensors"):
        path = tmp_path / name
        good = path.read_bytes() if path.is_file() else b"0" * 1000
        path.write_bytes(
            {"cut": good[: len(good) // 2], "noise": b"\xff" * len(good), "empty": b"", "other": b"{}" * 99}[damage]
        )
    with pytest.raises(DataError):
        checkpoints.resume(tmp_path, card, CPU)
    with pytest.raises(DataError, match=r"Train the model again"):
        load_refiner(tmp_path, card)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_card(tmp_path)


def test_a_single_portrait_borrows_from_the_others(materials: list[dataset.TrainingSet], carphone_faces: Any) -> None:
    assert training_step.own_share(1) == 2 and training_step.own_share(1000) == training_step.BATCH_SIZE // 2
    batch = training_step.draw_all(materials, torch.Generator().manual_seed(0))
    his = training_step.own_share(len(materials[0].views))
    sizes = [
        training_step.BATCH_SIZE - 2,
        training_step.BATCH_SIZE - his,
    ]  # as many as the other's decoder wants, more than one's own
    assert [len(d) for d in batch.drawn] == sizes
    who = torch.cat([d.material for d in batch.drawn])
    (man, woman), (_, own) = batch.rows, batch.own
    assert len(man) == len(woman) == training_step.BATCH_SIZE and own.sum() == 2
    assert (who[woman[own]] == 1).all() and (who[woman[~own]] == 0).all()
    assert set(man[:his].tolist()) < set(woman[~own].tolist())  # the very faces that his own decoder sees
    assert len(set(woman.tolist())) == training_step.BATCH_SIZE


def test_faces_that_are_lent_are_encoded_once_with_the_same_result(
    materials: list[dataset.TrainingSet], carphone_faces: Any
) -> None:
    state, shape = training_step.new_training(2, 8, CPU), shape_of(carphone_faces)
    training_step.step(state, materials, shape, Silent())
    batch = training_step.draw_all(materials, torch.Generator().manual_seed(0))
    encoded = []
    state.refiner.encoder.register_forward_pre_hook(lambda module, args: encoded.append(len(args[0])))
    (inputs, rows), columns = training_step.make_inputs(state.refiner, materials, batch, shape)
    together = state.refiner(inputs, rows)
    count = sum(len(d) for d in batch.drawn)
    assert encoded == [count] and [len(c) for c in columns] == 3 * [count] and count < 2 * training_step.BATCH_SIZE
    faces = torch.cat([x for x in inputs if x is not None])
    alone = state.refiner([faces[r] for r in rows])
    for a, b in zip(together, alone, strict=True):
        assert a is not None and b is not None and torch.allclose(a.face, b.face, atol=1e-5)
    part = batch.part(slice(1, None, 2))
    assert [len(r) for r in part.rows] == [4, 4] and sum(len(d) for d in part.drawn) < count
    frames, some = (torch.cat([d.frame for d in b.drawn]) for b in (batch, part))
    for r, s in zip(batch.rows, part.rows, strict=True):
        assert torch.equal(frames[r[1::2]], some[s])


def test_every_batch_is_made_once_and_shown_in_a_mirror_too(
    materials: list[dataset.TrainingSet], carphone_faces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, shape = training_step.new_training(2, 8, CPU), shape_of(carphone_faces)
    made, shown = [], []
    real = training_step.make_inputs
    monkeypatch.setattr(training_step, "make_inputs", lambda *a: made.append(real(*a)) or made[-1])
    state.refiner.register_forward_pre_hook(lambda module, args: shown.append(args[0]))
    for _ in range(4):
        training_step.step(state, materials, shape, Silent())
    assert len(made) == 2 and len(shown) == 4
    for first, mirrored in zip(shown[::2], shown[1::2], strict=True):
        for a, b in zip(first, mirrored, strict=True):
            across = list(refiner_network.X_CHANNELS)
            others = [n for n in range(refiner_network.INPUT_CHANNELS) if n not in across]
            assert torch.equal(a[:, others], b[:, others].flip(3))
            assert torch.equal(a[:, across], -b[:, across].flip(3))  # the right cheek becomes the left
    assert not torch.equal(shown[0][0], shown[2][0])
