"""Drafts: the right views are chosen, and warped without loss into the target's light."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine.faces.geometry import align
from understudy.engine.model.draft.draft import GAP, as_bright_eyes, draft, features, unlike_lips
from understudy.engine.model.draft.filters import closed
from understudy.engine.model.draft.mesh_raster import eased, spread
from understudy.engine.model.draft.rest import MEAN
from understudy.engine.model.draft.shape import neutral_face
from understudy.engine.model.draft.views import choose_views, describe, fit_cost, make_views, steady_path
from understudy.engine.model.draft.warp import not_drawn_out, warp
from understudy.engine.model.recast import soft_edge, target_geometry

CPU = torch.device("cpu")


def pictures(faceset: Any, rows: list[int]) -> torch.Tensor:
    return torch.from_numpy(faceset.pixels[rows]).permute(0, 3, 1, 2).float() / 255


def masks(faceset: Any, rows: list[int]) -> torch.Tensor:
    return torch.from_numpy(faceset.masks[rows])[:, None].float() / 255


def test_steady_path_is_the_cheapest() -> None:
    random = np.random.default_rng(1)
    cost = random.uniform(0, 3, (5, 4))

    def price(path: tuple[int, ...]) -> float:
        # views 0 and 1 are frames, 2 and 3 the same mirrored: 1 and 2 are no neighbours
        near = [{a, b} in ({0, 1}, {2, 3}) for a, b in itertools.pairwise(path)]
        steps = [0 if a == b else 0.05 if n else 1.0 for n, (a, b) in zip(near, itertools.pairwise(path), strict=True)]
        return float(sum(cost[t, v] for t, v in enumerate(path)) + sum(steps))

    best = min(itertools.product(range(4), repeat=5), key=price)
    assert np.isclose(price(tuple(steady_path(cost, 1.0))), price(best))


def test_a_frame_of_their_own_is_its_best_view(carphone_faces: Any) -> None:
    views = make_views(carphone_faces, CPU)
    count = len(carphone_faces)
    cost = fit_cost(views.pose[:count], views.expression[:count], views)
    assert (cost.argmin(1) == np.arange(count)).all()
    flipped = align.mirror(carphone_faces.landmarks, carphone_faces.size)
    chosen = choose_views(flipped, views, neutral_face(flipped).face)[:, 0]
    assert (chosen >= count).mean() > 0.5  # mirrored, where the head is turned enough to matter


def test_a_crooked_mouth_is_no_straight_one(carphone_faces: Any) -> None:
    straight = align.frontalise(carphone_faces.landmarks[:1])
    straight = (straight + align.mirror(straight, 0.0)) / 2

    def away(by: float) -> float:
        """How far a mouth differs from the straight one, its right corner raised by `by` radii of the face."""
        moved = straight.copy()
        moved[:, 61, 1] -= by
        features = [describe(face, MEAN)[1] for face in (straight, moved, align.mirror(moved, 0.0))]
        assert np.linalg.norm(features[2] - features[0]) == pytest.approx(
            np.linalg.norm(features[1] - features[0]), 0.01
        )
        return float(np.linalg.norm(features[1] - features[0]))

    assert away(0.05) < 0.02  # as heads are measured
    assert away(0.14) > 0.12


def test_warping_onto_itself_changes_nothing(carphone_faces: Any) -> None:
    rows = [0, 20]
    size = carphone_faces.size
    views = make_views(carphone_faces, CPU)
    target = target_geometry(carphone_faces.landmarks[rows], size, CPU)
    texture, own, visible = warp(target, views, torch.tensor(rows))
    truth = pictures(carphone_faces, rows)
    error = ((texture - truth) ** 2).mean(1, keepdim=True)[visible > 0.99].mean()
    assert -10 * torch.log10(error) > 35
    assert visible.max() == 1 and (visible > own).sum() == 0 and (own * (1 - target.inside)).max() == 0


def test_a_mirrored_view_is_the_flipped_picture(carphone_faces: Any) -> None:
    size, count = carphone_faces.size, len(carphone_faces)
    views = make_views(carphone_faces, CPU)
    flipped = align.mirror(carphone_faces.landmarks[:1], size).astype(np.float32)
    texture, _, visible = warp(target_geometry(flipped, size, CPU), views, torch.tensor([count]))
    truth = pictures(carphone_faces, [0]).flip(3)
    error = ((texture - truth) ** 2).mean(1, keepdim=True)[visible > 0.99].mean()
    assert -10 * torch.log10(error) > 30


def turned_by(degrees: float, size: int) -> np.ndarray:
    """The mean face with its head turned, in the middle of a crop: (1, 468, 3)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    face = MEAN @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return (0.28 * size * face + [size / 2, size / 2, 0]).astype(np.float32)[None]


