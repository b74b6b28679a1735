"""A network whose numbers are not finite makes no recast: the original face, signed as recast, is what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from understudy.engine import job_bodies
from understudy.engine.arrays import write_arrays
from understudy.engine.errors import DataError
from understudy.engine.model.model_folder import prepare, save_tensors
from understudy.engine.model.networks.refiner_network import SIZES
from understudy.engine.model.networks.shared_encoder import make_network
from understudy.engine.protocol import ConvertSpec, Identity, Material, Network, PreviewSpec, Swap
from understudy.engine.reporter import Silent
from understudy.engine.voice import network as voice_network

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
