"""A power cut at any moment: no accepted job, no event that was told and no confirmed wish is lost."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest

from . import queue_at_work
from .powercut import Disk, restore

MEMORY = "/dev/shm"  # what is on disk is simulated: real fsyncs would only take time


def test_any_power_cut_leaves_what_was_promised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("UNDERSTUDY_SEED") or random.randrange(10**9))
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as folder:
        tried, calls = cut_everywhere(Path(folder), monkeypatch, seed, 120)
    with capsys.disabled():
        print(f"\npower cuts: {tried} of {calls} moments tried, seed {seed}")


def cut_everywhere(folder: Path, patch: pytest.MonkeyPatch, seed: int, most: int) -> tuple[int, int]:
    """Run the scenario, then start from up to `most` of its pictures; returns how many were tried and taken."""
    queue_at_work.in_this_process(patch)
    home = folder / "home"
    home.mkdir()
    disk = Disk(home, seed)

    def tell(client: queue_at_work.Client) -> None:
        disk.told = client.told

    nothing = {"jobs": {}, "events": {}, "wishes": {}, "priority": {}}
    disk.told = lambda: nothing
    with disk.watched():
        queue_at_work.work(home, tell)
    taken = len(disk.pictures)
    chosen = sorted(random.Random(seed).sample(range(taken), min(most, taken)))
    for number in chosen:
        picture, told = disk.pictures[number]
        shutil.rmtree(home)  # outputs are absolute paths in the specs: each picture is looked at where it was taken
        try:
            restore(picture, home)
            queue_at_work.recovered(home, told)
        except Exception as error:
            raise AssertionError(f"seed {seed}, picture {number} of {taken}: {error}") from error
    return len(chosen), taken
