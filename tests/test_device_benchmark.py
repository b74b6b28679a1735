"""`benchmarks/device.py` keeps what each part found, whatever becomes of the others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PARTS = '''
import os, time
from pathlib import Path
from types import SimpleNamespace

class Bench(SimpleNamespace):
    def is_well(self): return not Path(self.work, "ill").exists()
    def tidy(self): pass

Part = SimpleNamespace
def facts(bench): Path(bench.work, "ill").unlink(missing_ok=True); return {"card": os.environ.get("CARD", "one")}
def lack(bench, part): return "There is none." if part.name == "lacking" else ""
def hang(bench):
    """Never ends."""
    time.sleep(60)
def die(bench): os.kill(os.getpid(), 11)
def spoil(bench): Path(bench.work, "ill").touch(); raise RuntimeError("the device is gone\\nand more")
def count(bench):
    with Path(bench.work, "count").open("a") as file: file.write("x")
    return {"words": "Counted.", "number": float("nan"), "many": [1, 2.00000001]}

PARTS = [Part(name=name, least=0.1, most=1.0, needs=(), work=work, first=name == "first")
         for name, work in (("first", count), ("lacking", count), ("hangs", hang), ("dies", die), ("spoils", spoil),
                            ("last", count))]
'''


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """The program with parts of this test's own."""
    for name in ("device.py", "device_results.py"):
        shutil.copy(BENCHMARKS / name, tmp_path)
    (tmp_path / "device_parts.py").write_text(PARTS)
    return tmp_path


def command(bench: Path, *more: str) -> list[str]:
    places = ["--out", str(bench / "out"), "--work", str(bench / "work")]
    return [sys.executable, str(bench / "device.py"), "--seconds", "30", *places, *more]


def states(bench: Path) -> dict[str, Any]:
    parts = json.loads((bench / "out" / "device.json").read_text())["parts"]
    return {name: part["state"] for name, part in parts.items()}


def test_each_part_has_its_end_and_none_is_done_twice(bench: Path) -> None:
    first = subprocess.run(command(bench), capture_output=True, text=True, timeout=60)
    assert first.returncode == 0, first.stderr
    failed = dict.fromkeys(("hangs", "dies", "spoils"), "failed")
    assert states(bench) == {"first": "done", "lacking": "skipped", **failed, "last": "done"}
    parts = json.loads((bench / "out" / "device.json").read_text())["parts"]
    assert "longer than 1 s" in parts["hangs"]["words"] and "signal 11" in parts["dies"]["words"]
    assert parts["spoils"]["words"] == "RuntimeError: the device is gone"
    assert parts["first"]["number"] is None and parts["first"]["many"] == [1, 2.0]
    again = subprocess.run(command(bench, "--limit", "hangs=0.3"), capture_output=True, text=True, timeout=60)
    assert again.returncode == 0 and "2 of 6 parts done" in again.stdout
    assert (bench / "work" / "count").read_text() == "xx"
    other = subprocess.run(command(bench, "--tiny"), capture_output=True, text=True, timeout=60)
    assert other.returncode and "results of another tiny" in other.stderr
    elsewhere = subprocess.run(
        command(bench), capture_output=True, text=True, timeout=60, env={**os.environ, "CARD": "two"}
    )
    assert elsewhere.returncode and "holds results of one, this is two" in elsewhere.stderr


def test_a_killed_run_leaves_nothing_running_and_goes_on(bench: Path) -> None:
    program = subprocess.Popen(command(bench, "--only", "hangs", "last", "--limit", "hangs=30"))
    end = time.monotonic() + 20
    while time.monotonic() < end and not ((bench / "out" / "device.json").is_file() and "hangs" in states(bench)):
        time.sleep(0.05)
    assert states(bench) == {"first": "done", "hangs": "running"}
    busy = subprocess.run(command(bench), capture_output=True, text=True, timeout=60)
    assert busy.returncode and "Another run works in" in busy.stderr
    program.send_signal(signal.SIGKILL)
    program.wait()
    done = subprocess.run(command(bench, "--only", "hangs", "last"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "2 of 3 parts done" in done.stdout, done.stdout + done.stderr
    assert (bench / "work" / "count").read_text() == "xx"
