"""Links and folders that somebody planted in a project are never written through."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine import arrays, durable, job_bodies
from understudy.engine.cli import execute
from understudy.engine.commands.train import named_people
from understudy.engine.convert.convert_settings import earlier_results
from understudy.engine.errors import UnderstudyError
from understudy.engine.media.reader import probe, read_frames
from understudy.engine.media.writer import MovieWriter
from understudy.engine.model.model_folder import save_tensors
from understudy.engine.project_links import require_closed
from understudy.engine.protocol import (
    Clip,
    ConsentRecord,
    ConsentSpec,
    ConvertSpec,
    ForgetSpec,
    Identity,
    Material,
    PeopleEdit,
    PeopleSpec,
    PersonSummary,
    ReportSpec,
    ScanSpec,
    Subject,
    TrainSpec,
    from_json,
)
from understudy.engine.provenance.consent import all_consents, read_consent, record_consent, withdraw
from understudy.engine.provenance.credentials import Claim, sign
from understudy.engine.provenance.outputs import footage, require_output
from understudy.engine.provenance.report import write_report
from understudy.engine.reporter import Silent

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows lets only administrators make links")
PRECIOUS = b"a novel of ten years"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "novel.txt"
    path.parent.mkdir()
    path.write_bytes(PRECIOUS)
    return path


def write_picture(path: Path) -> None:
    from understudy.engine.convert.still_frame import write_png

    write_png(path, np.zeros((8, 8, 3), np.uint8), 8)


def write_sound_picture(path: Path) -> None:
    from understudy.engine.voice.picture import draw_spectrograms

    draw_spectrograms(path, [np.zeros(16000, np.float32)], 16000)


WRITERS: dict[str, Callable[[Path], object]] = {
    "x.json": lambda path: durable.write_json(path, {}),
    "x.safetensors": lambda path: arrays.write_arrays(path, "kind", 1, {"a": np.zeros(3)}, {}),
    "weights.safetensors": lambda path: save_tensors(path, {"a": torch.zeros(3)}, {}),
    "x.png": write_picture,
    "x.jpg": write_sound_picture,
    "report.html": lambda path: write_report(path.parent, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_aside_follows_no_link(tmp_path: Path, victim: Path, name: str) -> None:
    path = tmp_path / name
    path.with_name(f"{name}.part").symlink_to(victim)
    WRITERS[name](path)
    assert victim.read_bytes() == PRECIOUS
    assert path.is_file() and not path.is_symlink() and path.stat().st_size
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["outside", name, f"{name}.part"])


def test_a_link_under_the_final_name_is_replaced_itself(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "x.json").symlink_to(victim)
    durable.write_json(tmp_path / "x.json", {"a": 1})
    assert victim.read_bytes() == PRECIOUS and not (tmp_path / "x.json").is_symlink()
    (tmp_path / "x.lock").symlink_to(victim.with_name("new"))
    with pytest.raises(OSError), durable.lock(tmp_path / "x.lock"):
        pass
    assert not victim.with_name("new").exists()


def test_what_fails_leaves_the_old_and_nothing_aside(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    durable.write_json(path, 1)
    with pytest.raises(ZeroDivisionError), durable.writing(path) as partial:
        partial.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "1" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".png"])
def test_signing_follows_no_link(
    tmp_path: Path, victim: Path, make_clip: Any, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    path = tmp_path / f"one{suffix}"
    write_picture(path) if suffix == ".png" else make_clip(path, 3)
    for name in ("unsigned", "signed"):
        (tmp_path / f".one.{name}.part{suffix}").symlink_to(victim)
    sign(path, Claim("x", "y", []))
    assert victim.read_bytes() == PRECIOUS


def test_a_consent_and_its_document(tmp_path: Path, victim: Path) -> None:
    project = tmp_path / "film.understudy"
    (project / "consent" / "files").mkdir(parents=True)
    document = tmp_path / "release.pdf"
    document.write_bytes(b"signed")
    for name in ("ann.json.part", f"files/{durable.hash_file(document)[:16]}.pdf.part"):
        (project / "consent" / name).symlink_to(victim)
    record = ConsentRecord(
        identity="ann", person="Ann", basis="own face", scope="tests", date="2026-11-30", file=str(document)
    )
    job_bodies.run("consent", ConsentSpec(project=str(project), record=record), Silent())
    assert victim.read_bytes() == PRECIOUS
    for path in (project / "consent").rglob("*"):
        assert path.is_symlink() or path.is_dir() or path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("where", ["part", "part/segments"])
def test_a_recast_grows_in_no_folder_of_somebody_else(tmp_path: Path, victim: Path, make_clip: Any, where: str) -> None:
    source, output = make_clip(tmp_path / "in.mp4", 3), tmp_path / "out.mp4"
    link = tmp_path / f"out.mp4.{where}"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim.parent)
    for _ in range(2):
        with (
            pytest.raises(UnderstudyError, match="in the way"),
            MovieWriter(output, probe(source), 0, 3, key=lambda first, end: "same") as writer,
        ):
            for frame in read_frames(source):
                writer.write(frame)
    assert victim.read_bytes() == PRECIOUS and list(victim.parent.iterdir()) == [victim]
    spec = ConvertSpec(scan=str(tmp_path), model=str(tmp_path), swaps=[], output=str(output))
    with pytest.raises(UnderstudyError, match="in the way"):
        require_output(spec)
    link.unlink()
    folder = tmp_path / "out.mp4.part"
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_bytes(PRECIOUS)
    with pytest.raises(UnderstudyError, match="in the way"):
        require_output(spec)
    with pytest.raises(UnderstudyError), MovieWriter(output, probe(source), 0, 3):
        pass
    assert (folder / "notes.txt").read_bytes() == PRECIOUS


def test_a_segment_that_is_a_link_is_not_taken_over(tmp_path: Path, victim: Path, make_clip: Any) -> None:
    from understudy.engine.media.segments import Segments

    folder = tmp_path / "segments"
    first = Segments(folder, 0, 6, {}, lambda first, end: "same")
    first.begin({"threads": 1})
    (folder / "a.mp4").write_bytes(PRECIOUS)
    first.close(0, ["a.mp4"])
    assert not Segments(folder, 0, 6, {}, lambda first, end: "same").missing()
    (folder / "a.mp4").unlink()
    (folder / "a.mp4").symlink_to(victim)
    assert Segments(folder, 0, 6, {}, lambda first, end: "same").missing() == [(0, 6)]


@pytest.mark.parametrize(
    "planted", ["scans", "models", "recasts", "intermediates", "consent", "provenance", "scans/shot"]
)
def test_a_projects_folder_that_leads_elsewhere_is_refused(tmp_path: Path, victim: Path, planted: str) -> None:
    project = tmp_path / "film.understudy"
    link = project / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(victim.parent)
    record = ConsentRecord(identity="ann", person="Ann", basis="own face", scope="tests", date="2026-11-30")
    jobs: dict[str, Any] = {
        "scan": ScanSpec(clip=Clip(path="/x.mp4"), output=str(project / "scans" / "shot"), project=str(project)),
        "consent": ConsentSpec(project=str(project), record=record),
        "report": ReportSpec(project=str(project), output=str(project / "report.html")),
        "train": TrainSpec(identities=[], output=str(project / "models" / "one"), project=str(project)),
    }
    for kind, spec in jobs.items():
        if planted == "scans/shot" and kind != "scan":
            continue
        with pytest.raises(UnderstudyError, match="leads out of the project"):
            job_bodies.run(kind, spec, Silent())  # type: ignore[arg-type]
    assert victim.read_bytes() == PRECIOUS and list(victim.parent.iterdir()) == [victim]


PLANTED = {
    "scans/face/scan.json": ["train", "scan", "people"],
    "scans/face/alignments.safetensors": ["train", "scan", "people"],
    "models/one/model.json": ["train", "convert"],
    "models/one/facesets": ["train", "convert"],
    "consent/ann.json": ["train", "convert", "report"],
    "provenance/1.json": ["report"],
    "scans/.observed/1/media.json": ["scan"],
    "scans/other/edits.json": ["scan", "people"],
    "people.safetensors": ["scan", "people", "convert"],
}


@pytest.mark.parametrize("planted", PLANTED)
def test_no_file_is_read_through_a_link_out_of_a_project(
    tmp_path: Path, victim: Path, capsys: pytest.CaptureFixture[str], planted: str
) -> None:
    project = tmp_path / "film.understudy"
    scan, model = str(project / "scans" / "face"), str(project / "models" / "one")
    link = project / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(victim.parent if planted == "models/one/facesets" else victim)
    shown = Identity(name="ann", material=[Material(scan=scan, person=0)])
    output = str(project / "recasts" / "one.mp4")
    jobs: dict[str, Any] = {
        "scan": ScanSpec(clip=Clip(path="/x.mp4"), output=scan, project=str(project)),
        "people": PeopleSpec(scan=scan, edits=[PeopleEdit(action="reject", persons=[0])]),
        "train": TrainSpec(identities=[shown], output=model, preset="draft", project=str(project)),
        "convert": ConvertSpec(scan=scan, model=model, swaps=[], output=output, project=str(project)),
        "report": ReportSpec(project=str(project), output=str(tmp_path / "report.html")),
    }
    for kind in PLANTED[planted]:
        with pytest.raises(UnderstudyError, match="leads out of the project"):
            job_bodies.run(kind, jobs[kind], Silent())  # type: ignore[arg-type]
    commands = {"scans/face": ["people", scan], "models/one": ["train", "--identity", f"ann={scan}", "-o", model]}
    for place, arguments in commands.items():
        if planted.startswith(place):
            assert execute(arguments) == 1 and "leads out of the project" in capsys.readouterr().err


def test_a_link_within_a_project_is_followed(tmp_path: Path) -> None:
    project = tmp_path / "film.understudy"
    (project / "scans" / "old").mkdir(parents=True)
    (project / "scans" / "new").symlink_to(project / "scans" / "old")
    (project / "scans" / "old" / "again").symlink_to("..")
    require_closed(project / "scans", project)
    (tmp_path / "elsewhere").symlink_to(project)
    require_closed(tmp_path / "elsewhere" / "scans", tmp_path / "elsewhere")


@pytest.mark.parametrize("planted", ["consent", "consent/ann.json", "consent/voices"])
def test_consents_are_neither_read_nor_written_through_a_link(tmp_path: Path, victim: Path, planted: str) -> None:
    project = tmp_path / "film.understudy"
    link = project / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(victim if planted.endswith(".json") else victim.parent)
    subject: Subject = "voice" if planted == "consent/voices" else "face"
    record = ConsentRecord(
        identity="ann", person="Ann", basis="own face", scope="tests", date="2026-11-30", subject=subject
    )
    for touch in (
        lambda: record_consent(project, record),
        lambda: read_consent(project, "ann", subject),
        lambda: all_consents(project),
        lambda: withdraw(project, "ann", "2026-11-30"),
    ):
        with pytest.raises(UnderstudyError, match="leads out of the project"):
            touch()
    assert victim.read_bytes() == PRECIOUS and list(victim.parent.iterdir()) == [victim]


def test_one_planted_consent_keeps_nobody_from_the_others(
    tmp_path: Path, victim: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "film.understudy"
    link = project / "consent" / "eve.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    words = ["--project", str(project)]
    assert execute(["identity", "consent", "Ann", "--person", "Ann Lee", "--basis", "own", *words]) == 0
    capsys.readouterr()
    assert execute(["identity", "list", *words]) == 0
    said = capsys.readouterr()
    assert "Ann: Ann Lee" in said.out and f"{link} is a link that leads out" in said.err and "no consent" in said.err
    with pytest.raises(UnderstudyError, match="leads out of the project"):
        read_consent(project, "eve")


@pytest.mark.parametrize("there", [True, False])
def test_a_linked_lock_is_named_for_what_it_is(
    tmp_path: Path, victim: Path, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    project = tmp_path / "film.understudy"
    lock = project / "consent" / ".lock"
    lock.parent.mkdir(parents=True)
    lock.symlink_to(project / "other" if there else project / "missing")
    (project / "other").touch()
    words = ["identity", "consent", "Ann", "--person", "Ann Lee", "--basis", "own", "--project", str(project)]
    assert execute(words) == 1
    assert f"{lock} is a link, where a file of Understudy's own is needed. Remove the link." in capsys.readouterr().err
    lock.unlink()
    lock.symlink_to(victim)
    assert execute(words) == 1 and "leads out of the project" in capsys.readouterr().err


@pytest.mark.parametrize("planted", ["scans/face/scan.json", "scans/face"])
def test_footage_that_a_scan_elsewhere_names_is_not_the_projects(tmp_path: Path, planted: str) -> None:
    outside, project = tmp_path / "other" / "scans" / "face", tmp_path / "film.understudy"
    outside.mkdir(parents=True)
    (outside / "scan.json").write_text('{"clip": {"path": "/secret.mp4"}}')
    link = project / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(outside if planted == "scans/face" else outside / "scan.json")
    assert list(footage(project)) == [] and list(footage(outside.parents[1])) == [Path("/secret.mp4")]
    with pytest.raises(UnderstudyError, match="leads out of the project"):
        named_people(project)


@pytest.mark.parametrize("name", ["../../secret.jpg", "/secret.jpg", "..\\secret.jpg", "a/b.jpg"])
def test_a_scans_picture_is_a_file_in_it(name: str) -> None:
    facts = {"id": 0, "name": "", "frames": 1, "tracks": 1, "first_frame": 0, "best_frame": 0, "box": [0, 0, 9, 9]}
    assert from_json(PersonSummary, {**facts, "thumbnail": "person-0.jpg"}).thumbnail == "person-0.jpg"
    with pytest.raises(ValueError, match="no file name"):
        from_json(PersonSummary, {**facts, "thumbnail": name})


def test_a_report_on_records_that_are_none(tmp_path: Path, victim: Path) -> None:
    project = tmp_path / "film.understudy"
    (project / "consent" / "ann.json").mkdir(parents=True)
    record = {"identity": "bob", "person": "\ud800", "basis": "own face", "scope": "tests", "date": "2026-11-30"}
    named = {**record, "file": str(victim), "file_sha256": durable.hash_file(victim)}
    (project / "consent" / "bob.json").write_text(json.dumps(named))
    assert [one["identity"] for one in all_consents(project)] == ["bob"]
    page = write_report(project, tmp_path / "report.html").read_text()
    assert "not looked at" in page and "CHANGED" not in page
    (project / "consent" / "eve.json").write_text('{"forgotten": "2026-11-30"}')
    with pytest.raises(UnderstudyError, match="damaged"):
        all_consents(project)


def test_an_earlier_take_behind_a_link_is_none(tmp_path: Path) -> None:
    told = '{"written": {"segments": [], "facts": {}}}'
    (tmp_path / "elsewhere.json").write_text(told)
    folder = tmp_path / "recasts"
    folder.mkdir()
    (folder / "a.mp4.understudy.json").symlink_to(tmp_path / "elsewhere.json")
    (folder / "b.mp4.understudy.json").symlink_to(tmp_path / "missing")
    assert earlier_results(folder / "c.mp4") == []
    (folder / "d.mp4.understudy.json").write_text(told)
    assert [one.movie for one in earlier_results(folder / "c.mp4")] == [folder / "d.mp4"]
    (folder / "d.mp4").symlink_to(tmp_path / "elsewhere.json")
    assert earlier_results(folder / "c.mp4") == []


def test_a_project_that_is_a_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sends a .blend may lay it beside, to any other project of the user's."""
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    other, link = tmp_path / "other.understudy", tmp_path / "film.understudy"
    record = ConsentRecord(identity="ann", person="Ann", basis="own face", scope="tests", date="2026-11-30")
    record_consent(other, record)
    link.symlink_to(other)
    before = sorted(other.rglob("*"))
    inner = str(link / "models" / "one")
    jobs: dict[str, Any] = {
        "scan": ScanSpec(clip=Clip(path="/x.mp4"), output=str(link / "scans" / "shot")),
        "consent": ConsentSpec(project=str(link), record=record),
        "report": ReportSpec(project=str(link), output=str(tmp_path / "report.html")),
        "forget": ForgetSpec(project=str(link), identity="ann"),
        "convert": ConvertSpec(scan=str(link / "scans" / "x"), model=inner, swaps=[], output=str(tmp_path / "x.mp4")),
    }
    for kind, spec in jobs.items():
        with pytest.raises(UnderstudyError, match=f"is a link, to {other}"):
            job_bodies.run(kind, spec, Silent())  # type: ignore[arg-type]
    for words in (
        ["identity", "list", "--project", str(link)],
        ["identity", "forget", "ann", "--project", str(link), "--yes"],
        ["people", str(link / "scans" / "shot")],
        ["train", "--identity", f"ann={link / 'scans' / 'shot'}", "-o", str(tmp_path / "model")],
        ["train", "--identity", f"ann={tmp_path}", "-o", inner],
        ["swap", str(tmp_path), "--face", str(tmp_path), "-o", str(tmp_path / "film.mp4")],  # beside it
    ):
        assert execute(words) == 1 and f"is a link, to {other}" in capsys.readouterr().err, words
    assert sorted(other.rglob("*")) == before


