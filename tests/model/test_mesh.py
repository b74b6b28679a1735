"""The mesh as a picture: triangles where the face is, attributes interpolated exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from understudy.engine.faces.geometry import align
from understudy.engine.faces.geometry.topology import MIRROR, TRIANGLES
from understudy.engine.model.draft.mesh_raster import (
    geometry,
    given,
    parts,
    softened,
    spread,
    triangle_map,
    vertex_visibility,
)
from understudy.engine.model.draft.rest import MEAN
from understudy.engine.model.draft.shape import neutral_face

SIZE = 128


def own_crop(alignments: Any, row: int = 0, size: int = SIZE) -> np.ndarray:
    landmarks = alignments.landmarks[row]
    return align.transform(landmarks, align.crop_matrix(landmarks, size))


def test_mirror_is_its_own_inverse_and_keeps_the_mesh() -> None:
    assert (MIRROR[MIRROR] == np.arange(468)).all()
    known = {frozenset(t) for t in TRIANGLES.tolist()}
    kept = np.mean([frozenset(MIRROR[t].tolist()) in known for t in TRIANGLES])
    assert kept > 0.9  # the openings of eyes and mouth are cut one way only


def test_crop_is_upright_centred_and_leaves_room(carphone_scan: Any) -> None:
    for row in range(0, len(carphone_scan), 10):
        face = own_crop(carphone_scan, row)
        middle = (face[:, :2].min(0) + face[:, :2].max(0)) / 2  # of the box in the crop, centred on that in the picture
        assert np.abs(middle - SIZE / 2).max() < 0.03 * SIZE
        assert 0.5 * SIZE < np.ptp(face[:, 1]) < 0.95 * SIZE
        down = face[align.CHIN] - face[align.FOREHEAD]
        assert abs(np.degrees(np.arctan2(down[0], down[1]))) < 12


def test_triangle_map_covers_the_hull(carphone_scan: Any) -> None:
    face = own_crop(carphone_scan)
    painted = triangle_map(face, SIZE) >= 0
    hull = align.hull_mask(face, SIZE) > 127
    assert (painted & hull).sum() > 0.93 * hull.sum()
    assert (painted & ~hull).sum() < 0.03 * hull.sum()


def test_spread_reproduces_the_pixels_own_place(carphone_scan: Any) -> None:
    faces = np.stack([own_crop(carphone_scan, row) for row in (0, 20)])
    maps = np.stack([triangle_map(f, SIZE) for f in faces])
    target = geometry(torch.from_numpy(faces), torch.from_numpy(maps))
    place = spread(target, target_points := torch.from_numpy(faces[..., :2].copy()))
    assert target_points.shape == (2, 468, 2)
    centre = torch.arange(SIZE) + 0.5
    expected = torch.stack(torch.meshgrid(centre, centre, indexing="xy"))[None] * target.inside
    assert (place - expected).abs().quantile(0.99) < 0.01


def test_visibility_falls_on_the_side_that_turns_away(carphone_scan: Any) -> None:
    face = own_crop(carphone_scan)
    rotation = align.head_rotation(face)
    straight = (face - face.mean(0)) @ rotation.T
    turned = []
    for degrees in (0, 50):
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        turned.append((straight @ turn.T + [SIZE / 2, SIZE / 2, 0]).astype(np.float32))
    seen = vertex_visibility(np.stack(turned))
    cheeks = [50, 280]  # the person's right and left
    assert (seen[0, cheeks] > 0.3).all()
    yaw = align.yaw_pitch(np.stack(turned))[:, 0]
    assert abs(yaw[0]) < 1 and abs(abs(yaw[1]) - 50) < 1
    hidden = cheeks[0] if seen[1, cheeks[0]] < seen[1, cheeks[1]] else cheeks[1]
    assert seen[1, hidden] < 0.15


def test_what_a_nose_hides_beside_it_is_not_seen() -> None:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    seen = vertex_visibility((60 * MEAN @ turn.T + [SIZE / 2, SIZE / 2, 0])[None].astype(np.float32))[0]
    far, near = [49, 131, 198], [279, 360, 420]  # where the wings of the nose end
    assert (seen[far] < 0).all() and (seen[near] > 0.2).all()


def test_crop_reduces_without_aliasing_or_shift() -> None:
    y, x = np.mgrid[0:600, 0:800].astype(np.float32)
    picture = np.stack([x / 4, y / 4, (x + y) / 8], -1).astype(np.uint8)
    matrix = np.array([[0.2, 0.0, -20.0], [0.0, 0.2, -10.0]])
    small = align.crop(picture, matrix, 100).astype(float)
    at = (np.arange(100) + 0.5 - [[-20], [-10]]) / 0.2 - 0.5  # source place of each crop pixel, by axis
    assert np.abs(small[50, :, 0] - at[0] / 4)[2:-2].max() < 1.5
    assert np.abs(small[:, 50, 1] - at[1] / 4)[2:-2].max() < 1.5


def test_no_face_is_drawn_out_of_the_rim_of_one_seen_from_the_front(carphone_faces: Any) -> None:
    face = neutral_face(carphone_faces.landmarks).face

    def seen(degrees: float) -> torch.Tensor:
        x = face[:, 0] * np.cos(np.radians(degrees)) + face[:, 2] * np.sin(np.radians(degrees))
        return torch.from_numpy(30 * np.column_stack([x, face[:, 1], 0 * x]).astype(np.float32)[None])

    temples, nose_and_cheeks = np.array([[127, 234], [356, 454]]), [1, 4, 50, 280, 205, 425]
    for degrees, drawn_out in ((55, 1), (-55, 0)):
        target = geometry(seen(degrees), torch.zeros(1, SIZE, SIZE, dtype=torch.int16))
        assert (given(target, parts(seen(degrees)[..., :2])) == 1).all()
        assert (given(target, parts(2 * seen(degrees)[..., :2] + 9)) == 1).all()  # nearer or elsewhere is all the same
        shown = given(target, parts(seen(0)[..., :2]))[0]
        assert (shown[temples[drawn_out]] < 0.1).all() and (shown[temples[1 - drawn_out]] == 1).all()
        assert (shown[nose_and_cheeks] > 0.9).all()
    beyond = softened(target, torch.tensor([-0.4, 1.4]).repeat(SIZE // 2).expand(1, 1, SIZE, SIZE))
    assert beyond.min() >= 0 and beyond.max() <= 1
