"""A detector that looks only where a face ought to be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from understudy.engine.faces.detectors.blazeface import BlazeFace
from understudy.engine.faces.geometry.boxes import overlap
from understudy.engine.faces.tracking.nearby_search import detect_nearby

pytestmark = pytest.mark.usefixtures("networks")

FACE = np.array([172.0, 112, 358, 338])
"""Of the portrait; the detector's own box is as good as this within a tenth."""


@pytest.mark.parametrize("scale", [0.12, 0.5, 1.0])
def test_a_face_is_seen_where_it_is_expected(scale: float, hopper: np.ndarray) -> None:
    small = cv2.resize(hopper, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.full((700, 900, 3), 90, np.uint8)
    picture[60 : 60 + small.shape[0], 300 : 300 + small.shape[1]] = small
    there = FACE * scale + [300, 60, 300, 60]
    size = there[2] - there[0]
    beside = there + size * np.array([0.25, -0.2, 0.25, -0.2])
    nowhere = there + size * np.array([2.5, 0, 2.5, 0])
    middle = np.tile((there[:2] + there[2:]) / 2, 2)
    smaller = (there - middle) * 0.4 + middle
    exact, near, none, other = detect_nearby(BlazeFace(), [picture] * 4, [there, beside, nowhere, smaller])
    for seen in (exact, near):
        assert seen and seen[1] > 0.6 and overlap(seen[0][None], there[None])[0, 0] > 0.6
    assert none is None and other is None  # of another size than the one that ought to be there


def test_nothing_is_asked_of_nothing() -> None:
    assert detect_nearby(BlazeFace(), [], []) == []
