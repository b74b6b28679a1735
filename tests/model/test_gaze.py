"""Eyes that look where the target's look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine.faces.geometry.topology import EYES, LEFT_EYE_CORNERS, LIDS, RIGHT_EYE_CORNERS
from understudy.engine.model.draft import views as module
from understudy.engine.model.draft.draft import draft
from understudy.engine.model.draft.filters import blur
from understudy.engine.model.draft.gaze import clear_eyes, irises, looks
from understudy.engine.model.draft.pose import opened
from understudy.engine.model.draft.views import EYES_ELSEWHERE, fit_cost, make_views, upper_cost
from understudy.engine.model.draft.warp import warp
from understudy.engine.model.model_folder import facesets, prepare
from understudy.engine.model.recast import target_geometry
from understudy.engine.protocol import Identity, Material
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


def test_irises_lie_between_the_corners_of_their_eyes(astronaut_faces: Any) -> None:
    found = irises(astronaut_faces.pixels, astronaut_faces.landmarks, CPU)
    assert found is not None and found.shape == (1, 2, 2)
    for iris, (outer, inner) in zip(found[0], (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS), strict=True):
        first, second = astronaut_faces.landmarks[0, [outer, inner], :2]
        along = (iris - first) @ (second - first) / ((second - first) ** 2).sum()
        assert 0.2 < along < 0.8


def test_irises_are_measured_once_and_kept_with_the_faces(
    tmp_path: Path, carphone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    man = Identity(name="man", material=[Material(scan=str(carphone_folder), person=0)])
    (faceset,) = facesets(tmp_path, prepare(tmp_path, [man], "draft", Silent()))
    measured = irises(faceset.pixels, faceset.landmarks, CPU)
    assert measured is not None and faceset.irises is not None
    np.testing.assert_allclose(faceset.irises, measured, atol=1e-3)
    coarse = np.arange(len(faceset)) < 2
    assert np.array_equal(replace(faceset, coarse=coarse).measured().irises, faceset.irises[2:])

    def never(*arguments: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "irises", never)
    seen = make_views(faceset, CPU).irises
    assert seen is not None and np.array_equal(seen.numpy(), faceset.irises)
    with pytest.raises(AssertionError, match="again"):
        make_views(replace(faceset, irises=None), CPU)  # a faceset of before they were kept


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_iris_comes_to_lie_where_it_is_wanted(astronaut_faces: Any, mirrored: bool) -> None:
    """A portrait looks aside: its pixels, marked by their place, are read where the iris is."""
    size = astronaut_faces.size
    views = make_views(astronaut_faces, CPU)
    assert views.irises is not None
    landmarks = astronaut_faces.landmarks
    if mirrored:
        from understudy.engine.faces.geometry import align

        landmarks = align.mirror(landmarks, size).astype(np.float32)
    own = (
        views.irises[0].flip(0) * torch.tensor([-1.0, 1.0]) + torch.tensor([size, 0.0]) if mirrored else views.irises[0]
    )
    wanted = (own + torch.tensor([2.0, 0.0]))[None]
    spot = torch.zeros_like(views.pixels)
    for x, y in views.irises[0].round().long().tolist():
        spot[0, :3, y - 1 : y + 1, x - 1 : x + 1] = 255
    spot[:, 3] = 255
    marked = type(views)(**{**vars(views), "pixels": spot})
    target = target_geometry(landmarks, size, CPU)
    choice = torch.tensor([1 if mirrored else 0])
    still, turned = (warp(target, marked, choice, None, gaze)[0][0, 0] for gaze in (None, wanted))
    for eye in range(2):
        x, y = wanted[0, eye].round().long().tolist()
        near = (slice(y - 2, y + 2), slice(x - 1, x + 1))
        assert turned[near].max() > 0.6 > still[near].max() - 0.2
        assert turned[near].sum() > 1.3 * still[near].sum()


def an_eye(opening: float, aside: float) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (1, 468, 3) of a face all of whose eyes are 20 wide, so far open and looking so far aside, irises."""
    landmarks = np.zeros((1, 468, 3), np.float32)
    irises = np.zeros((1, 2, 2), np.float32)
    for eye, (corners, pairs) in enumerate(zip((RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS), LIDS, strict=True)):
        middle = np.array([60.0 + 60 * eye, 80.0])
        landmarks[0, corners, :2] = middle + np.array([[-10, 0], [10, 0]])
        for upper, lower in pairs:
            landmarks[0, [upper, lower], :2] = middle + np.array([[0, -10 * opening], [0, 10 * opening]])
        irises[0, eye] = middle + np.array([20 * aside, 2])
    return landmarks, irises


