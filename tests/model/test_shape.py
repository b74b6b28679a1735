"""The source's proportions on the target's head: what is shape moves, what is expression stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from understudy.engine.faces.geometry import align
from understudy.engine.faces.geometry.topology import BROWS, EYES
from understudy.engine.model.draft.shape import difference, move_picture, neutral_face, reshaped


def test_a_face_given_another_ones_shape_has_it(carphone_faces: Any, astronaut_faces: Any) -> None:
    man, woman = neutral_face(carphone_faces.landmarks), neutral_face(astronaut_faces.landmarks)
    change = difference(man, woman)
    assert np.abs(difference(man, man).at_rest).max() == 0
    moved = reshaped(carphone_faces.landmarks, change)
    now = neutral_face(moved)
    both = [(n.face + align.mirror(n.face, 0.0)) / 2 for n in (man, woman, now)]  # without either side's accidents
    skin = np.ones(468, bool)
    skin[np.linalg.norm(man.face - man.face[[13, 14]].mean(0), axis=1) < 0.8] = False  # her mouth is not known at rest
    before, after = (np.linalg.norm((face - both[1])[skin], axis=1).mean() for face in (both[0], both[2]))
    assert after < 0.5 * before


def test_the_mouth_stays_as_open_as_it_was(carphone_faces: Any, astronaut_faces: Any) -> None:
    laughing = neutral_face(astronaut_faces.landmarks)
    change = difference(neutral_face(carphone_faces.landmarks), laughing)
    assert np.abs(change.at_rest[13] - change.at_rest[14]).max() < 1e-6  # the middle of the lips
    faces = [align.frontalise(f) for f in (carphone_faces.landmarks, reshaped(carphone_faces.landmarks, change))]
    opening = [np.linalg.norm(f[:, 13] - f[:, 14], axis=1) for f in faces]
    assert np.abs(opening[0] - opening[1]).max() < 0.01


@pytest.mark.parametrize("part", range(3))
def test_lids_brows_and_mouth_may_stay_as_the_target_has_them(
    carphone_faces: Any, astronaut_faces: Any, part: int
) -> None:
    man = neutral_face(carphone_faces.landmarks)
    change = difference(man, neutral_face(astronaut_faces.landmarks)._replace(mouth=1.0), 1.0)
    parts = [float(n != part) for n in range(3)]
    own, kept = (reshaped(man.face, change, 1.0, p) for p in ((1.0, 1.0, 1.0), parts))
    places = [EYES[0] + EYES[1], BROWS[0] + BROWS[1], [61, 291, 0, 17, 37, 267, 84, 314]]
    moved = [np.abs(own - kept)[ring, :2].max() for ring in places]
    assert moved[part] > 0.005 and moved[part] == max(moved)
    # what stays is the form: how high lids are apart, brows stand over the eyes, the mouth is wide
    forms = [
        lambda face: face[145, 1] - face[159, 1],
        lambda face: face[[33, 133], 1].mean() - face[BROWS[0], 1].mean(),
        lambda face: face[291, 0] - face[61, 0],
    ]
    before, after, without = (forms[part](face) for face in (man.face, own, kept))
    assert abs(without - before) < 0.35 * abs(after - before)


def test_a_single_smile_is_not_taken_for_a_shape(carphone_faces: Any, astronaut_faces: Any) -> None:
    man, woman = neutral_face(carphone_faces.landmarks), neutral_face(astronaut_faces.landmarks)
    assert man.mouth > woman.mouth == 0

    def width(change: np.ndarray) -> np.ndarray:
        face = man.face + change
        return np.linalg.norm(face[61] - face[291])

    own = width(np.zeros(3))
    taken_for_shape = difference(man._replace(mouth=1.0), woman._replace(mouth=1.0))
    assert width(taken_for_shape.at_rest) > 1.04 * own  # as wide as she smiles
    assert abs(width(difference(man, woman).at_rest) / own - 1) < 0.005


def test_pose_stays_the_targets(carphone_faces: Any, astronaut_faces: Any) -> None:
    change = difference(neutral_face(carphone_faces.landmarks), neutral_face(astronaut_faces.landmarks))
    moved = reshaped(carphone_faces.landmarks, change)
    turned = align.yaw_pitch(moved) - align.yaw_pitch(carphone_faces.landmarks)
    assert np.abs(turned).max() < 4.0


def test_the_picture_around_moves_along_and_ends_at_the_border(carphone_faces: Any, astronaut_faces: Any) -> None:
    rows = [0, 30]
    before = carphone_faces.landmarks[rows]
    change = difference(neutral_face(carphone_faces.landmarks), neutral_face(astronaut_faces.landmarks), 1.5)
    after = reshaped(before, change)  # a smile against a calm mouth: more than any slider asks
    size = carphone_faces.size
    place = torch.arange(size).float() / size
    ramp = torch.stack(torch.meshgrid(place, place, indexing="xy"))[None].repeat(2, 1, 1, 1)  # each pixel's own place
    moved, where, _ = move_picture(ramp, before, after)
    edge = torch.ones(size, size, dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    assert torch.equal(moved[..., edge], ramp[..., edge]) and where[..., edge].max() == 0
    for face, old, new in zip(moved, before, after, strict=True):
        inner = [4, 50, 280, 152, 61, 291]  # nose, cheeks, chin, corners of the mouth
        x, y = np.clip(new[inner, :2].astype(int), 0, size - 1).T
        shown = face[:, y, x].T.numpy() * size
        assert np.abs(shown - (old[inner, :2] + np.floor(new[inner, :2]) - new[inner, :2])).max() < 2.0
    assert (moved[:, 0].diff(dim=-1) > -1e-4).all()  # nothing folds over
    untouched, nowhere, _ = move_picture(ramp, before, before)
    assert torch.equal(untouched, ramp) and nowhere.max() == 0


@pytest.mark.parametrize("side", [0, 1])
def test_lids_close_and_brows_come_down_on_whoever_has_larger_eyes_and_higher_brows(
    carphone_faces: Any, side: int
) -> None:
    man = neutral_face(carphone_faces.landmarks)
    corners, eye, brow = [133, 33] if side == 0 else [362, 263], EYES[side], BROWS[side]
    upper, lower = eye[1:8], eye[:8:-1]
    other = man.face.copy()
    for ring in EYES:
        middle = other[ring, 1].mean()
        other[ring, 1] = middle + 2.0 * (other[ring, 1] - middle)
    for ring in BROWS:
        other[ring, 1] -= 0.08
    change = difference(man, man._replace(face=other))

    def told(face: np.ndarray) -> tuple[float, float]:
        straight = align.frontalise(face[None])[0]
        open_by = float((straight[lower, 1] - straight[upper, 1]).mean())
        return open_by, float(straight[corners, 1].mean() - straight[brow, 1].mean())

    assert np.allclose(told(reshaped(man.face, change)), told(man.face + change.at_rest), atol=0.01)
    closed = man.face.copy()
    closed[upper, 1] = closed[lower, 1] - 0.004
    closed[brow, 1] += 0.6 * told(man.face)[1]
    opening, height = told(reshaped(closed, change))
    assert opening < 0.015 < 0.025 < told(closed + change.at_rest)[0]
    assert height < told(closed + change.at_rest)[1] - 0.03
