"""A short run of the fuzzer over project folders; its hour is in docs/benchmarks.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from understudy.engine.faces.networks import weights

ROOT = Path(__file__).parents[2]
ROUNDS, SEED = 24, 15


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="watches by inotify, which only Linux has")
@pytest.mark.skipif(bool(weights.missing()), reason="the face networks are not installed here")
@pytest.mark.skipif(
    not (ROOT / ".build" / "footage" / "carphone.mp4").is_file(), reason="needs the footage that `make footage` fetches"
)
def test_spoiled_projects_harm_nothing_beside_them_and_meet_no_fault(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "project_fuzz.py", tmp_path]
    command += ["--rounds", str(ROUNDS), "--minutes", "5", "--seed", str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failures" in done.stdout
