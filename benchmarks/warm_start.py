"""What a warm start saves: the same training from nothing, and from a base model of other people.

usage: python benchmarks/warm_start.py BASE_CLIP BASE_CLIP CLIP CLIP OUT_FOLDER [--base-seconds 180] [--seconds 120]

A base is trained on person 0 of the first two clips, then a model of the other two twice, each for so many seconds of
processor time; the held-out losses of both are looked at after the same steps. Prints them, and when the training
from nothing reached what the warm one had at half of its steps. Networks of 64 pixels.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from understudy.engine.job_bodies import run
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.model_folder import ModelCard, facesets, prepare
from understudy.engine.model.networks import refiner_network
from understudy.engine.model.training.checkpoints import export_weights, new_training_for, warm_start
from understudy.engine.model.training.convergence import Score
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.model.training.trainer import canonical_shape
from understudy.engine.model.training.training_step import Training, step
from understudy.engine.model.training.validation import Scorer
from understudy.engine.protocol import Clip, Identity, Material, ScanSpec
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
EVERY = 25


def people(clips: list[Path], out: Path) -> list[Identity]:
    found = []
    for clip in clips:
        scan = out / "scans" / clip.stem
        if not (scan / "scan.json").is_file():
            run("scan", ScanSpec(clip=Clip(path=str(clip.resolve())), output=str(scan)), Silent())
        found.append(Identity(name=clip.stem, material=[Material(scan=str(scan), person=0)]))
    return found


class Faces:
    """The faces of a model, on the device."""

    def __init__(self, folder: Path, card: ModelCard) -> None:
        sets = facesets(folder, card)
        views = [make_views(s, CPU) for s in sets]
        self.materials = [
            make_training_set(s, v, refiner_network.SIZES[card.preset][0], Silent())
            for s, v in zip(sets, views, strict=True)
        ]
        self.shape = canonical_shape(sets)
        self.sets, self.views = sets, views

    def train(self, training: Training, seconds: float) -> list[Score]:
        """Scores every EVERY steps; scoring does not count."""
        scorer = Scorer(self.sets, self.views, self.materials, self.shape, training.refiner)
        scores, spent = [scorer.score(training, 0.0)], 0.0
        while spent < seconds:
            begun = time.process_time()
            step(training, self.materials, self.shape, Silent())
            spent += time.process_time() - begun
            if training.step % EVERY == 0:
                scores.append(scorer.score(training, 0.0))
        return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs=4)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base-seconds", type=float, default=180.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    refiner_network.SIZES["quick"] = (64, 24)
    torch.set_flush_denormal(True)
    out: Path = options.out.resolve()
    base, new = out / "base", out / "new"
    base_card = prepare(base, people(options.clips[:2], out), "quick", Silent())
    card = prepare(new, people(options.clips[2:], out), "quick", Silent())
    training = new_training_for(base_card, CPU)
    Faces(base, base_card).train(training, options.base_seconds)
    export_weights(base, base_card, training)
    print(f"base of {', '.join(base_card.identities)}: {training.step} steps", flush=True)
    faces = Faces(new, card)
    cold = faces.train(new_training_for(card, CPU), options.seconds)
    warm = faces.train(warm_start(base, base_card, card, CPU), options.seconds)
    print(f"{'step':>6}{'from nothing':>14}{'warm':>10}   held-out loss of {' and '.join(card.identities)}")
    for a, b in zip(cold, warm, strict=False):
        print(f"{a.step:6d}{a.loss:14.4f}{b.loss:10.4f}", flush=True)
    half = warm[min(len(warm), len(cold)) // 2]
    reached = next((s.step for s in cold if s.step and s.loss <= half.loss), None)
    took = f"{reached / half.step:.1f} times as many" if reached else "more than it was given"
    print(f"warm at step {half.step}: {half.loss:.4f}; from nothing it takes {took} steps ({reached})")
    print(f"identity, expression at the end: {np.round([[s[-1].identity, s[-1].expression] for s in (cold, warm)], 3)}")


if __name__ == "__main__":
    main()
