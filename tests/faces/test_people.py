"""Who is who in a scan: corrections, that they last, and the project's known people."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine import job_bodies
from understudy.engine.durable import write_json
from understudy.engine.errors import DataError, NoFaceError, UnderstudyError
from understudy.engine.faces.alignments import Alignments, load_alignments
from understudy.engine.faces.people import edits, gallery, roster
from understudy.engine.faces.people.edits import edit_people, write_people
from understudy.engine.faces.people.summary import BOXES, SUMMARY, boxes_of, coverage, read_summary
from understudy.engine.protocol import Clip, PeopleEdit, PeopleSpec, PersonSummary, ScanSummary, to_json
from understudy.engine.reporter import Silent

FACE = np.random.default_rng(0).normal(0, 1, (468, 3)).astype(np.float32)
LOOKS = np.linalg.qr(np.random.default_rng(1).normal(0, 1, (128, 8)))[0].T * 0.6  # any two are .85 apart
SHOT = 40


def table(
    media: Path, tracks: Iterable[tuple[int, int, int, int]], start: int = 0, end: int = 120, shuffle: int = 0
) -> Alignments:
    """Alignments of (first frame, frame after the last, x, look) tracks; the person is the look, grouped as such.

    `shuffle` renumbers tracks and persons, as another scan might.
    """
    random = np.random.default_rng(7)
    rows = []
    for number, (first, last, x, look) in enumerate(tracks):
        for frame in range(max(first, start), min(last, end)):
            rows.append((frame, number, x, look))
    rows.sort()
    frame, track, x, look = np.array(rows).T
    landmarks = FACE * 12 + np.stack([x + 40, np.full(len(x), 50), np.zeros(len(x))], -1)[:, None]
    if shuffle:
        track = (track + shuffle) % (track.max() + 1)
    people = np.unique(look)
    ranks = {p: n for n, p in enumerate(sorted(people, key=lambda p: (shuffle and p, -(look == p).sum())))}
    noise = random.normal(0, 0.012, (len(x), 128))
    return Alignments(
        clip=Clip(path=str(media), start=start, end=end),
        width=320,
        height=96,
        fps=Fraction(24),
        frame=frame.astype(np.int32),
        box=np.concatenate([landmarks[..., :2].min(1), landmarks[..., :2].max(1)], -1).astype(np.float32),
        landmarks=landmarks.astype(np.float32),
        score=np.ones(len(x), np.float32),
        sharpness=(100 + frame).astype(np.float32),
        embedding=(LOOKS[look] + noise).astype(np.float32),
        track=track.astype(np.int32),
        person=np.array([ranks[p] for p in look], np.int32),
        carried=np.zeros(len(x), bool),
    )


def write_scan(folder: Path, alignments: Alignments, project: Path | None = None) -> ScanSummary:
    """What a scan does once its faces are measured and grouped, into a fresh folder or over an older one."""
    partial = folder.with_name("fresh")
    partial.mkdir(parents=True)
    alignments, people = write_people(alignments, partial, folder, project)
    summary = ScanSummary(
        schema=1,
        clip=alignments.clip,
        width=320,
        height=96,
        fps=[24, 1],
        frames=120,
        variable_frame_rate=False,
        people=people,
    )
    alignments.save(partial)
    write_json(partial / BOXES, boxes_of(alignments))
    write_json(partial / SUMMARY, to_json(summary))
    if folder.exists():
        folder.rename(folder.with_name(f"old{len(list(folder.parent.iterdir()))}"))
        (next(folder.parent.glob("old*")) / "edits.json").unlink()  # not a scan of the project any more
    partial.rename(folder)
    return summary


TRACKS = [(0, 40, 0, 0), (0, 40, 100, 1), (40, 80, 50, 0), (40, 80, 150, 2), (80, 120, 20, 3), (90, 110, 200, 1)]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, make_clip: object) -> Path:
    assert callable(make_clip)
    path = tmp_path_factory.mktemp("media") / "film.mp4"
    make_clip(path, 120, width=320, height=96)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "cut.understudy"


@pytest.fixture
def scan(project: Path, media: Path) -> Path:
    folder = project / "scans" / "film-1"
    write_scan(folder, table(media, TRACKS))
    return folder


def edit(scan: Path, *wanted: PeopleEdit) -> list[PersonSummary]:
    edit_people(scan, list(wanted), Silent())
    consistent(scan)
    return read_summary(scan).people


def consistent(scan: Path) -> None:
    """Every file of the folder tells the same story."""
    people, alignments = read_summary(scan).people, load_alignments(scan)
    rows = json.loads((scan / BOXES).read_text())
    assert [row[1] for row in rows] == alignments.person.tolist()
    for person in people:
        of_tracks = np.isin(alignments.track, person.track_ids)
        assert set(alignments.person[of_tracks].tolist()) == {-1 if person.rejected else person.id}
        assert person.frames == len(np.unique(alignments.frame[of_tracks]))
        assert sum(map(sum, person.coverage)) == of_tracks.sum() and person.sharpness > 0
        assert (scan / person.thumbnail).is_file() and person.tracks == len(person.track_ids)
    assert {p.name for p in scan.iterdir()} == {
        "alignments.safetensors", "boxes.json", "scan.json", "edits.json", *(p.thumbnail for p in people)
    }  # fmt: skip
    assert len({p.thumbnail for p in people}) == len(people)


def test_a_fresh_scan_lists_everybody(scan: Path) -> None:
    consistent(scan)
    people = read_summary(scan).people
    assert [(p.id, p.name, p.frames, p.track_ids, p.known, p.rejected) for p in people] == [
        (0, "Person 0", 80, [0, 2], False, False),
        (1, "Person 1", 60, [1, 5], False, False),
        (2, "Person 2", 40, [3], False, False),
        (3, "Person 3", 40, [4], False, False),
    ]


def test_coverage_counts_by_pitch_and_yaw() -> None:
    def turned(yaw: float, pitch: float) -> np.ndarray:
        y, p = np.radians([yaw, -pitch])
        around = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
        nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
        head = np.zeros((468, 3))
        head[234], head[454], head[10], head[152] = (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)
        return head @ nod.T @ around.T

    counts = np.array(coverage(np.array([turned(0, 0), turned(0, 0), turned(-70, 0), turned(45, 0), turned(0, -20)])))
    assert counts.shape == (5, 7) and counts.sum() == 5
    assert counts[2, 3] == 2
    assert counts[2, 0] + counts[2, 6] == 1 and counts[2, 5] + counts[2, 1] == 1
    assert counts[1, 3] + counts[3, 3] == 1


def test_rename_merge_split_reject_restore(scan: Path) -> None:
    people = edit(scan, PeopleEdit(action="rename", persons=[0], name="  Anna  Lee "))
    assert (people[0].name, people[0].known) == ("Anna Lee", True)
    people = edit(scan, PeopleEdit(action="merge", persons=[2, 3]))
    assert [(p.id, p.track_ids) for p in people] == [(0, [0, 2]), (2, [3, 4]), (1, [1, 5])]
    people = edit(scan, PeopleEdit(action="split", persons=[1], tracks=[5]))
    assert [(p.id, p.track_ids) for p in people] == [(0, [0, 2]), (2, [3, 4]), (1, [1]), (4, [5])]
    people = edit(scan, PeopleEdit(action="reject", persons=[0, 4]))
    assert [(p.id, p.rejected) for p in people] == [(2, False), (1, False), (0, True), (4, True)]
    assert not len(load_alignments(scan).of_person(0))
    people = edit(scan, PeopleEdit(action="restore", persons=[0]))
    assert next((p.id, p.name, p.rejected) for p in people) == (0, "Anna Lee", False)
    assert len(load_alignments(scan).of_person(0)) == 80


def test_several_edits_are_all_or_none(scan: Path) -> None:
    before = {path.name: path.read_bytes() for path in scan.iterdir()}
    with pytest.raises(NoFaceError, match="Person 9 is not in this scan; there are 0, 2, 3"):
        edit(scan, PeopleEdit(action="merge", persons=[0, 1]), PeopleEdit(action="reject", persons=[9]))
    assert {path.name: path.read_bytes() for path in scan.iterdir()} == before
    people = edit(
        scan,
        PeopleEdit(action="split", persons=[0], tracks=[2]),
        PeopleEdit(action="rename", persons=[4], name="Bo"),
    )
    assert [(p.name, p.track_ids) for p in people if p.id == 4] == [("Bo", [2])]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (PeopleEdit(action="rename", persons=[0], name=" "), "Give a name"),
        (PeopleEdit(action="rename", persons=[0, 1], name="A"), "One person at a time"),
        (PeopleEdit(action="merge", persons=[1]), "two people or more"),
        (PeopleEdit(action="split", persons=[0], tracks=[1]), "has the tracks 0, 2"),
        (PeopleEdit(action="split", persons=[0], tracks=[0, 2]), "all tracks"),
        (PeopleEdit(action="split", persons=[0]), "has the tracks 0, 2"),
        (PeopleEdit(action="reject", persons=[]), "Say whom"),
    ],
)
def test_edits_without_sense_are_refused(scan: Path, wanted: PeopleEdit, sentence: str) -> None:
    with pytest.raises(UnderstudyError, match=sentence):
        edit(scan, wanted)


def test_nobody_takes_a_name_that_is_given(scan: Path) -> None:
    edit(scan, PeopleEdit(action="rename", persons=[0], name="Anna"))
    with pytest.raises(UnderstudyError, match="Merge the two"):
        edit(scan, PeopleEdit(action="rename", persons=[1], name="Anna"))
    people = edit(scan, PeopleEdit(action="merge", persons=[1, 0]))
    assert people[0].name == "Anna" and people[0].id == 1  # a name is worth more than none


def test_the_same_edits_again_change_nothing(scan: Path) -> None:
    merge = PeopleEdit(action="merge", persons=[0, 1])
    edit(scan, merge)
    before = {path.name: path.read_bytes() for path in scan.iterdir()}
    edit(scan, merge)  # a job that is run again after a crash
    assert {path.name: path.read_bytes() for path in scan.iterdir()} == before


@pytest.mark.parametrize("steps", range(7))
def test_a_crash_on_the_way_is_mended_by_the_next_run(scan: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [
        PeopleEdit(action="merge", persons=[0, 3]),
        PeopleEdit(action="rename", persons=[0], name="Anna"),
    ]

    class Crash(BaseException):
        pass

    left = steps
    real = Path.replace

    def dying(self: Path, target: Path) -> Path:
        nonlocal left
        if left == 0:
            raise Crash
        left -= 1
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(Crash):
            edit_people(scan, wanted, Silent())
    people = edit(scan, *wanted)
    assert next((p.id, p.name, p.track_ids) for p in people) == (0, "Anna", [0, 2, 4])
    assert list(gallery.known_people(scan.parents[1])) == ["Anna"]


def test_edits_last_when_the_clip_is_scanned_again(scan: Path, media: Path) -> None:
    edit(scan, PeopleEdit(action="rename", persons=[2], name="Bo"), PeopleEdit(action="merge", persons=[2, 3]))
    edit(scan, PeopleEdit(action="split", persons=[0], tracks=[2]), PeopleEdit(action="reject", persons=[1]))
    write_scan(scan, table(media, TRACKS, shuffle=3))  # other numbers for all tracks and persons
    consistent(scan)
    people = {p.id: p for p in read_summary(scan).people}
    alignments = load_alignments(scan)

    def of(person: PersonSummary) -> list[tuple[int, int]]:
        boxes = alignments.box[np.isin(alignments.track, person.track_ids)]
        frames = alignments.frame[np.isin(alignments.track, person.track_ids)]
        return sorted({(int(f) // SHOT, round(float(x) / 10)) for f, x in zip(frames, boxes[:, 0], strict=True)})

    shift = round(float(alignments.box[:, 0].min()) / 10)
    assert {n: (p.name, p.rejected, [(s, x - shift) for s, x in of(p)]) for n, p in people.items()} == {
        0: ("Person 0", False, [(0, 0)]),
        1: ("Person 1", True, [(0, 10), (2, 20)]),
        2: ("Bo", False, [(1, 15), (2, 2)]),
        4: ("Person 4", False, [(1, 5)]),
    }


def test_edits_go_along_when_the_range_grows_or_shrinks(project: Path, media: Path) -> None:
    first = project / "scans" / "a"
    write_scan(first, table(media, TRACKS, end=40))
    assert [p.track_ids for p in read_summary(first).people] == [[0], [1]]
    edit(first, PeopleEdit(action="rename", persons=[1], name="Bo"), PeopleEdit(action="reject", persons=[0]))
    grown = project / "scans" / "b"
    write_scan(grown, table(media, TRACKS, shuffle=2))
    consistent(grown)
    people = read_summary(grown).people
    assert [(p.name, p.rejected, p.frames) for p in people] == [
        ("Bo", False, 60),  # the grouping brought the later track along
        ("Person 2", False, 40),
        ("Person 3", False, 40),
        ("Person 0", True, 80),  # and the rejected one's
    ]
    # a smaller range in the same folder forgets nothing of what lies outside it
    write_scan(grown, table(media, TRACKS, end=40))
    assert [(p.name, p.rejected, p.frames) for p in read_summary(grown).people] == [
        ("Bo", False, 40),
        ("Person 0", True, 40),
    ]
    (first / "edits.json").unlink()
    write_scan(grown, table(media, TRACKS, start=40))
    assert [(p.name, p.rejected, p.frames) for p in read_summary(grown).people if p.known or p.rejected] == [
        ("Bo", False, 20),
        ("Person 0", True, 40),
    ]


def test_a_name_is_known_in_the_next_clip(scan: Path, project: Path, media: Path, tmp_path: Path) -> None:
    edit(scan, PeopleEdit(action="rename", persons=[1], name="Bo"))
    other = tmp_path / "other.mp4"
    other.write_bytes(media.read_bytes())
    summary = write_scan(project / "scans" / "other", table(other, [(0, 30, 0, 1), (0, 40, 100, 5)]))
    assert [(p.name, p.known) for p in summary.people] == [("Person 0", False), ("Bo", True)]
    assert gallery.known_people(project)["Bo"][1] == 60  # what was only recognised teaches nothing
    edit(scan, PeopleEdit(action="rename", persons=[1], name="Bob"))
    assert list(gallery.known_people(project)) == ["Bob"]
    assert gallery.forget(project, "Bob") and not gallery.forget(project, "Bob")
    assert gallery.known_people(project) == {} and not (project / gallery.FILE_NAME).exists()


def test_names_are_not_given_lightly(project: Path) -> None:
    unit = np.eye(128, dtype=np.float32)
    gallery.remember(project, "a.mp4", {"Ann": (unit[0], 10), "Bea": (unit[1], 10)})
    near, half, far = unit[0] + 0.3 * unit[2], (unit[0] + unit[1]) / 2, unit[3]
    assert gallery.recognise(project, np.array([near, far, unit[1]])) == ["Ann", "", "Bea"]
    assert gallery.recognise(project, np.array([half])) == [""]
    assert gallery.recognise(project, np.array([near, unit[0]])) == ["", "Ann"]  # the nearer one has it
    assert gallery.recognise(project, np.array([near]), taken={"Ann"}) == [""]
    gallery.remember(project, "b.mp4", {"Ann": (unit[4], 30)})
    mean, count = gallery.known_people(project)["Ann"]
    assert count == 40 and mean[0] == pytest.approx(0.25) and mean[4] == pytest.approx(0.75)


def _remember(project: Path, number: int) -> None:
    gallery.remember(project, f"{number}.mp4", {f"name {number}": (np.ones(128, np.float32), 1)})


def test_the_known_people_may_be_written_by_many(project: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_remember, args=(project, number)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    assert len(gallery.known_people(project)) == 6


def test_damaged_files_get_sentences(scan: Path, project: Path) -> None:
    (project / gallery.FILE_NAME).write_bytes(b"junk")
    with pytest.raises(DataError, match=r"people\.safetensors is damaged"):
        edit(scan, PeopleEdit(action="reject", persons=[0]))
    (project / gallery.FILE_NAME).unlink()
    (scan / "edits.json").write_text('{"schema": 1}')
    with pytest.raises(DataError, match=r"edits\.json is damaged"):
        edit(scan, PeopleEdit(action="reject", persons=[0]))
    with pytest.raises(DataError, match="no finished scan"):
        edit_people(project, [], Silent())


def test_a_scan_of_an_older_version_can_be_corrected(scan: Path) -> None:
    (scan / "edits.json").unlink()
    people = edit(scan, PeopleEdit(action="rename", persons=[3], name="Di"))
    assert [p.name for p in people] == ["Person 0", "Person 1", "Person 2", "Di"]


def test_the_footage_may_be_gone(scan: Path, tmp_path: Path) -> None:
    alignments = load_alignments(scan)
    replace(alignments, clip=Clip(path=str(tmp_path / "gone.mp4"))).save(scan)
    warned: list[str] = []
    reporter = Silent()
    reporter.log = lambda text, level="info": warned.append(text)  # type: ignore[method-assign]
    edit_people(scan, [PeopleEdit(action="rename", persons=[3], name="Di")], reporter)
    assert not warned
    edit_people(scan, [PeopleEdit(action="split", persons=[0], tracks=[2])], reporter)
    assert len(warned) == 1 and "no new picture" in warned[0]
    assert all((scan / p.thumbnail).is_file() for p in read_summary(scan).people)


def test_the_job(scan: Path) -> None:
    spec = PeopleSpec(scan=str(scan), edits=[PeopleEdit(action="reject", persons=[3])])
    assert job_bodies.run("people", spec, Silent()) == {"scan": str(scan), "people": 3}
    assert edits.read_summary(scan).people[-1].rejected
    assert roster.read_edits(scan / roster.EDITS)["edited"]


def test_the_command_line_lists_and_corrects(scan: Path, run: Callable[..., tuple[int, dict[str, Any], str]]) -> None:
    code, answer, _ = run("people", scan)
    assert code == 0 and answer["people"] == 4 and [p["id"] for p in answer["found"]] == [0, 1, 2, 3]
    code, answer, _ = run("people", scan, "--rename", "0=Anna", "--merge", "2+3", "--split", "1:5", "--reject", "4")
    assert code == 0 and answer["people"] == 3
    assert [(p["id"], p["name"], p["track_ids"], p["rejected"]) for p in answer["found"]] == [
        (0, "Anna", [0, 2], False),
        (2, "Person 2", [3, 4], False),
        (1, "Person 1", [1], False),
        (4, "Person 4", [5], True),
    ]
    for wrong in (["--rename", "Anna"], ["--merge", "1,3"], ["--split", "2"], ["--rename", "0="]):
        code, _, said = run("people", scan, *wrong)
        assert code == 2 and "as in --" in said
    assert run("people", scan, "--merge", "0+9")[0] == 4
    assert run("people", scan.parent)[0] == 6


def test_who_looks_alike_is_told_with_how_they_are_made_one(run: Any, tmp_path: Path) -> None:
    def person(number: int, alike: int, rejected: bool = False) -> dict[str, Any]:
        return {
            "id": number, "name": "", "frames": 9, "tracks": 1, "first_frame": 0, "best_frame": 0, "box": [0, 0, 9, 9],
            "thumbnail": "a.jpg", "known": False, "looks_like": alike, "rejected": rejected,
        }  # fmt: skip

    people = [person(0, 2), person(1, -1), person(2, 0), person(3, 1, True)]
    summary = {
        "schema": 1, "clip": {"path": "/a.mp4"}, "width": 160, "height": 96, "fps": [24, 1], "frames": 40,
        "variable_frame_rate": False, "people": people,
    }  # fmt: skip
    (tmp_path / "scan.json").write_text(json.dumps(summary))
    code, _, said = run("people", tmp_path)
    assert code == 0 and said.count("look alike") == 1
    assert "Persons 0 and 2 look alike" in said and "--merge 0+2." in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("person", 2**31 - 1),
        ("person", -2),
        ("track", 2**31 - 1),
        ("track", -5),
        ("frame", -1),
        ("sharpness", 3e38),
        ("sharpness", float("nan")),
        ("embedding", float("inf")),
    ],
)
def test_numbers_that_no_scan_has_are_damage(tmp_path: Path, carphone_scan: Any, name: str, value: float) -> None:
    column = getattr(carphone_scan, name).copy()
    column[0] = value
    replace(carphone_scan, **{name: column}).save(tmp_path)
    with pytest.raises(DataError, match="damaged"):
        load_alignments(tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data["people"][0]["tracks"][0].update(track=-1, places=[]),
        lambda data: data["people"][0]["tracks"][0].update(places=[[]]),
        lambda data: data["people"][0]["tracks"][0].update(places=[[0, 1]]),
        lambda data: data["people"][0]["tracks"][0].update(track=9 * 10**9),
        lambda data: data["people"][0]["tracks"][0].update(track=77),
        lambda data: data["people"][0]["tracks"][0].update(track=1e300),
        lambda data: data.update(highest="x"),
    ],
)
def test_corrections_of_a_strangers_are_refused_in_a_sentence(
    tmp_path: Path, carphone_folder: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    folder = tmp_path / "scans" / "car"
    shutil.copytree(carphone_folder, folder)
    path = folder / roster.EDITS
    data = json.loads(path.read_text())
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"damaged|not in the scan"):
        edit_people(folder, [PeopleEdit(action="rename", persons=[0], name="Zed")], Silent(), tmp_path)
