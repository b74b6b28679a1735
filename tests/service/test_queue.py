"""The queue: order, priority, jobs that wait for others, two lanes, pause, retry, and workers that do not listen."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from understudy.engine.protocol import FINAL_STATES, Job
from understudy.engine.service.schedule import HEAVY_KINDS, LIGHT, Refuse, Start, plan

from .harness import Engine

IDS = itertools.count()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that loses its patience soon."""
    engine = Engine(
        tmp_path_factory.mktemp("home"),
        "scripted:run",
        {"supervisor.CANCEL_SECONDS": 1.0, "supervisor.KILL_SECONDS": 1.0},
    )
    yield engine.start()
    engine.clean_up()


@pytest.fixture
def busy(engine: Engine) -> Iterator[str]:
    """A job that has the device until the test cancels it."""
    name = f"busy{next(IDS)}"
    engine.queue(name, {"priority": 1000}, steps=2, hold=[1])
    engine.wait_for_step(name, 0)
    yield name
    engine.tell(name, "cancel")
    engine.wait_for(name, "cancelled")


def began(engine: Engine, job_id: str) -> float:
    return next(e["time"] for e in engine.events(job_id) if e["data"].get("state") == "running")


def test_the_higher_priority_goes_first_and_can_be_changed(engine: Engine) -> None:
    engine.submit("first", steps=2, hold=[1])
    engine.wait_for_step("first", 0)
    for name, priority in (("low", -1), ("mid", 0), ("high", 5), ("raised", -7)):
        engine.queue(name, {"priority": priority}, steps=1)
    answer = engine.http.post("/v1/jobs/raised/priority", json={"priority": 9})
    assert answer.json()["priority"] == 9 and engine.job("raised")["priority"] == 9
    engine.let_go("first", 1)
    order = ["raised", "high", "mid", "low"]
    for name in order:
        engine.wait_for(name, "done")
    assert sorted(order, key=lambda name: began(engine, name)) == order


def test_a_job_waits_for_those_it_comes_after(engine: Engine) -> None:
    engine.submit("scan-a", steps=2, hold=[1])
    engine.queue("train-a", {"after": ["scan-a"], "priority": 9}, steps=1)
    engine.queue("convert-a", {"after": ["scan-a", "train-a"], "priority": 99}, steps=1)
    engine.let_go("scan-a", 1)
    engine.wait_for("convert-a", "done")
    assert began(engine, "scan-a") < began(engine, "train-a") < began(engine, "convert-a")


def test_what_cannot_come_fails_those_that_wait_for_it_and_both_can_be_retried(engine: Engine) -> None:
    engine.submit("lost", steps=1, end="no face")
    engine.queue("waits", {"after": ["lost"]}, steps=1)
    engine.queue("waits-too", {"after": ["waits"]}, steps=1)
    error = engine.wait_for("waits", "failed")["error"]
    assert "scan job lost" in error and "No face was found" in error and error.endswith("then this one.")
    assert "waits" in engine.wait_for("waits-too", "failed")["error"]
    engine.spec("lost", steps=1)
    for name in ("lost", "waits", "waits-too"):
        assert engine.tell(name, "retry")["state"] in ("queued", "running")
    job = engine.wait_for("waits-too", "done")
    assert job["error"] is None
    assert engine.states("lost") == ["queued", "running", "failed", "queued", "running", "done"]
    events = engine.events("waits-too")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_a_cancelled_job_fails_those_that_wait_for_it(engine: Engine, busy: str) -> None:
    engine.submit("dropped")
    engine.queue("orphaned", {"after": ["dropped"]})
    engine.tell("dropped", "cancel")
    assert "was cancelled" in engine.wait_for("orphaned", "failed")["error"]


@pytest.mark.parametrize(
    ("options", "names"),
    [({"after": ["nobody"]}, "nobody"), ({"after": "x"}, "after"), ({"priority": 10**9}, "priority")],
)
def test_bad_options_are_told(engine: Engine, options: dict[str, Any], names: str) -> None:
    body = {"id": "odd", "kind": "scan", "spec": engine.spec("odd"), **options}
    answer = engine.http.post("/v1/jobs", json=body)
    assert answer.status_code in (400, 409) and names in answer.json()["error"]
    assert engine.http.get("/v1/jobs/odd").status_code == 404


