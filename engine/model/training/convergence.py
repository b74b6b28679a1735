"""When a training is done: what its scores over time say, in plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ...protocol import Verdict

MIN_GAIN = 0.02
"""Training is done when as much training again would improve neither the held-out loss nor the swaps by this part."""
LOSS_FLOOR = 0.02
"""A loss this low leaves nothing to see: where drafts are right already (one photograph and little movement), gains
are counted in parts of it, and training is soon done."""
SLOWING_GAIN = 0.05
OVERFIT_MARGIN = 0.02
"""A held-out loss this much worse than the best, time after time while the training loss falls, means overfitting."""
SWAP_MARGIN = 0.04
"""So do swaps this much worse than the best ones, while the held-out loss falls: the network comes to know each
person's own performance by heart, and shows that."""
SMOOTHING_WINDOW = 5
"""Looks over which swaps are evened out (from one to the next they differ by 2 %, few faces being recast)."""
CONSECUTIVE = 3
MIN_STEPS = 150
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


class Assessment(NamedTuple):
    """How training stands, about how many seconds until it is done (None while unknown), and that in words."""

    verdict: Verdict
    seconds: float | None
    words: str


def best_of(scores: list[Score]) -> Score | None:
    """The best trained state so far (the draft, step 0, does not count).

    Of those whose swaps are about as good as the best ones', the one that does best on held-out faces.
    """
    swaps = _swap_distance(scores)
    trained = [n for n, s in enumerate(scores) if s.step]
    if not trained:
        return None
    allowed = (1 + SWAP_MARGIN) * min(swaps[n] for n in trained)
    return min((scores[n] for n in trained if swaps[n] <= allowed), key=lambda s: s.loss)


def assess(scores: list[Score]) -> Assessment:
    """How training stands: by the held-out loss and by the swaps, where those can be measured.

    The gain of the last doubling of training time, and by how much it was less than that of the doubling
    before, foretell the next one's.
    """
    seen = [s for s in scores if s.step]
    if len(seen) < 4 or seen[-1].step < MIN_STEPS:
        return Assessment("improving", None, VERDICT_TEXTS["improving"])
    losses = _smooth(np.array([s.loss for s in seen]), 3)
    swaps = _swap_distance(scores)[-len(seen) :]
    if _is_overfitting(seen):
        return Assessment("overfitting", 0.0, VERDICT_TEXTS["overfitting"])
    if _swaps_worsen(losses, swaps):
        return Assessment("overfitting", 0.0, SWAPS_WORSEN_TEXT)
    seconds = np.array([s.seconds for s in seen])
    expected, left = max(_predicted_gain(seconds, losses, LOSS_FLOOR), _predicted_gain(seconds, swaps, 0.0))
    verdict: Verdict = "converged" if expected < MIN_GAIN else "slowing" if expected < SLOWING_GAIN else "improving"
    return Assessment(verdict, left, VERDICT_TEXTS[verdict])


def _predicted_gain(seconds: np.ndarray, values: np.ndarray, floor: float) -> tuple[float, float]:
    """By which part the next doubling of time improves values, and the seconds until that is not worth it."""
    now = seconds[-1]
    last, before = (
        max(0.0, float(old - new) / (float(new) + floor))
        for new, old in pairwise(np.interp(now / np.array([1, 2, 4]), seconds, values))
    )
    shrink = min(0.9, max(0.25, last / before)) if before > 0 else 0.5
    expected = last * shrink
    if expected < MIN_GAIN:
        return expected, 0.0
    doublings = math.log(MIN_GAIN / expected) / math.log(shrink)
    return expected, float(now) * (2.0 ** min(doublings, 12.0) - 1)


def _swap_distance(scores: list[Score]) -> np.ndarray:
    """How far all swaps are from right, in parts of what they were at the first look; 1 where that is not measured."""
    found = np.ones(len(scores))
    if scores and scores[0].identity > 0 and scores[0].expression > 0:
        first = scores[0]
        found[:] = [(s.identity / first.identity + s.expression / first.expression) / 2 for s in scores]
    return _smooth(found, SMOOTHING_WINDOW)


def _smooth(values: np.ndarray, looks: int) -> np.ndarray:
    """Values evened out over so many looks, an odd number."""
    reach = looks // 2
    return np.array([np.median(values[max(0, n - reach) : n + reach + 1]) for n in range(len(values))])


def _is_overfitting(scores: list[Score]) -> bool:
    """Whether held-out faces get worse while those that are trained on get better."""
    best = min(range(len(scores)), key=lambda n: scores[n].loss)
    late = scores[best + 1 :][-CONSECUTIVE:]
    least = scores[best]
    return len(late) == CONSECUTIVE and all(
        s.loss > (1 + OVERFIT_MARGIN) * least.loss and s.trained < least.trained for s in late
    )


def _swaps_worsen(losses: np.ndarray, swaps: np.ndarray) -> bool:
    """Whether swaps get worse while held-out faces of the people's own get better."""
    best = int(swaps.argmin())
    late = range(best + 1, len(swaps))[-CONSECUTIVE:]
    return len(late) == CONSECUTIVE and all(
        swaps[n] > (1 + SWAP_MARGIN) * swaps[best] and losses[n] < losses[best] for n in late
    )


VERDICT_TEXTS: dict[Verdict, str] = {
    "improving": "Still improving.",
    "slowing": "Improving more slowly.",
    "converged": "Converged: as much training again would improve neither faces nor swaps by 2 %.",
    "overfitting": "Overfitting: it gets better on the faces it trains on and worse on others. The best state is kept.",
}
SWAPS_WORSEN_TEXT = (
    "Overfitting: each person's own face still gets better, but the swaps get worse. The best state is kept."
)
