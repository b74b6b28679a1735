"""A scripted engine that speaks the API of docs/dev/file-formats.md with the standard library, as a process of its own.

The add-on's launcher starts it in the engine's place (`wrapper`). What it does is read from `fake.json` in
its home at every request, so that a test changes it while it runs:

  people    how many people a scan finds (1); tracks: of how many tracks each is (1)
  sound     the sound file to hand out for a recast voice (the source itself)
  movie     {"convert's result": path} a movie to hand out for any conversion
  doubtful  what a review finds
  fail      {kind: sentence} jobs that fail
  warn      {kind: sentence} jobs that begin with a warning
  hold      kinds of job that run until they are no longer listed here
  pictures  a folder of pictures to hand out for a conversion to pictures
  size      width and height of the footage ([64, 64])
  steps     how far training is, as previews show it; preview_takes: seconds a preview takes
  footage   what is found of any footage (nothing)
  slow      seconds every answer takes
  remote    the other machine's engine, as `EngineInfo.remote` has it; refuse_remote: why none is taken
  die       true: stop as it starts
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
import threading
import time
import zlib
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
    write_whole(JOBS, jobs)


def write_whole(path: Path, data: object) -> None:
    """As the real engine does: whoever reads meanwhile sees what was there before."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(json.dumps(data))
    partial.replace(path)


def event(job: dict, kind: str, data: dict) -> None:
    job["events"].append({"seq": len(job["events"]) + 1, "time": time.time(), "kind": kind, "data": data})
    job["job"]["last_event"] = len(job["events"])


def advance(job: dict) -> None:
    """Every look at a job takes it one step further: queued → running → (held) → done or failed."""
    facts, now = job["job"], script()
    kind = facts["kind"]
    before = [load()[name]["job"]["state"] for name in facts.get("after", [])]
    if facts["state"] == "queued" and any(state in {"failed", "cancelled"} for state in before):
        facts.update(state="failed", error="This job waited in vain.")
        event(job, "state", {"state": "failed"})
    if any(state != "done" for state in before):
        return
    if facts["state"] == "queued":
        facts.update(state="running", progress=0.25, message=f"Working on the {kind}", seconds_left=4.0)
        event(job, "state", {"state": "running"})
        event(job, "progress", {"fraction": 0.25, "message": facts["message"], "seconds_left": 4.0})
        if kind in now.get("warn", {}):
            event(job, "log", {"level": "warning", "text": now["warn"][kind]})
            event(job, "log", {"level": "info", "text": "Nobody needs to read this."})
        if kind == "train":
            event(job, "loss", {"step": 3, "values": {"pixels": 0.5, "mask": 0.25}})
            event(job, "loss", {"step": 7, "values": {"pixels": 0.25, "mask": 0.125}})
            event(job, "preview", {"path": str(png(HOME / "grid.png", 96, 32, (200, 150, 120))), "caption": "step 7"})
            event(job, "verdict", {"verdict": "improving", "text": "It still gets better.", "seconds_left": 60.0})
    elif facts["state"] == "running" and kind not in now.get("hold", []):
        if kind in now.get("fail", {}):
            facts.update(state="failed", error=now["fail"][kind])
        else:
            facts.update(state="done", progress=1.0, message="Done", result=finish(kind, facts["spec"], now))
        event(job, "state", {"state": facts["state"]})


def finish(kind: str, spec: dict, now: dict) -> dict:
    return FINISH[kind](spec, now)


def convert(spec: dict, now: dict) -> dict:
    output = Path(spec["output"])
    output.parent.mkdir(parents=True, exist_ok=True)
    (HOME / "fake_convert.json").write_text(json.dumps(spec))
    if not output.suffix:
        shutil.copytree(now["pictures"], output)
    else:
        shutil.copy(now["movie"], output)
    return {"movie": str(output), "frames": 1, "recast": 1, "credentials": "urn:fake"}


def review(spec: dict, now: dict) -> dict:
    return {"recast": spec["recast"], "doubtful": now.get("doubtful", [])}


