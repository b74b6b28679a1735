"""What the scores of a training say of it: shapes as they come, with their noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from understudy.engine.model.convergence import DRIFTS, WORDS, Score, best_of, judge

# two men, crops of 64 pixels, looked at every 5 s: step, seconds, held-out loss, identity, expression, training loss
DRIFTING = [
    Score(*row, 1.0)
    for row in (
        (0, 0.0, 0.1877, 0.3305, 1.117, 9.0),
        (28, 5.1, 0.1739, 0.3270, 1.067, 0.2926),
        (55, 10.2, 0.1432, 0.3293, 1.123, 0.2412),
        (81, 15.3, 0.1245, 0.3279, 1.149, 0.2036),
        (111, 20.4, 0.1110, 0.3290, 1.078, 0.1863),
        (142, 25.5, 0.1045, 0.3312, 1.071, 0.1670),
        (170, 30.6, 0.1005, 0.3319, 1.142, 0.1573),
        (196, 35.7, 0.0968, 0.3343, 1.165, 0.1550),
        (221, 40.8, 0.0939, 0.3366, 1.106, 0.1487),
        (249, 45.9, 0.0918, 0.3367, 1.148, 0.1419),
        (275, 51.0, 0.0899, 0.3376, 1.168, 0.1396),
        (301, 56.1, 0.0883, 0.3358, 1.181, 0.1353),
        (328, 61.2, 0.0862, 0.3361, 1.166, 0.1327),
        (354, 66.3, 0.0846, 0.3374, 1.166, 0.1270),
        (407, 76.5, 0.0813, 0.3415, 1.196, 0.1174),
        (457, 86.7, 0.0780, 0.3437, 1.182, 0.1138),
        (504, 96.9, 0.0760, 0.3447, 1.196, 0.1039),
        (551, 107.1, 0.0738, 0.3461, 1.188, 0.1018),
        (594, 117.3, 0.0723, 0.3478, 1.188, 0.0972),
        (639, 127.5, 0.0707, 0.3494, 1.161, 0.0894),
        (751, 152.5, 0.0679, 0.3511, 1.164, 0.0809),
        (863, 178.0, 0.0645, 0.3520, 1.172, 0.0751),
        (965, 198.4, 0.0621, 0.3512, 1.193, 0.0706),
    )
]


def curve(
    loss: Callable[[int], float],
    swap: Callable[[int], float] = lambda t: 1.0,
    trained: Callable[[int], float] = lambda t: 1 / t,
    noise: float = 0.01,
) -> list[Score]:
    """The draft and forty looks; swaps are `swap` times the draft's, in identity less than in expression, and noisy."""
    dice = np.random.default_rng(0)
    scores = [Score(0, 0.0, loss(1), 0.33, 1.2, 9.0, 1.0)]
    for t in range(1, 41):
        identity, expression = (1 + (swap(t) - 1) * part for part in (0.5, 1.5))
        wobble = 1 + noise * dice.standard_normal(3) * [0.2, 0.3, 2.0]
        values = np.array([loss(t), 0.33 * identity, 1.2 * expression]) * wobble
        scores.append(Score(20 * t, 30.0 * t, *values.tolist(), trained(t), 1.0))
    return scores


def test_nothing_is_said_at_first() -> None:
    assert judge(curve(lambda t: t**-0.5)[:4])[:2] == ("improving", None)
    assert judge(DRIFTING[:6])[:2] == ("improving", None)
    assert best_of(DRIFTING[:1]) is None  # the draft is no trained state


def test_a_loss_that_falls_goes_on_and_one_that_does_not_is_done() -> None:
    verdict, left, words = judge(curve(lambda t: t**-0.5, noise=0.0))
    assert verdict == "improving" and left is not None and left > 1200 and words == WORDS["improving"]
    assert judge(curve(lambda t: t**-0.5)).verdict == "improving"
    for noise in (0.0, 0.01):
        assert judge(curve(lambda t: 0.1 + 0.1 * 0.7**t, noise=noise))[:2] == ("converged", 0.0)
    nothing_to_see = curve(lambda t: 0.004 * t**-0.5)  # it falls like the first one
    assert judge(nothing_to_see).verdict == "converged"
    flat = curve(lambda t: 0.1 + 0.1 * 0.7**t, noise=0.0)
    lefts = [judge(flat[:n]).seconds or 0.0 for n in (9, 13, 17)]
    assert lefts == sorted(lefts, reverse=True) and lefts[0] > 0  # the estimate comes down as it flattens


def test_swaps_that_still_get_better_keep_a_training_from_being_done() -> None:
    def flat(t: int) -> float:
        return 0.1 + 0.1 * 0.7**t

    moving = judge(curve(flat, lambda t: 0.6 + 0.4 * t**-0.5))
    assert moving.verdict in ("improving", "slowing") and moving.seconds
    assert judge(curve(flat, lambda t: 0.9 + 0.1 * 0.7**t)).verdict == "converged"
    unmeasured = [replace(s, identity=0.0, expression=0.0) for s in curve(flat, lambda t: t**-0.5)]
    assert judge(unmeasured).verdict == "converged"


def test_held_out_faces_that_get_worse_are_named() -> None:
    learned = curve(lambda t: 0.09 + 0.0002 * (t - 10) ** 2)
    assert judge(learned) == ("overfitting", 0.0, WORDS["overfitting"])
    best = best_of(learned)
    assert best is not None and abs(best.step - 200) <= 60
    worse_throughout = curve(lambda t: 0.09 + 0.0002 * (t - 10) ** 2, trained=lambda t: 1 + 0.1 * t)
    assert judge(worse_throughout).verdict != "overfitting"  # it is no better on what it trains on: too high a rate


def test_swaps_that_get_worse_while_the_held_out_loss_falls_are_named() -> None:
    first = next(n for n in range(1, len(DRIFTING) + 1) if judge(DRIFTING[:n]).verdict == "overfitting")
    assert 200 < DRIFTING[first - 1].step < 500
    assert judge(DRIFTING) == ("overfitting", 0.0, DRIFTS)
    best = best_of(DRIFTING)
    assert best is not None and 100 < best.step < 250  # not the last, whose held-out loss is least
    drifting = curve(lambda t: t**-0.5, lambda t: 0.97 if t < 12 else 0.97 + 0.003 * (t - 12))
    assert judge(drifting[:16]).verdict != "overfitting" and judge(drifting).words == DRIFTS
    # nor does noise do it, in twenty trainings
    for seed in range(20):
        dice = np.random.default_rng(seed)
        steady = [replace(s, expression=1.2 * (1 + 0.02 * dice.standard_normal())) for s in curve(lambda t: t**-0.5)]
        assert all(judge(steady[:n]).verdict != "overfitting" for n in range(5, len(steady) + 1))
    last = best_of(curve(lambda t: t**-0.5, noise=0.0))
    assert last is not None and last.step == 800
