"""Alignments out and in again, on a real scan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine.errors import DataError, MediaError
from understudy.engine.faces.alignments import SHAPES, load_alignments
from understudy.engine.faces.interchange.alignments_json import (
    TO_68,
    export_faceswap,
    export_json,
    import_json,
)
from understudy.engine.faces.people.summary import read_summary
from understudy.engine.reporter import Silent


@pytest.fixture(scope="module")
def exported(carphone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("json") / "shot.json"
    assert export_json(carphone_folder, path, Silent()) == 48
    assert [p.name for p in path.parent.iterdir()] == ["shot.json"]
    return path


def test_nothing_is_lost_on_the_way(exported: Path, carphone_folder: Path, tmp_path: Path) -> None:
    summary = import_json(exported, tmp_path / "p.understudy" / "scans" / "a", Silent())
    before, after = load_alignments(carphone_folder), load_alignments(tmp_path / "p.understudy" / "scans" / "a")
    for name in SHAPES:
        tolerance = 0.00051 if name in ("box", "landmarks") else 1e-6
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-6, atol=tolerance)
    assert (after.clip, after.fps, after.width, after.height) == (before.clip, before.fps, 176, 144)
    assert summary == read_summary(tmp_path / "p.understudy" / "scans" / "a")
    old = read_summary(carphone_folder).people
    assert [(p.id, p.frames, p.track_ids, p.coverage) for p in summary.people] == [
        (p.id, p.frames, p.track_ids, p.coverage) for p in old
    ]
    assert (tmp_path / "p.understudy" / "scans" / "a" / summary.people[0].thumbnail).is_file()


def test_what_people_are_called_goes_along(exported: Path, tmp_path: Path) -> None:
    data = json.loads(exported.read_text())
    data["people"][0]["name"] = "Jo"
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(data))
    (person,) = import_json(changed, tmp_path / "scan", Silent()).people
    assert (person.name, person.known, person.rejected) == ("Jo", True, False)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(format="other"), "is no understudy alignments file"),
        (lambda d: d["faces"][3].pop("box"), "not as docs/user/interchange.md says"),
        (lambda d: d["faces"][3]["landmarks"].pop(), "not as docs/user/interchange.md says"),
        (lambda d: d.update(faces=[]), "no faces"),
        (lambda d: d["faces"][0].update(box=[0, 0, float("nan"), 1]), "no faces, or numbers that are none"),
        (lambda d: d["faces"][-1].update(frame=4000), "frames that carphone.mp4 has not"),
        (lambda d: d["people"].append({"id": 9, "tracks": [0]}), "belongs to two people"),
    ],
)
def test_what_is_wrong_is_named(
    exported: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    data = json.loads(exported.read_text())
    change(data)
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(data))
    with pytest.raises(DataError, match=sentence):
        import_json(wrong, tmp_path / "scan", Silent())
    assert [p.name for p in tmp_path.iterdir()] == ["wrong.json"]


def test_the_footage_must_be_the_same(exported: Path, people_footage: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"but shot\.json is for 176×144"):
        import_json(exported, tmp_path / "scan", Silent(), people_footage["hopper"])


def test_faceswaps_file_holds_68_points(carphone_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "alignments.json"
    assert export_faceswap(carphone_folder, path, Silent(), 0) == 48
    frames = json.loads(path.read_text())
    alignments = load_alignments(carphone_folder)
    suffix = Path(alignments.clip.path).suffix
    assert next(iter(frames)) == f"carphone_000001{suffix}" and len(frames) == 48
    (face,) = frames[f"carphone_000011{suffix}"]
    points = np.array(face["landmarks_2d"])
    assert points.shape == (68, 2)
    np.testing.assert_allclose(points + 0.5, alignments.landmarks[10, TO_68, :2], atol=0.001)
    assert points[8, 1] > points[57, 1] > points[33, 1] > points[27, 1]  # chin, lip, nose, bridge
    assert points[36, 0] < points[39, 0] < points[42, 0] < points[45, 0]  # eyes from the picture's left
    assert np.abs(face["detected"] - alignments.box[10]).max() <= 0.5
    with pytest.raises(DataError, match="Person 7 is not in the scan"):
        export_faceswap(carphone_folder, path, Silent(), 7)


def test_the_command_line_goes_both_ways(
    carphone_folder: Path, tmp_path: Path, run: Callable[..., tuple[int, dict[str, Any], str]]
) -> None:
    code, answer, _ = run("alignments", "export", carphone_folder, "-o", tmp_path / "a.json")
    assert code == 0 and answer["faces"] == 48
    code, answer, _ = run("alignments", "import", tmp_path / "a.json", "-o", tmp_path / "scan")
    assert code == 0 and answer["people"] == 1
    code, answer, _ = run("alignments", "export", tmp_path / "scan", "-o", "b.json", "--format", "faceswap")
    assert code == 0 and Path(answer["file"]).is_file()