def test_the_far_side_of_a_turned_head_is_not_drawn_out_over_a_straight_one(carphone_faces: Any) -> None:
    """Views turned to one side only; a straight head takes their near side, mirrored, for the far one."""
    size = carphone_faces.size
    turns = np.concatenate([turned_by(d, size) for d in (36, 40, 44)])
    three = replace(carphone_faces, coarse=np.arange(len(carphone_faces)) >= 3).measured()
    views = make_views(replace(three, landmarks=turns), CPU)
    straight = turned_by(0, size)
    whole = not_drawn_out(target_geometry(straight, size, CPU), views, torch.tensor([0]))
    assert whole is not None
    columns = whole[0, 0, :, :].sum(0) / target_geometry(straight, size, CPU).inside[0, 0].sum(0).clamp(min=1)
    left, middle, right = columns[size // 4], columns[size // 2], columns[3 * size // 4]
    assert min(left, right) < 0.5 < 0.99 < min(middle, max(left, right))
    assert not_drawn_out(target_geometry(turns[:1], size, CPU), views, torch.tensor([0])) is None
    first, second, _ = choose_views(straight, views, MEAN)[0]
    assert (first < 3) != (second < 3)
    alike = choose_views(turns[:1], views, MEAN)[0]
    assert (alike[0] < 3) == (alike[1] < 3)


def swap_of(target_faces: Any, source_faces: Any, rows: list[int]) -> tuple[Any, ...]:
    """Landmarks and geometry of the target's faces, the source's views, and those of them that fit."""
    views, landmarks = make_views(source_faces, CPU), target_faces.landmarks[rows]
    target, rest = target_geometry(landmarks, target_faces.size, CPU), neutral_face(target_faces.landmarks).face
    return landmarks, target, views, torch.from_numpy(choose_views(landmarks, views, rest))


def test_draft_takes_the_targets_light(carphone_faces: Any, astronaut_faces: Any) -> None:
    rows = [0, 20]
    _, target, views, choice = swap_of(carphone_faces, astronaut_faces, rows)
    for picture in (pictures(carphone_faces, rows), pictures(carphone_faces, rows) * 0.4):
        drafted = draft(target, picture, views, choice, masks(carphone_faces, rows))
        face, second = drafted.face, drafted.second
        assert face.isfinite().all() and second.isfinite().all() and face.min() >= 0 and face.max() <= 1
        weight = target.inside * drafted.coverage
        means = [(x * weight).sum((2, 3)) / weight.sum((2, 3)) for x in (face, picture)]
        assert (means[0] - means[1]).abs().max() < 0.03
    grey = pictures(carphone_faces, rows).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    face = draft(target, grey, views, choice, masks(carphone_faces, rows)).face
    assert (face.amax(1) - face.amin(1)).max() < 0.02  # black-and-white stays black-and-white


def test_hair_over_the_targets_face_does_not_light_the_draft(carphone_faces: Any, astronaut_faces: Any) -> None:
    rows = [0, 20]
    landmarks, target, views, choice = swap_of(carphone_faces, astronaut_faces, rows)
    picture, own = pictures(carphone_faces, rows), masks(carphone_faces, rows)
    fringe = torch.zeros_like(own)
    fringe[:, :, : int(landmarks[:, 10, 1].min()) + round(0.15 * carphone_faces.size)] = 1
    picture_with = picture + fringe * (torch.tensor([0.9, 0.8, 0.4])[:, None, None] - picture)
    own_without = own * (1 - fringe)
    plain, told, untold = (
        draft(target, shown, views, choice, mask).face
        for shown, mask in ((picture, own), (picture_with, own_without), (picture_with, own))
    )
    skin = target.inside * own_without
    away = [((face - plain).abs() * skin).sum() / skin.sum() for face in (told, untold)]
    assert away[0] < 0.5 * away[1]


def test_only_narrow_gaps_are_closed() -> None:
    size = 200
    seen = torch.ones(1, 1, size, size)
    seen[..., 50 : 50 + round(1.8 * GAP * size)] = 0
    seen[..., 120 : 120 + round(3 * GAP * size)] = 0
    filled = closed(seen, round(GAP * size))
    assert filled[..., :110].min() == 1  # a line beside a nose
    wide = filled[..., 120 : 120 + round(3 * GAP * size)]
    assert wide.max() == 0  # what is really hidden stays so


def shouting(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The same faces (N, 468, 3) with their lower lips a good way down."""
    wide = landmarks.copy()
    lower = [146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324, 77, 90, 180, 85, 16]
    lower += [315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403, 319, 325]
    wide[:, lower, 1] += 0.14 * size
    return wide


def test_lips_of_another_form_are_told(carphone_faces: Any) -> None:
    count, size = len(carphone_faces), carphone_faces.size
    views, landmarks = make_views(carphone_faces, CPU), carphone_faces.landmarks[:1]
    for faces, view, unlike in (
        (landmarks, 0, 0.0),
        (align.mirror(landmarks, size).astype(np.float32), count, 0.0),
        (shouting(landmarks, size), 0, 1.0),
    ):
        told = unlike_lips(target_geometry(faces, size, CPU), views, torch.tensor([view]))
        assert float(told) == unlike


def test_a_view_with_another_mouth_lends_no_lips(carphone_faces: Any) -> None:
    views, size = make_views(carphone_faces, CPU), carphone_faces.size
    picture, own = pictures(carphone_faces, [0]), masks(carphone_faces, [0])
    calm, loud = (
        target_geometry(faces, size, CPU)
        for faces in (carphone_faces.landmarks[:1], shouting(carphone_faces.landmarks[:1], size))
    )
    painted = views.pixels.clone()
    painted[:, :3] = torch.where(calm.lips > 0.5, 0, painted[:, :3])  # in that frame; the texture of all has them red
    blackened = replace(views, pixels=painted)
    away = []
    for target in (calm, loud):
        faces = [draft(target, picture, v, torch.tensor([[0, 0]]), own).face for v in (views, blackened)]
        lips = (target.lips > 0.95) * (1 - target.mouth)
        away.append(float(((faces[0] - faces[1]).abs() * lips).sum() / (3 * lips.sum())))
    assert away[1] < 0.4 * away[0]


def test_places_at_the_lips_of_a_wide_mouth_do_not_jump(carphone_faces: Any) -> None:
    size, landmarks = carphone_faces.size, carphone_faces.landmarks[:1]
    shut, wide = (target_geometry(faces, size, CPU) for faces in (landmarks, shouting(landmarks, size)))
    shut = replace(shut, mouth=torch.zeros_like(shut.mouth))
    read = torch.from_numpy(landmarks[..., :2]) * (2 / size) - 1
    assert torch.equal(eased(shut, spread(shut, read)), spread(shut, read))  # between closed lips it has to jump
    places = spread(wide, read)
    even = eased(wide, places)

    def jump(x: torch.Tensor) -> float:
        return float(((x[0, 1, 1:] - x[0, 1, :-1]).abs() * (wide.lips[0, 0, 1:] > 0.9)).max())

    assert jump(even) < 0.7 * jump(places)
    assert ((even - places).abs() * (wide.lips == 0)).max() == 0


def test_brows_and_lips_are_where_they_are_measured(carphone_faces: Any) -> None:
    landmarks = carphone_faces.landmarks[:1]
    brows, no_skin = features(target_geometry(landmarks, carphone_faces.size, CPU))

    def at(plane: torch.Tensor, vertices: list[int]) -> torch.Tensor:
        x, y = torch.from_numpy(landmarks[0, vertices, :2]).long().unbind(1)
        return plane[0, 0, y, x]

    assert at(brows, [105, 52, 334, 282]).min() > 0.8 and at(brows, [159, 13, 205, 151]).max() < 0.1
    assert at(no_skin, [105, 159, 386, 13, 17, 61, 291]).min() > 0.8 and at(no_skin, [205, 425, 151, 195]).max() < 0.1


def test_soft_edge_ends_inside_the_face(carphone_faces: Any) -> None:
    target = target_geometry(carphone_faces.landmarks[:1], carphone_faces.size, CPU)
    edge = soft_edge(target.inside)
    assert (edge * (1 - target.inside)).max() == 0
    assert edge.max() > 0.999
    assert (edge - edge.roll(1, 3)).abs().max() < 0.35  # no hard line


def test_open_eyes_are_as_bright_as_the_targets_and_closed_ones_stay() -> None:
    """Eyes with whites and irises, one of them in the shadow of a brow; the other eye is hardly open at all."""
    size = 128
    picture = torch.full((1, 3, size, size), 0.4)
    eyes = torch.zeros(1, 2, size, size)
    eyes[:, 0, 50:60, 25:50] = 1
    eyes[:, 1, 55:56, 80:85] = 1
    picture[:, :, 50:60, 25:50] = 0.7
    picture[:, :, 50:60, 33:42] = 0.2
    known = torch.ones(1, 1, size, size)
    face = torch.where(eyes.sum(1, keepdim=True) > 0, 0.8 * picture, picture)
    result = as_bright_eyes(face, picture, eyes, known)
    assert torch.allclose(
        result[eyes[:, :1].expand(-1, 3, -1, -1) > 0], picture[eyes[:, :1].expand(-1, 3, -1, -1) > 0], atol=0.02
    )
    assert torch.equal(result[..., 55:56, 80:85], face[..., 55:56, 80:85])
    outside = (eyes.sum(1, keepdim=True) == 0).expand(-1, 3, -1, -1)
    assert torch.equal(result[outside], face[outside])
    black = as_bright_eyes(0.1 * picture, picture, eyes, known)
    assert black[..., 52, 28].max() < 0.15  # at most by EYE_GAINS: a dark eye stays one
