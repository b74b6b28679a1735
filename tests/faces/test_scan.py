"""The whole scan, on real people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from understudy.engine.errors import MediaError, NoFaceError, Stopped, UnderstudyError
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.facesets.faceset import gather
from understudy.engine.faces.people.edits import edit_people
from understudy.engine.faces.people.summary import read_summary
from understudy.engine.faces.scan import scan
from understudy.engine.faces.tracking.measure import Measurer
from understudy.engine.protocol import Clip, Identity, Material, PeopleEdit, ScanSummary, from_json
from understudy.engine.reporter import Silent

pytestmark = pytest.mark.usefixtures("networks")

Film = Callable[[Path, Iterable[np.ndarray]], Path]


class Watching(Silent):
    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []

    def progress(self, fraction: float, message: str) -> None:
        self.told.append((fraction, message))


def still(picture: np.ndarray, count: int) -> list[np.ndarray]:
    return [picture] * count


@pytest.fixture(scope="module")
def portrait(hopper: np.ndarray) -> np.ndarray:
    """Hopper in a picture of 240 × 200, the face about 90 px high."""
    return cv2.resize(hopper, (240, 280), interpolation=cv2.INTER_AREA)[:200]


@pytest.fixture(scope="module")
def other(astronaut: np.ndarray) -> np.ndarray:
    """The astronaut in a picture of the same size."""
    return np.ascontiguousarray(astronaut[20:220, 100:340])


def test_a_talking_man_is_found_in_every_frame(people: dict[str, Path], tmp_path: Path) -> None:
    watching = Watching()
    clip = Clip(path=str(people["carphone"]), start=20, end=60)
    summary = scan(clip, tmp_path / "deep" / "scan", watching)
    assert (summary.width, summary.height, summary.frames, len(summary.people)) == (176, 144, 40, 1)
    alignments = load_alignments(tmp_path / "deep" / "scan")
    assert alignments.frame.tolist() == list(range(20, 60))
    assert set(alignments.person) == {0} and set(alignments.track) == {0} and not alignments.carried.any()
    assert alignments.score.min() > 0.9 and alignments.sharpness.min() > 0
    assert np.linalg.norm(alignments.embedding - alignments.embedding.mean(0), axis=1).max() < 0.4
    (person,) = summary.people
    assert person.frames == 40 and person.first_frame == 20 and 20 <= person.best_frame < 60
    x0, y0, x1, y1 = person.box
    assert 40 < x0 < x1 < 120 and 30 < y0 < y1 < 120
    thumbnail = cv2.imread(str(tmp_path / "deep" / "scan" / person.thumbnail))
    assert thumbnail.shape == (128, 128, 3) and thumbnail.std() > 20
    written = json.loads((tmp_path / "deep" / "scan" / "scan.json").read_text())
    assert from_json(ScanSummary, written) == summary
    boxes = json.loads((tmp_path / "deep" / "scan" / "boxes.json").read_text())
    assert [row[:3] + row[7:] for row in boxes] == [[frame, 0, 0, 0] for frame in range(20, 60)]
    np.testing.assert_allclose([row[3:7] for row in boxes], alignments.box, atol=0.051)
    fractions = [fraction for fraction, _ in watching.told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any("frame 7 of 40, one face here" in message for _, message in watching.told)


def test_people_are_the_same_across_cuts(portrait: np.ndarray, other: np.ndarray, film: Film, tmp_path: Path) -> None:
    both = np.concatenate([portrait, other], 1)
    wide = [np.concatenate([p, np.full_like(p, 40)], 1) for p in (other, portrait)]
    movie = film(tmp_path / "cuts.mp4", [*still(both, 12), *still(wide[0], 10), *still(wide[1], 6)])
    summary = scan(Clip(path=str(movie)), tmp_path / "scan", Silent())
    assert [(p.frames, p.tracks) for p in summary.people] == [(22, 2), (18, 2)]
    alignments = load_alignments(tmp_path / "scan")
    assert len(alignments) == 40
    for person, frames in ((0, {5: 240, 15: 0}), (1, {5: 0, 25: 0})):
        for frame, left in frames.items():
            (row,) = np.flatnonzero((alignments.frame == frame) & (alignments.person == person))
            assert left < alignments.box[row, 0] < left + 240
    for number in set(alignments.track.tolist()):
        frames = alignments.frame[alignments.track == number]
        assert not (frames.min() < 12 <= frames.max() or frames.min() < 22 <= frames.max())


def test_landmarks_go_with_the_head_and_do_not_lag(hopper: np.ndarray, film: Film, tmp_path: Path) -> None:
    shift = [0] * 8 + [7 * i for i in range(1, 9)] + [56] * 8
    movie = film(tmp_path / "pan.mp4", [hopper[60:460, 100 - s : 440 - s] for s in shift])
    scan(Clip(path=str(movie)), tmp_path / "scan", Silent())
    alignments = load_alignments(tmp_path / "scan")
    assert len(alignments) == len(shift) and alignments.track.max() == 0
    place = alignments.landmarks[:, :, 0].mean(1)
    eyes = np.linalg.norm(alignments.landmarks[0, 33, :2] - alignments.landmarks[0, 263, :2])
    assert abs((place - place[0]) - np.array(shift)).max() < 0.02 * eyes
    still_frames = alignments.landmarks[1:7, :, :2]
    assert np.linalg.norm(np.diff(still_frames, axis=0), axis=-1).mean() < 0.002 * eyes


def test_a_face_is_there_from_its_first_frame(portrait: np.ndarray, networks: Path) -> None:
    background = cv2.GaussianBlur(np.random.default_rng(3).integers(60, 160, (400, 640, 3), np.uint8), (0, 0), 2)
    small = cv2.resize(portrait, (96, 80), interpolation=cv2.INTER_AREA)
    seen = background.copy()
    seen[100:180, 200:296] = small
    pictures = [background] * 5 + [seen] * 9  # between two searches, and without a cut
    faces = Measurer()(0, pictures, [0] * 14)
    assert [face.frame for face in faces] == list(range(5, 14))
    assert not any(face.carried for face in faces)


def test_a_hidden_face_is_carried(portrait: np.ndarray, film: Film, tmp_path: Path) -> None:
    seen = np.full((400, 640, 3), (90, 90, 80), np.uint8)
    seen[100:300, 200:440] = portrait
    hidden = seen.copy()
    hidden[130:250, 260:390] = (90, 70, 60)
    movie = film(tmp_path / "hand.mp4", [*still(seen, 10), *still(hidden, 4), *still(seen, 10)])
    scan(Clip(path=str(movie)), tmp_path / "scan", Silent())
    alignments = load_alignments(tmp_path / "scan")
    assert alignments.frame.tolist() == list(range(24)) and set(alignments.track) == {0}
    assert np.flatnonzero(alignments.carried).tolist() == [10, 11, 12, 13]
    assert (alignments.sharpness[alignments.carried] == 0).all()


def test_a_picture_and_a_folder_of_pictures(people: dict[str, Path], tmp_path: Path) -> None:
    summary = scan(Clip(path=str(people["hopper"])), tmp_path / "one", Silent())
    assert summary.frames == 1 and [p.frames for p in summary.people] == [1]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(("hopper", "astronaut", "hopper")):
        picture = cv2.imread(str(people[name]))
        cv2.imwrite(str(folder / f"{number}.png"), picture[:500] if number else picture)
    summary = scan(Clip(path=str(folder)), tmp_path / "many", Silent())
    assert [p.frames for p in summary.people] == [2, 1]
    assert load_alignments(tmp_path / "many").person.tolist() == [0, 1, 0]


def test_no_face_leaves_nothing(film: Film, tmp_path: Path) -> None:
    movie = film(tmp_path / "empty.mp4", still(np.full((96, 128, 3), 120, np.uint8), 5))
    with pytest.raises(NoFaceError, match=r"^No face was found in frames 1 to 4 of empty\.mp4\. Choose"):
        scan(Clip(path=str(movie), start=1), tmp_path / "new" / "scan", Silent())
    assert not (tmp_path / "new" / "scan").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scans"]  # what was seen, or rather not


def test_a_stopped_scan_leaves_the_older_one(portrait: np.ndarray, film: Film, tmp_path: Path) -> None:
    movie = film(tmp_path / "face.mp4", still(portrait, 6))
    scan(Clip(path=str(movie), end=3), tmp_path / "scan", Silent())
    before = {path.name: path.read_bytes() for path in (tmp_path / "scan").iterdir()}

    class Stopping(Watching):
        def check(self) -> None:
            if any("frame 5 of 6" in message for _, message in self.told):
                raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        scan(Clip(path=str(movie)), tmp_path / "scan", Stopping())
    assert {path.name: path.read_bytes() for path in (tmp_path / "scan").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.mp4", "scan", "scans"]
    scan(Clip(path=str(movie)), tmp_path / "scan", Silent())
    assert len(load_alignments(tmp_path / "scan")) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.mp4", "scan", "scans"]


def test_a_folder_of_something_else_is_not_touched(people: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UnderstudyError, match="holds something other than a scan"):
        scan(Clip(path=str(people["hopper"])), tmp_path / "mine", Silent())
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_a_range_outside_the_footage_is_refused(people: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="range"):
        scan(Clip(path=str(people["carphone"]), start=400, end=500), tmp_path / "scan", Silent())
    with pytest.raises(MediaError, match="not there"):
        scan(Clip(path=str(tmp_path / "none.mp4")), tmp_path / "scan", Silent())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unlike", [True, False])
def test_every_photograph_of_a_folder_counts_once(tmp_path, hopper, unlike):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, side in enumerate((480, 300, 300, 512) if unlike else (300, 300)):
        picture = cv2.resize(hopper[: len(hopper) - 10 * number], (side, side + 60))  # two of one size: one run
        cv2.imwrite(str(folder / f"{number}.jpg"), picture[..., ::-1])
    (folder / "9.jpg").write_bytes(b"")
    if unlike:
        cv2.imwrite(str(folder / "8.jpg"), np.full((90, 120, 3), 90, np.uint8))
    scan(Clip(path=str(folder), start=0, end=None), tmp_path / "scan", Silent())
    told = read_summary(tmp_path / "scan").unnamed
    wrong = "2 of 6 pictures are not used: no face was found in 8.jpg; nothing can be read of 9.jpg."
    assert told.startswith(wrong) == unlike, told
    alignments = load_alignments(tmp_path / "scan")
    rows = alignments.of_person(0)
    seen = alignments.frame[rows[~alignments.carried[rows]]].tolist()
    assert seen == list(range(number + 1 if unlike else number + 2))  # in a sequence it stands in, and is recast, too
    material = [Material(scan=str(tmp_path / "scan"), person=0)]
    gathered = gather(Identity(name="he", material=material), 128, Silent())
    assert gathered.frame.tolist() == list(range(number + 1))


def test_portraits_of_two_people_before_one_backdrop_are_told_apart(tmp_path, hopper, astronaut):
    folder = tmp_path / "portraits"
    folder.mkdir()
    for number in range(6):
        picture = np.full((640, 640, 3), (90, 90, 100), np.uint8)
        head = hopper[40:340, 80:380] if number % 2 else astronaut[20:260, 100:340]
        picture[100:300, 100:300] = cv2.resize(head, (200, 200), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture[..., ::-1])
    scan(Clip(path=str(folder)), tmp_path / "scan", Silent())
    alignments = load_alignments(tmp_path / "scan")
    persons = [alignments.person[alignments.frame == number].tolist() for number in range(6)]
    assert persons in ([[0], [1]] * 3, [[1], [0]] * 3) and not alignments.carried.any()


def test_somebody_in_a_mirror_is_told_from_a_stranger(film, hopper, astronaut, tmp_path: Path) -> None:
    tall = cv2.resize(astronaut, (600, 600))[:, 80:512]
    side_by_side = np.hstack([hopper, hopper[:, ::-1], tall])
    movie = film(tmp_path / "mirror.mp4", [cv2.resize(side_by_side, None, fx=0.5, fy=0.5)] * 4)
    summary = scan(Clip(path=str(movie)), tmp_path / "scan", Silent())
    left, mirrored, woman = sorted(summary.people, key=lambda p: p.box[0])
    assert (left.looks_like, mirrored.looks_like, woman.looks_like) == (mirrored.id, left.id, -1)
    edit_people(tmp_path / "scan", [PeopleEdit(action="merge", persons=[left.id, mirrored.id])], Silent())
    merged = read_summary(tmp_path / "scan").people
    assert sorted((p.tracks, p.looks_like) for p in merged) == [(1, -1), (2, -1)]
    reject = PeopleEdit(action="reject", persons=[woman.id])
    edit_people(tmp_path / "scan", [reject], Silent())
    assert {p.looks_like for p in read_summary(tmp_path / "scan").people} == {-1}
