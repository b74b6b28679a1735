"""Files from strangers: a bounded number of hostile ones for every reader; benchmarks/service_fuzz.py tries more."""

from __future__ import annotations

import os
import random

import pytest

from . import fuzz

COUNT = 150
NAMES = ["scan.json", "alignments", "source.json", "faceset", "model.json", "checkpoint", "weights", "consent"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, fuzz.Reader]:
    return fuzz.readers(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("name", [*NAMES, "request", "engine.json"])
def test_hostile_files_are_met_with_a_sentence(
    files: dict[str, fuzz.Reader], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "engine.json":
        monkeypatch.setenv("UNDERSTUDY_HOME", str(files[name].file.parent))
        monkeypatch.setattr(fuzz.client.Engine, "call", lambda *_: {"protocol": fuzz.protocol.PROTOCOL})
    seed = int(os.environ.get("UNDERSTUDY_SEED") or random.randrange(10**9))
    assert len({bytes(spoiled) for spoiled in fuzz.inputs(files[name], seed, COUNT)}) > COUNT / 4
