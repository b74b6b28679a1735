"""A network whose numbers are not finite makes no recast: the original face, signed as recast, is what came of it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from understudy.engine import job_bodies
from understudy.engine.arrays import read_arrays, write_arrays
from understudy.engine.errors import DataError
from understudy.engine.faces.alignments import FILE_NAME, load_alignments
from understudy.engine.faces.facesets.faceset import Faceset, load_faceset
from understudy.engine.model.model_folder import prepare, save_tensors
from understudy.engine.model.networks.refiner_network import SIZES
from understudy.engine.model.networks.shared_encoder import make_network
from understudy.engine.protocol import (
    ConvertSpec,
    Identity,
    Material,
    Network,
    PreviewSpec,
    Swap,
    from_json,
    parse_json,
)
from understudy.engine.reporter import Silent
from understudy.engine.voice import network as voice_network

OURS = {"kind", "schema"}
SWAPS = [Swap(person=0, identity="woman", target="man")]


@pytest.fixture
def model(
    tmp_path: Path, record_consent: Callable[..., None], astronaut_folder: Path
) -> Callable[..., tuple[Path, dict[str, torch.Tensor]]]:
    """`model(network)`: a model's folder in a project with consents, and the weights of a network that fits it."""

    def made(network: Network) -> tuple[Path, dict[str, torch.Tensor]]:
        folder = tmp_path / "film.understudy" / "models" / network
        record_consent(tmp_path / "film.understudy", "woman", "man")
        woman = [Identity(name="woman", material=[Material(scan=str(astronaut_folder), person=0)])]
        card = prepare(folder, woman, "quick", Silent(), network)
        torch.manual_seed(1)
        return folder, make_network(card.network, 1, *SIZES["quick"]).state_dict()

    return made


def conversion(folder: Path, scan: Path) -> ConvertSpec:
    output = folder.parents[2] / "out.mp4"
    project = folder.parents[1]
    return ConvertSpec(scan=str(scan), model=str(folder), swaps=SWAPS, output=str(output), end=3, project=str(project))


def nothing_was_made(spec: ConvertSpec) -> None:
    output = Path(spec.output)
    assert [p.name for p in output.parent.iterdir() if p.name.startswith("out") and p.suffix != ".part"] == []
    assert not list(Path(spec.project).glob("provenance/*.json"))


