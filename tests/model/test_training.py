"""Training: it learns, and goes on where it stopped as if it had not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from understudy.engine.errors import DataError, Stopped
from understudy.engine.model import networks, trainer
from understudy.engine.model.folder import ModelCard, load_refiner, prepare, read_card, write_card
from understudy.engine.model.views import make_views
from understudy.engine.protocol import Identity, Material
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
CARD = ModelCard(schema=1, preset="quick", identities=["man", "woman"], material=[[], []])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(networks.SIZES, "quick", (64, 8))


@pytest.fixture
def materials(small: None, carphone_faces: Any, astronaut_faces: Any) -> list[trainer.Material]:
    return [trainer.make_material(s, make_views(s, CPU), 64, Silent()) for s in (carphone_faces, astronaut_faces)]


def shape_of(*sets: Any) -> torch.Tensor:
    return trainer.canonical_shape(list(sets))


def test_candidates_are_never_the_frame_itself_or_its_neighbours(carphone_faces: Any, astronaut_faces: Any) -> None:
    candidates = trainer.find_candidates(carphone_faces, make_views(carphone_faces, CPU))
    count = len(carphone_faces)
    for row, views in enumerate(candidates):
        assert (abs(views % count - row) > trainer.NEIGHBOURS).all() or count <= 2 * trainer.NEIGHBOURS
    alone = trainer.find_candidates(astronaut_faces, make_views(astronaut_faces, CPU))
    assert alone.tolist() == [[0]]  # one picture: itself, led astray, is all there is


def test_before_the_first_step_the_recast_is_the_draft(materials: list[trainer.Material], carphone_faces: Any) -> None:
    training = trainer.begin(2, 8, CPU)
    inputs, truth, mask, weight = trainer.sample(materials[0], shape_of(carphone_faces), training.generator, 4)
    assert inputs.shape == (4, networks.INPUTS, 64, 64) and truth.shape == (4, 3, 64, 64)
    assert mask.shape == weight.shape == (4, 1, 64, 64)
    result = training.refiner([inputs, None])
    assert result[1] is None and result[0] is not None
    assert torch.equal(result[0][0], inputs[:, :3].clamp(0, 1))


def held_loss(training: trainer.Training, material: trainer.Material, shape: torch.Tensor) -> float:
    """The loss on 64 samples that are the same every time."""
    inputs, truth, _, weight = trainer.sample(material, shape, torch.Generator().manual_seed(3), 64)
    with torch.no_grad():
        result = training.refiner([inputs, None])[0]
    assert result is not None
    return trainer.face_loss(result[0], truth, weight).mean().item()


def test_training_learns(materials: list[trainer.Material], carphone_faces: Any) -> None:
    training = trainer.begin(2, 8, CPU)
    shape = shape_of(carphone_faces)
    before = held_loss(training, materials[0], shape)
    for step in range(160):
        trainer._step(training, CARD, materials, shape, step / 160)
    assert held_loss(training, materials[0], shape) < 0.97 * before


def test_resume_continues_the_same_curve(
    tmp_path: Path, materials: list[trainer.Material], carphone_faces: Any
) -> None:
    shape = shape_of(carphone_faces)
    steady = trainer.begin(2, 8, CPU)
    for _ in range(6):
        last = trainer._step(steady, CARD, materials, shape, 0.2)
    broken = trainer.begin(2, 8, CPU)
    for _ in range(3):
        trainer._step(broken, CARD, materials, shape, 0.2)
    trainer._keep(tmp_path, CARD, broken)
    resumed = trainer.resume(tmp_path, CARD, CPU)
    assert resumed is not None and resumed.step == 3
    for _ in range(3):
        again = trainer._step(resumed, CARD, materials, shape, 0.2)
    assert again["man"].item() == pytest.approx(last["man"].item(), rel=1e-4)
    for a, b in zip(steady.refiner.parameters(), resumed.refiner.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert not list(tmp_path.glob("*.part"))


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
    assert (tmp_path / "preview.jpg").is_file()


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
    training = trainer.begin(2, 8, CPU)
    trainer._keep(tmp_path, card, training)
    for name in ("checkpoint.safetensors", "weights.safetensors"):
        path = tmp_path / name
        good = path.read_bytes() if path.is_file() else b"0" * 1000
        path.write_bytes(
            {"cut": good[: len(good) // 2], "noise": b"\xff" * len(good), "empty": b"", "other": b"{}" * 99}[damage]
        )
    with pytest.raises(DataError):
        trainer.resume(tmp_path, card, CPU)
    with pytest.raises(DataError, match=r"Train the model again"):
        load_refiner(tmp_path, card)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_card(tmp_path)


def test_a_single_portrait_borrows_from_the_others(materials: list[trainer.Material], carphone_faces: Any) -> None:
    assert trainer.own_share(1) == 2 and trainer.own_share(1000) == trainer.BATCH // 2
    generator = torch.Generator().manual_seed(0)
    drawn = trainer._draw(1, 2, materials, shape_of(carphone_faces), generator)
    assert all(len(column) == trainer.BATCH for column in drawn)
    alone = trainer.sample(materials[1], shape_of(carphone_faces), torch.Generator().manual_seed(0), 2)
    assert all(torch.equal(a[:2], b) for a, b in zip(drawn, alone, strict=True))
