"""Kill -9 at random moments of a real engine with real workers, while clients submit and read on.

`Ordeal(engine, seed).run(points)` raises AssertionError with the seed when a promise was broken. What is
checked: every confirmed job is there and ends; submitting twice is one job; a client that reads on from its
last number gets every event once, in order; each job has one outcome an attempt; no step is skipped; what is
under a final name is whole; one worker at a time holds the device.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from typing import Any

import httpx
from understudy.engine.protocol import FINAL_STATES

from .harness import PATIENCE, Engine

STEPS, CHECKPOINT = 12, 3


class Ordeal:
    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine, self.seed = engine, seed
        self.random = random.Random(seed)
        self.confirmed: list[str] = []
        self.seen: dict[str, list[dict[str, Any]]] = {}
        self.killed: Counter[str] = Counter()
        self.resubmitted = 0
        self._over = threading.Event()

    def run(self, points: int) -> None:
        """Kill `points` times, then let everything end and check it."""
        reader = threading.Thread(target=self._read)
        reader.start()
        try:
            for number in range(points):
                if number % 2 == 0:
                    self._submit(f"job{number}", number)
                elif self.random.random() < 0.3:
                    self._pause_and_resume()
                time.sleep(self.random.expovariate(4))
                self._kill(self.random.choice(["worker", "worker", "supervisor", "both"]))
            self._finish()
        finally:
            self._over.set()
            reader.join()
        self._check()

    def _submit(self, name: str, number: int) -> None:
        options: dict[str, Any] = {"priority": self.random.randrange(3)}
        if self.confirmed and self.random.random() < 0.3:
            options["after"] = [self.random.choice(self.confirmed)]
        if number % 6 == 0:
            options["kind"] = "people"
        killer = threading.Timer(self.random.uniform(0, 0.02), self._kill, ["supervisor"])
        amid = self.random.random() < 0.25
        if amid:
            killer.start()
        while True:
            try:
                self.engine.queue(name, options, steps=STEPS, checkpoint=CHECKPOINT, seconds=0.02)
                break
            except httpx.HTTPError:  # cut off: whether it was accepted is not known, so it is said again
                self.resubmitted += 1
                time.sleep(0.05)
        if amid:
            killer.join()
        self.confirmed.append(name)

    def _pause_and_resume(self) -> None:
        for wish in ("pause", "resume"):
            self._ask(lambda wish=wish: self.engine.tell(self.confirmed[-1], wish))
            time.sleep(self.random.uniform(0, 0.3))

    def _ask(self, call: Any) -> Any:
        """Ask until an engine answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return call()
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def _kill(self, whom: str) -> None:
        self.killed[whom] += 1
        if whom != "supervisor":
            holders = [pid for name in list(self.confirmed) if (pid := self._worker(name))]
            for pid in holders:
                os.kill(pid, signal.SIGKILL)
        if whom != "worker":
            self.engine.kill()
            self.engine.start()

    def _worker(self, name: str) -> int | None:
        try:
            pid = self.engine.worker(name)
        except (OSError, ValueError):
            return None
        return pid if pid and _is_worker(pid) else None

    def _finish(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            jobs = {job["id"]: job for job in self._ask(lambda: self.engine.http.get("/v1/jobs").json())["jobs"]}
            assert set(self.confirmed) <= set(jobs), f"seed {self.seed}: lost {set(self.confirmed) - set(jobs)}"
            for name in self.confirmed:
                job = jobs[name]
                if job["state"] == "failed":
                    assert "died 3 times" in job["error"] or "waited for" in job["error"], (self.seed, job)
                    self.engine.tell(name, "retry")
                if job["state"] == "paused":
                    self.engine.tell(name, "resume")
            if all(job["state"] == "done" for job in jobs.values()):
                return
            assert time.monotonic() < deadline, f"seed {self.seed}: not done: {jobs}"
            time.sleep(0.1)

    def _read(self) -> None:
        while True:
            over = self._over.is_set()
            for name in list(self.confirmed):
                seen = self.seen.setdefault(name, [])
                try:
                    while more := self.engine.events(name, seen[-1]["seq"] if seen else 0):
                        seen += more
                except (httpx.HTTPError, AssertionError):
                    break
            if over:
                return
            time.sleep(0.05)

    def _check(self) -> None:
        for name in self.confirmed:
            where = f"seed {self.seed}, {name}"
            events = self.engine.events(name)
            assert self.seen[name] == events, f"{where}: the client was told otherwise"
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), where
            states = [event["data"]["state"] for event in events if event["kind"] == "state"]
            retries = sum("retry" in event["data"] for event in events)
            assert sum(state in FINAL_STATES for state in states) == retries + 1 and states[-1] == "done", (
                where,
                states,
            )
            steps = [int(e["data"]["text"].split()[1]) for e in events if e["data"].get("text", "").startswith("step")]
            furthest = -1
            for step in steps:
                assert step <= furthest + 1, f"{where}: step {step} after {furthest}"
                furthest = max(furthest, step)
            assert furthest == STEPS - 1, where
            folder = self.engine.run_folder(name)
            assert json.loads((folder / "result.json").read_text())["state"] == "done"
            assert int((self.engine.home / f"{name}.out" / "checkpoint").read_text()) == STEPS
        running: list[tuple[float, float]] = []
        for name in self.confirmed:
            if self.engine.job(name)["kind"] == "scan":
                running += _attempts(self.engine.events(name))
        running.sort()
        for (_, end), (begin, _) in itertools.pairwise(running):
            assert end <= begin, f"seed {self.seed}: two jobs had the device at once"


def _attempts(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """When each attempt said its first and its last word (what a killed one wrote last, not when it was buried)."""
    found: list[tuple[float, float]] = []
    begin = last = None
    for event in events:
        if event["data"].get("state") == "running":
            begin = event["time"]
        elif event["kind"] == "state" and begin is not None:
            found.append((begin, last or begin))
            begin = last = None
        if begin is not None:
            last = event["time"]
    return found


def _is_worker(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            return b"service.worker" in file.read()
    except OSError:
        return False
