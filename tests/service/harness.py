"""A real engine in a process of its own, with real workers, over a home folder of the test's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from understudy.engine.durable import lock

IMPORTS = (
    "from pathlib import Path; from understudy.engine.service import connections, preview_process, serve, supervisor; "
)
PATIENCE = 120.0  # seconds; only a failing test waits so long


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return value


class Engine:
    def __init__(self, home: Path, runner: str | None, limits: dict[str, float] | None = None) -> None:
        self.home = home
        self.runner = runner
        self.limits = limits or {}  # "supervisor.HANG_SECONDS" and their like, in place of those for real use
        self.recaster: str | None = "scripted:Still" if runner else None  # None: the real ones
        self.idle: float | None = None
        self.token_file: Path | None = None
        self.process: subprocess.Popen[str] | None = None
        self.http = httpx.Client()

    def command(self) -> list[str]:
        scripted = f"runner={self.runner!r}, " if self.runner else ""
        scripted += f"recaster={self.recaster!r}, " if self.runner and self.recaster else ""
        token = f", token_file=Path({str(self.token_file)!r})" if self.token_file else ""
        call = f"serve.serve({scripted}idle={self.idle}{token})"
        limits = "".join(f"{name} = {value}; " for name, value in self.limits.items())
        return [sys.executable, "-c", f"{IMPORTS}{limits}{call}"]

    def environment(self) -> dict[str, str]:
        paths = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
        return {**os.environ, "UNDERSTUDY_HOME": str(self.home), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}

    def start(self) -> Engine:
        self.process = subprocess.Popen(self.command(), env=self.environment(), stdout=subprocess.DEVNULL)
        address = wait_until(self.address, "the engine's address")
        self.http = httpx.Client(
            base_url=address["url"], headers={"Authorization": f"Bearer {address['token']}"}, timeout=PATIENCE
        )
        return self

    def address(self) -> dict[str, Any] | None:
        assert self.process and self.process.poll() is None, "the engine ended"
        try:
            found = json.loads((self.home / "engine.json").read_text())
        except FileNotFoundError:
            return None
        return found if found["pid"] == self.process.pid else None  # a killed engine leaves its file

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def shut_down(self) -> None:
        assert self.process
        assert self.http.post("/v1/shutdown").status_code == 200
        assert self.process.wait(PATIENCE) == 0

    def spec(self, job_id: str, **script: Any) -> dict[str, Any]:
        path = self.home / f"{job_id}.json"
        path.write_text(json.dumps(script))
        return {"clip": {"path": str(path)}, "output": str(self.home / f"{job_id}.out")}

    def submit(self, job_id: str, **script: Any) -> dict[str, Any]:
        return self.queue(job_id, {}, **script)

    def queue(self, job_id: str, options: dict[str, Any], **script: Any) -> dict[str, Any]:
        """Submit a scripted scan with a priority or jobs to wait for; `kind` people is a light job."""
        spec = self.spec(job_id, **script)
        if options.get("kind") == "people":
            spec = {"scan": spec["clip"]["path"], "edits": []}
        answer = self.http.post("/v1/jobs", json={"id": job_id, "kind": "scan", "spec": spec, **options})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tell(self, job_id: str, wish: str) -> dict[str, Any]:
        """cancel, pause, resume or retry a job."""
        answer = self.http.post(f"/v1/jobs/{job_id}/{wish}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def job(self, job_id: str) -> dict[str, Any]:
        return self.http.get(f"/v1/jobs/{job_id}").json()

    def events(self, job_id: str, after: int = 0, wait: float = 0.0) -> list[dict[str, Any]]:
        answer = self.http.get(f"/v1/jobs/{job_id}/events", params={"after": after, "wait": wait})
        assert answer.status_code == 200, answer.text
        return answer.json()["events"]

    def texts(self, job_id: str) -> list[str]:
        return [event["data"]["text"] for event in self.events(job_id) if event["kind"] == "log"]

    def states(self, job_id: str) -> list[str]:
        return [event["data"]["state"] for event in self.events(job_id) if event["kind"] == "state"]

    def wait_for(self, job_id: str, *states: str) -> dict[str, Any]:
        return wait_until(lambda: (j := self.job(job_id))["state"] in states and j, f"{job_id} to be {states}")

    def wait_for_step(self, job_id: str, step: int) -> None:
        file = self.run_folder(job_id) / "events.jsonl"
        wait_until(lambda: f'"step {step}"' in file.read_text(), f"step {step} of {job_id}")

    def let_go(self, job_id: str, step: int) -> None:
        folder = self.home / f"{job_id}.out"
        folder.mkdir(exist_ok=True)
        (folder / f"go-{step}").touch()

    def run_folder(self, job_id: str) -> Path:
        return self.home / "jobs" / job_id

    def worker(self, job_id: str) -> int | None:
        """The pid of the job's living worker."""
        folder = self.run_folder(job_id)
        with lock(folder / "lock") as free:
            return None if free else int((folder / "heartbeat").read_text() or 0)

    def kill_worker(self, job_id: str) -> None:
        pid = self.worker(job_id)
        assert pid, f"{job_id} has no worker"
        os.kill(pid, signal.SIGKILL)

    def clean_up(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill()
        for folder in (self.home / "jobs").glob("*"):
            if pid := self.worker(folder.name):
                os.kill(pid, signal.SIGKILL)
