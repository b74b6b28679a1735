"""A scripted engine that speaks the API of docs/architecture.md with the standard library, as a process of its own.

The add-on's launcher starts it in the engine's place (`wrapper`). What it does is read from `fake.json` in
its home at every request, so that a test changes it while it runs:

  people    how many people a scan finds (1)
  movie     {"convert's result": path} a movie to hand out for any conversion
  fail      {kind: sentence} jobs that fail
  warn      {kind: sentence} jobs that begin with a warning
  hold      kinds of job that run until they are no longer listed here
  slow      seconds every answer takes
  die       true: stop as it starts
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

HOME = Path(os.environ.get("UNDERSTUDY_HOME", "."))
JOBS = HOME / "fake_jobs.json"
LOCK = threading.Lock()


def script() -> dict:
    file = HOME / "fake.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def load() -> dict:
    return json.loads(JOBS.read_text()) if JOBS.is_file() else {}


def save(jobs: dict) -> None:
    partial = JOBS.with_suffix(".part")
    partial.write_text(json.dumps(jobs))
    partial.replace(JOBS)


def event(job: dict, kind: str, data: dict) -> None:
    job["events"].append({"seq": len(job["events"]) + 1, "time": time.time(), "kind": kind, "data": data})
    job["job"]["last_event"] = len(job["events"])


def advance(job: dict) -> None:
    """Every look at a job takes it one step further: queued → running → (held) → done or failed."""
    facts, now = job["job"], script()
    kind = facts["kind"]
    if facts["state"] == "queued":
        facts.update(state="running", progress=0.25, message=f"Working on the {kind}", seconds_left=4.0)
        event(job, "state", {"state": "running"})
        event(job, "progress", {"fraction": 0.25, "message": facts["message"], "seconds_left": 4.0})
        if kind in now.get("warn", {}):
            event(job, "log", {"level": "warning", "text": now["warn"][kind]})
            event(job, "log", {"level": "info", "text": "Nobody needs to read this."})
        if kind == "train":
            event(job, "loss", {"step": 7, "values": {"pixels": 0.25, "mask": 0.125}})
    elif facts["state"] == "running" and kind not in now.get("hold", []):
        if kind in now.get("fail", {}):
            facts.update(state="failed", error=now["fail"][kind])
        else:
            facts.update(state="done", progress=1.0, message="Done", result=finish(kind, facts["spec"], now))
        event(job, "state", {"state": facts["state"]})


def finish(kind: str, spec: dict, now: dict) -> dict:
    output = Path(spec["output"])
    if kind == "convert":
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(now["movie"], output)
        return {"movie": str(output), "frames": 1, "recast": 1}
    output.mkdir(parents=True, exist_ok=True)
    if kind == "train":
        return {"model": str(output), "steps": 7, "minutes": 0.1}
    people = [
        {"id": i, "name": f"Person {i + 1}", "frames": 20 - i, "tracks": 1, "first_frame": 0, "best_frame": 3,
         # the second fills more of the picture than the first, who shows in more frames
         "box": [0.0, 0.0, 10.0 + 20.0 * (i == 1), 10.0 + 20.0 * (i == 1)], "thumbnail": f"person-{i}.jpg"}
        for i in range(now.get("people", 1))
    ]  # fmt: skip
    summary = {"schema": 1, "clip": spec["clip"], "width": 64, "height": 64, "fps": [24, 1], "frames": 20,
               "variable_frame_rate": False, "people": people}  # fmt: skip
    (output / "scan.json").write_text(json.dumps(summary))
    return {"scan": str(output), "people": len(people), "frames": 20}


class Handler(BaseHTTPRequestHandler):
    token = ""

    def log_message(self, *_: object) -> None: ...

    def answer(self, data: dict, status: int = 200) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_call(self) -> None:
        time.sleep(script().get("slow", 0.0))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {self.token}":
            self.answer({"error": "The token is missing or wrong."}, 401)
            return
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")[1:]
        if parts == ["engine"]:
            self.answer(self.info())
        elif parts == ["shutdown"]:
            self.answer({})
            threading.Thread(target=self.server.shutdown).start()
        else:
            with LOCK:
                self.answer(*self.jobs(parts[1:], json.loads(body or "{}"), parse_qs(url.query)))

    do_GET = do_POST = handle_call

    def info(self) -> dict:
        return json.loads((HOME / "engine.json").read_text())

    def jobs(self, parts: list[str], body: dict, query: dict) -> tuple[dict, int]:
        jobs = load()
        if not parts:
            job = jobs.setdefault(body["id"], {"job": {**body, "state": "queued"}, "events": []})
        elif parts[0] not in jobs:
            return {"error": "There is no such job."}, 404
        else:
            job = jobs[parts[0]]
            if parts[-1] == "cancel":
                job["job"]["state"] = "cancelled"
                event(job, "state", {"state": "cancelled"})
            else:
                advance(job)
        save(jobs)
        after = int(query.get("after", ["0"])[0])
        if parts and parts[-1] == "events":
            return {"events": job["events"][after:], "job": job["job"]}, 200
        return job["job"], 200


def main() -> None:
    with (HOME / "fake_starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if script().get("die"):
        sys.exit("No room on the disk.")
    Handler.token = os.urandom(8).hex()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = {"protocol": script().get("protocol", "1.0"), "version": "fake", "pid": os.getpid(), "device": "cpu",
               "url": f"http://127.0.0.1:{server.server_port}", "token": Handler.token}  # fmt: skip
    partial = HOME / "engine.json.part"
    partial.write_text(json.dumps(address))
    partial.replace(HOME / "engine.json")
    server.serve_forever(poll_interval=0.05)


def wrapper(folder: Path) -> Path:
    """A program that the launcher takes for the engine's Python."""
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
    program.chmod(0o755)
    return program


if __name__ == "__main__":
    main()
