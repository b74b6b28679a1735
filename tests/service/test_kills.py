"""Kill -9 of worker, supervisor or both at random moments; benchmarks/service_kills.py does it hundreds of times."""

from __future__ import annotations

import os
import random

import pytest

from .harness import Engine
from .kills import Ordeal

POINTS = 24


def test_no_kill_breaks_a_promise(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    ordeal = Ordeal(engine, int(os.environ.get("UNDERSTUDY_SEED") or random.randrange(10**9)))
    ordeal.run(POINTS)
    with capsys.disabled():
        kills = ", ".join(f"{whom} {count}" for whom, count in ordeal.killed.items())
        print(f"\nkills: {kills}; {ordeal.resubmitted} submissions repeated; seed {ordeal.seed}")
