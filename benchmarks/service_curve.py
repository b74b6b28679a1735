"""A training whose worker is killed five times and its supervisor twice, beside a twin that nobody disturbs.

python benchmarks/service_curve.py OUT.png [--minutes 2.5]

Real faces (tools/footage.py), real workers, the small network of tests/service/training.py. Its checkpoints come every
second, which is to minutes of training as half a minute is to an hour. Draws both loss curves, with the kills.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # so that `service` is the tests' package
KILLS = [(0.12, "worker"), (0.25, "worker"), (0.38, "both"), (0.5, "worker"), (0.64, "both"), (0.78, "worker"),
         (0.88, "worker")]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=2.5)
    given = parser.parse_args()
    harness = importlib.import_module("service.harness")
    training = importlib.import_module("service.training")
    from understudy.engine.faces.networks import weights

    with tempfile.TemporaryDirectory() as folder:
        engine = harness.Engine(Path(folder), "training:run")
        (engine.home / "models").symlink_to(weights.folder())
        engine.start()
        try:
            training.agree(engine.home, "Eileen", "man")
            people = [
                {"name": name, "material": [{"scan": scan(engine, name, *clip), "person": 0}]}
                for name, clip in {"Eileen": ("astronaut.png", None), "man": ("carphone.mp4", 48)}.items()
            ]
            runs = {}
            for name, kills in (("twin", []), ("killed", KILLS)):
                spec = {"identities": people, "output": str(engine.home / name), "minutes": given.minutes}
                submit(engine, name, "train", spec)
                for fraction, what in kills:
                    while engine.job(name)["progress"] < 0.1 + 0.9 * fraction:
                        time.sleep(0.05)
                    if what == "both":
                        engine.kill()
                    engine.kill_worker(name)
                    if what == "both":
                        engine.start()
                job = engine.wait_for(name, "done", "failed")
                assert job["state"] == "done", job["error"]
                runs[name] = everything(engine, name)
        finally:
            engine.clean_up()
    starts = [step for kind, step, _ in runs["killed"] if kind == "start"]
    lost, last, resumed = 0, 0, []
    for kind, step, _ in runs["killed"]:
        if kind == "start" and last:
            lost += last - step
            resumed.append(step)
        if kind == "loss":
            last = step
    final = {name: [text for kind, _, text in told if kind == "score"][-1] for name, told in runs.items()}
    steps = {name: max(step for kind, step, _ in told if kind == "loss") for name, told in runs.items()}
    share = lost / steps["killed"]
    print(f"{len(starts) - 1} restarts at steps {resumed}; {lost} steps lost of {steps['killed']} ({share:.1%})")
    for name in runs:
        tail = [float(value) for kind, step, value in runs[name] if kind == "loss" and step > 0.9 * steps[name]]
        print(f"{name}: {steps[name]} steps, mean loss of the last tenth {np.mean(tail):.4f}; {final[name]}")
    draw(given.out, runs, resumed)


def scan(engine: Any, name: str, file: str, end: int | None) -> str:
    output = str(engine.home / "scans" / name)
    clip = {"path": str(ROOT / ".build" / "footage" / file), "end": end}
    submit(engine, f"scan-{name}", "scan", {"clip": clip, "output": output})
    job = engine.wait_for(f"scan-{name}", "done", "failed")
    assert job["state"] == "done", job["error"]
    return output


def submit(engine: Any, job_id: str, kind: str, spec: dict[str, Any]) -> None:
    answer = engine.http.post("/v1/jobs", json={"id": job_id, "kind": kind, "spec": spec})
    assert answer.status_code == 200, answer.text


def everything(engine: Any, name: str) -> list[tuple[str, int, Any]]:
    """What the job told, in order: losses, scores, and the steps at which attempts began."""
    told: list[tuple[str, int, Any]] = []
    after = 0
    while events := engine.events(name, after):
        for event in events:
            data = event["data"]
            if event["kind"] == "loss":
                told.append(("loss", data["step"], float(np.mean(list(data["values"].values())))))
            elif event["kind"] == "log" and (found := re.match(r"Training at step (\d+)", data["text"])):
                told.append(("start", int(found[1]), ""))
            elif event["kind"] == "log" and (found := re.match(r"step (\d+): held-out", data["text"])):
                told.append(("score", int(found[1]), data["text"]))
        after = events[-1]["seq"]
    return told


def draw(path: Path, runs: dict[str, list[tuple[str, int, Any]]], resumed: list[int]) -> None:
    width, height, edge = 1400, 700, 60
    picture = np.full((height, width, 3), 255, np.uint8)
    losses = {name: np.array([(s, v) for kind, s, v in told if kind == "loss"]) for name, told in runs.items()}
    most = max(values[:, 0].max() for values in losses.values())
    logs = np.concatenate([np.log(values[5:, 1]) for values in losses.values()])
    low, high = logs.min(), logs.max()

    def place(step: float, loss: float) -> tuple[int, int]:
        x = edge + (width - 2 * edge) * step / most
        return round(x), round(edge + (height - 2 * edge) * np.clip((high - np.log(loss)) / (high - low), 0, 1))

    for step in resumed:
        x = place(step, 1.0)[0]
        cv2.line(picture, (x, edge), (x, height - edge), (190, 190, 190), 1)
    for (name, values), colour in zip(losses.items(), [(200, 120, 30), (40, 60, 220)], strict=True):
        for step, loss in values:
            cv2.circle(picture, place(step, loss), 1, tuple(int(c + (255 - c) * 0.6) for c in colour), -1)
        kernel = np.ones(15) / 15
        smooth = np.convolve(values[:, 1], kernel, "valid")
        points = [place(step, loss) for step, loss in zip(values[7 : 7 + len(smooth), 0], smooth, strict=True)]
        cv2.polylines(picture, [np.array(points)], False, colour, 2, cv2.LINE_AA)
        at = (width - 260, 40 if name == "twin" else 70)
        cv2.putText(picture, name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, colour, 2, cv2.LINE_AA)
    text = f"loss (log), steps 0 to {most:.0f}; grey: where it was taken up again"
    cv2.putText(picture, text, (edge, height - 20), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (60, 60, 60), 1, cv2.LINE_AA)
    cv2.imwrite(str(path), picture)


if __name__ == "__main__":
    main()
