"""Previews of single frames: the same frame as a conversion gives, quickly, and anew when something changed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from understudy.engine.convert.still_frame import StillRecaster
from understudy.engine.errors import DataError
from understudy.engine.media.reader import read_frames
from understudy.engine.model.model_folder import ModelCard, prepare, save_tensors, write_card
from understudy.engine.model.networks.refiner_network import SIZES, Refiner
from understudy.engine.protocol import ConvertSettings, Identity, Material, PreviewSpec, Swap
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
SWAPS = [Swap(person=0, identity="woman")]


@pytest.fixture
def woman(astronaut_folder: Path) -> list[Identity]:
    return [Identity(name="woman", material=[Material(scan=str(astronaut_folder), person=0)])]


@pytest.fixture(scope="module")
def stills() -> StillRecaster:
    return StillRecaster(CPU)


def shown(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_every_view_of_a_frame_from_material_alone(
    tmp_path: Path, stills: StillRecaster, carphone_folder: Path, carphone_scan: Any, woman: list[Identity]
) -> None:
    frame = next(iter(read_frames(Path(carphone_scan.clip.path), 20, 21))).rgb
    pictures = {}
    for view in ("original", "recast", "matte", "landmarks"):
        spec = PreviewSpec(scan=str(carphone_folder), swaps=SWAPS, frame=20, identities=woman, view=view)  # type: ignore[arg-type]
        result = stills.render(spec, tmp_path / f"{view}.png")
        assert result.path == str(tmp_path / f"{view}.png") and result.steps == 0
        pictures[view] = shown(tmp_path / f"{view}.png")
    assert (pictures["original"] == frame).all()
    matte = pictures["matte"][..., 0]
    assert matte.max() > 250 and 0.02 < (matte > 0).mean() < 0.5
    assert (pictures["recast"][matte == 0] == frame[matte == 0]).mean() > 0.999
    assert np.abs(pictures["recast"][matte > 128].astype(int) - frame[matte > 128]).mean() > 3
    drawn = (pictures["landmarks"] != frame).any(-1)
    assert 0.005 < drawn.mean() < 0.6
    ends = [(np.argwhere(where).min(0), np.argwhere(where).max(0)) for where in (drawn, matte > 0)]
    middles = [(low + high) / 2 for low, high in ends]
    assert np.abs(middles[0] - middles[1]).max() < 0.15 * (ends[1][1] - ends[1][0]).max()  # the crop lies on the face
    begun = time.perf_counter()
    spec = PreviewSpec(scan=str(carphone_folder), swaps=SWAPS, frame=33, identities=woman, width=88)
    result = stills.render(spec, tmp_path / "small.png")
    assert shown(tmp_path / "small.png").shape == (72, 88, 3)
    assert result.seconds <= time.perf_counter() - begun and result.seconds < 5  # warm: nothing is gathered again
    assert not list(tmp_path.glob("*.part"))


def test_a_mask_drawn_by_hand_holds_as_soon_as_it_lies_there(
    tmp_path: Path, stills: StillRecaster, carphone_folder: Path, carphone_scan: Any, woman: list[Identity]
) -> None:
    scan = tmp_path / "scan"
    shutil.copytree(carphone_folder, scan)
    spec = PreviewSpec(
        scan=str(scan), swaps=SWAPS, frame=20, identities=woman, view="matte", settings=ConvertSettings(shape=0.0)
    )
    stills.render(spec, tmp_path / "automatic.png")
    middle = round(float(carphone_scan.landmarks[carphone_scan.frame == 20][0, 1, 0]))
    drawn = np.zeros((carphone_scan.height, carphone_scan.width), np.uint8)
    drawn[:, middle:] = 255
    (scan / "masks").mkdir()
    cv2.imwrite(str(scan / "masks" / "000020.png"), drawn)
    stills.render(spec, tmp_path / "drawn.png")
    automatic, by_hand = (shown(tmp_path / f"{name}.png")[..., 0] for name in ("automatic", "drawn"))
    assert automatic[:, : middle - 3].max() > 250 and automatic[:, middle + 3 :].max() > 250
    assert by_hand[:, : middle - 3].max() == 0 and by_hand[:, middle + 3 :].max() > 250
    (scan / "masks" / "000020.png").write_bytes(b"")
    with pytest.raises(DataError, match="no picture"):
        stills.render(spec, tmp_path / "bad.png")
    assert not (tmp_path / "bad.png").exists()


def test_a_frame_without_the_person_comes_back_as_it_is(
    tmp_path: Path, stills: StillRecaster, carphone_folder: Path, carphone_scan: Any, woman: list[Identity]
) -> None:
    last = int(carphone_scan.frame.max())
    spec = PreviewSpec(scan=str(carphone_folder), swaps=SWAPS, frame=last + 20, identities=woman)
    stills.render(spec, tmp_path / "after.png")
    frame = next(iter(read_frames(Path(carphone_scan.clip.path), last + 20, last + 21))).rgb
    assert (shown(tmp_path / "after.png") == frame).all()


def test_weights_that_changed_are_seen(
    tmp_path: Path, stills: StillRecaster, carphone_folder: Path, woman: list[Identity]
) -> None:
    model = tmp_path / "model"
    card = prepare(model, woman, "quick", Silent())
    spec = PreviewSpec(
        scan=str(carphone_folder), swaps=SWAPS, frame=5, model=str(model), settings=ConvertSettings(colour="none")
    )
    assert stills.render(spec, tmp_path / "untrained.png").steps == 0  # no weights yet: the draft

    def train(steps: int, shade: float) -> np.ndarray:
        refiner = Refiner(1, SIZES["quick"][1])
        tensors = refiner.state_dict()
        with torch.no_grad():
            head = tensors["decoders.0.head.bias"]
            head[:12], head[12:] = shade, 4.0  # every pixel changed alike, all of it face
        save_tensors(model / "weights.safetensors", tensors, {})
        write_card(model, ModelCard(**{**card.__dict__, "steps": steps}))
        result = stills.render(spec, tmp_path / "shown.png")
        assert result.steps == steps
        return shown(tmp_path / "shown.png").astype(int)

    plain, darker = train(10, 0.0), train(20, -4.0)
    assert (darker - plain).min() < -20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"identities": []}, "no material of woman"),
        ({"width": 3}, "16 or more"),
        ({"settings": ConvertSettings(feather=-1.0)}, "Feather is -1"),
        ({"settings": ConvertSettings(erode=[0.1])}, "give four"),
        ({"settings": ConvertSettings(smooth=2.0)}, "Smooth is 2"),
        ({"settings": ConvertSettings(mark=False)}, "only for a reason"),
    ],
)
def test_what_cannot_be_shown_is_said(
    tmp_path: Path,
    stills: StillRecaster,
    carphone_folder: Path,
    woman: list[Identity],
    changes: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(DataError, match=words):
        fields = {"scan": str(carphone_folder), "swaps": SWAPS, "frame": 5, "identities": woman, **changes}
        stills.render(PreviewSpec(**fields), tmp_path / "none.png")
    assert not list(tmp_path.iterdir())