def test_where_eyes_look_and_how_far_they_are_open_does_not_depend_on_the_heads_tilt() -> None:
    landmarks, irises = an_eye(opening=0.3, aside=0.1)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    tilted, turned = landmarks.copy(), (3 * irises @ turn.T).astype(np.float32)
    tilted[..., :2] = 3 * landmarks[..., :2] @ turn.T
    for gaze, lids in (looks(landmarks, irises), looks(tilted, turned)):
        np.testing.assert_allclose(gaze[0], [0.1, 0.1, 0.1, 0.1], atol=1e-5)
        np.testing.assert_allclose(lids[0], 0.3, atol=1e-5)
    gaze, lids = looks(landmarks, None)
    assert np.isnan(gaze).all() and np.isfinite(lids).all()


def test_the_eyes_view_is_the_one_that_looks_and_is_open_alike(carphone_faces: Any) -> None:
    views = make_views(carphone_faces, CPU)
    count = len(views)
    own = upper_cost(views.pose[:count], views.expression[:count], views.gaze[:count], views.lids[:count], views)
    assert np.median(np.argsort(own, 1).argsort(1)[np.arange(count), np.arange(count)]) == 0
    rest = np.zeros((4, views.expression.shape[1]), np.float32)
    even = np.ones(2)
    plain = replace(views, pose=np.zeros((4, 2)), expression=rest, sharp=even, exposed=even, clear=even)
    aside = np.array([[0.0, 0, 0, 0], [0.2, 0, 0.2, 0]], np.float32)
    alike = replace(plain, landmarks=views.landmarks[:2], pixels=views.pixels[:2], gaze=np.tile(aside, (2, 1)))
    alike = replace(alike, lids=np.full((4, 2), 0.3, np.float32))
    wanted = np.array([[0.19, 0, 0.19, 0]], np.float32)
    straight, lids = np.zeros((1, 2)), np.full((1, 2), 0.3, np.float32)
    assert upper_cost(straight, rest[:1], wanted, lids, alike)[0].argmin() == 1
    unknown = upper_cost(straight, rest[:1], np.full_like(wanted, np.nan), lids, alike)
    assert unknown[0, 0] == unknown[0, 1] and np.isfinite(unknown).all()


def test_eyes_that_a_picture_smears_are_not_clear_but_closed_ones_are(carphone_faces: Any) -> None:
    pixels, landmarks = carphone_faces.pixels[:12].copy(), carphone_faces.landmarks[:12]
    x, y = landmarks[3, RIGHT_EYE_CORNERS, :2].mean(0).astype(int)
    pixels[3, y - 9 : y + 9, x - 14 : x + 14] = pixels[3, y + 12, x]  # skin where the mesh has an open eye
    lids = looks(landmarks, None)[1]
    clear = clear_eyes(pixels, landmarks, np.full_like(lids, 0.3))
    assert clear.argmin() == 3 and clear[3] < 0.3 < 0.6 < np.median(clear)
    assert (clear_eyes(pixels, landmarks, np.full_like(lids, 0.05)) == 1).all()


def test_a_closed_eye_is_drawn_shut_over_an_open_one(astronaut_faces: Any) -> None:
    """A portrait with open eyes, its eyeballs painted white, on a face that closes them: no white is left, as no line
    below the lower lid either."""
    size = astronaut_faces.size
    views = make_views(astronaut_faces, CPU)
    own = target_geometry(astronaut_faces.landmarks, size, CPU)
    white = (own.eyes.sum(1)[0] > 0.5) & own.inside[0, 0].bool()
    painted = torch.zeros_like(views.pixels)
    painted[:, 3] = 255
    painted[0, :3, white] = 255
    marked = replace(views, pixels=painted)
    shut = astronaut_faces.landmarks.copy()
    for pairs in LIDS:
        for upper, lower in pairs:
            shut[:, upper] = shut[:, lower] - [0, 1.0, 0]
    target = target_geometry(shut, size, CPU)
    between = target.eyes.sum(1, keepdim=True) > 0.3
    still, closed = (warp(target, marked, torch.tensor([0]), None, gaze)[0][:, :1] for gaze in (None, views.irises))
    assert still[between].mean() > 2 * closed[between].mean() + 0.1
    assert (still > 0.6).sum() > 30 and (closed > 0.6).sum() < 3


