"""What a training step is made of, in processor time: augmentation's share, real against synthetic data, twins.

usage: python benchmarks/model_steps.py CLIP OTHER_CLIP OUT_FOLDER [--twins original dfl-h128] [--batch 16] [--steps 5]

  share      of a step of ours (quick, 2 x 8 faces of 128 px) that drawing and making the batch takes; and how fast
             steps are with real data, in parts of what they are when one batch is used again and again. Both are means
             over the steps for which a batch is made
  twins      a reference network's whole step with real data (model_twins.warped), as faceswap runs it (float32, the
             encoder once for each side, Adam), against the same network as we run ours (one pass of the encoder,
             channels last, fused AdamW, bfloat16 where the machine is faster with it)

On a GPU the clock is read, after all work has ended; on the CPU processor time, so that other programs count less.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn.functional as F
from model_twins import Twin, step_as_faceswap, step_as_ours
from train_equal import Bench, make_bench, pictures_of
from understudy.engine.job_bodies import pick_device
from understudy.engine.model.draft.views import make_views
from understudy.engine.model.networks.precision import autocast_dtype
from understudy.engine.model.networks.refiner_network import SIZES
from understudy.engine.model.networks.shared_encoder import render_for
from understudy.engine.model.training import training_step
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.model.training.trainer import canonical_shape
from understudy.engine.reporter import Silent

DEVICE = torch.device(pick_device())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--twins", nargs="*", default=["original", "dfl-h128"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    bench = make_bench(options.first, options.second, options.out.resolve())
    print(f"device {DEVICE}, {torch.get_num_threads()} threads, numbers {autocast_dtype(DEVICE.type) or torch.float32}")
    ours(bench, options.steps)
    for name in options.twins:
        twins(bench, name, options.batch, options.steps)


def seconds(work: Callable[[], object], count: int) -> float:
    """The best of `count` runs, after one that makes what is kept."""
    clock = time.perf_counter if DEVICE.type == "cuda" else time.process_time
    best = float("inf")
    for number in range(count + 1):
        begun = clock()
        work()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        if number:
            best = min(best, clock() - begun)
    return best


def ours(bench: Bench, steps: int) -> None:
    size, width = SIZES["quick"]
    materials = [make_training_set(s, make_views(s, DEVICE), size, Silent()) for s in bench.sets]
    shape = canonical_shape(bench.sets).to(DEVICE)
    for kind in ("refine", "shared"):
        state = training_step.new_training(2, width, DEVICE, kind, size)

        def feed(state: training_step.Training = state) -> list[tuple[torch.Tensor, ...]]:
            drawn = training_step.draw_all(materials, state.generator, state.refiner)
            return [render_for(state.refiner, materials, d, shape) for d in drawn.drawn]

        def echoes(state: training_step.Training = state) -> None:
            for _ in range(training_step.BATCH_REPEATS):
                training_step.step(state, materials, shape, Silent())

        def feed_once(state: training_step.Training = state) -> None:
            drawn = training_step.draw_all(materials, state.generator, state.refiner)
            training_step.mirrored_batch(training_step.make_inputs(state.refiner, materials, drawn, shape))

        whole = seconds(echoes, steps) / training_step.BATCH_REPEATS
        feeding = seconds(feed_once, steps) / training_step.BATCH_REPEATS
        made, number = feed(), 0

        def again(*_: object, made: list[tuple[torch.Tensor, ...]] = made) -> tuple[torch.Tensor, ...]:
            nonlocal number
            number += 1
            return made[(number - 1) % len(made)]

        real, training_step.render_for = training_step.render_for, again
        synthetic = seconds(echoes, steps) / training_step.BATCH_REPEATS
        training_step.render_for = real
        print(
            f"{kind}: {1000 * whole:.0f} ms a step, {100 * feeding / whole:.0f} % of it drawing and making the batch; "
            f"with one batch again and again {1000 * synthetic:.0f} ms, real data gives {synthetic / whole:.2f} of it",
            flush=True,
        )


def twins(bench: Bench, name: str, batch: int, steps: int) -> None:
    torch.manual_seed(0)
    twin = Twin(name).to(DEVICE)
    faces = [F.interpolate(pictures_of(s.pixels), size=(twin.size,) * 2, mode="area").to(DEVICE) for s in bench.sets]
    theirs = seconds(step_as_faceswap(twin, faces, batch), steps)
    own = seconds(step_as_ours(twin, faces, batch), steps)
    print(
        f"{name}, 2 x {batch} faces of {twin.size} px: {1000 * theirs:.0f} ms as faceswap runs it, "
        f"{1000 * own:.0f} ms as we do, {theirs / own:.2f} times the steps",
        flush=True,
    )


if __name__ == "__main__":
    main()
