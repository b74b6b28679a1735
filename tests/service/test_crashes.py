"""Kill -9 of workers and supervisors: no job, no event and no place in the queue is lost."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from .harness import PATIENCE, Engine, wait_until


class Client:
    """Reads a job's events on from its last number, over every engine that comes and goes."""

    def __init__(self, engine: Engine, job_id: str) -> None:
        self.seen: list[dict[str, Any]] = []
        self._engine, self._id = engine, job_id
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            after = self.seen[-1]["seq"] if self.seen else 0
            try:
                self.seen += self._engine.events(self._id, after, wait=1.0)
            except httpx.HTTPError:
                time.sleep(0.05)
            if self.seen and self.seen[-1]["data"].get("state") in ("done", "failed", "cancelled"):
                return

    def story(self) -> list[dict[str, Any]]:
        self._thread.join()
        assert [event["seq"] for event in self.seen] == list(range(1, len(self.seen) + 1))
        return self.seen


def steps(events: list[dict[str, Any]]) -> list[int]:
    return [int(e["data"]["text"].split()[1]) for e in events if e["kind"] == "log" and "step" in e["data"]["text"]]


def test_accepted_jobs_outlive_the_engine(engine: Engine) -> None:
    for n in range(3):
        engine.submit(f"job{n}", steps=2)
    engine.kill()
    engine.start()
    for n in range(3):
        assert engine.wait_for(f"job{n}", "done")["result"]["steps"] == 2
        assert engine.texts(f"job{n}") == ["step 0", "step 1"]
    assert [job["id"] for job in engine.http.get("/v1/jobs").json()["jobs"]] == ["job2", "job1", "job0"]
    engine.kill()
    shutil.rmtree(engine.run_folder("job0"))
    engine.start()
    assert engine.job("job0")["result"]["steps"] == 2  # what has ended is known without its folder
    assert engine.events("job0") == []


def test_jobs_run_one_at_a_time_in_the_order_they_came(shared_engine: Engine) -> None:
    for name in ("first", "second", "third"):
        shared_engine.submit(name, steps=3, seconds=0.1)
    shared_engine.wait_for("third", "done")
    times = {name: [event["time"] for event in shared_engine.events(name)] for name in ("first", "second", "third")}
    assert times["first"][-1] <= times["second"][1] and times["second"][-1] <= times["third"][1]


def test_cancel_queued_running_and_done(shared_engine: Engine) -> None:
    shared_engine.submit("running", steps=1000, seconds=0.05)
    shared_engine.submit("queued")
    shared_engine.wait_for_step("running", 2)
    assert shared_engine.http.post("/v1/jobs/queued/cancel").json()["state"] == "cancelled"
    shared_engine.http.post("/v1/jobs/running/cancel")
    shared_engine.wait_for("running", "cancelled")
    assert steps(shared_engine.events("running"))[-1] < 999
    assert shared_engine.states("queued") == ["queued", "cancelled"]
    shared_engine.submit("done")
    shared_engine.wait_for("done", "done")
    assert shared_engine.http.post("/v1/jobs/done/cancel").json()["state"] == "done"
    assert shared_engine.states("done")[-1] == "done"


def test_a_cancel_outlives_both(engine: Engine) -> None:
    engine.submit("stubborn", steps=3, seconds=5.0)  # reaches no safe point soon
    wait_until(lambda: engine.worker("stubborn"), "a worker")
    engine.wait_for("stubborn", "running")
    engine.http.post("/v1/jobs/stubborn/cancel")
    engine.kill()
    engine.kill_worker("stubborn")
    engine.start()
    engine.wait_for("stubborn", "cancelled")
    assert engine.states("stubborn") == ["queued", "running", "cancelled"]


def test_a_killed_worker_is_started_again_from_its_checkpoint(shared_engine: Engine) -> None:
    shared_engine.submit("killed", steps=40, checkpoint=5, hold=[8, 24])
    client = Client(shared_engine, "killed")
    shared_engine.submit("behind")
    for step in (8, 24):
        shared_engine.wait_for_step("killed", step - 1)
        shared_engine.kill_worker("killed")
        shared_engine.let_go("killed", step)
    shared_engine.wait_for("killed", "done")
    story = client.story()
    done = steps(story)
    resumed = [n for before, n in itertools.pairwise(done) if n != before + 1]
    assert resumed == [5, 20]
    assert done == [*range(8), *range(5, 24), *range(20, 40)]
    states = [event["data"] for event in story if event["kind"] == "state"]
    assert [s.get("attempt") for s in states if s["state"] == "running"] == [1, 2, 3]
    assert sum("death" in s for s in states) == 2
    assert any("started again" in e["data"]["text"] for e in story if e["kind"] == "log")
    behind = shared_engine.wait_for("behind", "done")
    assert shared_engine.events("behind")[1]["time"] >= story[-1]["time"]  # kept its place behind
    assert behind["state"] == "done"