def test_light_jobs_run_beside_a_heavy_one_in_their_order(engine: Engine, busy: str) -> None:
    engine.submit("heavy-behind", steps=1)
    for name in ("light1", "light2", "light3"):
        engine.queue(name, {"kind": "people"}, steps=2, seconds=0.1)
    engine.wait_for("light3", "done")
    assert engine.job(busy)["state"] == "running" and engine.job("heavy-behind")["state"] == "queued"
    assert began(engine, "light1") < began(engine, "light2") < began(engine, "light3")
    ends = [engine.events(f"light{n}")[-1]["time"] for n in (1, 2)]
    assert ends[0] <= began(engine, "light2") and ends[1] <= began(engine, "light3")


def test_pause_frees_the_worker_and_resume_loses_nothing(engine: Engine) -> None:
    engine.submit("long", steps=20, checkpoint=1, hold=[6])
    engine.submit("behind", steps=1)
    engine.wait_for_step("long", 5)
    engine.tell("long", "pause")
    job = engine.wait_for("long", "paused")
    assert engine.worker("long") is None and job["progress"] == pytest.approx(0.3)
    engine.wait_for("behind", "done")  # a paused job blocks nobody
    assert engine.job("long")["state"] == "paused"
    engine.let_go("long", 6)
    assert engine.tell("long", "resume")["state"] in ("queued", "running")
    engine.wait_for("long", "done")
    assert engine.texts("long") == [f"step {n}" for n in range(20)]
    assert engine.states("long") == ["queued", "running", "paused", "queued", "running", "done"]
    assert engine.tell("long", "pause")["state"] == "done"
    assert engine.tell("long", "resume")["state"] == "done"
    assert engine.tell("long", "retry")["state"] == "done"


def test_a_queued_job_can_be_paused_resumed_and_cancelled_while_paused(engine: Engine, busy: str) -> None:
    engine.submit("shy", steps=1)
    assert engine.tell("shy", "pause")["state"] == "paused"
    assert engine.tell("shy", "pause")["state"] == "paused"
    assert engine.tell("shy", "resume")["state"] == "queued"
    assert engine.tell("shy", "pause")["state"] == "paused"
    assert engine.tell("shy", "cancel")["state"] == "cancelled"
    assert engine.states("shy") == ["queued", "paused", "queued", "paused", "cancelled"]
    assert engine.tell("shy", "retry")["state"] == "queued"


def test_pause_and_retry_outlive_a_killed_engine(stopped_engine: Engine) -> None:
    engine = stopped_engine.start()
    engine.submit("held", steps=8, checkpoint=1, hold=[4])
    engine.wait_for_step("held", 3)
    engine.submit("dropped")
    engine.tell("dropped", "cancel")
    (engine.run_folder("held") / "hold").touch()  # the wish is on disk, the engine dies before it acts
    (engine.run_folder("dropped") / "retry").touch()
    engine.kill()
    engine.kill_worker("held")
    engine.start()
    engine.wait_for("held", "paused")
    engine.wait_for("dropped", "done")
    assert not (engine.run_folder("dropped") / "retry").exists()
    engine.kill()
    engine.start()
    assert engine.job("held")["state"] == "paused" and engine.worker("held") is None
    engine.let_go("held", 4)
    engine.tell("held", "resume")
    engine.wait_for("held", "done")


@pytest.mark.parametrize(("deaf", "adopted"), [("ear", False), ("stone", False), ("stone", True)])
def test_a_job_that_does_not_listen_is_ended_all_the_same(engine: Engine, deaf: str, adopted: bool) -> None:
    name = f"deaf-{deaf}-{adopted}"
    engine.submit(name, deaf=deaf)
    engine.wait_for_step(name, 0)
    if adopted:
        engine.kill()
        engine.start()
    engine.tell(name, "cancel")
    engine.wait_for(name, "cancelled")
    assert engine.worker(name) is None
    assert engine.states(name) == ["queued", "running", "cancelled"]


def test_a_hanging_worker_is_ended_and_its_job_taken_up_again(tmp_path: Path) -> None:
    engine = Engine(tmp_path, "scripted:run", {"supervisor.HANG_SECONDS": 1.5}).start()
    try:
        engine.submit("hangs", steps=10, checkpoint=1, hold=[5])
        engine.wait_for_step("hangs", 4)
        os.kill(engine.worker("hangs"), signal.SIGSTOP)
        engine.let_go("hangs", 5)
        engine.wait_for("hangs", "done")
        assert engine.texts("hangs")[:5] == [f"step {n}" for n in range(5)]
        assert any("no sign of life for 2 s" in text and "started again" in text for text in engine.texts("hangs"))
        assert [t for t in engine.texts("hangs") if t.startswith("step")] == [f"step {n}" for n in range(10)]
    finally:
        engine.clean_up()


