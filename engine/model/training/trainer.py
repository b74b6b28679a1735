"""Training the refiner by self-reenactment: a person's frames, warped onto another of their own, must become it.

Under `torchrun` every process computes its share of each batch; the first one watches, writes and reports.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from ...errors import DataError, Stopped
from ...faces.facesets.faceset import Faceset
from ...faces.geometry.align import frontalise
from ...reporter import Reporter
from ..draft.views import make_views
from ..model_folder import ModelCard, facesets, read_card
from ..networks.precision import Inputs, batch_factor, fastest_run
from ..networks.refiner_network import SIZES
from .checkpoints import export_weights, is_finite, new_training_for, resume, save_checkpoint, warm_start
from .convergence import assess, best_of
from .dataset import TrainingSet, make_training_set
from .tensorboard import Curves
from .training_preview import Preview
from .training_step import Training, batch_size, draw_all, make_inputs, ranks, step
from .validation import Scorer

CHECKPOINT_SECONDS = 30.0
SCORE_SECONDS, PREVIEW_SECONDS = 15.0, 8.0
"""At least this long between two looks; each may take no more than a thirtieth of the time."""
MAX_OVERHEAD_RATIO = 30.0
LOSS_READ_STEPS = 10
"""Steps between two readings of the losses where reading them makes the device wait."""
MIN_RATE_FACTOR = 1 / 64


def canonical_shape(sets: list[Faceset]) -> torch.Tensor:
    """The mean face of a model's people, straight ahead, about -1..1: (468, 3) float32."""
    return torch.from_numpy(np.mean([np.median(frontalise(s.landmarks), 0) for s in sets], 0).astype(np.float32) / 2)


def train(
    folder: Path,
    card: ModelCard,
    minutes: float,
    device: torch.device,
    report: Reporter,
    base: Path | None = None,
) -> ModelCard:
    """Train until the model has converged, or has had `minutes` of training in all; returns its new card.

    Goes on from the folder's checkpoint, else from the model `base`, else from nothing. A checkpoint is
    written every half minute, at the end, and when the reporter's `check` raises Stopped (which is then passed on).
    """
    torch.set_flush_denormal(True)
    rank, world = ranks()
    size = SIZES[card.preset][0]
    sets = facesets(folder, card)
    report.progress(0.0, "Preparing the faces for training")
    views = [make_views(s, device) for s in sets]
    materials = [make_training_set(s, v, size, report) for s, v in zip(sets, views, strict=True)]
    shape = canonical_shape(sets).to(device)
    training = resume(folder, card, device, report)
    if training is None and base is not None:
        training = warm_start(base, read_card(base), card, device)
        report.log(f"Begins with what {base.name} has learned")
    training = training or new_training_for(card, device)
    if card.settings.likeness and training.finishing.likeness is None:
        report.log(
            "Training without the likeness: the face networks are not at hand (understudy models fetch).", "warning"
        )
    report.log(f"Training at step {training.step}, {training.seconds / 60:.1f} of {_limit_text(minutes)} done")
    every = 1 if device.type == "cpu" else LOSS_READ_STEPS
    watch = None
    if not rank:
        scorer = Scorer(sets, views, materials, shape, training.refiner)
        watch = _Monitor(folder, card, minutes, training, scorer, report)
    if watch:
        watch.preview = Preview(folder, card, sets, views, watch.scorer, report)
        watch.card = save_checkpoint(folder, card, training)
    _connect(training, materials, shape, report)
    done = training.seconds >= 60 * minutes
    while not done:
        losses = step(training, materials, shape, report)
        if training.step % every:
            continue
        if world > 1:
            dist.all_reduce(losses)
        values = losses.tolist()
        if not all(map(math.isfinite, values)):
            training = _roll_back(folder, card, training, device, report)
            _connect(training, materials, shape, report)
            if watch:
                watch.training = training
            continue
        done = _broadcast_stop(bool(watch and watch.look(values)), device)
    return watch.finish() if watch else replace(card, steps=training.step)


