"""A trained face as DeepFaceLive and FaceFusion load it: run by onnxruntime as their code does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from understudy.engine import cli
from understudy.engine.errors import DataError
from understudy.engine.faces.geometry.align import crop_matrix, transform
from understudy.engine.faces.geometry.topology import EYES
from understudy.engine.model import dfm
from understudy.engine.model.draft.rest import MEAN
from understudy.engine.model.model_folder import SCHEMA, ModelCard, load_refiner, save_tensors, write_card
from understudy.engine.model.networks import refiner_network
from understudy.engine.model.networks.shared_encoder import Shared, make_network
from understudy.engine.model.recast import _mask_of_logits
from understudy.engine.protocol import ConsentRecord, project_of
from understudy.engine.provenance.consent import record_consent


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of Ann and Bob with weights that nobody trained, so that every channel shows a mistake."""
    monkeypatch.setitem(refiner_network.SIZES, "quick", (64, 8))
    folder = tmp_path / "film.understudy" / "models" / "both"
    folder.mkdir(parents=True)
    write_card(
        folder, ModelCard(schema=SCHEMA, preset="quick", identities=["Ann", "Bob"], material=[[], []], network="shared")
    )
    torch.manual_seed(3)
    network = make_network("shared", 2, 64, 8)
    with torch.no_grad():
        for decoder in network.decoders:
            decoder.head.weight.normal_(std=0.3)
            decoder.head.bias.normal_(std=0.5)
    save_tensors(folder / "weights.safetensors", network.state_dict(), {"identities": ["Ann", "Bob"]})
    return folder


def test_it_makes_what_the_network_makes_as_those_programs_run_it(tmp_path: Path, model: Path) -> None:
    side = dfm.export_dfm(model, "Bob", tmp_path / "bob.dfm")
    session = onnxruntime.InferenceSession(str(tmp_path / "bob.dfm"), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()  # as DFMModel.py asks
    assert given.name == "in_face:0" and list(given.shape) == [1, side, side, 3] and side % 32 == 0
    assert session.get_outputs()[0].shape[1:3] == [side, side]  # by which FaceFusion knows the size
    random = np.random.default_rng(0)
    whole = cv2.resize(random.random((9, 9, 3)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC).clip(
        0, 1
    )
    face_mask, celeb, celeb_mask = session.run(None, {"in_face:0": whole[None]})
    assert [x.shape for x in (face_mask, celeb, celeb_mask)] == [(1, side, side, n) for n in (1, 3, 1)]
    assert (face_mask == celeb_mask).all() and celeb.min() >= 0 and celeb.max() <= 1 and celeb_mask.max() > 0.5
    # the same by the network itself, in its own crop of theirs
    x0, y0 = (round(part * side) for part in dfm.OFFSET)
    inner = round(side / dfm.WHOLE_FACE)
    crop = cv2.resize(whole[y0 : y0 + inner, x0 : x0 + inner], (64, 64), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    network = load_refiner(
        model, ModelCard(schema=SCHEMA, preset="quick", identities=["Ann", "Bob"], material=[], network="shared")
    )
    assert isinstance(network, Shared)
    with torch.inference_mode():
        made = network([None, torch.from_numpy(crop.copy()).permute(2, 0, 1)[None]])[1]
    assert made is not None
    expected = made.face[0].permute(1, 2, 0).numpy()[..., ::-1]
    placed = cv2.resize(expected, (inner, inner), interpolation=cv2.INTER_LINEAR)
    assert np.abs(celeb[0, y0 : y0 + inner, x0 : x0 + inner] - placed).max() < 0.01
    mask = _mask_of_logits(made.mask)[0, 0].numpy()
    middle = celeb_mask[0, y0 : y0 + inner, x0 : x0 + inner, 0][inner // 4 : -inner // 4, inner // 4 : -inner // 4]
    wanted = cv2.resize(mask, (inner, inner), interpolation=cv2.INTER_LINEAR)
    assert np.abs(middle - wanted[inner // 4 : -inner // 4, inner // 4 : -inner // 4]).max() < 0.02
    outside = np.ones((side, side), bool)
    outside[y0 : y0 + inner, x0 : x0 + inner] = False
    assert celeb_mask[0, ..., 0][outside].max() == 0  # nothing is pasted where the network saw nothing


def test_the_crops_lie_over_one_another() -> None:
    """Where a whole face of the mean face lies, by five points as those programs align it (FaceFusion's template)."""
    template = np.array(
        [[0.35342, 0.39286], [0.62798, 0.39286], [0.48661, 0.54018], [0.38839, 0.6875], [0.59821, 0.6875]]
    )
    points = (100 * MEAN + [200, 200, 0]).astype(np.float32)
    own = transform(points, crop_matrix(points, 1))
    five = np.stack([own[EYES[0], :2].mean(0), own[EYES[1], :2].mean(0), own[4, :2], own[61, :2], own[291, :2]])
    theirs = (template - dfm.OFFSET) * dfm.WHOLE_FACE
    assert np.abs(theirs - five).mean() < 0.02


def test_what_it_says_of_itself_and_what_is_refused(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "ann.dfm"
    command = ["export", str(model), "--dfm", "--identity", "Ann", "-o", str(output)]
    assert cli.execute(command) == 7 and not output.exists()  # nobody has agreed
    agreed = ConsentRecord(identity="Ann", person="Ann Example", basis="test footage", scope="tests", date="2026-12-01")
    record_consent(project_of(model), agreed)
    assert cli.execute(command) == 0
    facts = {one.key: one.value for one in onnx.load(str(output)).metadata_props}
    assert facts["identity"] == "Ann" and "synthetic" in facts["notice"]
    assert cli.execute(command) == 1  # it is there
    assert (
        cli.execute([*command[:2], *command[3:]]) == 2 and cli.execute([*command[:-1], str(tmp_path / "a.onnx")]) == 2
    )
    with pytest.raises(DataError, match="does not know"):
        dfm.export_dfm(model, "Carl", tmp_path / "c.dfm")
    write_card(model, ModelCard(schema=SCHEMA, preset="quick", identities=["Ann", "Bob"], material=[[], []]))
    save_tensors(
        model / "weights.safetensors", make_network("refine", 2, 64, 8).state_dict(), {"identities": ["Ann", "Bob"]}
    )
    with pytest.raises(DataError, match="refines drafts"):
        dfm.export_dfm(model, "Ann", tmp_path / "c.dfm")
    assert not (tmp_path / "c.dfm").exists()
