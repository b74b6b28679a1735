"""Real scans in real workers: what the user reads when they cannot succeed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from understudy.engine.faces.networks import weights

from .harness import Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), None)
    yield engine.start()
    engine.clean_up()


def failed_scan(engine: Engine, job_id: str, path: Path) -> dict[str, Any]:
    output = engine.home / f"{job_id}.out"
    spec = {"clip": {"path": str(path)}, "output": str(output)}
    answer = engine.http.post("/v1/jobs", json={"id": job_id, "kind": "scan", "spec": spec})
    assert answer.status_code == 200, answer.text
    job = engine.wait_for(job_id, "failed", "done")
    assert job["state"] == "failed"
    assert "Internal error" not in job["error"], (engine.run_folder(job_id) / "worker.log").read_text()
    assert not output.exists()
    return job


def test_missing_footage(engine: Engine) -> None:
    path = engine.home / "gone.mp4"
    assert str(path) in failed_scan(engine, "gone", path)["error"]


def test_missing_networks(engine: Engine, make_clip: Callable[..., Path]) -> None:
    job = failed_scan(engine, "unfetched", make_clip(engine.home / "unfetched.mp4", frames=3))
    assert "understudy models fetch" in job["error"]


def test_footage_without_a_face(engine: Engine, make_clip: Callable[..., Path]) -> None:
    if weights.missing():
        pytest.skip("the face networks are not installed; `understudy models fetch` gets them")
    (engine.home / "models").symlink_to(weights.folder())
    job = failed_scan(engine, "faceless", make_clip(engine.home / "faceless.mp4", frames=5))
    assert "No face was found in frames 0 to 4 of faceless.mp4" in job["error"]
    told = [e["data"]["message"] for e in engine.events("faceless") if e["kind"] == "progress"]
    assert any("frame 5 of 5" in message or "Sorting" in message for message in told)
