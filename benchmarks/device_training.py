"""Minutes of training on a device, with what came of them: a part of `device.py`."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from device_correct import sheet
from device_parts import Bench
from understudy.engine.errors import Stopped
from understudy.engine.model.model_folder import read_card
from understudy.engine.model.training.checkpoints import resume
from understudy.engine.model.training.trainer import train
from understudy.engine.reporter import Silent

AFTERWARDS = 20.0
"""Seconds that are kept for the sheet."""
SHOWN = 6


class Diary(Silent):
    """Keeps what a training says; stops it at a time."""

    def __init__(self, end: float) -> None:
        self.end = end
        self.logs: list[str] = []
        self.losses: list[tuple[int, list[float]]] = []
        self.steps: list[tuple[float, int]] = []

    def log(self, text: str, level: str = "info") -> None:
        self.logs.append(f"{level}: {text}")

    def loss(self, step: int, values: dict[str, float]) -> None:
        self.losses.append((step, list(values.values())))
        self.steps.append((time.time(), step))

    def check(self) -> None:
        if time.time() > self.end:
            raise Stopped("The time is up.")


def trained(bench: Bench) -> dict[str, Any]:
    """Train until the part's time is nearly over, or it has converged; then the sheet. Goes on when it was stopped."""
    folder = bench.work / "training"
    if not (folder / "model.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(bench.model("standard"), folder.with_name("training.part"), dirs_exist_ok=True)
        (folder.with_name("training.part") / "weights.safetensors").unlink()
        folder.with_name("training.part").rename(folder)
    diary = Diary(time.time() + (6.0 if bench.tiny else bench.left() - AFTERWARDS))
    begun = time.time()
    with contextlib.suppress(Stopped):
        train(folder, read_card(folder), float("inf"), bench.device, diary)
    card, training = read_card(folder), resume(folder, read_card(folder), torch.device("cpu"))
    assert training is not None
    scores = training.scores
    found: dict[str, Any] = {
        "seconds here": time.time() - begun,
        "steps": card.steps,
        "minutes": card.minutes,
        "batch": training.factor,
        "steps/s at the end": late_rate(diary.steps),
        "losses": [[step, *values] for step, values in diary.losses[:: max(1, len(diary.losses) // 60)]],
        "scores": [
            {"step": s.step, "loss": s.loss, "identity": s.identity, "expression": s.expression} for s in scores
        ],
        "said": diary.logs[-40:],
    }
    words = f"{card.steps} steps in {card.minutes:.2f} minutes"
    if scores:
        words += f"; held-out loss {scores[0].loss:.4f} → {scores[-1].loss:.4f}, to the source "
        words += f"{scores[0].identity:.3f} → {scores[-1].identity:.3f}, expression "
        words += f"{scores[0].expression:.2f} → {scores[-1].expression:.2f} %"
    try:
        show(bench, folder)
        found["picture"] = "training.png"
    except Exception as error:  # figures are not to be lost for want of PyAV
        found["picture"] = f"none: {type(error).__name__}: {str(error)[:200]}"
    return {"words": f"{words}.", **found}


def late_rate(steps: list[tuple[float, int]]) -> float | None:
    """Steps a second over the last third of what was read, looks and checkpoints included."""
    late = steps[-max(2, len(steps) // 3) :]
    if len(late) < 2 or late[-1][0] <= late[0][0]:
        return None
    return (late[-1][1] - late[0][1]) / (late[-1][0] - late[0][0])


def show(bench: Bench, model: Path) -> None:
    """Frames spread over the shot about its face: footage, draft, trained."""
    from understudy.engine.convert.plan import make_plan
    from understudy.engine.convert.render import Work, recast_still
    from understudy.engine.convert.source_identities import load_sources
    from understudy.engine.convert.track_facts import learn_tracks
    from understudy.engine.faces.alignments import load_alignments
    from understudy.engine.media.footage import footage_of
    from understudy.engine.media.reader import read_frames
    from understudy.engine.protocol import ConvertSettings, Swap

    scan = load_alignments(bench.scan("shot"))
    rows = scan.of_person(0)
    chosen = rows[np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int)]
    works = []
    for refined in (False, True):
        sources = load_sources(model, {"face"}, bench.device, refined)
        plan = make_plan(scan, [Swap(person=0, identity="face")], sources, ConvertSettings())
        frames = [int(scan.frame[row]) for row in chosen]
        known = learn_tracks(footage_of(scan.clip), plan, frames, sources, bench.device, spectacles=True)
        works.append(Work(plan, sources, bench.device, tracks=known))
    columns = []
    for row in chosen:
        number = int(scan.frame[row])
        frame = next(iter(read_frames(footage_of(scan.clip), number, number + 1)))
        pictures = [frame.rgb, *(recast_still(frame, work)[0] for work in works)]
        columns.append([about_face(picture, scan.box[row]) for picture in pictures])
    sheet(bench.out / "training.png", [list(line) for line in zip(*columns, strict=True)])


def about_face(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The square about a face (left, top, right, bottom), half as wide again."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half = 0.75 * max(box[2] - box[0], box[3] - box[1])
    height, width = picture.shape[:2]
    half = min(half, height / 2, width / 2)
    x, y = min(max(x, half), width - half), min(max(y, half), height - half)
    return picture[round(y - half) : round(y + half), round(x - half) : round(x + half)]
