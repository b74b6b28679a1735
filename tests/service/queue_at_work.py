"""A queue at work in this process, for pictures of it to be taken: real store, supervisor and worker, no spawning.

A client submits, watches, pauses, cancels, retries and reorders; what it was told is kept beside each picture,
and `recovered` checks that an engine which starts from a picture keeps every word of it.
"""

from __future__ import annotations

import copy
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import durable
from understudy.engine.errors import NoFaceError
from understudy.engine.protocol import Clip, ScanSpec, to_json
from understudy.engine.reporter import Reporter
from understudy.engine.service import launch, supervisor, worker
from understudy.engine.service.launch import Attempt
from understudy.engine.service.store import Store
from understudy.engine.service.supervisor import Supervisor

STEPS = 4


class Ended:
    """A worker process that has ended."""

    pid, returncode = 0, 0

    def poll(self) -> int:
        return 0


class Client:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.jobs: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.wishes: dict[str, str] = {}  # the last one that was confirmed
        self.priority: dict[str, int] = {}

    def look(self, job_id: str) -> None:
        """As `GET …/events` does."""
        job = self.store.job(job_id)
        seen = self.events.setdefault(job_id, [])
        seen += [to_json(event) for event in self.store.events(job_id, len(seen))]
        self.jobs[job_id] = to_json(job)

    def told(self) -> dict[str, Any]:
        return copy.deepcopy({name: vars(self)[name] for name in ("jobs", "events", "wishes", "priority")})


def runner(kind: str, spec: ScanSpec, reporter: Reporter) -> dict[str, Any]:
    """Four steps with a checkpoint each; the name of the clip says what goes wrong."""
    output = Path(spec.output)
    output.mkdir(exist_ok=True)
    checkpoint = output / "checkpoint.json"
    done = json.loads(checkpoint.read_text()) if checkpoint.exists() else 0
    for step in range(done, STEPS):
        reporter.log(f"step {step}")
        reporter.progress((step + 1) / STEPS, "")
        durable.write_json(checkpoint, step + 1)
        if HOOK:
            HOOK[0](step)
        reporter.check()
    if "bad" in spec.clip.path and not (output / "mended").exists():
        raise NoFaceError("No face.")
    return {"steps": STEPS, "scan": output}


HOOK: list[Any] = []  # called after each step, in place of another process


def in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Workers run in place, so that what they write is seen."""

    def spawn(folder: Path, named: str, lease: int, devices: int) -> Attempt:
        before = signal.getsignal(signal.SIGTERM)
        worker.main(folder, f"{runner.__module__}:{runner.__name__}")
        signal.signal(signal.SIGTERM, before)
        return Attempt(folder, lease, Ended())  # type: ignore[arg-type]

    patch.setattr(supervisor, "spawn", spawn)
    patch.setattr(launch, "spawn", spawn)
    patch.setattr(os, "nice", lambda n: 0)
    patch.setattr(worker, "LOCK_SECONDS", 0.0)
    patch.setattr(worker.faulthandler, "enable", lambda: None)


def work(home: Path, tell: Any) -> None:
    """The scenario. `tell` is given the client as soon as there is one."""
    store = Store(home)
    queue = Supervisor(store, "unused:run")
    client = Client(store)
    tell(client)

    def submit(name: str, **options: Any) -> None:
        queue.submit(name, "scan", ScanSpec(clip=Clip(path=f"/{name}"), output=str(home / f"out-{name}")), **options)
        client.look(name)

    def wish(name: str, verb: str) -> None:
        getattr(queue, verb)(name)
        client.wishes[name] = verb
        client.look(name)

    def step(number: int) -> None:
        running = next(job.id for job in store.unfinished() if (store.run_folder(job.id) / "heartbeat").exists())
        store.follow(running)
        client.look(running)

    HOOK[:] = [step]
    submit("first")
    submit("bad", priority=1)
    submit("last", after=["first", "bad"])
    queue.set_priority("first", 7)
    client.priority["first"] = 7
    queue.tick()
    queue.tick()
    client.look("first")
    submit("dropped")
    wish("dropped", "cancel")
    queue.tick()
    queue.tick()
    client.look("bad")
    (home / "out-bad" / "mended").touch()
    wish("bad", "retry")
    for _ in range(4):
        queue.tick()
        client.look("bad")
    wish("dropped", "retry")
    wish("dropped", "pause")
    wish("dropped", "resume")
    wish("dropped", "pause")
    for _ in range(6):
        queue.tick()
        for name in list(client.jobs):
            client.look(name)
    assert store.job("bad").state == "done" and store.job("dropped").state == "paused"
    store.close()
    HOOK.clear()


def recovered(home: Path, told: dict[str, Any]) -> None:
    """Start from what is left, and check every word the client was given; then let all be done."""
    store = Store(home)
    queue = Supervisor(store, "unused:run")
    for job in store.jobs():  # as `start`, without its thread
        queue._active[job.id] = queue._adopt(job)
    for job_id, last in told["jobs"].items():
        job = store.job(job_id)
        assert job, f"{job_id} is lost"
        assert job.spec == last["spec"] and job.after == last["after"]
    queue.stopping.set()  # settle, start nothing yet
    queue.tick()
    for job_id, seen in told["events"].items():
        assert [to_json(event) for event in store.events(job_id, 0)][: len(seen)] == seen, f"{job_id}: events changed"
    for job_id, priority in told["priority"].items():
        assert store.job(job_id).priority == priority
    for job_id, verb in told["wishes"].items():
        state = store.job(job_id).state
        allowed = {
            "cancel": {"cancelled"},
            "pause": {"paused"},
            "resume": {"queued"},
            "retry": {"queued", "failed", "done"},
        }[verb]
        # the client may have been cut off in the middle of its next wish, which then may have come true
        later = {"cancel": {"queued"}, "retry": {"paused"}, "pause": {"queued"}, "resume": {"paused"}}[verb]
        assert state in allowed | later, f"{job_id}: {verb} was confirmed, it is {state}"
    for job_id, last in told["jobs"].items():
        if last["state"] == "done":
            assert store.job(job_id).state == "done" and store.job(job_id).result == last["result"]
    queue.stopping.clear()
    for job in store.jobs():
        if job.state == "paused":
            queue.resume(job.id)
        if job.state in ("failed", "cancelled"):
            queue.retry(job.id)
    (home / "out-bad").mkdir(exist_ok=True)
    (home / "out-bad" / "mended").touch()
    for _ in range(60):
        if not store.unfinished():
            break
        queue.tick()
    for job in store.jobs():
        events = store.events(job.id, 0)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        if job.state != "done":
            assert job.state == "failed" and "waited for" in (job.error or ""), (job, events)
        else:
            assert job.result["steps"] == STEPS
            assert json.loads((home / f"out-{job.id}" / "checkpoint.json").read_text()) == STEPS
    for file in home.rglob("*.json"):
        json.loads(file.read_text())  # nothing half-written under a final name
    store.close()
