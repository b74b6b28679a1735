"""No frame is looked at twice: stopped, killed, growing, overlapping and repeated scans, on a real face."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from understudy.engine.errors import Stopped, UnderstudyError
from understudy.engine.faces.alignments import SHAPES, Alignments, load_alignments
from understudy.engine.faces.scan import scan
from understudy.engine.faces.tracking import observations, observe
from understudy.engine.faces.tracking.measure import Measurer
from understudy.engine.media.footage import Footage
from understudy.engine.protocol import Clip
from understudy.engine.reporter import Silent

pytestmark = pytest.mark.usefixtures("networks")


@pytest.fixture(scope="module")
def movie(
    hopper: np.ndarray, film: Callable[[Path, Iterable[np.ndarray]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """40 frames of 160 × 120, the face about 70 px high and moving."""
    small = cv2.resize(hopper, (170, 200), interpolation=cv2.INTER_AREA)
    pictures = [small[20:140, i // 4 : 160 + i // 4] for i in range(40)]
    return film(tmp_path_factory.mktemp("film") / "face.mp4", pictures)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frames that the networks are shown from here on, in runs of eight."""
    frames: list[int] = []
    really = Measurer.__call__

    def noting(self: Measurer, first: int, images: Sequence[np.ndarray], *rest: Any) -> Any:
        frames.extend(range(first, first + len(images)))
        return really(self, first, images, *rest)

    monkeypatch.setattr(Measurer, "__call__", noting)
    monkeypatch.setattr(observe, "RUN_FRAMES", 8)
    return frames


def scanned(movie: Path, folder: Path, start: int = 0, end: int | None = None) -> Alignments:
    scan(Clip(path=str(movie), start=start, end=end), folder, Silent())
    return load_alignments(folder)


def same(a: Alignments, b: Alignments) -> None:
    for name in SHAPES:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-3, err_msg=name)


def test_only_what_is_new_is_looked_at(movie: Path, tmp_path: Path, looked: list[int]) -> None:
    project = tmp_path / "film.understudy" / "scans"
    assert scanned(movie, project / "a", 10, 20).frame.tolist() == list(range(10, 20))
    assert looked == list(range(10, 20))
    looked.clear()
    assert scanned(movie, project / "b", 6, 26).frame.tolist() == list(range(6, 26))
    assert looked == [*range(6, 10), *range(20, 26)]
    looked.clear()
    everything = scanned(movie, project / "a")  # grown: its own folder and the other one's frames are known
    assert sorted(looked) == [*range(6), *range(26, 40)]
    looked.clear()
    same(scanned(movie, tmp_path / "film.understudy" / "scans" / "again"), everything)
    assert looked == []
    scanned(movie, tmp_path / "other.understudy" / "scans" / "a", 0, 3)
    assert looked == [0, 1, 2]


def test_a_stopped_scan_goes_on_and_ends_the_same(movie: Path, tmp_path: Path, looked: list[int]) -> None:
    class Stopping(Silent):
        def check(self) -> None:
            if len(looked) > 20:
                raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        scan(Clip(path=str(movie)), tmp_path / "a.understudy" / "scans" / "x", Stopping())
    assert looked == list(range(24))  # the third run of eight was not finished
    looked.clear()
    resumed = scanned(movie, tmp_path / "a.understudy" / "scans" / "x")
    assert looked == list(range(16, 40))
    same(resumed, scanned(movie, tmp_path / "b.understudy" / "scans" / "x"))


def test_a_killed_scan_goes_on(movie: Path, tmp_path: Path, looked: list[int]) -> None:
    project = tmp_path / "a.understudy"
    program = (
        "import sys; from pathlib import Path; from understudy.engine.faces import scan;"
        "from understudy.engine.faces.tracking import observe;"
        "from understudy.engine.protocol import Clip; from understudy.engine.reporter import Silent;"
        "observe.RUN_FRAMES = 8;"
        "scan.scan(Clip(path=sys.argv[1]), Path(sys.argv[2]), Silent())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(movie), str(project / "scans" / "x")]
    process = subprocess.Popen(command, env=environment)
    try:
        deadline = time.monotonic() + 120
        while not (runs := list(project.glob("scans/.observed/*/*.safetensors"))):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(10)
    finished = {path: path.stat().st_mtime_ns for path in project.glob("scans/.observed/*/*.safetensors")}
    assert len(finished) >= len(runs) >= 1 and not (project / "scans" / "x").exists()
    resumed = scanned(movie, project / "scans" / "x")
    assert looked == list(range(8 * len(finished), 40))
    assert all(path.stat().st_mtime_ns == then for path, then in finished.items())
    assert resumed.frame.tolist() == list(range(40))


def test_another_file_under_the_same_name_is_looked_at(movie: Path, tmp_path: Path, looked: list[int]) -> None:
    copy = tmp_path / "face.mp4"
    copy.write_bytes(movie.read_bytes())
    scanned(copy, tmp_path / "scan", 0, 3)
    os.utime(copy, (1, 1))
    scanned(copy, tmp_path / "scan", 0, 3)
    assert looked == [0, 1, 2] * 2
    assert len(list((tmp_path / "scans" / ".observed").iterdir())) == 1  # what was seen in the older file is gone


def test_damaged_runs_are_looked_at_again(movie: Path, tmp_path: Path, looked: list[int]) -> None:
    first = scanned(movie, tmp_path / "scan", 0, 12)
    runs = sorted((tmp_path / "scans" / ".observed").glob("*/*.safetensors"))
    assert [run.stem for run in runs] == ["00000000-00000008", "00000008-00000012"]
    runs[0].write_bytes(runs[0].read_bytes()[:-100])
    looked.clear()
    again = scanned(movie, tmp_path / "scan", 0, 12)
    assert looked == list(range(8)) and len(again) == len(first)


def test_detectors_are_chosen_and_kept_apart(movie: Path, tmp_path: Path, looked: list[int]) -> None:
    clip = Clip(path=str(movie), end=4)
    for names in ([], ["blazeface", "mtcnn"], ["blazeface"]):
        scan(clip, tmp_path / "scan", Silent(), detectors=names)
    assert looked == [0, 1, 2, 3] * 2  # the second choice is the default in other words
    with pytest.raises(UnderstudyError, match=r"no face detector 'haar'\. Choose from mtcnn, blazeface, yunet"):
        scan(clip, tmp_path / "scan", Silent(), detectors=["haar"])


def test_what_a_face_was_survives_writing_and_reading(movie: Path, tmp_path: Path, looked: list[int]) -> None:
    store = observations.Store(tmp_path, Footage(path=movie), ["mtcnn"])
    observe.observe(Footage(path=movie), 4, 14, store, Silent(), ["mtcnn"])
    seen = store.read(6, 11)  # of the run 4 to 12
    assert (seen.start, seen.end, seen.signatures.shape) == (4, 12, (8, 27, 48, 3))
    assert [face.frame for face in seen.faces] == list(range(4, 12))
    assert [face.embedding is not None for face in seen.faces] == [True, *[False] * 7]
    scan(Clip(path=str(movie), start=6, end=11), tmp_path / "scan", Silent(), detectors=["mtcnn"])
    alignments = load_alignments(tmp_path / "scan")
    assert alignments.frame.tolist() == list(range(6, 11)) and set(alignments.person) == {0}
    assert store.missing(0, 20) == [(0, 4), (14, 20)]
