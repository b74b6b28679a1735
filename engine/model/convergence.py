"""When a training is done: what its scores over time say, in plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..protocol import Verdict

WORTH = 0.02
"""Training is done when as much training again would improve the held-out loss by less than this part."""
FLOOR = 0.02
"""A loss this low leaves nothing to see: where drafts are right already (one photograph and little movement), gains
are counted in parts of it, and training is soon done."""
SLOW = 0.05
WORSE = 0.02
"""Scores this much worse than the best, time after time while the training loss falls, mean overfitting."""
TIMES = 3
SETTLED = 150
"""Steps before which nothing is said: the learning rate has to warm up first."""


@dataclass(frozen=True)
class Score:
    """One look at a training: how it does on faces it has never seen. Lower is better throughout.

    loss       of re-enacting held-out faces of the person's own
    identity   embedding distance of the swaps to their sources
    expression landmark distance of the swaps to their targets, % of the distance between the eyes
    trained    mean training loss since the look before
    total      the first three in parts of the draft's, averaged; `loss` alone where the others cannot be measured
    """

    step: int
    seconds: float
    loss: float
    identity: float
    expression: float
    trained: float
    total: float


def best_of(scores: list[Score]) -> Score | None:
    """The best trained state so far (the draft, step 0, does not count)."""
    return min((s for s in scores if s.step), key=lambda s: s.total, default=None)


def judge(scores: list[Score]) -> tuple[Verdict, float | None]:
    """How training stands, and about how many seconds until it has converged (None while unknown).

    The gain of the last doubling of training time, and by how much it was less than that of the doubling
    before, foretell the next one's.
    """
    seen = [s for s in scores if s.step]
    if len(seen) < 4 or seen[-1].step < SETTLED:
        return "improving", None
    if _overfits(seen):
        return "overfitting", 0.0
    now = seen[-1].seconds
    values = [_loss_at(seen, now / part) for part in (1, 2, 4)]
    last, before = (max(0.0, (values[n + 1] - values[n]) / (values[n] + FLOOR)) for n in (0, 1))
    shrink = min(0.9, max(0.25, last / before)) if before > 0 else 0.5
    expected = last * shrink
    if expected < WORTH:
        return "converged", 0.0
    doublings = math.log(WORTH / expected) / math.log(shrink)
    return ("slowing" if expected < SLOW else "improving"), now * (2.0 ** min(doublings, 12.0) - 1)


def _loss_at(scores: list[Score], seconds: float) -> float:
    """The held-out loss at some time, evened out over three looks, between them in a straight line."""
    losses = np.array([s.loss for s in scores])
    smooth = [float(np.median(losses[max(0, n - 1) : n + 2])) for n in range(len(losses))]
    return float(np.interp(seconds, [s.seconds for s in scores], smooth))


def _overfits(scores: list[Score]) -> bool:
    best = best_of(scores)
    assert best is not None
    late = [s for s in scores if s.step > best.step][-TIMES:]
    return len(late) == TIMES and all(s.total > (1 + WORSE) * best.total and s.trained < best.trained for s in late)


WORDS: dict[Verdict, str] = {
    "improving": "Still improving.",
    "slowing": "Improving more slowly.",
    "converged": "Converged: as much training again would improve it by less than 2 %.",
    "overfitting": "Overfitting: it gets better on the faces it trains on and worse on others. The best state is kept.",
}
