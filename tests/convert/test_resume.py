"""A conversion that was killed goes on, and nobody can tell from its result; only what changed is made again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from understudy.engine.convert import conversion as conversion
from understudy.engine.convert.convert_settings import load_settings
from understudy.engine.errors import DataError, Stopped
from understudy.engine.media import segments
from understudy.engine.media.reader import read_frames
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import ConvertSettings, ConvertSpec, Identity, Material, Swap, to_json
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
LENGTH = 16

RUN = """
import json, sys, time
import torch
from understudy.engine.convert import conversion
from understudy.engine.media import segments
from understudy.engine.protocol import ConvertSpec, from_json
from understudy.engine.reporter import Silent

segments.SEGMENT_FRAMES = int(sys.argv[2])

class Slow(Silent):
    def progress(self, fraction, message):
        print(message, flush=True)
        time.sleep(0.05)

conversion.convert(from_json(ConvertSpec, json.loads(sys.argv[1])), torch.device("cpu"), Slow())
"""


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory, astronaut_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("model")
    material = [Material(scan=str(astronaut_folder), person=0)]
    prepare(folder, [Identity(name="woman", material=material)], "draft", Silent())
    return folder


@pytest.fixture
def spec(tmp_path: Path, carphone_folder: Path, drafts: Path, monkeypatch: pytest.MonkeyPatch) -> ConvertSpec:
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", LENGTH)
    swaps = [Swap(person=0, identity="woman")]
    return ConvertSpec(scan=str(carphone_folder), model=str(drafts), swaps=swaps, output=str(tmp_path / "out.mp4"))


def changed(spec: ConvertSpec, **fields: Any) -> ConvertSpec:
    return ConvertSpec(**{**spec.__dict__, **fields})


class StopsAt(Silent):
    """Stops after so many frames, and counts them."""

    def __init__(self, frames: int = 10**9) -> None:
        self.limit, self.frames = frames, 0

    def check(self) -> None:
        if self.frames >= self.limit:
            raise Stopped("Stopped.")

    def progress(self, fraction: float, message: str) -> None:
        self.frames += message.startswith("Recasting")


def test_a_killed_conversion_goes_on_and_its_result_is_the_same(tmp_path: Path, spec: ConvertSpec) -> None:
    whole = changed(spec, output=str(tmp_path / "whole" / "out.mp4"))
    counts = conversion.convert(whole, CPU, Silent())
    command = [sys.executable, "-c", RUN, json.dumps(to_json(spec)), str(LENGTH)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + 100
        for line in process.stdout:
            if line.startswith(f"Recasting frame {LENGTH + 6}") or time.monotonic() > deadline:
                break
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    assert not Path(spec.output).exists()
    watched = StopsAt()
    assert conversion.convert(spec, CPU, watched) == counts
    assert watched.frames == counts["frames"] - LENGTH  # the finished segment was not made again
    assert Path(spec.output).read_bytes() == Path(whole.output).read_bytes()
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["out.mp4", "out.mp4.understudy.json", "whole"]


def test_other_settings_make_again_only_what_they_touch(tmp_path: Path, spec: ConvertSpec, carphone_scan: Any) -> None:
    kept = carphone_scan.frame >= 2 * LENGTH  # nobody in the first two segments
    names = ("frame", "box", "landmarks", "score", "sharpness", "embedding", "track", "person", "carried", "irises")
    replace(carphone_scan, **{n: getattr(carphone_scan, n)[kept] for n in names}).save(tmp_path)
    spec = changed(spec, scan=str(tmp_path))
    with pytest.raises(Stopped):
        conversion.convert(spec, CPU, StopsAt(2 * LENGTH + 3))
    watched = StopsAt()
    conversion.convert(changed(spec, settings=ConvertSettings(colour="none")), CPU, watched)
    assert watched.frames == LENGTH


def test_a_drawn_mask_is_taken_and_only_its_segment_made_again(
    tmp_path: Path, spec: ConvertSpec, carphone_folder: Path, carphone_scan: Any
) -> None:
    scan = tmp_path / "scan"
    shutil.copytree(carphone_folder, scan)
    spec = changed(spec, scan=str(scan), end=2 * LENGTH + 4, settings=ConvertSettings(shape=0.0))
    (scan / "masks").mkdir()
    path = scan / "masks" / f"{2 * LENGTH + 1:06d}.png"
    cv2.imwrite(str(path), np.zeros((carphone_scan.height // 2, carphone_scan.width), np.uint8))
    watched = StopsAt()
    with pytest.raises(DataError, match="Draw it at the footage's size"):
        conversion.convert(spec, CPU, watched)
    assert watched.frames == 0  # said before anything was made
    path.unlink()
    with pytest.raises(Stopped):
        conversion.convert(spec, CPU, StopsAt(2 * LENGTH + 2))
    cv2.imwrite(str(path), np.zeros((carphone_scan.height, carphone_scan.width), np.uint8))  # nothing is to be replaced
    watched = StopsAt()
    conversion.convert(spec, CPU, watched)
    assert watched.frames == LENGTH + 4  # the segment before the last is still measured beside it
    shown, footage = (
        list(f.rgb.astype(int) for f in read_frames(Path(path), 2 * LENGTH, 2 * LENGTH + 4))
        for path in (spec.output, carphone_scan.clip.path)
    )
    away = []
    for number, (ours, his) in enumerate(zip(shown, footage, strict=True), 2 * LENGTH):
        left, top, right, bottom = carphone_scan.box[carphone_scan.frame == number][0].astype(int)
        face = np.s_[max(top, 0) : bottom, max(left, 0) : right]
        away.append(float(np.abs(ours[face] - his[face]).mean()))
    assert away[1] < 0.7 * min(away[0], away[2], away[3])


def test_a_take_copies_what_did_not_change_from_the_one_before(
    tmp_path: Path, spec: ConvertSpec, carphone_scan: Any
) -> None:
    """A mask drawn for one frame, and the same range again: only the frames near it are made, under another name."""
    scan = tmp_path / "scan"
    scan.mkdir()
    carphone_scan.save(scan)
    first = changed(spec, scan=str(scan), output=str(tmp_path / "takes" / "1.mp4"))
    counts = conversion.convert(first, CPU, Silent())
    (scan / "masks").mkdir()
    mask = np.zeros((carphone_scan.height, carphone_scan.width), np.uint8)
    (scan / "masks" / f"{2 * LENGTH + 9:06d}.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    second = changed(first, output=str(tmp_path / "takes" / "2.mp4"))
    watched = StopsAt()
    assert conversion.convert(second, CPU, watched) == counts
    assert watched.frames == LENGTH
    alone = changed(first, output=str(tmp_path / "alone" / "2.mp4"))
    conversion.convert(alone, CPU, Silent())
    assert Path(second.output).read_bytes() == Path(alone.output).read_bytes() != Path(first.output).read_bytes()
    later = changed(first, output=str(tmp_path / "takes" / "3.mp4"), start=2, end=2 * LENGTH + 9)
    watched = StopsAt()
    conversion.convert(later, CPU, watched)  # only whole segments in the middle are the same
    assert watched.frames == LENGTH - 2 + 9


def test_a_range_is_converted_and_its_settings_are_kept(tmp_path: Path, spec: ConvertSpec) -> None:
    spec = changed(spec, start=9, end=20, settings=ConvertSettings(colour="mkl", erode=[0.0, 0.02, 0.0, 0.02]))
    assert conversion.convert(spec, CPU, Silent()) == {"frames": 11, "recast": 11}
    assert sum(1 for _ in read_frames(Path(spec.output))) == 11
    assert load_settings(Path(spec.output)) == spec
    with pytest.raises(DataError, match="not in what was scanned, 0 to 48"):
        conversion.convert(changed(spec, end=400), CPU, Silent())
    with pytest.raises(DataError, match="Name the settings yourself"):
        load_settings(tmp_path / "other.mov")
