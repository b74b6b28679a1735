"""Frames that are likely to be sent back are found, with why; what is right is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from understudy.engine.cli import execute
from understudy.engine.convert.convert_settings import doubt_of, save_settings
from understudy.engine.errors import MediaError, Stopped
from understudy.engine.faces.alignments import Alignments
from understudy.engine.job_bodies import run
from understudy.engine.media.reader import read_frames
from understudy.engine.protocol import ConvertSpec, Doubtful, ReviewSpec, Swap, from_json
from understudy.engine.reporter import Silent
from understudy.engine.review.doubtful import doubtful_frames

FRAMES = 30
SWAPS = [Swap(person=0, identity="woman")]


def recast_of(scan: Alignments, folder: Path, change: Callable[[int, np.ndarray], np.ndarray]) -> ConvertSpec:
    """A folder of pictures as a recast: the footage's own frames, changed."""
    folder.mkdir()
    for frame in read_frames(Path(scan.clip.path), 0, FRAMES):
        rgb = change(frame.index, frame.rgb.copy())
        cv2.imwrite(str(folder / f"{frame.index:06d}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return ConvertSpec(scan="/scan", model="/model", swaps=SWAPS, output=str(folder), start=0, end=FRAMES)


def test_a_recast_that_does_as_the_footage_is_not_doubted(
    tmp_path: Path, carphone_scan: Any, carphone_folder: Path
) -> None:
    spec = recast_of(carphone_scan, tmp_path / "same", lambda _, rgb: rgb)
    assert doubtful_frames(carphone_folder, Silent(), spec) == []
    save_settings(spec, None, {12: 1.0, 13: 0.95, 20: 0.3})
    job = ReviewSpec(recast=spec.output, scan=str(carphone_folder), project=str(tmp_path))
    result = run("review", job, Silent())
    (said,) = (from_json(Doubtful, one) for one in result["doubtful"])
    assert (said.frame, said.start, said.end, said.cause) == (12, 12, 14, "unseen")
    assert result["count"] == 1


def test_what_is_out_of_line_is_named_worst_first(
    tmp_path: Path, carphone_scan: Any, carphone_folder: Path, people_footage: dict[str, Path]
) -> None:
    others = [frame.rgb for frame in read_frames(people_footage["carphone"], 60, 61)]

    def change(number: int, rgb: np.ndarray) -> np.ndarray:
        if 10 <= number < 13:
            return others[0]  # another expression, and as another picture a jump
        if number == 20:
            return np.clip(rgb.astype(int) + 40, 0, 255).astype(np.uint8)
        return rgb

    spec = recast_of(carphone_scan, tmp_path / "changed", change)
    found = doubtful_frames(carphone_folder, Silent(), spec)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    by_start = {one.start: one for one in found}
    assert set(by_start) <= {10, 20} | {11, 12, 13, 21}
    first = next(one for one in found if one.start <= 12)
    assert {"expression", "gaze", "identity"} & set(first.causes) and first.end <= 14
    second = next(one for one in found if one.start >= 20)
    assert second.cause == "flicker" and second.start == 20 and second.end <= 22


def test_a_scan_tells_where_faces_were_lost_or_guessed(
    tmp_path: Path, carphone_scan: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("frame", "box", "landmarks", "score", "sharpness", "embedding", "track", "person", "carried", "irises")
    kept = (carphone_scan.frame < 30) & ~np.isin(carphone_scan.frame, [5, 6])
    carried = carphone_scan.carried | np.isin(carphone_scan.frame, [15, 16])
    table = replace(carphone_scan, carried=carried)
    replace(table, **{name: getattr(table, name)[kept] for name in names}).save(tmp_path)
    sheet = tmp_path / "sheet.jpg"
    assert execute(["review", str(tmp_path), "--json", "--sheet", str(sheet)]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["doubtful"]
    spans = {(one["start"], one["end"], one["cause"]) for one in told}
    assert {(5, 7, "lost"), (15, 17, "mesh")} <= spans
    picture = cv2.imread(str(sheet))
    assert picture is not None and picture.shape[1] == 4 * 2 * 192
    was = sheet.read_bytes()
    assert execute(["review", str(tmp_path), "--sheet", str(sheet)]) != 0  # never over a file that is there
    assert sheet.read_bytes() == was


def test_a_recast_that_is_none_of_the_shot_is_refused(
    tmp_path: Path, carphone_scan: Any, carphone_folder: Path
) -> None:
    small = recast_of(carphone_scan, tmp_path / "small", lambda _, rgb: rgb[::2, ::2])
    with pytest.raises(MediaError, match="another size"):
        doubtful_frames(carphone_folder, Silent(), small)
    short = recast_of(carphone_scan, tmp_path / "short", lambda _, rgb: rgb)
    for path in sorted((tmp_path / "short").iterdir())[10:]:
        path.unlink()
    with pytest.raises(MediaError, match="short has 10 frames"):
        doubtful_frames(carphone_folder, Silent(), short)


def test_looking_can_be_stopped(tmp_path: Path, carphone_folder: Path) -> None:
    class Stopping(Silent):
        def check(self) -> None:
            raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        doubtful_frames(carphone_folder, Stopping())


@pytest.mark.parametrize("kept", [{"doubt": {"a": 1}}, {"doubt": {"1": 2}}, {"doubt": {"1": "nan"}}, {"doubt": [1]}, 3])
def test_a_damaged_doubt_is_no_doubt(kept: Any) -> None:
    with pytest.raises(ValueError):
        doubt_of(kept)


def test_doubt_is_kept_with_a_result(tmp_path: Path) -> None:
    from understudy.engine.convert.convert_settings import load_doubt

    spec = ConvertSpec(scan="/scan", model="/model", swaps=SWAPS, output=str(tmp_path / "out.mp4"))
    save_settings(spec, None, {3: 0.25, 4: 1.0})
    assert load_doubt(Path(spec.output)) == {3: 0.25, 4: 1.0}
