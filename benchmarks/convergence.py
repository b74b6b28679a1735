"""Where training stops by itself, and what going on for as long again would still have gained.

usage: python benchmarks/convergence.py OUT_FOLDER CLIP,CLIP [CLIP,CLIP …] [--limit 600] [--size 64]

For each pair (person 0 of both clips): trains until `convergence.judge` says that it is done, or for --limit seconds;
then for as many seconds again. Prints steps, seconds, the held-out loss and the swaps at both ends, and the gain in %;
the goal is below 2 %. Seconds are those of the processor, without the scoring.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from understudy.engine.model.model_folder import prepare
from understudy.engine.model.networks import refiner_network
from understudy.engine.model.training.checkpoints import new_training_for
from understudy.engine.model.training.convergence import Score, assess, best_of
from understudy.engine.model.training.training_step import Training, step
from understudy.engine.model.training.validation import Scorer
from understudy.engine.reporter import Silent
from warm_start import CPU, Faces, people

LOOK = 5.0
"""Seconds of training between two looks."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    refiner_network.SIZES["quick"] = (options.size, 24)
    torch.set_flush_denormal(True)
    out: Path = options.out.resolve()
    for pair in options.pairs:
        clips = [Path(text) for text in pair.split(",")]
        folder = out / "-".join(clip.stem for clip in clips)
        card = prepare(folder, people(clips, out), "quick", Silent())
        faces, training = Faces(folder, card), new_training_for(card, CPU)
        scorer = Scorer(faces.sets, faces.views, faces.materials, faces.shape, training.refiner)
        training.scores.append(scorer.score(training, 0.0))
        verdict = "improving"
        while verdict in ("improving", "slowing") and training.seconds < options.limit:
            go_on(training, faces, scorer, LOOK)
            verdict = assess(training.scores).verdict
        stopped, steps, end = training.seconds, training.step, smooth(training.scores)
        last, best = training.scores[-1], best_of(training.scores)
        assert best is not None
        print(
            f"{folder.name}: {verdict} at step {steps}, {stopped:.0f} s, loss {end:.4f}, "
            f"{last.identity:.3f} to the source, expression {last.expression:.2f} %; kept is step {best.step}",
            flush=True,
        )
        while training.seconds < 2 * stopped:
            go_on(training, faces, scorer, LOOK)
        after = smooth(training.scores)
        last = training.scores[-1]
        print(
            f"  as long again, step {training.step}: {after:.4f}, {100 * (end - after) / end:.1f} % better; draft "
            f"{training.scores[0].loss:.4f}; {last.identity:.3f} to the source, expression {last.expression:.2f} %",
            flush=True,
        )


def go_on(training: Training, faces: Faces, scorer: Scorer, seconds: float) -> None:
    """Train, then look once."""
    begun, losses = time.process_time(), []
    while time.process_time() - begun < seconds:
        losses.append(step(training, faces.materials, faces.shape, Silent()).mean().item())
    training.seconds += time.process_time() - begun
    training.scores.append(scorer.score(training, float(np.mean(losses))))


def smooth(scores: list[Score]) -> float:
    """The held-out loss now, evened out over three looks."""
    return float(np.median([score.loss for score in scores[-3:]]))


if __name__ == "__main__":
    main()
