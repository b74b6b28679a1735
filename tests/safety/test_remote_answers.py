"""Whatever another engine answers is read in one way, has an end, and ends in a sentence where it is none of ours."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import job_bodies
from understudy.engine.errors import Stopped, UnderstudyError
from understudy.engine.protocol import Clip, PreviewSpec, ScanSpec, http_client
from understudy.engine.remote import file_sync
from understudy.engine.remote.file_sync import Exchange
from understudy.engine.remote.link import Link, chosen_remote, raise_unreachable
from understudy.engine.remote.remote_job import _RemoteJob
from understudy.engine.reporter import Silent
from understudy.engine.service.preview_process import NoPreview, PreviewRenderer

from .other_engine import ROOT, Answers, Hostile

NOT_OURS = "answers in a way that is not ours"
EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def link(hostile: Hostile) -> Iterator[Link]:
    remote = chosen_remote()
    assert remote is not None
    link = Link(remote, raise_unreachable)
    yield link
    link.close()


@pytest.fixture
def scan(tmp_path: Path) -> ScanSpec:
    clip, project = tmp_path / "clip.mp4", tmp_path / "film.understudy"
    clip.write_bytes(b"mine")
    return ScanSpec(clip=Clip(path=str(clip)), output=str(project / "scans" / "shot"), project=str(project))


JOB = {"id": "ab" * 16, "kind": "scan", "spec": {}, "state": "done", "result": {}}


@pytest.mark.parametrize("change", [{"error": 5}, {"state": "x"}, {"spec": 3}, {"kind": None}, "none", [1]], ids=str)
def test_a_job_that_is_none(hostile: Hostile, scan: ScanSpec, change: Any) -> None:
    told = {**JOB, **change} if isinstance(change, dict) else change

    def instead(answers: Answers, path: str) -> bool:
        if path.startswith("/v1/jobs"):
            answers.say(told)
        return path.startswith("/v1/jobs")

    hostile.instead = instead
    remote = chosen_remote()
    assert remote is not None
    job = _RemoteJob(remote, "scan", scan, Silent())
    with pytest.raises(UnderstudyError, match=NOT_OURS):
        job.ask("GET", "ab" * 16)
    job.link.close()
    with pytest.raises(UnderstudyError, match=NOT_OURS):
        job_bodies.run("scan", scan, Silent())


def test_what_a_job_says_went_wrong_is_a_sentence(hostile: Hostile, scan: ScanSpec) -> None:
    def instead(answers: Answers, path: str) -> bool:
        if path.endswith("/events"):
            answers.say({"job": {**JOB, "state": "failed", "error": "x" * 10**6}, "events": []})
        return path.endswith("/events")

    hostile.instead = instead
    with pytest.raises(UnderstudyError, match="On the remote engine: xxx") as error:
        job_bodies.run("scan", scan, Silent())
    assert len(str(error.value)) < 3000


def test_an_answer_without_an_end_is_not_read_to_it(hostile: Hostile, link: Link) -> None:
    sent = []

    def instead(answers: Answers, path: str) -> bool:
        answers.send_response(200)
        answers.send_header("Connection", "close")
        answers.end_headers()
        answers.close_connection = True
        try:
            while len(sent) < 200:
                answers.wfile.write(b" " * 1_000_000)
                sent.append(1)
        except OSError:
            pass
        return True

    hostile.instead = instead
    with pytest.raises(UnderstudyError, match="sends more than any answer of its kind holds"):
        link.info()
    assert len(sent) < 100


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(hostile: Hostile, link: Link, part: str) -> None:
    def instead(answers: Answers, path: str) -> bool:
        text = b"HTTP/1.1 200 OK\r\n" if part == "head" else b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        try:
            answers.wfile.write(text)
            for _ in range(30):
                answers.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass
        return answers.close_connection is None

    hostile.instead = instead
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        http_client.Connection(link.remote).send("GET", "/v1/engine", None, 0.3)
    assert 0.2 < time.monotonic() - began < 1.2


def test_an_answer_that_is_cut_short_is_a_lost_connection(hostile: Hostile, link: Link) -> None:
    def instead(answers: Answers, path: str) -> bool:
        answers.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
        answers.close_connection = True
        return True

    hostile.instead = instead
    with pytest.raises(http_client.http.client.IncompleteRead):
        http_client.Connection(link.remote).send("GET", "/v1/engine", None, 2.0)


def lists(hostile: Hostile, *files: tuple[str, int]) -> list[str]:
    """Have it list files of some sizes; gives what is asked for."""
    asked: list[str] = []

    def instead(answers: Answers, path: str) -> bool:
        if answers.command != "GET" or not path.startswith("/v1/mirrors"):
            return False
        if path.endswith("/file"):
            asked.append(path)
            answers.send(b"\0" * 1000)
        else:
            answers.say({"files": [{"path": name, "sha256": EMPTY, "bytes": size} for name, size in files]})
        return True

    hostile.instead = instead
    return asked


def test_what_no_disk_or_file_holds_is_not_fetched(hostile: Hostile, link: Link, scan: ScanSpec) -> None:
    asked = lists(hostile, ("scans/shot/alignments.safetensors", 10**13))
    with pytest.raises(UnderstudyError, match=r"alignments\.safetensors with 10000\.0 GB, which no such file has"):
        job_bodies.run("scan", scan, Silent())
    lists(hostile, ("recasts/shot.mp4", 10**18))
    exchange = Exchange(Path(scan.project), link)
    with exchange.alone(1.0), pytest.raises(UnderstudyError, match="Make room on the disk"):
        exchange.set_aside(["recasts/shot.mp4"], lambda share, text: None, lambda place, whole: True, 9)
    assert asked == [] and not list(Path(scan.project).glob(".incoming/*"))


@pytest.mark.parametrize("bound", ["MOST_LISTED", "MOST_MADE"])
def test_more_files_than_any_job_makes_are_not_fetched(
    hostile: Hostile, scan: ScanSpec, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(file_sync, bound, 20)
    lists(hostile, *((f"scans/shot/person-{number}.jpg", 0) for number in range(21)))
    with pytest.raises(UnderstudyError, match="sends more than any answer of its kind holds"):
        job_bodies.run("scan", scan, Silent())
    assert not Path(scan.output).exists()


def test_who_cancels_is_heard_among_empty_files(hostile: Hostile, scan: ScanSpec) -> None:
    class Cancelling(Silent):
        fetching = 0

        def progress(self, fraction: float, message: str) -> None:
            self.fetching += message.startswith("Fetching")

        def check(self) -> None:
            if self.fetching:
                raise Stopped("cancel")

    lists(hostile, *((f"scans/shot/person-{number}.jpg", 0) for number in range(200)))
    with pytest.raises(Stopped):
        job_bodies.run("scan", scan, Cancelling())
    assert not Path(scan.output).exists() and len(list(Path(scan.project).glob(".incoming/*.jpg"))) < 3


PICTURES: list[Any] = ["..", "", "/x/a b\r\nX: y.png", "a\0.png", "x" * 300 + ".png", "evil.html", "caf\u00e9.png", 5]


@pytest.mark.parametrize("path", [*PICTURES, f"{ROOT}/sound.png"], ids=ascii)
def test_a_preview_that_is_none(hostile: Hostile, scan: ScanSpec, tmp_path: Path, path: Any) -> None:
    sound = isinstance(path, str) and path.endswith("sound.png")

    def instead(answers: Answers, where: str) -> bool:
        if where == "/v1/preview":
            answers.say({"path": path, "steps": 0, "seconds": 0.1})
        elif where.startswith("/v1/previews/"):
            answers.send(b"EVIL")
        return where.startswith("/v1/preview")

    hostile.instead = instead
    project = Path(scan.project)
    (project / "scans" / "shot").mkdir(parents=True)
    spec = PreviewSpec(scan=scan.output, model="", frame=0, swaps=[], project=str(project))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NoPreview, match=NOT_OURS):
        PreviewRenderer(tmp_path / "home").render(spec)
    made = {one.name for one in {*tmp_path.rglob("*")} - {*before}}
    assert made == {"previews", ".remote.json", ".remote.lock", ".incoming"} - ({".incoming"} - made), sound