def test_a_job_that_kills_every_worker_fails(shared_engine: Engine) -> None:
    shared_engine.submit("deadly", steps=20, die_at=7)
    shared_engine.submit("next")
    failed = shared_engine.wait_for("deadly", "failed")
    assert "died 3 times" in failed["error"] and "worker.log" in failed["error"]
    assert shared_engine.states("deadly").count("running") == 3
    shared_engine.wait_for("next", "done")


def test_killed_conversions_leave_no_unfinished_movie(stopped_engine: Engine, make_clip: Callable[..., Path]) -> None:
    stopped_engine.runner = "scripted:convert"
    engine = stopped_engine.start()
    source = make_clip(engine.home / "in.mp4", 12)
    output, partial = engine.home / "out.mp4", engine.home / "out.mp4.part"

    def submit(job_id: str, model: str) -> None:
        spec = {"scan": str(source), "model": str(engine.home / model), "swaps": [], "output": str(output)}
        answer = engine.http.post("/v1/jobs", json={"id": job_id, "kind": "convert", "spec": spec})
        assert answer.status_code == 200, answer.text

    submit("hanging", "hangs")
    submit("waiting", "dies")  # would write the same movie
    wait_until(lambda: "begun" in engine.texts("hanging"), "a movie that is begun")
    assert engine.http.post("/v1/jobs/waiting/cancel").json()["state"] == "cancelled"
    assert partial.exists()  # a job that never began has no say in it
    engine.http.post("/v1/jobs/hanging/cancel")
    engine.kill_worker("hanging")
    engine.wait_for("hanging", "cancelled")
    wait_until(lambda: not partial.exists(), "the unfinished movie to go")
    submit("dying", "dies")
    assert "died 3 times" in engine.wait_for("dying", "failed")["error"]
    assert engine.texts("dying").count("begun") == 3
    wait_until(lambda: not partial.exists(), "the unfinished movie to go")
    assert not output.exists()


def test_a_worker_that_cannot_even_start_fails_the_job(stopped_engine: Engine) -> None:
    stopped_engine.runner = "no_such_module:run"
    engine = stopped_engine.start()
    engine.submit("orphan")
    assert "ModuleNotFoundError" in engine.wait_for("orphan", "failed")["error"]


def test_the_worker_outlives_the_supervisor_and_is_adopted(engine: Engine) -> None:
    engine.submit("adopted", steps=20, hold=[6, 12])
    client = Client(engine, "adopted")
    engine.wait_for_step("adopted", 5)
    worker = engine.worker("adopted")
    engine.kill()
    engine.let_go("adopted", 6)
    engine.wait_for_step("adopted", 11)  # it works on with nobody there
    engine.start()
    assert engine.worker("adopted") == worker
    engine.let_go("adopted", 12)
    engine.wait_for("adopted", "done")
    story = client.story()
    assert steps(story) == list(range(20))
    assert [e["data"]["state"] for e in story if e["kind"] == "state"] == ["queued", "running", "done"]


def test_a_job_that_ends_while_the_supervisor_is_away_is_done(engine: Engine) -> None:
    engine.submit("alone", steps=20, hold=[3])
    engine.wait_for_step("alone", 2)
    engine.kill()
    engine.let_go("alone", 3)
    wait_until(lambda: (engine.run_folder("alone") / "result.json").exists(), "the result")
    engine.start()
    assert engine.wait_for("alone", "done")["result"]["steps"] == 20
    assert engine.states("alone") == ["queued", "running", "done"]


def test_both_killed_and_the_last_line_torn(engine: Engine) -> None:
    engine.submit("torn", steps=30, hold=[9])
    client = Client(engine, "torn")
    engine.wait_for_step("torn", 8)
    engine.kill()
    engine.kill_worker("torn")
    engine.let_go("torn", 9)
    wait_until(lambda: engine.worker("torn") is None, "the worker's end")
    with (engine.run_folder("torn") / "events.jsonl").open("ab") as file:
        file.write(b'{"seq":99,"time":1.0,"kind":"lo')
    engine.start()
    engine.wait_for("torn", "done")
    story = client.story()
    assert sorted(set(steps(story))) == list(range(30))
    assert [e["data"].get("death") for e in story if "death" in e["data"]] == ["while the engine was away"]


