"""What goes wrong with disks, files, clocks and memory ends in a sentence that says what to do."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from understudy.engine import footage_stamp, job_bodies
from understudy.engine.errors import UnderstudyError
from understudy.engine.protocol import Clip, ScanSpec
from understudy.engine.reporter import Silent

from . import queue_at_work
from .harness import Engine, wait_until
from .training import agree, make_scan


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own in `folder`."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left in `folder`."""
    file = folder / "filler"
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(1024))
    return file


def scanned(folder: Path, frames: int = 6) -> Path:
    """A scan folder that knows what its footage was."""
    make_scan(folder, frames, 1)
    spec = ScanSpec(clip=Clip(path=str(folder / "frames")), output=str(folder))
    footage_stamp.remember(spec, footage_stamp.facts(folder / "frames"))
    return folder


def training(scan: Path, output: Path) -> dict[str, Any]:
    material = [{"scan": str(scan), "person": 0}]
    return {"identities": [{"name": "Ada", "material": material}], "output": str(output), "preset": "draft"}


def submit(engine: Engine, job_id: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    answer = engine.http.post("/v1/jobs", json={"id": job_id, "kind": kind, "spec": spec})
    assert answer.status_code == 200, answer.text
    return engine.wait_for(job_id, "done", "failed")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that does real jobs."""
    engine = Engine(tmp_path_factory.mktemp("home"), None)
    yield engine.start()
    engine.clean_up()


def test_footage_that_changed_or_went_is_refused_and_a_copy_is_not(real: Engine, tmp_path: Path) -> None:
    scan = scanned(tmp_path / "scan")
    frames = tmp_path / "scan" / "frames"
    agree(tmp_path, "Ada", "Bea")
    job = submit(real, "as-it-was", "train", training(scan, tmp_path / "model"))
    assert job["state"] == "done", job["error"]
    for frame in frames.iterdir():
        os.utime(frame)  # copied or restored: another time, the same footage
    assert submit(real, "copied", "train", training(scan, tmp_path / "model2"))["state"] == "done"
    first = sorted(frames.iterdir())[0]
    first.write_bytes(first.read_bytes() + b"changed")
    swaps = [{"person": 0, "identity": "Ada", "target": "Bea"}]
    convert = {"scan": str(scan), "model": str(tmp_path / "model"), "swaps": swaps, "output": str(tmp_path / "o.mp4")}
    for kind, spec in (("train", training(scan, tmp_path / "model3")), ("convert", convert)):
        job = submit(real, f"changed-{kind}", kind, spec)
        assert job["state"] == "failed" and job["error"].endswith("Scan it again."), job["error"]
        assert not Path(spec["output"]).exists()
    frames.rename(tmp_path / "moved")
    job = submit(real, "gone", "train", training(scan, tmp_path / "model4"))
    assert "not there any more. Put it back" in job["error"]


def test_facts_tell_one_file_from_another(tmp_path: Path) -> None:
    movie = tmp_path / "movie.mp4"
    content = bytearray(random.Random(1).randbytes(5 << 20))
    movie.write_bytes(content)
    before = footage_stamp.facts(movie)
    assert footage_stamp.facts(movie) == before
    for place in (10, len(content) // 2 + 10, len(content) - 10):
        changed = bytearray(content)
        changed[place] ^= 1
        movie.write_bytes(changed)
        assert footage_stamp.facts(movie)["digest"] != before["digest"]
    movie.write_bytes(content + b"x")
    assert footage_stamp.facts(movie)["bytes"] != before["bytes"]


def test_a_full_disk_under_the_project(real: Engine, tmp_path: Path) -> None:
    scan = scanned(tmp_path / "scan", 12)
    with small_disk(tmp_path / "small", "100k") as disk:
        agree(disk, "Ada")
        job = submit(real, "no-room", "train", training(scan, disk / "model"))
        assert job["state"] == "failed" and "Make room" in job["error"], job["error"]
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        real.tell("no-room", "retry")
        assert real.wait_for("no-room", "done", "failed")["state"] == "done"


def test_a_folder_that_may_not_be_written(real: Engine, tmp_path: Path) -> None:
    scan = scanned(tmp_path / "scan")
    with small_disk(tmp_path / "disk", "1m") as disk:
        agree(disk, "Ada")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        job = submit(real, "read-only", "train", training(scan, disk / "model"))
        assert job["state"] == "failed" and "choose another folder" in job["error"], job["error"]


def test_a_full_disk_under_the_engine_itself(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", "2m") as home:
        engine = Engine(home, "scripted:run").start()
        try:
            engine.submit("running", steps=2000, seconds=0.005, checkpoint=1)
            engine.wait_for_step("running", 5)
            filler = fill(home)
            answer = engine.http.post("/v1/jobs", json={"id": "new", "kind": "scan", "spec": _spec("new", home)})
            assert answer.status_code == 507 and "Make room" in answer.json()["error"]
            failed = engine.wait_for("running", "failed")
            assert "Make room" in failed["error"] or "make it writable" in failed["error"], failed
            assert engine.http.get("/v1/engine").status_code == 200
            filler.unlink()
            assert engine.http.get("/v1/jobs/new").status_code == 404
            engine.submit("new", steps=1)
            engine.wait_for("new", "done")
            engine.spec("running", steps=20, checkpoint=1)
            engine.tell("running", "retry")
            engine.wait_for("running", "done")
            events = engine.events("running")
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            engine.kill()
            engine.start()
            assert engine.job("running")["state"] == engine.job("new")["state"] == "done"
        finally:
            engine.clean_up()


def _spec(name: str, home: Path) -> dict[str, Any]:
    return {"clip": {"path": str(home / f"{name}.json")}, "output": str(home / f"{name}.out")}


def test_clocks_that_jump_disturb_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = random.Random(1)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    queue_at_work.in_this_process(monkeypatch)
    queue_at_work.work(tmp_path, lambda client: None)


def test_a_heartbeat_of_another_century_is_a_sign_of_life(tmp_path: Path) -> None:
    engine = Engine(tmp_path, "scripted:run", {"supervisor.HANG_SECONDS": 3.0}).start()
    try:
        engine.submit("lively", steps=100, seconds=0.05)
        engine.wait_for_step("lively", 0)
        for century in (0, 4_000_000_000, 1_000):
            os.utime(engine.run_folder("lively") / "heartbeat", (century, century))
            time.sleep(0.3)
        engine.wait_for("lively", "done")
        assert engine.states("lively") == ["queued", "running", "done"]
    finally:
        engine.clean_up()


def test_of_engines_started_at_once_one_wins_and_the_others_say_so(tmp_path: Path) -> None:
    engine = Engine(tmp_path, "scripted:run")
    started = [
        subprocess.Popen(engine.command(), env=engine.environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    try:
        wait_until(lambda: sum(process.poll() is not None for process in started) == 2, "two to give up")
        time.sleep(0.5)
        assert sum(process.poll() is None for process in started) == 1
        for process in started:
            if process.poll() is not None:
                assert "An engine is running already" in process.stderr.read().decode()
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stderr.close()


@pytest.mark.parametrize("what", ["card", "computer"])
def test_too_little_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str) -> None:
    import torch

    def greedy(*_: Any) -> dict[str, Any]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried …") if what == "card" else MemoryError

    monkeypatch.setitem(job_bodies._RUNNERS, "scan", greedy)
    with pytest.raises(UnderstudyError, match=what + " has no memory left for this job"):
        job_bodies.run("scan", ScanSpec(clip=Clip(path="/a"), output=str(tmp_path)), Silent())
    monkeypatch.setitem(job_bodies._RUNNERS, "scan", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        job_bodies.run("scan", ScanSpec(clip=Clip(path="/a"), output=str(tmp_path)), Silent())
