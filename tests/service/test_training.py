"""The promise that matters most: a training that is killed goes on by itself from its last checkpoint."""

from __future__ import annotations

import re
from typing import Any

from understudy.engine.model.model_folder import load_tensors, read_card

from .harness import Engine, wait_until
from .training import agree, make_scan

MINUTES = 0.1


def starts(events: list[dict[str, Any]]) -> list[int]:
    """The step at which each attempt's training began."""
    texts = [event["data"]["text"] for event in events if event["kind"] == "log"]
    return [int(found[1]) for text in texts if (found := re.match(r"Training at step (\d+)", text))]


def losses(events: list[dict[str, Any]]) -> list[int]:
    return [event["data"]["step"] for event in events if event["kind"] == "loss"]


def test_a_killed_training_loses_at_most_the_steps_since_its_checkpoint(stopped_engine: Engine) -> None:
    stopped_engine.runner = "training:run"
    engine = stopped_engine.start()
    model = engine.home / "model"
    agree(engine.home, "Ada", "Bea")
    identities = [
        {"name": name, "material": [{"scan": str(make_scan(engine.home / name, 24, seed)), "person": 0}]}
        for seed, name in enumerate(["Ada", "Bea"])
    ]
    spec = {"identities": identities, "output": str(model), "preset": "quick", "minutes": MINUTES}
    answer = engine.http.post("/v1/jobs", json={"id": "train", "kind": "train", "spec": spec})
    assert answer.status_code == 200, answer.text
    # steps that were told of, yet are in no checkpoint: those may be lost
    wait_until(lambda: checkpoint_step(engine) > 0 and losses(engine.events("train")), "a checkpoint")
    kept = checkpoint_step(engine)
    wait_until(lambda: losses(engine.events("train"))[-1] > kept, "steps after it")
    engine.kill_worker("train")
    wait_until(lambda: engine.worker("train") is None, "the worker's end")
    kept = checkpoint_step(engine)
    job = engine.wait_for("train", "done", "failed")
    assert job["state"] == "done", job["error"]
    events = engine.events("train")
    assert starts(events) == [0, kept]
    assert losses(events)[-1] > kept
    card = read_card(model)
    assert card.steps == job["result"]["steps"] > kept
    assert abs(card.minutes - MINUTES) < 0.05  # the time before the kill counts
    assert [event["seq"] for event in events] == list(range(1, job["last_event"] + 1))


def checkpoint_step(engine: Engine) -> int:
    path = engine.home / "model" / "checkpoint.safetensors"
    return int(load_tensors(path)[1]["step"]) if path.exists() else 0
