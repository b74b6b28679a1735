"""The time left that a job tells gets better with every job of its kind that was done before."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from understudy.engine.faces import weights
from understudy.engine.service import rates
from understudy.engine.service.recorder import Estimate

from .harness import Engine, wait_until


def told(estimate: Estimate, stages: list[tuple[float, float]], step: float = 0.5) -> tuple[list[float], list[Any]]:
    """A job whose stages end at a fraction each and take seconds: the true time left, and what is told, as it goes."""
    whole, now, fraction, left, said = sum(s for _, s in stages), 0.0, 0.0, [], []
    begun = 0.0
    for end, seconds in stages:
        while now < begun + seconds - 1e-9:
            left.append(whole - now)
            said.append(estimate.seconds_left(1000 + now, fraction))
            now += step
            fraction += (end - fraction) * step / max(begun + seconds - now + step, step)
        begun += seconds
    said.append(estimate.seconds_left(1000 + now, 1.0))
    return left, said[:-1]


def error(left: list[float], said: list[Any]) -> float:
    """The mean difference as a share of the whole time; nothing said counts as no time left."""
    return fmean(abs(true - (guess or 0.0)) for true, guess in zip(left, said, strict=True)) / left[0]


def test_what_a_job_took_makes_the_next_ones_estimates_better(tmp_path: Path) -> None:
    # half of the fraction takes an eighth of the time
    def stages(units: int) -> list[tuple[float, float]]:
        return [(0.5, units * 0.1), (1.0, units * 0.7)]

    errors, first = [], []
    for units in (100, 60, 150, 90):
        estimate = Estimate(rates.recall(tmp_path, "scan//cpu"), units)
        left, said = told(estimate, stages(units))
        errors.append(error(left, said))
        first.append(said[0])
        rates.learn(tmp_path, "scan//cpu", units, estimate.whole)
    assert errors[0] > 0.1 and first[0] is None
    assert all(one < 0.02 for one in errors[1:]), errors
    assert first[1:] == pytest.approx([0.8 * 60, 0.8 * 150, 0.8 * 90], rel=0.02)


def test_a_machine_that_is_busier_than_last_time_is_noticed(tmp_path: Path) -> None:
    estimate = Estimate()
    told(estimate, [(1.0, 50.0)])
    rates.learn(tmp_path, "k", 100, estimate.whole)
    _, said = told(Estimate(rates.recall(tmp_path, "k"), 100), [(1.0, 200.0)])
    assert said[0] == pytest.approx(50, rel=0.02) and said[len(said) // 2] == pytest.approx(100, rel=0.05)


def test_only_whole_jobs_teach_and_damage_harms_nobody(tmp_path: Path) -> None:
    rises = [(float(n), n / 10) for n in range(11)]
    for bad in (rises[2:], rises[:8], rises[:3]):
        rates.learn(tmp_path, "k", 10, bad)
        assert rates.recall(tmp_path, "k") is None
    rates.learn(tmp_path, "k", None, rises)
    assert rates.recall(tmp_path, "k") is None
    rates.learn(tmp_path, "k", 10, rises)
    assert rates.recall(tmp_path, "k").seconds == pytest.approx(1.0)
    for text in ("", "[]", '{"k": 3}', '{"k": {"seconds": 1, "shape": [1, 0]}}', '{"k": {"seconds": -1, "shape": []}}'):
        (tmp_path / "rates.json").write_text(text)
        assert rates.recall(tmp_path, "k") is None
        rates.learn(tmp_path, "k", 10, rises)
        assert rates.recall(tmp_path, "k").seconds == pytest.approx(1.0)


def test_real_scans_tell_better_the_second_time(stopped_engine: Engine, people_footage: dict[str, Path]) -> None:
    if weights.missing():
        pytest.skip("the face networks are not installed; `understudy models fetch` gets them")
    stopped_engine.runner = None
    (stopped_engine.home / "models").symlink_to(weights.folder())
    engine = stopped_engine.start()
    assert engine.http.get("/v1/engine").status_code == 200
    wait_until(lambda: engine.http.get("/v1/engine").json()["device"], "the device's name")
    errors, firsts = [], []
    for n, (start, end) in enumerate([(0, 120), (20, 100)]):
        project = engine.home / f"film-{n}.understudy"  # nothing that was seen before helps
        clip = {"path": str(people_footage["carphone"]), "start": start, "end": end}
        spec = {"clip": clip, "output": str(project / "scans" / "shot"), "project": str(project)}
        assert engine.http.post("/v1/jobs", json={"id": f"scan{n}", "kind": "scan", "spec": spec}).status_code == 200
        engine.wait_for(f"scan{n}", "done")
        events = [e for e in engine.events(f"scan{n}") if e["kind"] == "progress"]
        last = events[-1]["time"]
        guesses = [e["data"]["seconds_left"] for e in events]
        errors.append(error([last - e["time"] for e in events], guesses))
        heard = next((e["time"] for e, guess in zip(events, guesses, strict=True) if guess is not None), last)
        firsts.append((heard - events[0]["time"]) / (last - events[0]["time"]))
    print(
        f"error {errors[0]:.0%}, then {errors[1]:.0%} of the whole; told from {firsts[0]:.0%}, then {firsts[1]:.0%} on"
    )
    assert errors[1] < errors[0]
    assert firsts[1] == 0.0 < firsts[0], "known from the first moment"
