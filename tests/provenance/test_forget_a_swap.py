"""What real swaps leave, finished, renamed and killed, is found from the folder that they worked in, and forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from understudy.engine.faces.networks import weights
from understudy.engine.provenance.begun import all_begun, recasts_of
from understudy.engine.provenance.credentials import read_credentials

pytestmark = pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not installed here")
UNDERSTUDY = [sys.executable, "-m", "understudy.engine"]
BOTH = ["--consent", "face=Ann Lee: test footage", "--consent", "target=Bob Orr: test footage"]


def swap(people_footage: dict[str, Path], output: Path, work: Path, frames: int) -> list[str]:
    """A draft of the portrait over the man in the car, in a work folder of any name."""
    words = ["swap", people_footage["carphone"], "--end", frames, "--face", people_footage["astronaut"], "-o", output]
    return [*map(str, [*words, "--work", work]), "--preset", "draft", *BOTH]


def test_a_swap_is_found_from_its_work_folder_and_forgotten_with_it(
    run: Any, tmp_path: Path, people_footage: dict[str, Path]
) -> None:
    work, first, second = tmp_path / "work", tmp_path / "out" / "first.mp4", tmp_path / "out" / "second.mkv"
    first.parent.mkdir()
    code, made, _ = run(*swap(people_footage, first, work, 6))
    assert code == 0
    assert sorted(p.name for p in work.iterdir()) == ["consent", "models", "provenance", "scans"]
    assert not (work / "scans" / "scans").exists() and (work / "scans" / ".observed").is_dir()
    code, _, said = run("convert", made["scan"], "--model", made["model"], "--swap", "0:target=face", "-o", second)
    assert code == 0, said  # what swap recorded of both stands for it
    mine = first.with_name("mine.mp4")
    mine.write_bytes(people_footage["carphone"].read_bytes())
    first.rename(first.with_name("renamed.mp4"))
    assert read_credentials(first.with_name("renamed.mp4"))
    before = sorted(tmp_path.rglob("*"))
    code, listed, _ = run("identity", "forget", "face", "--project", work, "--dry-run")
    assert code == 0 and listed["removed"] == [] and sorted(tmp_path.rglob("*")) == before
    code, result, _ = run("identity", "forget", "face", "--project", work, "--yes")
    assert code == 0 and result["left"] == [] and result["items"] == listed["items"]
    assert [p.name for p in first.parent.iterdir()] == ["mine.mp4"]
    kept = {p.relative_to(work).parts[0] for p in work.rglob("*") if p.is_file()}
    assert kept == {"consent", "scans"}  # the man's scan
    assert [p.parent.name[:8] for p in work.rglob("*.safetensors")] == ["carphone"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_recast_is_forgotten(tmp_path: Path, people_footage: dict[str, Path]) -> None:
    work, output = tmp_path / "work", tmp_path / "out" / "recast.mp4"
    segments = output.with_name("recast.mp4.part") / "segments"
    running = subprocess.Popen([*UNDERSTUDY, *swap(people_footage, output, work, 90)], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 240
        while not list(segments.glob("0*")):  # a segment that is being written, with faces in it
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        running.kill()
        running.wait()
    (begun,) = all_begun(work)
    assert recasts_of(segments.parent) == {begun[1].id: str(work)} and begun[1].identities == ["face"]
    assert not output.exists() and not list((work / "provenance").glob("*.json"))
    theirs = output.with_name("theirs.mp4.part") / "segments"  # of another project
    theirs.mkdir(parents=True)
    words = ["identity", "forget", "face", "--project", str(work), "--yes", "--json"]
    done = subprocess.run([*UNDERSTUDY, *words], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    result = json.loads(done.stdout.splitlines()[-1])
    assert str(segments.parent) in result["removed"] and result["left"] == []
    assert [p.name for p in output.parent.iterdir()] == ["theirs.mp4.part"] and theirs.is_dir()
    assert all_begun(work) == [] and not (work / "scans" / ".observed").exists()
