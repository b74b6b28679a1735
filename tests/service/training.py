"""Real training that takes seconds: a small network, checkpoints every second. Workers call `training:run`.

Its material is made, not detected: a mesh face that turns its head over drawn frames.
"""

from __future__ import annotations

import os
import struct
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from understudy.engine.faces.alignments import LANDMARKS, Alignments
from understudy.engine.faces.geometry.topology import OVAL, TRIANGLES
from understudy.engine.protocol import Clip, ConsentRecord, JobKind, JobSpec
from understudy.engine.provenance.consent import record_consent
from understudy.engine.reporter import Reporter

CHECKPOINT_SECONDS = 1.0
SIDE = 160  # pixels of a frame


def run(kind: JobKind, spec: JobSpec, reporter: Reporter) -> dict[str, Any]:
    """The real job, on a smaller network."""
    from understudy.engine import job_bodies
    from understudy.engine.model.networks import refiner_network
    from understudy.engine.model.training import trainer

    trainer.CHECKPOINT_SECONDS = CHECKPOINT_SECONDS
    refiner_network.SIZES["quick"] = (64, 8)
    return job_bodies.run(kind, spec, reporter)


def timed(kind: JobKind, spec: JobSpec, reporter: Reporter) -> dict[str, Any]:
    """The real job at its real size; `steps.f64` of the model folder gets the monotonic time each step ended at."""
    import torch
    from understudy.engine import job_bodies
    from understudy.engine.model.training import trainer

    torch.set_num_threads(int(os.environ.get("UNDERSTUDY_TEST_THREADS", "1")))
    step, file = trainer.step, Path(spec.output) / "steps.f64"

    def one(*given: Any) -> Any:
        losses = step(*given)
        with file.open("ab") as output:
            output.write(struct.pack("d", time.monotonic()))
        return losses

    trainer.step = one
    trainer._Monitor.verdict = lambda self: False  # it is to go on, drawn faces converge soon
    return job_bodies.run(kind, spec, reporter)


def face() -> np.ndarray:
    """A round mesh face (468, 3), radius 1: its oval on a circle, every other vertex amid its neighbours (Tutte)."""
    matrix = np.zeros((LANDMARKS, LANDMARKS))
    for a, b in TRIANGLES[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2):
        matrix[a, b] = matrix[b, a] = 1
    matrix = np.eye(LANDMARKS) - matrix / matrix.sum(1, keepdims=True)
    matrix[OVAL] = np.eye(LANDMARKS)[OVAL]
    angle = 2 * np.pi * np.arange(len(OVAL)) / len(OVAL)
    circle = np.zeros((LANDMARKS, 2))
    circle[OVAL] = np.column_stack([np.sin(angle), -np.cos(angle)])
    flat = np.linalg.solve(matrix, circle)
    return np.column_stack([flat, -np.sqrt(np.clip(1 - (flat**2).sum(1), 0, None))])


def agree(project: Path, *identities: str) -> None:
    """Record consent: whom a job names may be trained and recast in this project."""
    for name in identities:
        record = ConsentRecord(identity=name, person=name, basis="test footage", scope="tests", date="2026-01-01")
        record_consent(project, record)


def make_scan(folder: Path, frames: int, seed: int) -> Path:
    """A scan folder of `frames` drawn frames with one person, 0."""
    random = np.random.default_rng(seed)
    pictures = folder / "frames"
    pictures.mkdir(parents=True)
    colour = random.uniform(60, 200, 3)
    landmarks = np.empty((frames, LANDMARKS, 3), np.float32)
    for index, yaw in enumerate(np.linspace(-0.5, 0.5, frames)):
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        landmarks[index] = face() @ turn.T * SIDE / 4 + [SIDE / 2, SIDE / 2, 0]
        picture = random.normal(colour, 12, (SIDE, SIDE, 3))
        picture[..., index % 3] += np.linspace(0, 50, SIDE)
        cv2.imwrite(str(pictures / f"{index:04d}.png"), picture.clip(0, 255).astype(np.uint8))
    ones = np.ones(frames)
    low, high = landmarks[..., :2].min(1), landmarks[..., :2].max(1)
    Alignments(
        clip=Clip(path=str(pictures)),
        width=SIDE,
        height=SIDE,
        fps=Fraction(25),
        frame=np.arange(frames),
        box=np.hstack([low, high]),
        landmarks=landmarks,
        score=ones,
        sharpness=ones,
        embedding=np.zeros((frames, 128)),
        track=np.zeros(frames),
        person=np.zeros(frames),
        carried=np.zeros(frames, bool),
    ).save(folder)
    return folder
