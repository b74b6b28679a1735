"""Settings that change over time, and what of the face they leave to the footage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine.convert.face_regions import region_share
from understudy.engine.convert.plan import make_plan
from understudy.engine.convert.render import Work, recast_still
from understudy.engine.convert.settings_over_time import settings_by_frame
from understudy.engine.convert.source_identities import load_sources
from understudy.engine.errors import DataError
from understudy.engine.faces.geometry.align import transform
from understudy.engine.faces.geometry.topology import EYES, INNER_LIPS
from understudy.engine.media.reader import read_frames
from understudy.engine.model.draft.gaze import looks, shifted_irises
from understudy.engine.model.draft.pose import opened
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import REGIONS, ConvertSettings, Identity, Material, Swap
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
SWAPS = [Swap(person=0, identity="woman")]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, astronaut_folder: Path) -> Any:
    folder = tmp_path_factory.mktemp("model")
    material = [Material(scan=str(astronaut_folder), person=0)]
    prepare(folder, [Identity(name="woman", material=material)], "draft", Silent())
    return load_sources(folder, {"woman"}, CPU, use_refiner=False)


def test_numbers_run_evenly_between_keys_and_all_else_holds() -> None:
    curves = {
        "amount": [[10, 1], [20, 0.0]],
        "erode.left": [[0, 0.1]],
        "colour": [[5, "none"], [15, "light"]],
        "match_grain": [[0, True], [12, False]],
    }
    at = settings_by_frame(ConvertSettings(erode=[0.2, 0.0, 0.0, 0.0]), curves)
    assert [at(frame).amount for frame in (0, 10, 15, 20, 99)] == [1, 1, 0.5, 0, 0]
    assert at(7).erode == [0.2, 0.0, 0.0, 0.1]
    assert [at(frame).colour for frame in (0, 14, 15, 30)] == ["none", "none", "light", "light"]
    assert [at(frame).match_grain for frame in (11, 12)] == [True, False]
    assert at(30) is at(31)  # a film's frames share what is equal
    assert settings_by_frame(ConvertSettings(), {})(3) == ConvertSettings()


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ({"amount": []}, "no keys"),
        ({"amount": 3}, "no keys"),
        ({"amount": [[0, 1.5]]}, "amount is 1.5 at frame 0"),
        ({"amount": [[0, float("nan")]]}, "amount is nan"),
        ({"amount": [[0, True]]}, "amount is True"),
        ({"amount": [[4, 1], [4, 0]]}, "not in order at frame 4"),
        ({"amount": [[0.5, 1]]}, "whole number"),
        ({"amount": [[2**40, 1]]}, "whole number"),
        ({"amount": [[1]]}, "whole number"),
        ({"erode": [[0, 0.1]]}, "erode.top"),
        ({"erode.side": [[0, 0.1]]}, "no setting 'erode.side'"),
        ({"amount.top": [[0, 0.1]]}, "no setting 'amount.top'"),
        ({"mark": [[0, False]]}, "no setting 'mark'"),
        ({"colour": [[0, "blue"]]}, "one of light"),
        ({"match_grain": [[0, 1]]}, "true or false"),
    ],
)
def test_a_curve_that_cannot_be_used_is_named(curves: Any, said: str) -> None:
    with pytest.raises(DataError, match=said.replace(".", r"\.")):
        settings_by_frame(ConvertSettings(), curves)


def test_each_frame_gets_its_own_settings(carphone_scan: Any, sources: Any) -> None:
    curves = {"amount": [[4, 1], [8, 0]], "shape": [[0, 0.0], [4, 1.0]], "smooth": [[0, 0.0]]}
    plan = make_plan(carphone_scan, SWAPS, sources, ConvertSettings(), curves)
    assert not any(frame in plan for frame in range(8, 20))  # nothing of a recast is to be seen
    (first,), (middle,), (half,) = plan[0], plan[2], plan[6]
    assert (first.visible, half.visible) == (1, 0.5)
    np.testing.assert_array_equal(first.landmarks, first.measured)
    np.testing.assert_array_equal(first.face, carphone_scan.landmarks[carphone_scan.frame == 0][0])  # not steadied
    assert np.abs(middle.landmarks - middle.measured).max() > 0.5
    steadied = make_plan(carphone_scan, SWAPS, sources, ConvertSettings())
    assert not np.array_equal(steadied[2][0].face, middle.face)


def test_a_part_that_stays_is_the_footages_own(carphone_scan: Any, sources: Any) -> None:
    frame = next(iter(read_frames(Path(carphone_scan.clip.path))))
    plain = ConvertSettings(shape=0.0, match_grain=False)

    def recast(settings: ConvertSettings) -> tuple[np.ndarray, Any]:
        plan = make_plan(carphone_scan, SWAPS, sources, settings)
        return recast_still(frame, Work(plan, sources, CPU))[0].astype(int), plan[0][0]

    (whole, placement) = recast(plain)
    inside = {
        "eyes": [points.mean(0) for points in (placement.face[EYES[0]], placement.face[EYES[1]])],
        "mouth": [placement.face[INNER_LIPS].mean(0)],
        "nose": [placement.face[4]],
    }
    for name in inside:
        shown, _ = recast(replace(plain, regions=[float(region != name) for region in REGIONS]))
        for other, elsewhere in inside.items():
            for x, y in np.round(elsewhere)[:, :2].astype(int):
                here = np.s_[y - 1 : y + 2, x - 1 : x + 2]
                now, was = np.abs(shown - frame.rgb)[here].mean(), np.abs(whole - frame.rgb)[here].mean()
                assert now <= 1 if other == name else now > 0.4 * was
    assert region_share(placement) is None
    half = region_share(replace(placement, settings=replace(plain, regions=[0.5] * 6)))
    assert half is not None and half.max() <= 1 and half.min() >= 0
    x, y = np.round(transform(placement.face, placement.matrix)[4, :2]).astype(int)
    assert half[y, x] == pytest.approx(0.5, abs=0.02)


def test_lids_and_mouth_open_and_close(carphone_faces: Any) -> None:
    faces = carphone_faces.landmarks[:4]

    def apart(points: np.ndarray) -> np.ndarray:
        _, lids = looks(points, None)
        width = np.linalg.norm(points[:, 61] - points[:, 291], axis=-1)
        return np.stack([lids.mean(1), np.linalg.norm(points[:, 13] - points[:, 14], axis=-1) / width])

    as_they_are = apart(faces)
    assert opened(faces, 0.0, 0.0) is faces
    np.testing.assert_allclose(apart(opened(faces, -1.0, -1.0)), 0, atol=1e-3)
    assert (apart(opened(faces, 1.0, 1.0)) > as_they_are + 0.2).all()
    each = apart(opened(faces, np.array([0, 0, -1, 0]), 0.0))
    np.testing.assert_allclose(each[0, [0, 1, 3]], as_they_are[0, [0, 1, 3]], atol=1e-5)
    still = [4, 152, 10, 234, 454]  # nose, chin, forehead, both sides
    np.testing.assert_allclose(opened(faces, -1.0, 0.0)[:, still], faces[:, still], atol=0.05)  # of some 120 pixels


def test_irises_go_where_they_are_told(carphone_faces: Any) -> None:
    faces = carphone_faces.landmarks[:2]
    irises = np.stack([faces[:, eye, :2].mean(1) for eye in EYES], 1)
    before, _ = looks(faces, irises)
    after, _ = looks(faces, shifted_irises(faces, irises, np.array([[10.0, 0.0], [0.0, 10.0]])))
    by = 0.42 * np.sin(np.radians(10))
    np.testing.assert_allclose(after - before, [[by, 0, by, 0], [0, -by, 0, -by]], atol=1e-4)
    assert shifted_irises(faces, irises, np.zeros((2, 2))) is irises
