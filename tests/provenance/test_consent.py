"""Nobody is trained or recast whose consent is not on record."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from understudy.engine import job_bodies
from understudy.engine.errors import ConsentError, DataError, UnderstudyError
from understudy.engine.protocol import (
    ConsentRecord,
    ConsentSpec,
    ConvertSpec,
    Identity,
    Material,
    PreviewResult,
    PreviewSpec,
    Swap,
    TrainSpec,
    consent_file,
    to_json,
)
from understudy.engine.provenance import consent
from understudy.engine.reporter import Silent
from understudy.engine.service import preview_worker

ANN = ConsentRecord(identity="Ann", person="Ann Lee", basis="written permission", scope="a film", date="2026-03-01")


def test_a_record_is_read_back_and_its_history_kept(tmp_path: Path) -> None:
    assert consent.read_consent(tmp_path, "Ann") is None
    consent.record_consent(tmp_path, ANN)
    consent.record_consent(tmp_path, ANN)
    path = consent.record_consent(tmp_path, replace(ANN, scope="two films"))
    assert consent.read_consent(tmp_path, "ann ") == replace(ANN, scope="two films")
    assert [old["scope"] for old in json.loads(path.read_text())["history"]] == ["a film"]


def test_the_job_writes_it_without_torch(tmp_path: Path) -> None:
    spec = ConsentSpec(project=str(tmp_path), record=ANN)
    assert job_bodies.run("consent", spec, Silent()) == {"record": str(consent_file(tmp_path, "Ann"))}
    code = (
        "import sys; from understudy.engine import job_bodies; from understudy.engine.protocol import *\n"
        "from understudy.engine.reporter import Silent\n"
        f"job_bodies.run('consent', ConsentSpec(project={str(tmp_path)!r}, record=ConsentRecord(identity='Bo', "
        "person='Bo B', basis='own face', scope='all', date='2026-01-01')), Silent())\n"
        "print([m for m in ('torch', 'cv2', 'numpy', 'av') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.strip() == "[]"
    assert consent.missing(tmp_path, ["Ann", "Bo"]) == []


@pytest.mark.parametrize(
    ("names", "same"),
    [(("Ann", " ann"), True), (("Ann/Lee", "Ann Lee"), False), (("Åsa", "Åse"), False), (("..", "."), False)],
)
def test_names_that_differ_never_share_a_record(tmp_path: Path, names: tuple[str, str], same: bool) -> None:
    first, second = (consent_file(tmp_path, name) for name in names)
    assert (first == second) is same
    assert first.parent == second.parent == tmp_path / "consent"


def test_a_document_is_kept_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = tmp_path / "Release Form.PDF"
    paper.write_bytes(b"signed")
    project = tmp_path / "film.understudy"
    consent.record_consent(project, replace(ANN, file=str(paper)))
    kept = consent.read_consent(project, "Ann")
    assert kept and kept.file_sha256 == hashlib.sha256(b"signed").hexdigest()
    assert (project / "consent" / kept.file).read_bytes() == b"signed"
    consent.record_consent(project, kept)  # a record that was read is written again unchanged
    assert consent.read_consent(project, "Ann") == kept
    monkeypatch.setattr(consent, "LARGEST_COPY", 3)
    consent.record_consent(project, replace(ANN, file=str(paper)))
    large = consent.read_consent(project, "Ann")
    assert large and Path(large.file) == paper and large.file_sha256 == kept.file_sha256
    with pytest.raises(UnderstudyError, match="cannot be kept"):
        consent.record_consent(project, replace(ANN, file=str(tmp_path / "nowhere.pdf")))


@pytest.mark.parametrize("wrong", [{"person": " "}, {"scope": ""}, {"identity": ""}, {"date": "last week"}])
def test_a_record_that_says_nothing_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(UnderstudyError):
        consent.record_consent(tmp_path, replace(ANN, **wrong))
    assert not list(tmp_path.iterdir())


def test_a_damaged_record_is_no_consent(tmp_path: Path) -> None:
    path = consent.record_consent(tmp_path, ANN)
    path.write_text(path.read_text()[:40])
    with pytest.raises(DataError, match="is damaged"):
        consent.require_consent(tmp_path, ["Ann"])


def train(project: Path, *names: str) -> TrainSpec:
    material = [Material(scan=str(project / "scan"), person=0)]
    people = [Identity(name=name, material=material) for name in names]
    return TrainSpec(identities=people, output=str(project / "model"), project=str(project))


def test_a_preview_of_a_new_face_needs_consent_and_other_views_do_not(tmp_path: Path) -> None:
    project = tmp_path / "film.understudy"
    spec = PreviewSpec(
        scan=str(project / "scans" / "shot"), swaps=[Swap(person=0, identity="Ann", target="Bob")], frame=3
    )
    shown: list[Path] = []

    def render(spec: PreviewSpec, output: Path) -> PreviewResult:
        shown.append(output)
        return PreviewResult(path=str(output), steps=0, seconds=0.1)

    request = {"spec": to_json(spec), "output": str(tmp_path / "still.png")}
    assert "record for Ann and Bob" in preview_worker._answer(render, request)["error"] and not shown
    for view in ("matte", "landmarks", "original"):
        assert "result" in preview_worker._answer(render, {**request, "spec": to_json(replace(spec, view=view))})
    for name in ("Ann", "Bob"):
        consent.record_consent(project, replace(ANN, identity=name))
    assert "result" in preview_worker._answer(render, request) and len(shown) == 4


def test_training_names_everybody_who_is_missing(tmp_path: Path) -> None:
    consent.record_consent(tmp_path, ANN)
    with pytest.raises(ConsentError, match=r"record for Bob and Cleo\..* identity consent Bob") as refused:
        job_bodies.run("train", train(tmp_path, "Ann", "Bob", "Cleo"), Silent())
    assert refused.value.exit_code == 7
    with pytest.raises(DataError, match="holds no finished scan"):  # what comes next
        job_bodies.run("train", train(tmp_path, "Ann"), Silent())


@pytest.mark.parametrize(("target", "known"), [("Bob", False), ("", True)])
def test_conversion_needs_both_sides_of_a_swap(tmp_path: Path, target: str, known: bool) -> None:
    scan = tmp_path / "scan"
    scan.mkdir()
    (scan / "scan.json").write_text(json.dumps({"people": [{"id": 0, "name": "Bob", "known": known}]}))
    spec = ConvertSpec(
        scan=str(scan), model=str(tmp_path / "model"), swaps=[Swap(person=0, identity="Ann", target=target)],
        output=str(tmp_path / "out.mp4"), project=str(tmp_path),
    )  # fmt: skip
    with pytest.raises(ConsentError, match="record for Ann and Bob"):
        job_bodies.run("convert", spec, Silent())
    consent.record_consent(tmp_path, ANN)
    with pytest.raises(ConsentError, match="record for Bob"):
        job_bodies.run("convert", spec, Silent())
    consent.record_consent(tmp_path, replace(ANN, identity="Bob"))
    with pytest.raises(DataError, match="alignments"):  # what comes next
        job_bodies.run("convert", spec, Silent())


def test_a_person_nobody_named_has_no_consent(tmp_path: Path) -> None:
    scan = tmp_path / "scan"
    scan.mkdir()
    (scan / "scan.json").write_text(json.dumps({"people": [{"id": 0, "name": "Person 0", "known": False}]}))
    with pytest.raises(ConsentError, match="Nobody knows who person 0 of scan is"):
        consent.replaced(str(scan), 0)
    with pytest.raises(DataError, match="does not know person 1"):
        consent.replaced(str(scan), 1)


def test_the_command_line_records_lists_and_refuses(run, tmp_path: Path) -> None:
    words = ["identity", "consent", "Ann", "--person", "Ann Lee", "--project", "film", "--scope", "the film Winter"]
    code, answer, _ = run(*words, "--basis", "hearsay")
    assert code == 1
    assert "it is one of: own face, written permission" in answer["error"]
    code, answer, _ = run(*words, "--basis", "written", "--date", "2026-03-01")
    assert code == 0
    assert answer["record"] == str(consent_file(Path("film").resolve(), "Ann"))
    code, answer, _ = run("identity", "list", "--project", "film")
    (listed,) = answer["identities"]
    assert (listed["person"], listed["basis"], listed["date"]) == ("Ann Lee", "written permission", "2026-03-01")


@pytest.mark.parametrize("given", ["Ann", "Ann=", "Ann=written permission", "Zoe=Zoe Z: own face"])
def test_a_consent_on_the_command_line_that_is_not_understood(run, given: str, tmp_path: Path) -> None:
    scan = named_scan(tmp_path / "scan")
    code, answer, _ = run("train", "--identity", f"Ann={scan}", "-o", "model", "--consent", given)
    assert code == 2
    assert "--consent" in answer["error"]


def named_scan(folder: Path) -> Path:
    """A scan's summary with one person."""
    person = {
        "id": 0, "name": "Person 0", "frames": 1, "tracks": 1, "first_frame": 0, "best_frame": 0,
        "box": [0, 0, 9, 9], "thumbnail": "person-0.jpg",
    }  # fmt: skip
    summary = {
        "schema": 1, "clip": {"path": "gone.mp4"}, "width": 9, "height": 9, "fps": [24, 1], "frames": 1,
        "variable_frame_rate": False, "people": [person],
    }  # fmt: skip
    folder.mkdir()
    (folder / "scan.json").write_text(json.dumps(summary))
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_in_a_terminal_it_is_asked_for_once(tmp_path: Path) -> None:
    import pty

    scan = named_scan(tmp_path / "scan")
    words = ["train", "--identity", f"Ann={scan}", "-o", str(tmp_path / "model"), "--preset", "draft"]
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "understudy.engine", *words]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    said, questions = b"", iter([b"Full name:", b"Number:", b"(Enter: this project)"])
    answers, waiting = iter([b"Ann Lee\n", b"2\n", b"\n"]), next(questions)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            said += os.read(master, 4096)
        except OSError:  # closed: the command has ended
            break
        if waiting and waiting in said:
            os.write(master, next(answers))
            waiting = next(questions, b"")
    assert process.wait(10) == 6  # there is nothing to train on in this scan
    os.close(master)
    assert said.count(b"permission of everyone shown") == 1
    record = consent.read_consent(tmp_path, "Ann")
    assert record and (record.person, record.basis, record.scope) == ("Ann Lee", "written permission", "this project")
