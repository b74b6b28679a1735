"""The shared encoder: it learns by the same trainer, keeps what it learned, and recasts where there is no mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine.convert.plan import make_plan
from understudy.engine.convert.render import Work, recast_still
from understudy.engine.convert.source_identities import load_sources
from understudy.engine.errors import DataError, UnderstudyError
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.facesets.faceset import gather, load_faceset
from understudy.engine.job_bodies import run
from understudy.engine.media.reader import read_frames
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.model_folder import facesets, load_refiner, prepare, read_card
from understudy.engine.model.networks import refiner_network, shared_encoder
from understudy.engine.model.training import checkpoints, trainer, training_step
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.protocol import ConvertSettings, Identity, Material, Swap, TrainSpec
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, carphone_scan: Any, astronaut_folder: Path) -> list[Identity]:
    """The man in the car, on whom the mesh fails in frames 20 to 25; and a portrait."""
    lost = (carphone_scan.frame >= 20) & (carphone_scan.frame < 26)
    score, carried = np.where(lost, 0, carphone_scan.score).astype(np.float32), carphone_scan.carried | lost
    folder = tmp_path_factory.mktemp("lost") / "scan"
    folder.mkdir()
    replace(carphone_scan, score=score, carried=carried).save(folder)
    return [
        Identity(name=name, material=[Material(scan=str(scan), person=0)])
        for name, scan in (("man", folder), ("woman", astronaut_folder))
    ]


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory, people: list[Identity]) -> Path:
    """A model folder of both, with nothing trained."""
    folder = tmp_path_factory.mktemp("gathered") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(refiner_network.SIZES, "quick", (64, 8))
        prepare(folder, people, "quick", Silent(), "shared")
    return folder


def ready(folder: Path) -> tuple[training_step.Training, list[Any], torch.Tensor]:
    card = read_card(folder)
    sets = facesets(folder, card)
    materials = [make_training_set(s, make_views(s, CPU), 64, Silent()) for s in sets]
    return checkpoints.new_training_for(card, CPU), materials, trainer.canonical_shape(sets)


def test_a_faceset_holds_what_the_track_carried_when_asked(tmp_path: Path, people: list[Identity]) -> None:
    plain, whole = (gather(people[0], 64, Silent(), with_coarse=coarse) for coarse in (False, True))
    assert len(whole) == len(plain) + 6 and not plain.coarse.any()
    assert set(whole.frame[whole.coarse]) == set(range(20, 26))
    whole.save(tmp_path / "a.faceset")
    read = load_faceset(tmp_path / "a.faceset")
    assert (read.coarse == whole.coarse).all()
    assert (read.measured().pixels == plain.pixels).all() and read.measured().size == 64
    replace(whole, coarse=np.ones_like(whole.coarse)).save(tmp_path / "b.faceset")
    with pytest.raises(DataError, match="no face that was measured"):
        load_faceset(tmp_path / "b.faceset")


def test_it_learns_and_resumes_on_the_same_curve(tmp_path: Path, gathered: Path) -> None:
    card = read_card(gathered)
    steady, materials, shape = ready(gathered)
    assert isinstance(steady.refiner, shared_encoder.Shared)
    curve = [training_step.step(steady, materials, shape, Silent()) for _ in range(60)]
    assert sum(curve[-5:]).mean() < 0.8 * sum(curve[:5]).mean()
    broken, _, _ = ready(gathered)
    for _ in range(3):
        training_step.step(broken, materials, shape, Silent())
    checkpoints.save_checkpoint(tmp_path, card, broken)
    resumed = checkpoints.resume(tmp_path, card, CPU)
    assert resumed is not None
    again = [training_step.step(resumed, materials, shape, Silent()) for _ in range(3)]
    assert torch.allclose(torch.stack(again), torch.stack(curve[3:6]), rtol=1e-3)


def test_masks_that_nobody_measured_are_no_truth(gathered: Path) -> None:
    _, materials, _ = ready(gathered)
    draws = shared_encoder.draw_crops(materials, 0, 200, torch.Generator().manual_seed(0))
    lost = materials[0].coarse[draws.frame]
    assert lost.any() and (draws.own == ~lost).all()
    assert not materials[0].coarse[materials[0].held].any()  # what is carried judges nothing
    inputs, truth, mask, weight, own = shared_encoder.render_crops(materials, draws.part(slice(0, 40)))
    assert inputs.shape == truth.shape == (40, 3, 64, 64) and mask.shape == weight.shape == (40, 1, 64, 64)
    assert (own == draws.own[:40]).all() and inputs.min() >= 0 and inputs.max() <= 1
    still = replace(draws, bend=torch.zeros_like(draws.bend), flip=torch.zeros_like(draws.flip))
    inputs, truth, *_ = shared_encoder.render_crops(materials, still.part(slice(0, 8)))
    assert torch.allclose(inputs, truth, atol=1e-5)  # what lies straight is not resampled into something else


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_every_preset_has_its_network(size: int) -> None:
    network = shared_encoder.make_network("shared", 2, size, 8)
    with torch.no_grad():
        (face, mask, _), nothing = network([torch.rand(1, 3, size, size), None])
    assert face.shape == (1, 3, size, size) and mask.shape == (1, 1, size, size) and nothing is None
    assert face.min() >= 0 and face.max() <= 1
    assert mask.sigmoid().max() < 0.1  # a network that knows nothing yet changes nothing


def test_it_recasts_frames_on_which_the_mesh_fails(
    tmp_path: Path, people: list[Identity], record_consent: Callable[..., None]
) -> None:
    record_consent(tmp_path, "man", "woman")
    folder = tmp_path / "models" / "model"
    spec = TrainSpec(identities=people, output=str(folder), minutes=0.05, network="shared", project=str(tmp_path))
    done = run("train", spec, Silent())
    card = read_card(folder)
    assert done["steps"] > 0 and card.network == "shared" and (folder / "preview.jpg").is_file()
    assert isinstance(load_refiner(folder, card), shared_encoder.Shared)
    scan = load_alignments(Path(people[0].material[0].scan))
    sources = load_sources(folder, {"woman"}, CPU, use_refiner=True)
    plan = make_plan(scan, [Swap(person=0, identity="woman")], sources, ConvertSettings())
    assert set(range(20, 26)) <= set(plan) and all(p.opacity == 1 for p in plan[22])
    assert all(np.array_equal(p.landmarks, p.measured) for p in plan[22])
    work = Work(plan, sources, CPU)
    (frame,) = read_frames(Path(scan.clip.path), 22, 23)
    picture, matte = recast_still(frame, work)
    assert (picture[matte == 0] == frame.rgb[matte == 0]).all()
    torch.nn.init.constant_(sources["woman"].refiner.decoders[1].head.bias[12:], 6.0)  # as if it knew where faces are
    picture, matte = recast_still(frame, work)
    assert matte.max() > 0.9 and (picture != frame.rgb).any()
    drafts = load_sources(folder, {"woman"}, CPU, use_refiner=False)
    swaps = [Swap(person=0, identity="woman")]
    assert not set(range(20, 26)) & set(make_plan(scan, swaps, drafts, ConvertSettings()))


def test_a_folder_keeps_its_network_and_somebody_added_takes_nothing(tmp_path: Path, people: list[Identity]) -> None:
    folder = tmp_path / "model"
    card = prepare(folder, people[:1], "quick", Silent(), "shared")
    state, _, _ = ready(folder)
    checkpoints.save_checkpoint(folder, card, state)
    with pytest.raises(DataError, match="with the network shared"):
        prepare(folder, people[:1], "quick", Silent(), "refine")
    more = prepare(folder, people, "quick", Silent(), "shared")
    grown = checkpoints.resume(folder, more, CPU)
    assert grown is not None and len(grown.refiner.decoders) == 2
    for a, b in zip(state.refiner.decoders[0].parameters(), grown.refiner.decoders[0].parameters(), strict=True):
        assert torch.equal(a, b)
    other = prepare(tmp_path / "other", people, "quick", Silent(), "refine")
    with pytest.raises(UnderstudyError, match="the network shared"):
        checkpoints.warm_start(folder, more, other, CPU)