def test_closed_eyes_are_the_targets_own_where_the_source_shows_none(astronaut_faces: Any) -> None:
    """A picture of fine noise tells whose lids are seen: its own about closed eyes, none of it about open ones."""
    size = astronaut_faces.size
    views = make_views(astronaut_faces, CPU)
    noise = torch.from_numpy(np.random.default_rng(2).normal(0, 1, (1, 1, size, size)).astype(np.float32))
    noise = blur(noise, 1.2)
    picture = (0.5 + 0.1 * noise / noise.std()).clamp(0, 1).expand(1, 3, size, size).contiguous()

    def alike(lids: float, seen: Any = views) -> float:
        points = opened(astronaut_faces.landmarks, lids, 0.0)
        target = target_geometry(points, size, CPU)
        made = draft(target, picture, seen, torch.zeros(1, 3, dtype=torch.int64), torch.ones(1, 1, size, size))
        here = torch.zeros(size, size, dtype=torch.bool)
        for eye in EYES:
            x, y = points[0, eye, :2].mean(0).astype(int)
            here[y - 5 : y + 6, x - 8 : x + 9] = True
        fine = [x[0, 1] - blur(x, 4)[0, 1] for x in (made.face, picture)]
        return float(np.corrcoef(*(x[here].numpy() for x in fine))[0, 1])

    assert alike(-1.0) > 0.9
    assert abs(alike(0.0)) < 0.4
    winking = replace(views, lids=np.array([[views.lids[0, 0], 0.0]], np.float32))
    assert alike(-1.0, winking) > 0.9  # both together


def test_a_lid_is_drawn_out_of_the_skin_below_the_brow_not_out_of_the_brow(astronaut_faces: Any) -> None:
    """All that lies higher than the middle between lid and brow painted white: a closed eye stays clear of it."""
    size = astronaut_faces.size
    views = make_views(astronaut_faces, CPU)
    painted = torch.zeros_like(views.pixels)
    painted[:, 3] = 255
    shut = astronaut_faces.landmarks.copy()
    for pairs, brow in zip(LIDS, ((52, 65, 53), (282, 295, 283)), strict=True):
        for (upper, lower), over in zip(pairs, brow, strict=True):
            x = slice(int(shut[0, upper, 0]) - 3, int(shut[0, upper, 0]) + 4)
            painted[0, :3, : int(0.4 * shut[0, upper, 1] + 0.6 * shut[0, over, 1]), x] = 255
            shut[:, upper] = shut[:, lower] - [0, 1.0, 0]
    target = target_geometry(shut, size, CPU)
    closed = warp(target, replace(views, pixels=painted), torch.tensor([0]), None, views.irises)[0][:, :1]
    assert closed[target.eyes.sum(1, keepdim=True) > 0.3].max() < 0.1


def test_the_mouth_chooses_the_face_where_eyes_and_brows_come_from_another_view(carphone_faces: Any) -> None:
    """One view has the target's mouth and other brows, one its brows and another mouth; a third is all black."""
    views = make_views(carphone_faces, CPU)
    features = views.expression.shape[1]
    frown, mouth = np.zeros((2, features), np.float32)
    frown[-3 - 20 : -3] = 0.01
    mouth[:20] = 0.009
    three = replace(
        views,
        pixels=views.pixels[:3],
        landmarks=views.landmarks[:3],
        pose=np.zeros((6, 2)),
        expression=np.tile(np.stack([frown, mouth, 0 * mouth]), (2, 1)),
        gaze=np.zeros((6, 4)),
        lids=np.full((6, 2), 0.3),
        sharp=np.ones(3),
        clear=np.ones(3),
        exposed=np.array([1.0, 1.0, 0.1]),
    )
    straight, wanted = np.zeros((1, 2)), np.zeros((1, features), np.float32)
    assert fit_cost(straight, wanted, three)[0].argmin() == 1
    assert fit_cost(straight, wanted, three, EYES_ELSEWHERE)[0].argmin() == 0
    assert upper_cost(straight, wanted, np.zeros((1, 4)), np.full((1, 2), 0.3), three)[0].argmin() == 1