class _Monitor:
    """What the first process does beside the steps: telling, scoring, showing, keeping."""

    preview: Preview

    def __init__(
        self, folder: Path, card: ModelCard, minutes: float, training: Training, scorer: Scorer, report: Reporter
    ) -> None:
        self.folder, self.card, self.minutes, self.training = folder, card, minutes, training
        self.scorer, self.report = scorer, report
        self.curves = Curves(folder)
        self.stopped: Stopped | None = None
        self.left: float | None = None
        self.recent: list[float] = []
        self.kept = self.ticked = time.monotonic()
        self.next_score = self.next_preview = self.ticked
        if not any(s.step == 0 for s in training.scores):
            self.score()  # of the draft, or of what the training begins with
        self.ticked = time.monotonic()

    def look(self, values: list[float]) -> bool:
        """After a step: whether training is to stop."""
        now = time.monotonic()
        training = self.training
        training.seconds += now - self.ticked
        self.ticked = now
        self.recent.append(float(np.mean(values)))
        losses = dict(zip(self.card.identities, values, strict=True))
        self.report.loss(training.step, losses)
        self.curves.add(training.step, {f"loss/{name}": value for name, value in losses.items()})
        self.report.progress(self._done(), f"Training, step {training.step}")
        try:
            self.report.check()
            if now - self.kept > CHECKPOINT_SECONDS:
                self.keep()
            if now > self.next_score:
                self.score()
                if self.verdict():
                    return True
            if now > self.next_preview:
                self.show()
        except Stopped as stop:
            self.stopped = stop
        return self.stopped is not None or training.seconds >= 60 * self.minutes

    def keep(self) -> None:
        """Write a checkpoint, unless weights became NaN since the losses were last read."""
        if is_finite(self.training):
            self.card = save_checkpoint(self.folder, self.card, self.training)
        self.kept = time.monotonic()

    def score(self) -> None:
        """Measure, and keep the weights when they are the best so far."""
        begun = time.monotonic()
        score = self.scorer.score(self.training, float(np.mean(self.recent)) if self.recent else math.inf)
        self.recent = []
        self.training.scores.append(score)
        self.curves.add(score.step, {"held out/loss": score.loss, "swap/identity": score.identity})
        self.curves.add(score.step, {"swap/expression": score.expression, "held out/total": score.total})
        if score.step and best_of(self.training.scores) is score:
            export_weights(self.folder, self.card, self.training)
            self.keep()
        now = time.monotonic()
        self.next_score = now + max(SCORE_SECONDS, MAX_OVERHEAD_RATIO * (now - begun))

    def verdict(self) -> bool:
        """Say how training stands; whether it is done."""
        scores = self.training.scores
        verdict, self.left, words = assess(scores)
        numbers = f"step {scores[-1].step}: held-out loss {scores[-1].loss:.4f}"
        if self.scorer.cases:
            numbers += f", {scores[-1].identity:.3f} to the source, expression {scores[-1].expression:.2f} %"
        self.report.verdict(verdict, f"{words} ({numbers})", self.left)
        self.report.log(numbers)
        return verdict in ("converged", "overfitting")

    def show(self) -> None:
        """Make the preview picture."""
        begun = time.monotonic()
        self.preview.save(self.training)
        now = time.monotonic()
        self.next_preview = now + max(PREVIEW_SECONDS, MAX_OVERHEAD_RATIO * (now - begun))

    def finish(self) -> ModelCard:
        """Keep everything; pass on Stopped."""
        if self.training.step and (not self.training.scores or self.training.scores[-1].step != self.training.step):
            if self.stopped is None:
                self.score()
            elif best_of(self.training.scores) is None:
                export_weights(self.folder, self.card, self.training)
        self.keep()
        self.curves.close()
        if self.stopped is not None:
            raise self.stopped
        self.show()
        return self.card

    def _done(self) -> float:
        seconds = self.training.seconds
        parts = [seconds / (60 * self.minutes)] if math.isfinite(self.minutes) else []
        if self.left is not None:
            parts.append(seconds / max(seconds + self.left, 1e-6))
        return min(1.0, max(parts, default=0.0))


def _limit_text(minutes: float) -> str:
    return f"{minutes:g} minutes" if math.isfinite(minutes) else "as many minutes as it takes"


def _connect(training: Training, materials: list[TrainingSet], shape: torch.Tensor, report: Reporter) -> None:
    """Run the network over all processes, or in the way that is the fastest on its device, and with its batch."""
    if ranks()[1] > 1:
        training.network = nn.parallel.DistributedDataParallel(training.refiner)
        return
    training.network = training.refiner
    if shape.device.type != "cuda":
        return

    def batch() -> Inputs:
        drawn = draw_all(materials, torch.Generator().manual_seed(0), training.refiner, training.factor)
        return make_inputs(training.refiner, materials, drawn, shape)[0]

    if not training.step:  # a resumed one keeps its batch, whatever memory is free today
        training.factor = batch_factor(shape.device, training.refiner, batch())
        report.log(f"{training.factor * batch_size(len(materials))} faces of each identity in a step")
    training.network = fastest_run(training.refiner, batch(), report)


def _roll_back(folder: Path, card: ModelCard, training: Training, device: torch.device, report: Reporter) -> Training:
    """The last good checkpoint, to go on at half the rate. Raises DataError when that was no use."""
    rate = training.rate / 2
    before = resume(folder, card, device, report)
    if before is None or rate < MIN_RATE_FACTOR:
        raise DataError("The loss became NaN, at low learning rates too. Check the faces of the identities.")
    before.rate = min(rate, before.rate / 2)
    before.seconds = training.seconds
    report.log(
        f"The loss at step {training.step} became NaN. Going on from step {before.step} at "
        f"{before.rate:.3g} of the learning rate.",
        "warning",
    )
    return before


def _broadcast_stop(stop: bool, device: torch.device) -> bool:
    """What the first process decided, in all of them."""
    if ranks()[1] == 1:
        return stop
    flag = torch.tensor([float(stop)], device=device)
    dist.broadcast(flag, 0)
    return bool(flag.item())
