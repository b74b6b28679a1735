"""What the scores of a training say of it: shapes as they come, with their noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from understudy.engine.model.training.convergence import SWAPS_WORSEN_TEXT, VERDICT_TEXTS, Score, assess, best_of

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

# two women whose heads turn opposite ways: the swaps stand still for long
LATE = [
    Score(*row, 1.0)
    for row in (
        (0, 0.0, 0.1483, 0.3936, 0.863, 9.0),
        (42, 10.4, 0.1453, 0.3961, 0.883, 0.2012),
        (66, 15.4, 0.1335, 0.3973, 0.886, 0.1851),
        (92, 20.5, 0.1257, 0.3974, 0.898, 0.1700),
        (116, 25.7, 0.1180, 0.3970, 0.861, 0.1613),
        (139, 30.7, 0.1110, 0.3968, 0.863, 0.1504),
        (163, 35.7, 0.1062, 0.3977, 0.863, 0.1450),
        (185, 40.8, 0.1029, 0.3973, 0.865, 0.1414),
        (206, 45.8, 0.1010, 0.3971, 0.864, 0.1418),
        (227, 50.9, 0.1005, 0.3976, 0.852, 0.1375),
        (251, 56.0, 0.1002, 0.3989, 0.849, 0.1342),
        (276, 61.1, 0.0991, 0.3983, 0.844, 0.1353),
        (302, 66.3, 0.0988, 0.3990, 0.851, 0.1325),
        (328, 71.4, 0.0974, 0.3985, 0.847, 0.1308),
        (355, 76.5, 0.0952, 0.3993, 0.851, 0.1275),
        (383, 81.7, 0.0940, 0.4005, 0.862, 0.1265),
        (410, 86.7, 0.0927, 0.4014, 0.871, 0.1252),
        (438, 91.8, 0.0919, 0.4020, 0.881, 0.1222),
        (463, 97.0, 0.0910, 0.4041, 0.904, 0.1233),
        (487, 102.0, 0.0904, 0.4060, 0.909, 0.1211),
        (509, 107.1, 0.0899, 0.4066, 0.908, 0.1173),
        (534, 112.2, 0.0891, 0.4076, 0.922, 0.1153),
        (560, 117.3, 0.0879, 0.4101, 0.933, 0.1168),
        (584, 122.4, 0.0874, 0.4111, 0.954, 0.1161),
        (611, 127.5, 0.0864, 0.4129, 0.964, 0.1126),
        (659, 137.8, 0.0852, 0.4188, 0.991, 0.1101),
        (705, 147.9, 0.0843, 0.4222, 1.035, 0.1068),
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
    assert assess(curve(lambda t: t**-0.5)[:4])[:2] == ("improving", None)
    assert assess(DRIFTING[:6])[:2] == ("improving", None)
    assert best_of(DRIFTING[:1]) is None  # the draft is no trained state


def test_a_loss_that_falls_goes_on_and_one_that_does_not_is_done() -> None:
    verdict, left, words = assess(curve(lambda t: t**-0.5, noise=0.0))
    assert verdict == "improving" and left is not None and left > 1200 and words == VERDICT_TEXTS["improving"]
    assert assess(curve(lambda t: t**-0.5)).verdict == "improving"
    for noise in (0.0, 0.01):
        assert assess(curve(lambda t: 0.1 + 0.1 * 0.7**t, noise=noise))[:2] == ("converged", 0.0)
    nothing_to_see = curve(lambda t: 0.004 * t**-0.5)  # it falls like the first one
    assert assess(nothing_to_see).verdict == "converged"
    flat = curve(lambda t: 0.1 + 0.1 * 0.7**t, noise=0.0)
    lefts = [assess(flat[:n]).seconds or 0.0 for n in (9, 13, 17)]
    assert lefts == sorted(lefts, reverse=True) and lefts[0] > 0  # the estimate comes down as it flattens


def test_swaps_that_still_get_better_keep_a_training_from_being_done() -> None:
    def flat(t: int) -> float:
        return 0.1 + 0.1 * 0.7**t

    moving = assess(curve(flat, lambda t: 0.6 + 0.4 * t**-0.5))
    assert moving.verdict in ("improving", "slowing") and moving.seconds
    assert assess(curve(flat, lambda t: 0.9 + 0.1 * 0.7**t)).verdict == "converged"
    unmeasured = [replace(s, identity=0.0, expression=0.0) for s in curve(flat, lambda t: t**-0.5)]
    assert assess(unmeasured).verdict == "converged"


def test_held_out_faces_that_get_worse_are_named() -> None:
    learned = curve(lambda t: 0.09 + 0.0002 * (t - 10) ** 2)
    assert assess(learned) == ("overfitting", 0.0, VERDICT_TEXTS["overfitting"])
    best = best_of(learned)
    assert best is not None and abs(best.step - 200) <= 60
    worse_throughout = curve(lambda t: 0.09 + 0.0002 * (t - 10) ** 2, trained=lambda t: 1 + 0.1 * t)
    assert assess(worse_throughout).verdict != "overfitting"  # it is no better on what it trains on: too high a rate


@pytest.mark.parametrize(
    ("scores", "named", "kept"), [(DRIFTING, (200, 500), (100, 250)), (LATE, (480, 620), (380, 500))]
)
def test_swaps_that_get_worse_while_the_held_out_loss_falls_are_named(
    scores: list[Score], named: tuple[int, int], kept: tuple[int, int]
) -> None:
    first = next(n for n in range(1, len(scores) + 1) if assess(scores[:n]).verdict == "overfitting")
    assert named[0] < scores[first - 1].step < named[1]
    assert assess(scores) == ("overfitting", 0.0, SWAPS_WORSEN_TEXT)
    best = best_of(scores)
    assert best is not None and kept[0] < best.step < kept[1]  # not the last, whose held-out loss is least


def test_a_drift_is_named_and_noise_is_none() -> None:
    drifting = curve(lambda t: t**-0.5, lambda t: 0.97 if t < 12 else 0.97 + 0.003 * (t - 12))
    assert assess(drifting[:16]).verdict != "overfitting" and assess(drifting).words == SWAPS_WORSEN_TEXT
    for seed in range(20):
        dice = np.random.default_rng(seed)
        steady = [replace(s, expression=1.2 * (1 + 0.02 * dice.standard_normal())) for s in curve(lambda t: t**-0.5)]
        assert all(assess(steady[:n]).verdict != "overfitting" for n in range(5, len(steady) + 1))
    last = best_of(curve(lambda t: t**-0.5, noise=0.0))
    assert last is not None and last.step == 800