def train(spec: dict, now: dict) -> dict:
    Path(spec["output"]).mkdir(parents=True, exist_ok=True)
    (HOME / "fake_train.json").write_text(json.dumps(spec))
    return {"model": spec["output"], "steps": 7, "minutes": 0.1}


def scan(spec: dict, now: dict) -> dict:
    output = Path(spec["output"])
    output.mkdir(parents=True, exist_ok=True)
    grid = [[0] * 7 for _ in range(5)]
    grid[2][2:6] = [9, 40, 30, 3]  # to the front and the right; nothing from the left
    people = [
        {"id": i, "name": f"Person {i}", "frames": 20 - i, "tracks": now.get("tracks", 1), "first_frame": 0,
         "best_frame": 3, "coverage": grid, "sharpness": 0.7, "track_ids": [i],
         "looks_like": now["alike"][i] if "alike" in now else -1,
         # the second fills more of the picture than the first, who shows in more frames
         "box": [0.0, 0.0, 10.0 + 20.0 * (i == 1), 10.0 + 20.0 * (i == 1)], "thumbnail": f"person-{i}.png"}
        for i in range(now.get("people", 1))
    ]  # fmt: skip
    x, y = (size / 64 for size in now.get("size", [64, 64]))
    boxes = [
        [frame, i, i, x * (4.0 + 30 * i), y * 8.0, x * (24.0 + 30 * i), y * 28.0, 0]
        for frame in range(64) for i in range(len(people))
    ]  # fmt: skip
    for i in range(len(people)):
        png(output / f"person-{i}.png", 32, 32, ((60 + 60 * i) % 256, 120, 180))
    write_whole(output / "boxes.json", boxes)
    clip = spec["clip"]
    if clip["end"] and now.get("existing"):  # the engine cuts what is counted as it is played
        clip = {**clip, "end": min(clip["end"], now["existing"])}
    write_people(output, people, clip)
    return {"scan": str(output), "people": len(people), "frames": 20}


def write_people(output: Path, people: list, clip: dict) -> None:
    width, height = script().get("size", [64, 64])
    summary = {"schema": 1, "clip": clip, "width": width, "height": height, "fps": [24, 1], "frames": 20,
               "variable_frame_rate": False, "people": people, "unnamed": script().get("unnamed", "")}  # fmt: skip
    write_whole(output / "scan.json", summary)


def people(spec: dict, now: dict) -> dict:
    folder = Path(spec["scan"])
    summary = json.loads((folder / "scan.json").read_text())
    known = {person["id"]: person for person in summary["people"]}
    for edit in spec["edits"]:
        first, *others = edit["persons"]
        if edit["action"] == "rename":
            known[first].update(name=edit["name"], known=True)
        elif edit["action"] == "merge":
            for other in others:
                known[first]["frames"] += known.pop(other)["frames"]
        elif edit["action"] == "split":
            new = max(known) + 1
            known[new] = {**known[first], "id": new, "name": f"Person {new}", "known": False, "tracks": 1}
            known[first]["tracks"] -= 1
            (HOME / "fake_split.json").write_text(json.dumps(edit["tracks"]))
        elif edit["action"] in {"reject", "restore"}:
            for one in edit["persons"]:
                known[one]["rejected"] = edit["action"] == "reject"
    write_people(folder, list(known.values()), summary["clip"])
    return {"scan": str(folder), "people": len(known)}


def voice_train(spec: dict, now: dict) -> dict:
    folder = Path(spec["output"])
    folder.mkdir(parents=True, exist_ok=True)
    (HOME / "fake_voice_train.json").write_text(json.dumps(spec))
    write_whole(folder / "voice.json", {"steps": int(60 * spec["minutes"]), "minutes": spec["minutes"]})
    return {"voice": str(folder), "described": "12 s usable, no singing, range A2 to E4", "steps": 0}


