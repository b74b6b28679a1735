"""What fifty clients, and previews, cost a training: its steps with them and without, in turns, in one run.

python benchmarks/service_polling.py [--clients 50] [--turn 5] [--turns 8] [--previews 24] [--threads 1]

A real engine and a real training (preset quick) on drawn faces, whose every step is timed by itself. A client asks
for the job's state once a second, on a connection that it keeps. A preview is one frame recast by the model that is
trained.
"""

from __future__ import annotations

import argparse
import http.client
import importlib
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # so that `service` is the tests' package

Windows = list[tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--turn", type=float, default=5.0, help="seconds of a turn")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--previews", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1, help="of the training")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        engine = importlib.import_module("service.harness").Engine(Path(home), "training:timed")
        engine.recaster = None
        os.environ["UNDERSTUDY_TEST_THREADS"] = str(given.threads)
        engine.start()
        try:
            spec = start(engine)
            time.sleep(8)  # the first steps are slow
            waits: list[float] = []
            preview(engine, spec)  # loads the model
            alone, polled, shown = [], [], []
            for _ in range(given.turns):
                alone.append(window(lambda: time.sleep(given.turn)))
                polled.append(window(lambda: poll(engine, given.clients, given.turn, waits)))
                for _ in range(given.previews // given.turns):
                    time.sleep(random.uniform(0.7, 1.3))
                    shown.append(window(lambda: preview(engine, spec)))
                    time.sleep(0.5)
            assert engine.job("train")["state"] == "running", engine.job("train")
            ends = np.fromfile(engine.home / "model" / "steps.f64")
        finally:
            engine.clean_up()
    print(f"load {os.getloadavg()[0]:.1f}, {given.threads} thread(s) for the training")
    ways = [steps(ends, windows) for windows in (alone, polled)]
    without, with_ = (statistics.median(way) for way in ways)
    print(
        f"a step alone {1000 * without:.1f} ms (median of {len(ways[0])}; {spread(ways[0])}), with {given.clients} "
        f"clients {1000 * with_:.1f} ms (of {len(ways[1])}; {spread(ways[1])}): {100 * (with_ / without - 1):+.1f} %"
    )
    waits.sort()
    print(f"{len(waits)} status calls; ms at p50 {ms(waits, 0.5)}, p99 {ms(waits, 0.99)}, longest {ms(waits, 1.0)}")
    usual = without
    lost = sorted(delay(ends, one, usual) / usual for one in shown)
    took = statistics.median(b - a for a, b in shown)
    print(
        f"{len(shown)} previews of {1000 * took:.0f} ms: each cost {statistics.fmean(lost):.2f} steps' time, "
        f"median {statistics.median(lost):.2f}, largest {lost[-1]:.2f}"
    )


def spread(lengths: list[float]) -> str:
    low, _, high = statistics.quantiles(lengths, n=4)
    return f"middle half {1000 * low:.0f} to {1000 * high:.0f}"


def window(act: Callable[[], None]) -> tuple[float, float]:
    began = time.monotonic()
    act()
    return began, time.monotonic()


def steps(ends: np.ndarray, windows: Windows) -> list[float]:
    """How long the steps took that lie inside of the windows, in seconds; what is written between two is none."""
    lengths = np.diff(ends)
    inside = [lengths[(ends[:-1] >= a) & (ends[1:] <= b)] for a, b in windows]
    found = np.concatenate(inside)
    return [float(x) for x in found if x < 5 * np.median(lengths)]


def delay(ends: np.ndarray, shown: tuple[float, float], usual: float) -> float:
    """Seconds by which the steps around a preview ended later than as many usual ones would have."""
    first = np.searchsorted(ends, shown[0]) - 1
    last = min(np.searchsorted(ends, shown[1]), len(ends) - 1)
    lengths = np.minimum(np.diff(ends[first : last + 1]), 5 * usual)
    return float(lengths.sum() - usual * len(lengths))


def ms(waits: list[float], part: float) -> str:
    return f"{1000 * waits[min(len(waits) - 1, int(part * len(waits)))]:.1f}"


def start(engine: Any) -> dict[str, Any]:
    training = importlib.import_module("service.training")
    training.agree(engine.home, "Ada", "Bea")
    scans = {name: str(training.make_scan(engine.home / name, 24, seed)) for seed, name in enumerate(["Ada", "Bea"])}
    people = [{"name": name, "material": [{"scan": scan, "person": 0}]} for name, scan in scans.items()]
    spec = {"identities": people, "output": str(engine.home / "model"), "preset": "quick", "minutes": 30.0}
    answer = engine.http.post("/v1/jobs", json={"id": "train", "kind": "train", "spec": spec})
    assert answer.status_code == 200, answer.text
    while not (engine.home / "model" / "weights.safetensors").is_file():
        assert engine.job("train")["state"] in ("queued", "running"), engine.job("train")
        time.sleep(0.2)
    swap = {"person": 0, "identity": "Ada", "target": "Bea"}
    return {"scan": scans["Bea"], "model": spec["output"], "swaps": [swap], "frame": 3}


def preview(engine: Any, spec: dict[str, Any]) -> None:
    answer = engine.http.post("/v1/preview", json=spec)
    assert answer.status_code == 200, answer.text


def poll(engine: Any, clients: int, seconds: float, waits: list[float]) -> None:
    """Every client asks once a second, as the add-on's panel needs it."""
    url, token = engine.http.base_url, engine.address()["token"]
    over = time.monotonic() + seconds

    def client(number: int) -> None:
        wire = http.client.HTTPConnection(url.host, url.port, timeout=30)
        time.sleep(number / clients)
        while time.monotonic() < over:
            began = time.perf_counter()
            wire.request("GET", "/v1/jobs/train", headers={"Authorization": f"Bearer {token}"})
            response = wire.getresponse()
            assert json.loads(response.read())["id"] == "train" and response.status == 200
            waits.append(time.perf_counter() - began)
            time.sleep(max(0.0, min(began + 1.0 - time.perf_counter(), over - time.monotonic())))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
