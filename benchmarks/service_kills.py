"""How often a kill or a power cut breaks a promise of the engine: hundreds of random moments.

python benchmarks/service_kills.py [--kills 300] [--cuts 5] [--seed N]

Kills are `kill -9` of real workers, a real supervisor or both (tests/service/kills.py says what is checked);
cuts are whole runs of a queue, started anew from every moment of it (tests/service/powercut.py says what
is simulated). Ends at the first broken promise, with the seed that shows it again.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # so that `service` is the tests' package


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--cuts", type=int, default=5, help="runs, each cut at every moment")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    kills(given.kills, given.seed)
    cuts(given.cuts, given.seed)


def kills(points: int, seed: int, a_home: int = 50) -> None:
    engine_of = importlib.import_module("service.harness").Engine
    ordeal_of = importlib.import_module("service.kills").Ordeal
    killed, jobs, events, repeated, began = 0, 0, 0, 0, time.monotonic()
    for part in range(0, points, a_home):
        with tempfile.TemporaryDirectory() as home:
            engine = engine_of(Path(home), "scripted:run").start()
            try:
                ordeal = ordeal_of(engine, seed + part)
                ordeal.run(min(a_home, points - part))
            finally:
                engine.clean_up()
        killed += sum(ordeal.killed.values())
        jobs += len(ordeal.confirmed)
        events += sum(map(len, ordeal.seen.values()))
        repeated += ordeal.resubmitted
        print(f"{killed} kills: {dict(ordeal.killed)}", flush=True)
    print(
        f"kill -9: {killed} moments, {jobs} jobs, {events} events read on, {repeated} submissions repeated, "
        f"0 promises broken, {time.monotonic() - began:.0f} s"
    )


def cuts(runs: int, seed: int) -> None:
    cut_everywhere = importlib.import_module("service.test_powercut").cut_everywhere
    tried, began = 0, time.monotonic()
    for run in range(runs):
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        with tempfile.TemporaryDirectory(dir=memory) as folder, pytest.MonkeyPatch.context() as patch:
            tried += cut_everywhere(Path(folder), patch, seed + run, 10**9)[0]
    print(f"power cuts: {tried} moments of {runs} runs, 0 promises broken, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
