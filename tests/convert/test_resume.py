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
from understudy.engine.convert.plan import Placement
from understudy.engine.convert.segment_key import segment_key
from understudy.engine.errors import DataError, Stopped
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.media import segments
from understudy.engine.media.reader import read_frames
from understudy.engine.model.draft.shape import Change
from understudy.engine.model.model_folder import SCHEMA, ModelCard, write_card
from understudy.engine.protocol import ConvertSettings, ConvertSpec, Swap, to_json
from understudy.engine.provenance.recasts import mark_number
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


def test_a_key_makes_again_only_the_segments_whose_values_it_changes(spec: ConvertSpec) -> None:
    keys = [[0, 1.0], [3 * LENGTH, 1.0]]
    conversion.convert(changed(spec, curves={"amount": keys}), CPU, Silent())
    before = list(read_frames(Path(spec.output)))
    watched = StopsAt()
    conversion.convert(
        changed(spec, curves={"amount": [*keys[:1], [LENGTH + 11, 1.0], [LENGTH + 12, 0.0]]}), CPU, watched
    )
    assert watched.frames == len(before) - LENGTH  # the first segment's averages do not reach so far
    after = list(read_frames(Path(spec.output)))
    assert all((a.rgb == b.rgb).all() for a, b in zip(after[:LENGTH], before, strict=False))
    source = list(read_frames(Path(load_alignments(Path(spec.scan)).clip.path)))
    kept, was = after[LENGTH + 13].rgb.astype(int), before[LENGTH + 13].rgb.astype(int)
    shot = source[LENGTH + 13].rgb
    assert np.abs(kept - shot).max() < 0.5 * np.abs(was - shot).max()
    assert load_settings(Path(spec.output)).curves["amount"][-1] == [LENGTH + 12, 0.0]


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


def test_somebody_added_to_a_draft_changes_their_own_segments_alone(tmp_path: Path) -> None:
    """A model of both is another model, with the same faceset of his new face in it."""

    def spec_of(name: str, faces: dict[str, bytes]) -> ConvertSpec:
        folder = tmp_path / name
        (folder / "facesets").mkdir(parents=True)
        write_card(folder, ModelCard(schema=SCHEMA, preset="draft", identities=list(faces), material=[]))
        for number, content in enumerate(faces.values()):
            (folder / "facesets" / f"{number}.faceset").write_bytes(content)
        swaps = [Swap(person=number, identity=face) for number, face in enumerate(faces)]
        return ConvertSpec(scan=str(tmp_path / "scan"), model=str(folder), swaps=swaps, output="")

    def face(source: str) -> Placement:
        none = np.zeros((468, 3), np.float32)
        return Placement(
            source=source, face=none, matrix=np.eye(2, 3), change=Change(none, none, *none[:4]),
            choice=np.ones(4), size=128, radius=50.0, track=0, motion=np.zeros(2),
        )  # fmt: skip

    def keys(spec: ConvertSpec, plan: dict[int, list[Placement]]) -> list[str]:
        key = segment_key(spec, plan, 0, 48)
        return [key(first, first + LENGTH) for first in range(0, 48, LENGTH)]

    alone, both = spec_of("1", {"bart": b"b"}), spec_of("2", {"mia": b"m", "bart": b"b"})
    other = spec_of("3", {"bart": b"another"})
    his = {frame: [face("bart")] for frame in range(48)}
    before = keys(alone, his)
    after = keys(both, {**his, **{frame: [face("bart"), face("mia")] for frame in range(44, 48)}})
    assert before[:2] == after[:2] and before[2] != after[2]
    assert not set(before) & set(keys(other, his))
    assert mark_number(alone) == mark_number(both)
    (Path(both.model) / "weights.safetensors").write_bytes(b"learned")  # what is refined depends on the whole model
    assert not set(before) & set(keys(both, his)) and mark_number(alone) != mark_number(both)


def test_a_range_is_converted_and_its_settings_are_kept(tmp_path: Path, spec: ConvertSpec) -> None:
    spec = changed(spec, start=9, end=20, settings=ConvertSettings(colour="mkl", erode=[0.0, 0.02, 0.0, 0.02]))
    assert conversion.convert(spec, CPU, Silent()) == {"frames": 11, "recast": 11}
    assert sum(1 for _ in read_frames(Path(spec.output))) == 11
    assert load_settings(Path(spec.output)) == spec
    with pytest.raises(DataError, match="not in what was scanned, 0 to 48"):
        conversion.convert(changed(spec, end=400), CPU, Silent())
    with pytest.raises(DataError, match="Name the settings yourself"):
        load_settings(tmp_path / "other.mov")
