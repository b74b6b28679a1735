"""Pipes and folders planted where a project's exchange grows, and another engine that asks for ever, hold up nobody."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.errors import DataError, UnderstudyError
from understudy.engine.faces.people.summary import read_summary
from understudy.engine.protocol import Clip, ScanSpec
from understudy.engine.remote.link import chosen_remote
from understudy.engine.remote.remote_job import _RemoteJob
from understudy.engine.reporter import Silent

from .other_engine import EVIL, ROOT, Answers, Hostile

PLACE = "scans/shot/person-7.jpg"
GROWS = hashlib.sha256(f"{PLACE}/{hashlib.sha256(EVIL).hexdigest()}".encode()).hexdigest()[:32] + ".jpg"


@pytest.fixture(autouse=True)
def not_for_ever() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("It hangs.")

    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, late)
        signal.alarm(20)
    yield
    if sys.platform != "win32":
        signal.alarm(0)


@pytest.fixture
def spec(tmp_path: Path) -> ScanSpec:
    project = tmp_path / "film.understudy"
    project.mkdir()
    (tmp_path / "clip.mp4").write_bytes(b"mine")
    return ScanSpec(
        clip=Clip(path=str(tmp_path / "clip.mp4")), output=str(project / "scans" / "shot"), project=str(project)
    )


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    (path / "in it").mkdir(parents=True)


def as_second_name(path: Path) -> None:
    os.link(path.parents[2] / "clip.mp4", path)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes among Windows' files")
@pytest.mark.parametrize("plant", [as_pipe, as_folder, as_second_name])
@pytest.mark.parametrize("name", [GROWS, f"made-{GROWS}"])
def test_what_is_planted_where_a_file_grows_is_removed(
    hostile: Hostile, spec: ScanSpec, plant: Callable[[Path], None], name: str
) -> None:
    incoming = Path(spec.project) / ".incoming"
    incoming.mkdir()
    plant(incoming / name)
    hostile.listed = [PLACE]
    job_bodies.run("scan", spec, Silent())
    assert (Path(spec.output) / "person-7.jpg").read_bytes() == EVIL
    assert Path(spec.clip.path).read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes among Windows' files")
def test_a_pipe_in_place_of_the_folder_is_removed_and_a_file_is_not(hostile: Hostile, spec: ScanSpec) -> None:
    incoming = Path(spec.project) / ".incoming"
    hostile.listed = [PLACE]
    os.mkfifo(incoming)
    job_bodies.run("scan", spec, Silent())
    assert (Path(spec.output) / "person-7.jpg").read_bytes() == EVIL
    (Path(spec.output) / "person-7.jpg").unlink()
    incoming.write_text("my notes")
    with pytest.raises(UnderstudyError, match=r"\.incoming is a file, and its place is needed"):
        job_bodies.run("scan", spec, Silent())
    assert incoming.read_text() == "my notes"


def test_an_engine_that_lacks_for_ever_what_it_has_got_is_refused(
    hostile: Hostile, spec: ScanSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def insatiable(answers: Answers) -> None:
        body = json.loads(answers.rfile.read(int(answers.headers["Content-Length"] or 0)) or b"{}")
        answers.say({"id": "f" * 32, "root": ROOT, "lacking": [one["sha256"] for one in body.get("files", [])]})

    def has_all(answers: Answers, path: str) -> bool:
        if path.startswith("/v1/media/"):
            answers.say({"bytes": 0, "complete": True})
        return path.startswith("/v1/media/")

    monkeypatch.setattr(Answers, "do_POST", insatiable)
    hostile.instead = has_all
    with pytest.raises(UnderstudyError, match="remote engine"):
        job_bodies.run("scan", spec, Silent())


@pytest.mark.parametrize("kept", ["x", "", "-5", "9" * 5000, "\u0663"])
def test_a_last_event_that_is_no_number_is_the_beginning(
    hostile: Hostile, spec: ScanSpec, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    remote = chosen_remote()
    assert remote is not None
    job = _RemoteJob(remote, "scan", spec, Silent())
    job.job_id = "ab" * 16
    job.seen.parent.mkdir(parents=True, exist_ok=True)
    job.seen.write_text(kept)
    job.news(0)
    assert f"/v1/jobs/{job.job_id}/events" in hostile.paths[-1] and "after=0" in hostile.paths[-1]


@pytest.mark.parametrize(
    "facts", [{"fps": [0, 1]}, {"fps": [25, 0]}, {"fps": [-25, 1]}, {"fps": [1, 10**400]}, {"fps": [25]},
              {"frames": -1}, {"frames": 10**400}, {"width": 0}, {"height": 10**30}], ids=str,
)  # fmt: skip
def test_a_scan_with_numbers_that_no_footage_has_is_damaged(tmp_path: Path, facts: dict[str, Any]) -> None:
    summary = {
        "schema": 1, "clip": {"path": "/a.mp4"}, "width": 160, "height": 96, "fps": [24, 1], "frames": 8,
        "variable_frame_rate": False, "people": [],
    }  # fmt: skip
    (tmp_path / "scan.json").write_text(json.dumps(summary))
    assert read_summary(tmp_path).frames == 8
    (tmp_path / "scan.json").write_text(json.dumps({**summary, **facts}))
    with pytest.raises(DataError, match="none of footage"):
        read_summary(tmp_path)