def voice(spec: dict, now: dict) -> dict:
    output = Path(spec["output"])
    output.parent.mkdir(parents=True, exist_ok=True)
    (HOME / "fake_voice.json").write_text(json.dumps(spec))
    shutil.copy(now.get("sound", spec["clip"]["path"]), output)
    return {"sound": str(output), "spoken": 0.4, "credentials": "urn:fake"}


def consent(spec: dict, now: dict) -> dict:
    folder = Path(spec["project"]) / "consent" / ("voices" if spec["record"].get("subject") == "voice" else "")
    file = folder / f"{spec['record']['identity']}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, {**spec["record"], "history": []})
    return {"record": str(file)}


def forget(spec: dict, now: dict) -> dict:
    folder = Path(spec["project"])
    found = [str(folder / "consent" / f"{spec['identity']}.json"), str(folder / "models" / "of-them")]
    if not spec["dry_run"]:
        Path(found[0]).unlink(missing_ok=True)
    items = [{"path": path, "what": "theirs", "bytes": 1} for path in found]
    left = [{"path": str(folder.parent / "renamed.mp4"), "why": "It was not found."}]
    return {"removed": [] if spec["dry_run"] else found, "items": items, "left": left}


def report(spec: dict, now: dict) -> dict:
    Path(spec["output"]).write_text("<p>who was recast</p>")
    return {"report": spec["output"]}


def credential(spec: dict, now: dict) -> dict:
    (HOME / "fake_credential.json").write_text(json.dumps(spec))
    return {"file": spec["file"], "credentials": "urn:fake"}


FINISH = {"scan": scan, "train": train, "convert": convert, "review": review, "people": people, "consent": consent,
          "forget": forget, "report": report, "credential": credential, "voice-train": voice_train,
          "voice": voice}  # fmt: skip


def png(path: Path, width: int, height: int, colour: tuple) -> Path:
    """A picture of one colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(colour) * width) * height
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def preview(spec: dict) -> tuple[dict, int]:
    """A picture whose red is the frame's number and whose green tells how far training is."""
    now = script()
    asked = HOME / "fake_previews"
    with asked.open("a") as file:
        file.write(json.dumps(spec) + "\n")
    if now.get("fail", {}).get("preview"):
        return {"error": now["fail"]["preview"]}, 400
    time.sleep(now.get("preview_takes", 0.0))
    steps = now.get("steps", 0)
    folder = HOME / "previews"
    folder.mkdir(exist_ok=True)
    name = f"{len(asked.read_text().splitlines())}.png"
    return {
        "path": str(png(folder / name, *now.get("size", [64, 64]), (spec["frame"], steps, 90))),
        "steps": steps,
        "seconds": 0.01,
    }, 200


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
        elif parts == ["remote"]:
            asked = json.loads(body)
            if refused := script().get("refuse_remote"):
                self.answer({"error": refused}, 409)
                return
            (HOME / "fake_remote.json").write_text(json.dumps(asked))
            self.answer(self.info())
        elif parts == ["preview"]:
            self.answer(*preview(json.loads(body)))
        elif parts == ["footage"]:
            with (HOME / "fake_footage").open("a") as asked:
                asked.write(body.decode() + "\n")
            self.answer({"findings": script().get("footage", [])})
        elif parts == ["shutdown"]:
            self.answer({})
            threading.Thread(target=self.server.shutdown).start()
        else:
            with LOCK:
                self.answer(*self.jobs(parts[1:], json.loads(body or "{}"), parse_qs(url.query)))

    do_GET = do_POST = handle_call

    def info(self) -> dict:
        return {**json.loads((HOME / "engine.json").read_text()), "remote": script().get("remote")}

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
            elif parts[-1] == "priority":
                job["job"]["priority"] = body["priority"]
            elif parts[-1] in {"pause", "resume"}:
                job["job"]["state"] = "paused" if parts[-1] == "pause" else "queued"
                event(job, "state", {"state": job["job"]["state"]})
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
    address = {"protocol": script().get("protocol", "1.1"), "version": "fake", "pid": os.getpid(), "device": "cpu",
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
