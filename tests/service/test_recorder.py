"""What a stage reports becomes events: thinned, in order, never without the last."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from understudy.engine.errors import Stopped
from understudy.engine.protocol import Event
from understudy.engine.service.events import EventLog, valid_events
from understudy.engine.service.recorder import Estimate, Recorder

from .harness import wait_until


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with EventLog(tmp_path / "events.jsonl") as log:
        yield log


def events(folder: Path, kind: str) -> list[Event]:
    return [event for event, _ in valid_events(folder / "events.jsonl") if event.kind == kind]


def test_thousands_of_calls_become_few_events_and_keep_the_last(tmp_path: Path, log: EventLog) -> None:
    recorder = Recorder(tmp_path, log)
    began = time.monotonic()
    calls = 0
    while (elapsed := time.monotonic() - began) < 1.2:
        calls += 1
        recorder.progress(elapsed / 2, f"call {calls}")
        recorder.loss(calls, {"l1": np.float32(0.5), "broken": float("nan")})
        recorder.check()
    recorder.close()
    progress, loss = events(tmp_path, "progress"), events(tmp_path, "loss")
    assert calls > 1000
    assert 2 <= len(progress) <= 7 and 2 <= len(loss) <= 7
    assert progress[-1].data["message"] == f"call {calls}"
    assert loss[-1].data == {"step": calls, "values": {"l1": 0.5}}


def test_a_line_comes_after_the_progress_before_it(tmp_path: Path, log: EventLog) -> None:
    recorder = Recorder(tmp_path, log)
    recorder.progress(2.0, "beyond")
    recorder.log("a line", "warning")
    recorder.preview(tmp_path / "p.jpg", "a face")
    recorder.close()
    kinds = [(event.kind, event.data) for event, _ in valid_events(tmp_path / "events.jsonl")]
    assert kinds == [
        ("progress", {"fraction": 1.0, "message": "beyond", "seconds_left": None}),
        ("log", {"level": "warning", "text": "a line"}),
        ("preview", {"path": str(tmp_path / "p.jpg"), "caption": "a face"}),
    ]


@pytest.mark.parametrize("flag", ["cancel", "pause"])
def test_a_flag_stops_the_stage(tmp_path: Path, log: EventLog, flag: str) -> None:
    recorder = Recorder(tmp_path, log)
    recorder.check()
    (tmp_path / flag).touch()
    deadline = time.monotonic() + 5
    with pytest.raises(Stopped):
        while time.monotonic() < deadline:
            recorder.check()
            time.sleep(0.01)
    recorder.close()
    assert (recorder.cancelled, recorder.paused) == (flag == "cancel", flag == "pause")


def test_the_heartbeat_beats_only_while_the_stage_moves(tmp_path: Path, log: EventLog) -> None:
    recorder = Recorder(tmp_path, log)
    heartbeat = tmp_path / "heartbeat"
    first = heartbeat.stat().st_mtime_ns
    recorder.check()
    wait_until(lambda: heartbeat.stat().st_mtime_ns > first, "a beat")
    second = heartbeat.stat().st_mtime_ns
    time.sleep(0.6)
    assert heartbeat.stat().st_mtime_ns == second
    recorder.check()
    wait_until(lambda: heartbeat.stat().st_mtime_ns > second, "another beat")
    recorder.close()


def test_estimate_follows_the_pace_of_the_last_minute() -> None:
    estimate = Estimate()
    assert estimate.seconds_left(100.0, 0.0) is None
    for second in range(1, 100):
        left = estimate.seconds_left(100.0 + second, 0.005 * second)
    assert left == pytest.approx((1 - 0.495) / 0.005)
    for second in range(1, 100):
        left = estimate.seconds_left(199.0 + second, 0.495 + 0.001 * second)
    assert left == pytest.approx((1 - 0.594) / 0.001)
    assert estimate.seconds_left(308.0, 0.594) == pytest.approx((1 - 0.594) / 0.001 - 10)  # nothing new for 10 s
    assert estimate.seconds_left(310.0, 0.1) is None  # begun anew


def test_estimate_takes_a_leap_for_no_pace() -> None:
    estimate = Estimate()
    for now, fraction in ((0.0, 0.0), (1.0, 0.1), (5.0, 0.6), (6.0, 0.61), (7.0, 0.62), (8.0, 0.63)):
        left = estimate.seconds_left(now, fraction)
    assert left == pytest.approx(37.0)
