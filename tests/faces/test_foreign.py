"""Faces of faceswap and DeepFaceLab, taken over: real footage, files made here as those programs write them."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from understudy.engine.errors import DataError, NoFaceError, UnderstudyError
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.interchange.alignments_json import TO_68, export_faceswap, import_faces
from understudy.engine.faces.interchange.pickle_data import read_plain
from understudy.engine.reporter import Silent

EVERY = 4
"""DeepFaceLab's folder has every fourth frame."""


@pytest.fixture(scope="module")
def footage(carphone_folder: Path) -> Path:
    return Path(load_alignments(carphone_folder).clip.path)


@pytest.fixture(scope="module")
def faceswap(carphone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faceswap") / "alignments.json"
    export_faceswap(carphone_folder, path, Silent())
    return path


@pytest.fixture(scope="module")
def aligned(carphone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG files with what DeepFaceLab keeps of a face in their APP15 segment."""
    folder = tmp_path_factory.mktemp("aligned")
    alignments = load_alignments(carphone_folder)
    for row in range(0, len(alignments), EVERY):
        points = alignments.landmarks[row, TO_68, :2] - 0.5
        name = f"{alignments.frame[row] + 1:05d}"
        write_aligned(folder / f"{name}_0.jpg", points, f"{name}.png")
    return folder


def write_aligned(path: Path, points: np.ndarray, source: str) -> None:
    _, picture = cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))
    data = {
        "face_type": "whole_face",
        "landmarks": points.tolist(),
        "source_filename": source,
        "source_rect": [np.int64(3), 4, 5, 6],
        "source_landmarks": points.astype(np.float32),
        "image_to_face_mat": np.asfortranarray(np.eye(2, 3)),
        "eyebrows_expand_mod": 1.0,
        "seg_ie_polys": None,
        "xseg_mask": np.arange(9, dtype=np.uint8),
    }
    pickled = pickle.dumps(data, protocol=3)
    segment = b"\xff\xef" + (len(pickled) + 2).to_bytes(2, "big") + pickled
    path.write_bytes(picture[:2].tobytes() + segment + picture[2:].tobytes())


@pytest.mark.parametrize("kind", ["faceswap", "faceswap before 2020", "faceswap's old JSON", "deepfacelab"])
def test_faces_are_where_they_were(
    kind: str, faceswap: Path, aligned: Path, carphone_folder: Path, footage: Path, tmp_path: Path
) -> None:
    source = aligned if kind == "deepfacelab" else tmp_path / "faces.json"
    if kind == "faceswap":
        source = faceswap
    elif kind.startswith("faceswap"):
        key = "landmarksXY" if "before" in kind else "landmarks_xy"
        data = json.loads(faceswap.read_text())
        old = {name: [{key: face["landmarks_2d"]} for face in faces] for name, faces in data.items()}
        later = {"__meta__": {"version": 2.1}, "__data__": {name: {"faces": faces} for name, faces in old.items()}}
        source.write_text(json.dumps(old if "before" in kind else later))
    summary = import_faces(source, tmp_path / "p.understudy" / "scans" / "a", Silent(), footage)
    before, after = load_alignments(carphone_folder), load_alignments(tmp_path / "p.understudy" / "scans" / "a")
    last = 44 if kind == "deepfacelab" else 47
    assert after.frame.tolist() == list(range(last + 1)) and len(summary.people) == 1 and summary.frames > 47
    unit = np.linalg.norm(before.landmarks[0, 33, :2] - before.landmarks[0, 263, :2])
    apart = np.linalg.norm(after.landmarks[:, :, :2] - before.landmarks[: last + 1, :, :2], axis=-1).mean(1) / unit
    assert np.median(apart) < 0.02 and apart.max() < 0.08
    assert np.linalg.norm(after.embedding.mean(0) - before.embedding.mean(0)) < 0.2
    if kind == "deepfacelab":
        assert after.carried.sum() == last + 1 - len(list(aligned.iterdir()))


def test_the_command_line_takes_them(
    faceswap: Path, footage: Path, tmp_path: Path, run: Callable[..., tuple[int, dict[str, Any], str]]
) -> None:
    code, answer, _ = run("alignments", "import", faceswap, "-o", tmp_path / "scan", "--footage", footage)
    assert code == 0 and answer["people"] == 1


def points() -> list[list[float]]:
    return [[float(x), float(x % 7)] for x in range(68)]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"__data__": {"a_000001.png": {"faces": [{"x": 1}]}}}, "is not faceswap's JSON"),
        ({"__data__": {"a_000001.png": {"faces": [{"landmarks_xy": points()[:5]}]}}}, "not 68 points"),
        ({"__data__": {"a_000999.png": {"faces": [{"landmarks_xy": points()}]}}}, "has no frame a_000999.png"),
        ({"__data__": {"a.png": {"faces": [{"landmarks_xy": points()}]}}}, "has no frame a.png"),
        ({"__data__": {}}, "no faces to take over"),
        ({"__data__": {"a_000001.png": {"faces": [{"landmarks_xy": (np.array(points()) + 900).tolist()}]}}}, "outside"),
        ({"__data__": {"a_000001.png": {"faces": [{"landmarks_xy": points()}]}}}, "shows no face where"),
        ({"format": "other"}, "is no understudy alignments file"),
    ],
)
def test_what_is_wrong_with_faceswaps_is_named(
    data: dict[str, Any], sentence: str, footage: Path, tmp_path: Path
) -> None:
    source = tmp_path / "faces.json"
    source.write_text(json.dumps(data))
    with pytest.raises((DataError, NoFaceError), match=sentence):
        import_faces(source, tmp_path / "scan", Silent(), footage)
    assert [p.name for p in tmp_path.iterdir()] == ["faces.json"]


def test_a_pickled_alignments_file_is_refused(tmp_path: Path, footage: Path, faceswap: Path) -> None:
    source = tmp_path / "alignments.fsa"
    source.write_bytes(b"x")
    with pytest.raises(DataError, match="job export, which writes a JSON file"):
        import_faces(source, tmp_path / "scan", Silent(), footage)
    with pytest.raises(DataError, match="Name it with --footage"):
        import_faces(faceswap, tmp_path / "scan", Silent())


def test_a_folder_that_is_not_deepfacelabs_says_so(tmp_path: Path, footage: Path) -> None:
    folder = tmp_path / "aligned"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="holds nothing of DeepFaceLab's"):
        import_faces(folder, tmp_path / "scan", Silent(), footage)
    cv2.imwrite(str(folder / "a.png"), np.zeros((8, 8, 3), np.uint8))
    (folder / "a.jpg").unlink()
    with pytest.raises(DataError, match="no JPEG file"):
        import_faces(folder, tmp_path / "scan", Silent(), footage)


PLAIN = {
    "text": "ünï",
    "numbers": [0, -1, 300, 70000, 2**40, 1.5, True, None],
    "nested": {"a": (1, (2, 3), [[], {}])},
    "bytes": b"\x00\xff",
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_is_read_without_unpickling(protocol: int) -> None:
    data = PLAIN if protocol > 2 else {k: v for k, v in PLAIN.items() if k != "bytes"}
    assert read_plain(pickle.dumps(data, protocol=protocol)) == data
    shared = [1, 2]
    assert read_plain(pickle.dumps([shared, shared], protocol=protocol)) == [shared, shared]
    for array in (np.arange(6.0).reshape(2, 3), np.arange(6, dtype=">i4").reshape(3, 2).T, np.array([True, False])):
        if protocol in (3, 4):  # 2 and 5 write arrays in other ways
            found = read_plain(pickle.dumps([array, np.float32(0.5)], protocol=protocol))
            np.testing.assert_array_equal(found[0], array)
            assert found[1] == 0.5


class Hostile:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["HOSTILE"],)


def bomb() -> list[Any]:
    shared: list[Any] = []
    for _ in range(40):
        shared = [shared, shared]
    return shared


def in_itself() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def test_a_program_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTILE", str(tmp_path / "made"))
    things = [
        Hostile(),
        {"a": Hostile()},
        np.array([Hostile()], object),
        np.array(["text"]),
        os.mkdir,
        1j,
        bomb(),
        in_itself(),
    ]
    for thing in things:
        for protocol in (0, 2, 4):
            with pytest.raises(DataError, match="It was not read"):
                read_plain(pickle.dumps(thing, protocol=protocol))
    assert not list(tmp_path.iterdir())


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_pickles_are_data_or_a_sentence(data: st.DataObject) -> None:
    good = bytearray(pickle.dumps({**PLAIN, "array": np.arange(12).reshape(3, 4)}, protocol=3))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnderstudyError):
        read_plain(bytes(good[: data.draw(st.integers(1, len(good)))]))
