"""Fifty clients that ask for a job's state while it trains, and previews beside it: what it costs the training.

python tests/bench/service_polling.py [--clients 50] [--seconds 30]

A real engine, a real training (the small network of tests/service/training.py) on drawn faces. The step is
timed without and with the clients, in turns, from the steps that the loss events tell of.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `service` is the tests' package


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        engine = importlib.import_module("service.harness").Engine(Path(home), "training:run").start()
        try:
            start(engine)
            time.sleep(10)  # the first steps are slow
            rates: dict[str, list[float]] = {"alone": [], "polled": []}
            waits: list[float] = []
            errors = 0
            for turn in ("alone", "polled", "alone", "polled", "alone"):
                over = threading.Event()
                asked = [([], []) for _ in range(given.clients if turn == "polled" else 0)]
                clients = [threading.Thread(target=poll, args=(engine, over, *told)) for told in asked]
                for client in clients:
                    client.start()
                rates[turn].append(steps_a_second(engine, given.seconds))
                over.set()
                for client in clients:
                    client.join()
                waits += [wait for told, _ in asked for wait in told]
                errors += sum(len(failed) for _, failed in asked)
        finally:
            engine.clean_up()
    alone, polled = statistics.mean(rates["alone"]), statistics.mean(rates["polled"])
    waits.sort()
    print(f"steps/s alone {rates['alone']}, polled {rates['polled']}: {100 * (alone / polled - 1):+.1f} % a step")
    print(
        f"{len(waits)} status calls by {given.clients} clients, {errors} errors; ms at p50 {ms(waits, 0.5)}, ", end=""
    )
    print(f"ms at p50 {ms(waits, 0.5)}, p99 {ms(waits, 0.99)}, longest {ms(waits, 1.0)}")


def ms(waits: list[float], part: float) -> str:
    return f"{1000 * waits[min(len(waits) - 1, int(part * len(waits)))]:.1f}"


def start(engine: Any) -> None:
    make_scan = importlib.import_module("service.training").make_scan
    people = [
        {"name": name, "material": [{"scan": str(make_scan(engine.home / name, 24, seed)), "person": 0}]}
        for seed, name in enumerate(["Ada", "Bea"])
    ]
    spec = {"identities": people, "output": str(engine.home / "model"), "preset": "quick", "minutes": 30.0}
    answer = engine.http.post("/v1/jobs", json={"id": "train", "kind": "train", "spec": spec})
    assert answer.status_code == 200, answer.text
    while last_step(engine) < 3:
        assert engine.job("train")["state"] in ("queued", "running"), engine.job("train")
        time.sleep(0.2)


def last_step(engine: Any) -> int:
    job = engine.job("train")
    losses = [e for e in engine.events("train", max(0, job["last_event"] - 50)) if e["kind"] == "loss"]
    return int(losses[-1]["data"]["step"]) if losses else 0


def steps_a_second(engine: Any, seconds: float) -> float:
    before, began = last_step(engine), time.monotonic()
    time.sleep(seconds)
    return round((last_step(engine) - before) / (time.monotonic() - began), 2)


def poll(engine: Any, over: threading.Event, waits: list[float], errors: list[str]) -> None:
    """One call a second, as the add-on does."""
    address = engine.address()
    headers = {"Authorization": f"Bearer {address['token']}"}
    with httpx.Client(base_url=address["url"], headers=headers, timeout=30) as http:
        while not over.wait(1.0):
            began = time.perf_counter()
            try:
                if http.get("/v1/jobs/train").status_code != 200:
                    errors.append("status")
            except httpx.HTTPError as error:
                errors.append(str(error))
            waits.append(time.perf_counter() - began)


if __name__ == "__main__":
    main()