@pytest.mark.parametrize("network", ["refine", "shared"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(
    model: Callable[..., tuple[Path, dict[str, torch.Tensor]]], carphone_folder: Path, network: Network, number: float
) -> None:
    folder, weights = model(network)
    name = next(name for name in weights if name.startswith("decoders.0") and name.endswith("weight"))
    weights[name].view(-1)[7] = number
    save_tensors(folder / "weights.safetensors", weights, {})
    spec = conversion(folder, carphone_folder)
    with pytest.raises(
        DataError, match=r"weights\.safetensors is .*damaged .*not finite.* Train the model again"
    ) as no:
        job_bodies.run("convert", spec, Silent())
    assert "\n" not in str(no.value)
    nothing_was_made(spec)
    assert not Path(spec.output + ".part").exists()


@pytest.mark.parametrize("network", ["refine", "shared"])
def test_a_network_that_runs_over_is_refused_where_it_does(
    model: Callable[..., tuple[Path, dict[str, torch.Tensor]]], carphone_folder: Path, network: Network
) -> None:
    """Each weight is a number, and what they make of a face is none."""
    folder, weights = model(network)
    for name, tensor in weights.items():
        if name.startswith("decoders.0") and name.endswith("weight"):
            tensor.fill_(3e38)
    save_tensors(folder / "weights.safetensors", weights, {})
    spec = conversion(folder, carphone_folder)
    with pytest.raises(DataError, match="makes no face of this one: its numbers are not finite"):
        job_bodies.run("convert", spec, Silent())
    nothing_was_made(spec)


def test_a_voice_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    arrays = {name: tensor.numpy() for name, tensor in voice_network.Network().state_dict().items()}
    path = tmp_path / "network.safetensors"
    write_arrays(path, voice_network.KIND, voice_network.SCHEMA, arrays, {})
    voice_network.from_file(path)
    next(iter(arrays.values())).reshape(-1)[0] = float("nan")
    write_arrays(path, voice_network.KIND, voice_network.SCHEMA, arrays, {})
    with pytest.raises(DataError, match=r"not finite\. Make the voice again"):
        voice_network.from_file(path)


def test_a_preview_of_it_is_refused_too(
    model: Callable[..., tuple[Path, dict[str, torch.Tensor]]], tmp_path: Path, carphone_folder: Path
) -> None:
    from understudy.engine.convert.still_frame import StillRecaster

    folder, weights = model("refine")
    weights["decoders.0.head.bias"][0] = float("nan")
    save_tensors(folder / "weights.safetensors", weights, {})
    spec = PreviewSpec(scan=str(carphone_folder), swaps=SWAPS, frame=2, model=str(folder))
    with pytest.raises(DataError, match="not finite"):
        StillRecaster(torch.device("cpu")).render(spec, tmp_path / "still.png")
    assert not (tmp_path / "still.png").exists()


@pytest.mark.parametrize("name", ["box", "score", "sharpness", "embedding", "landmarks", "irises"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_scan_whose_numbers_are_none_is_refused(
    tmp_path: Path, carphone_folder: Path, name: str, number: float
) -> None:
    scan = Path(shutil.copytree(carphone_folder, tmp_path / "scan"))
    arrays, facts = read_arrays(scan / FILE_NAME, "alignments", 1, gaps=("irises",))
    arrays[name].reshape(-1)[-1] = number
    write_arrays(scan / FILE_NAME, "alignments", 1, arrays, {k: v for k, v in facts.items() if k not in OURS})
    if name == "irises" and np.isnan(number):
        assert load_alignments(scan).irises is not None  # which says that they were not measured
        return
    with pytest.raises(DataError, match=r"is damaged.* Scan the clip again\.") as no:
        load_alignments(scan)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(("name", "number"), [("box", 1e7), ("score", -0.1), ("score", 1.5)])
def test_a_scan_whose_numbers_cannot_be_is_refused(
    tmp_path: Path, carphone_folder: Path, name: str, number: float
) -> None:
    scan = Path(shutil.copytree(carphone_folder, tmp_path / "scan"))
    arrays, facts = read_arrays(scan / FILE_NAME, "alignments", 1, gaps=("irises",))
    arrays[name].reshape(-1)[-1] = number
    write_arrays(scan / FILE_NAME, "alignments", 1, arrays, {k: v for k, v in facts.items() if k not in OURS})
    with pytest.raises(DataError, match="some boxes or scores are none"):
        load_alignments(scan)


@pytest.mark.parametrize("name", ["landmarks", "sharpness", "exposure", "enlarged", "hidden", "irises"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_faceset_whose_numbers_are_none_is_refused(
    tmp_path: Path, astronaut_faces: Faceset, name: str, number: float
) -> None:
    path = tmp_path / "woman.faceset"
    measured = getattr(astronaut_faces, name)
    array = np.zeros((len(astronaut_faces), 2, 2), np.float32) if measured is None else np.array(measured)
    array.reshape(-1)[-1] = number
    dataclasses.replace(astronaut_faces, **{name: array}).save(path)
    if name == "irises" and np.isnan(number):
        load_faceset(path)
        return
    with pytest.raises(DataError, match=r"is damaged.* Gather the faces again\."):
        load_faceset(path)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_message_with_a_number_that_is_none_is_refused(text: str) -> None:
    told = parse_json(f'{{"scan": "/x", "model": "", "swaps": [], "output": "/y", "settings": {{"smooth": {text}}}}}')
    with pytest.raises(ValueError, match="smooth must be a finite number"):
        from_json(ConvertSpec, told)