@pytest.mark.parametrize("inner", ["models", "scans", "recasts"])
def test_a_folder_of_a_project_that_is_called_otherwise_leads_nowhere(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], inner: str
) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    work.mkdir()
    (work / inner).symlink_to(victim.parent)
    words = {
        "models": ["train", "--identity", f"ann={tmp_path}", "-o", str(work / "models" / "one")],
        "scans": ["alignments", "import", str(victim), "-o", str(work / "scans" / "one")],
        "recasts": ["swap", str(victim), "--face", str(victim), "-o", str(work / "recasts" / "one.mp4")],
    }
    assert execute(words[inner]) == 1 and "leads out of the project" in capsys.readouterr().err
    assert list(victim.parent.iterdir()) == [victim]


def test_masks_that_are_links_are_copied_as_links(tmp_path: Path, victim: Path) -> None:
    from understudy.engine.faces.scan import replace_folder

    scan = tmp_path / "shot"
    (scan / "masks").mkdir(parents=True)
    (scan / "masks" / "000001.png").symlink_to(victim)
    (scan / "scan.json").write_text('{"people": []}')
    with replace_folder(scan) as folder:
        (folder / "scan.json").write_text('{"people": []}')
    assert (scan / "masks" / "000001.png").is_symlink() and victim.read_bytes() == PRECIOUS