def test_a_crash_between_the_result_and_its_event(engine: Engine) -> None:
    engine.submit("halfway", steps=2)
    engine.wait_for("halfway", "done")
    engine.kill()
    folder = engine.run_folder("halfway")
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[:-1]))
    with sqlite3.connect(engine.home / "jobs.sqlite") as database:
        row = json.loads(database.execute("SELECT job FROM jobs").fetchone()[0])
        database.execute("UPDATE jobs SET state = 'running', job = ?", (json.dumps(row | {"state": "running"}),))
    engine.start()
    assert engine.wait_for("halfway", "done")["result"]["steps"] == 2
    assert engine.states("halfway") == ["queued", "running", "done"]
    assert engine.texts("halfway") == ["step 0", "step 1"]


def test_a_submission_that_was_cut_off_can_be_repeated(shared_engine: Engine) -> None:
    folder = shared_engine.run_folder("again")
    folder.mkdir()
    (folder / "spec.json").write_text("{")
    shared_engine.submit("again", steps=1)
    assert shared_engine.wait_for("again", "done")["result"]["steps"] == 1


def test_a_run_folder_that_is_gone_fails_its_job_and_blocks_nobody(shared_engine: Engine) -> None:
    shared_engine.submit("before", steps=1000, seconds=0.05)
    shared_engine.submit("gone")
    shared_engine.submit("after")
    shutil.rmtree(shared_engine.run_folder("gone"))
    shared_engine.http.post("/v1/jobs/before/cancel")
    assert "cannot work in" in shared_engine.wait_for("gone", "failed")["error"]
    shared_engine.wait_for("after", "done")
    assert shared_engine.events("gone") == []


def test_shutdown_pauses_the_job_and_the_next_start_takes_it_up(engine: Engine) -> None:
    engine.submit("long", steps=20, checkpoint=1, hold=[6])
    client = Client(engine, "long")
    engine.wait_for_step("long", 5)
    engine.shut_down()
    engine.let_go("long", 6)
    assert engine.worker("long") is None and not (engine.home / "engine.json").exists()
    engine.start()
    engine.wait_for("long", "done")
    story = client.story()
    assert steps(story) == list(range(20))  # a pause loses nothing
    states = [event["data"]["state"] for event in story if event["kind"] == "state"]
    assert states == ["queued", "running", "queued", "running", "done"]


def test_signals_stop_the_engine_in_good_order(engine: Engine) -> None:
    engine.submit("interrupted", steps=1000, seconds=0.05)
    for number in (signal.SIGTERM, signal.SIGINT):
        engine.wait_for("interrupted", "running")
        engine.process.send_signal(number)
        assert engine.process.wait(PATIENCE) == 0
        assert engine.worker("interrupted") is None and not (engine.home / "engine.json").exists()
        engine.start()
    engine.http.post("/v1/jobs/interrupted/cancel")
    engine.wait_for("interrupted", "cancelled")
    assert not any("death" in event["data"] for event in engine.events("interrupted"))


def test_a_worker_told_to_terminate_pauses_and_is_started_again(shared_engine: Engine) -> None:
    shared_engine.submit("told", steps=10, checkpoint=1, hold=[4])
    shared_engine.wait_for_step("told", 3)
    os.kill(shared_engine.worker("told"), signal.SIGTERM)
    wait_until(lambda: "queued" in shared_engine.states("told")[1:], "the pause")
    shared_engine.let_go("told", 4)
    shared_engine.wait_for("told", "done")
    assert steps(shared_engine.events("told")) == list(range(10))
    assert shared_engine.states("told") == ["queued", "running", "queued", "running", "done"]


def test_two_workers_for_one_job_do_the_work_once(shared_engine: Engine) -> None:
    shared_engine.submit("once", steps=10, hold=[2])
    shared_engine.wait_for_step("once", 1)
    command = [
        sys.executable,
        "-m",
        "understudy.engine.service.worker",
        shared_engine.run_folder("once"),
        "scripted:run",
    ]
    second = subprocess.Popen(command, env=shared_engine.environment())
    assert second.wait(PATIENCE) == 0
    shared_engine.let_go("once", 2)
    shared_engine.wait_for("once", "done")
    assert steps(shared_engine.events("once")) == list(range(10))


def test_the_worker_is_kind_to_the_machine(shared_engine: Engine) -> None:
    shared_engine.submit("kind", steps=1000, seconds=0.05)
    shared_engine.wait_for_step("kind", 0)
    worker = shared_engine.worker("kind")
    assert os.getpriority(os.PRIO_PROCESS, worker) == os.getpriority(os.PRIO_PROCESS, 0) + 5
    assert os.getsid(worker) == worker
    shared_engine.http.post("/v1/jobs/kind/cancel")