def test_prune_keeps_the_newest_and_what_is_waited_for(stopped_engine: Engine) -> None:
    engine = stopped_engine.start()
    for n in range(5):
        engine.submit(f"old{n}", steps=1)
    engine.wait_for("old4", "done")
    engine.submit("blocker", steps=2, hold=[1])
    engine.queue("waiting", {"after": ["old0"]}, steps=1)
    (engine.home / "jobs" / "rest-of-a-crash").mkdir()
    removed = engine.http.post("/v1/prune", json={"keep": 2}).json()["removed"]
    assert removed == ["old1", "old2"]
    left = {"old0", "old3", "old4", "blocker", "waiting"}
    assert {folder.name for folder in (engine.home / "jobs").iterdir()} == left
    assert engine.http.get("/v1/jobs/old1").status_code == 404
    engine.kill()
    engine.start()
    assert {job["id"] for job in engine.http.get("/v1/jobs").json()["jobs"]} == left
    assert engine.http.post("/v1/prune", json={"keep": -1}).status_code == 400


def test_two_devices_are_two_leases(stopped_engine: Engine) -> None:
    (stopped_engine.home / "device.json").write_text(json.dumps({"device": "two cards", "count": 2}))
    engine = stopped_engine.start()
    for n in range(3):
        engine.submit(f"card{n}", steps=2, hold=[1])
    for n in range(2):
        engine.wait_for_step(f"card{n}", 0)
    seen = [Path(f"/proc/{engine.worker(f'card{n}')}/environ").read_bytes().split(b"\0") for n in range(2)]
    assert b"CUDA_VISIBLE_DEVICES=0" in seen[0] and b"CUDA_VISIBLE_DEVICES=1" in seen[1]
    assert engine.job("card2")["state"] == "queued"
    engine.kill()
    engine.start()  # the leases outlive the engine
    engine.let_go("card0", 1)
    engine.wait_for_step("card2", 0)
    assert b"CUDA_VISIBLE_DEVICES=0" in Path(f"/proc/{engine.worker('card2')}/environ").read_bytes().split(b"\0")
    for n in (1, 2):
        engine.let_go(f"card{n}", 1)
    for n in range(3):
        engine.wait_for(f"card{n}", "done")


def test_a_voice_is_trained_on_a_device_of_its_own() -> None:
    jobs = [Job(id=kind, kind=kind, spec={}, state="queued") for kind in ("train", "voice-train", "voice", "report")]
    by_id = {job.id: job for job in jobs}
    leases = {step.job.id: step.lease for step in plan(jobs, by_id, {}, 2) if isinstance(step, Start)}
    assert leases == {"train": 0, "voice-train": 1, "report": LIGHT}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_plan_breaks_a_rule(data: st.DataObject) -> None:
    names = [f"j{n}" for n in range(data.draw(st.integers(1, 8)))]
    by_id: dict[str, Job] = {}
    for name in names:
        by_id[name] = Job(
            id=name,
            kind=data.draw(st.sampled_from(["scan", "train", "convert", "voice", "people", "report"])),
            spec={},
            state=data.draw(st.sampled_from(["queued", "paused", "done", "failed", "cancelled"])),
            priority=data.draw(st.integers(-2, 2)),
            after=data.draw(st.lists(st.sampled_from([*by_id, "gone"]), max_size=2)),
        )
    devices = data.draw(st.integers(1, 3))
    queue = sorted((j for j in by_id.values() if j.state not in FINAL_STATES), key=lambda j: -j.priority)
    steps = list(plan(queue, by_id, {}, devices))
    assert steps == list(plan(queue, by_id, {}, devices))
    started = [step for step in steps if isinstance(step, Start)]
    assert len({step.lease for step in started}) == len(started)
    for step in steps:
        states = [by_id[name].state if name in by_id else "gone" for name in step.job.after]
        assert step.job.state == "queued"
        if isinstance(step, Refuse):
            assert {"failed", "cancelled", "gone"} & set(states) and step.error.endswith(".")
        else:
            assert set(states) <= {"done"} and (step.lease == LIGHT) == (step.job.kind not in HEAVY_KINDS)
    # nobody who could run is passed over while there is a lease for them
    ready = [j for j in queue if j.state == "queued" and all(n in by_id and by_id[n].state == "done" for n in j.after)]
    heavy = [j.id for j in ready if j.kind in HEAVY_KINDS][:devices]
    light = [j.id for j in ready if j.kind not in HEAVY_KINDS][:1]
    assert sorted(step.job.id for step in started) == sorted(heavy + light)
