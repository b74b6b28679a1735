"""The log of events: numbering, torn ends, reading on."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from understudy.engine.protocol import Event, Job
from understudy.engine.service.events import EventLog, EventReader, apply_event, valid_events


def written(path: Path) -> list[Event]:
    return [event for event, _ in valid_events(path)]


def three(path: Path) -> bytes:
    with EventLog(path) as log:
        log.append("state", {"state": "queued"})
        log.append("state", {"state": "running", "attempt": 1})
        log.append("log", {"level": "info", "text": "Grüße, \n 你好"})
    return path.read_bytes()


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 250), rubbish=st.binary(max_size=40))
def test_any_torn_end_is_cut_and_numbers_go_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int, rubbish: bytes
) -> None:
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    whole = three(path)
    path.write_bytes(whole[:cut] + rubbish)
    told = list(EventReader(path).refresh())
    with EventLog(path) as log:
        log.append("log", {"level": "info", "text": "on"})
    after = written(path)
    assert after[: len(told)] == told
    assert [event.seq for event in after] == list(range(1, len(after) + 1))
    assert after[-1].data["text"] == "on"
    complete = whole[:cut].count(b"\n")
    assert len(after) >= complete + 1
    assert path.read_bytes().startswith(whole[: sum(map(len, whole.splitlines(True)[:complete]))])


def test_a_line_out_of_order_ends_the_log(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    three(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    assert [event.seq for event in written(path)] == [1]


def test_reader_reads_on_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = None
    seen: list[Event] = []
    with EventLog(path) as log:
        reader = EventReader(path)
        for n in range(50):
            log.append("log", {"level": "info", "text": str(n)})
            if n % 7 == 0:
                seen += reader.refresh()
        seen += reader.refresh()
    assert [event.seq for event in seen] == list(range(1, 51))
    assert reader.read(10, 5) == seen[10:15]
    assert reader.read(48, 100) == seen[48:]
    assert reader.read(50, 100) == reader.read(10**30, 100) == []


def test_history_counts_deaths_since_the_job_last_got_further(tmp_path: Path) -> None:
    def progress(fraction: float) -> dict[str, object]:
        return {"fraction": fraction, "message": "", "seconds_left": None}

    with EventLog(tmp_path / "events.jsonl") as log:
        for fraction in (0.1, 0.5, 0.5):
            log.append("state", {"state": "running", "attempt": 1})
            log.append("progress", progress(fraction))
            log.append("state", {"state": "queued", "death": "signal 9"})
        assert (log.history.attempts, log.history.deaths) == (3, 2)
        log.append("progress", progress(0.6))
        assert log.history.deaths == 0
    with EventLog(tmp_path / "events.jsonl") as log:
        assert (log.history.attempts, log.history.deaths, log.history.best) == (3, 0, 0.6)


def test_a_full_disk_leaves_no_half_event(
    tmp_path: Path, disk_full_after: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "events.jsonl"
    size = len(three(path))
    with EventLog(path) as log:
        with disk_full_after(size + 20), pytest.raises(OSError):  # a part of the line fits
            log.append("log", {"level": "info", "text": "x" * 100})
        assert path.stat().st_size == size
        assert log.append("log", {"level": "info", "text": "room again"}).seq == 4
    assert [event.seq for event in written(path)] == [1, 2, 3, 4]


def test_fold_shows_the_job_as_its_events_left_it() -> None:
    job = Job(id="a", kind="scan", spec={}, state="queued")
    events = [
        ("state", {"state": "running", "attempt": 1}),
        ("progress", {"fraction": 0.5, "message": "half", "seconds_left": 3.0}),
        ("loss", {"step": 1, "values": {"l1": 0.5}}),
    ]
    for seq, (kind, data) in enumerate(events, 1):
        job = apply_event(job, Event(seq=seq, time=0.0, kind=kind, data=json.loads(json.dumps(data))))
    assert (job.state, job.progress, job.message, job.seconds_left, job.last_event) == ("running", 0.5, "half", 3.0, 3)
    job = apply_event(job, Event(seq=4, time=0.0, kind="state", data={"state": "failed", "error": "Why."}))
    assert (job.state, job.error, job.message, job.seconds_left) == ("failed", "Why.", "", None)
