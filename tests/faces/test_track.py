"""Tracks, steadying, shots and persons, on invented faces whose truth is known."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import pytest
from understudy.engine.faces.networks.face_mesh import EYE_LINE
from understudy.engine.faces.people import grouping
from understudy.engine.faces.tracking import shots, track_linking

UNKNOWN = np.full(128, np.nan)


def who(number: int) -> np.ndarray:
    """An embedding: different numbers are .85 apart."""
    embedding = np.zeros(128)
    embedding[number] = 0.6
    return embedding


def linked(
    rows: list[tuple[int, float, np.ndarray]], longest_gap: int = 12, in_shots: list[int] | None = None
) -> list[int]:
    """Tracks of faces given as frame, x of a 100 px box, embedding."""
    box = np.array([[x, 0, x + 100, 100] for _, x, _ in rows], float)
    frame = np.array([r[0] for r in rows])
    shot = np.array(in_shots if in_shots else [0] * len(rows))
    return track_linking.link_tracks(frame, shot, box, np.array([r[2] for r in rows]), longest_gap).tolist()


def test_a_face_that_moves_is_one_track() -> None:
    assert linked([(i, 12.0 * i, UNKNOWN) for i in range(40)]) == [0] * 40


def test_faces_that_cross_keep_their_tracks() -> None:
    rows = []
    for i in range(30):
        rows += [(i, 10.0 * i, who(0) if i % 2 else UNKNOWN), (i, 290.0 - 10 * i, who(1) if i % 2 else UNKNOWN)]
    rows = [r for r in rows if r[0] not in (14, 15)]  # one hides the other
    found = np.array(linked(rows))
    assert set(found) == {0, 1}
    for row, number in zip(rows, found, strict=True):
        if row[2] is not UNKNOWN:
            assert row[2][number] > 0


def test_no_track_crosses_a_cut_or_a_long_gap() -> None:
    still = [(i, 0.0, who(0)) for i in range(10)]
    assert linked(still, in_shots=[0] * 5 + [1] * 5) == [0] * 5 + [1] * 5
    assert linked([(0, 0, who(0)), (12, 0, who(0))], longest_gap=11) == [0, 0]
    assert linked([(0, 0, who(0)), (13, 0, who(0))], longest_gap=11) == [0, 1]


def test_another_person_in_the_same_place_is_another_track() -> None:
    assert linked([(i, 0.0, who(i // 5)) for i in range(10)]) == [0] * 5 + [1] * 5


def mesh_points(seed: int = 0) -> np.ndarray:
    """(468, 3): an invented face with 100 px between the eyes."""
    points = np.random.default_rng(seed).uniform(0, 200, (468, 3))
    points[EYE_LINE[0]], points[EYE_LINE[1]] = (50, 80, 0), (150, 80, 0)
    return points.astype(np.float32)


def test_gaps_are_filled_with_straight_lines() -> None:
    face = mesh_points()
    every, landmarks, measured = track_linking.fill_gaps(np.array([3, 4, 8]), np.stack([face, face + 1, face + 5]))
    assert every.tolist() == [3, 4, 5, 6, 7, 8]
    assert measured.tolist() == [0, 1, -1, -1, -1, 2]
    np.testing.assert_allclose(
        landmarks - face, np.broadcast_to(np.arange(6.0)[:, None, None], landmarks.shape), atol=1e-4
    )


def test_a_still_head_is_still() -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, (60, 468, 3))  # .3 % of the eyes' distance, as measured on video
    steadied = track_linking.smooth_track((mesh_points() + noise).astype(np.float32))
    before, after = np.diff(noise, axis=0)[8:-8].std(), np.diff(steadied, axis=0)[8:-8].std()
    assert after < 0.3 * before
    whole = np.random.default_rng(2).normal(0, 0.3, (60, 1, 2)) * [[[1, 1]]]  # the mesh jitters as one, too
    steadied = track_linking.smooth_track((mesh_points()[:, :2] + whole).astype(np.float32))
    assert np.diff(steadied.mean(1), axis=0)[8:-8].std() < 0.4 * np.diff(whole[:, 0], axis=0)[8:-8].std()


def test_quick_motion_does_not_lag() -> None:
    time = np.arange(50)
    path = np.where(time < 20, 0, np.where(time < 30, (time - 20) * 8.0, 80))  # starts and stops at once, 8 % a frame
    steadied = track_linking.smooth_track((mesh_points() + path[:, None, None] * [1, 0, 0]).astype(np.float32))
    moved = steadied[..., 0].mean(1) - mesh_points()[:, 0].mean()
    assert abs(moved - path).max() < 0.3


def test_a_blink_stays_a_blink() -> None:
    lids = np.zeros((30, 468, 3))
    lids[14:17, 100:120, 1] = [[4], [7], [4]]
    steadied = track_linking.smooth_track((mesh_points() + lids).astype(np.float32))
    assert steadied[15, 100:120, 1].mean() - mesh_points()[100:120, 1].mean() > 6.5


@pytest.mark.parametrize("count", [1, 2, 3, 11])
def test_short_tracks_survive_steadying(count: int) -> None:
    face = np.repeat(mesh_points()[None], count, 0)
    np.testing.assert_allclose(track_linking.smooth_track(face), face, atol=1e-3)


def divided(pictures: Iterable[np.ndarray]) -> list[int]:
    """The shot of each picture."""
    return shots.split_into_shots(np.stack([shots.signature(picture) for picture in pictures])).tolist()


def test_cuts_are_seen_and_pans_are_not(astronaut: np.ndarray, hopper: np.ndarray) -> None:
    pan = [astronaut[100:350, x : x + 300] for x in range(0, 200, 8)]
    zoom = [cv2.resize(astronaut[z : 500 - z, z : 500 - z], (300, 250)) for z in range(0, 100, 5)]
    middle = [hopper[100:350, 100:400], hopper[100:350, 104:404]]
    assert divided([*pan, *middle, *zoom]) == [0] * len(pan) + [1, 1] + [2] * len(zoom)


def test_a_moving_face_before_a_still_camera_is_no_cut(hopper: np.ndarray) -> None:
    pictures = []
    for x in range(0, 400, 25):
        picture = np.full((360, 640, 3), (60, 90, 120), np.uint8)
        picture[100:300, x : x + 170] = cv2.resize(hopper, (170, 200))
        pictures.append(picture)
    assert divided(pictures) == [0] * 16


@pytest.mark.parametrize("length", [8, 16, 30])
def test_a_dissolve_is_one_change_in_its_middle(length: int, astronaut: np.ndarray, hopper: np.ndarray) -> None:
    first = [astronaut[100:350, x : x + 300] for x in range(0, 2 * (30 + length), 2)]  # both go on moving meanwhile
    second = [hopper[60 + y : 310 + y, 100:400] for y in range(0, 2 * (30 + length), 2)]
    mixed = [
        cv2.addWeighted(first[30 + i], 1 - (i + 1) / (length + 1), second[i], (i + 1) / (length + 1), 0)
        for i in range(length)
    ]
    found = divided([*first[:30], *mixed, *second[length:]])
    assert found[0] == 0 and found[-1] == 1 and set(found) == {0, 1}
    assert abs(found.index(1) - (30 + length / 2)) <= max(3, length / 4)


def test_a_fade_to_black_and_out_of_it(astronaut: np.ndarray) -> None:
    levels = [*[1.0] * 20, *np.linspace(1, 0, 12), *[0.0] * 10, *np.linspace(0, 1, 12), *[1.0] * 20]
    found = divided([cv2.convertScaleAbs(astronaut, alpha=level) for level in levels])
    assert found[0] == 0 and found[36] == 1 and found[-1] == 2 and set(found) == {0, 1, 2}


def grouped(tracks: list[tuple[np.ndarray, range]], good: list[bool] | None = None) -> list[int]:
    embeddings = np.array([e for e, _ in tracks])
    frames = [np.array(r) for _, r in tracks]
    return grouping.group_tracks(embeddings, frames, np.array(good or [True] * len(tracks))).tolist()


def test_tracks_of_one_face_are_one_person_and_most_seen_comes_first() -> None:
    assert grouped([(who(0), range(0, 10)), (who(1), range(10, 60)), (who(0) * 0.9, range(60, 70))]) == [1, 0, 1]


def test_two_faces_seen_together_are_two_people() -> None:
    twins = [(who(0), range(0, 50)), (who(0) * 0.95, range(20, 40)), (who(0) * 0.98, range(60, 70))]
    found = grouped(twins)
    assert found[0] == 0 and found[1] == 1 and found[2] in (0, 1)


def test_poor_tracks_join_someone_or_nobody() -> None:
    tracks = [(who(0), range(0, 50)), (who(0) * 0.9, range(60, 62)), (who(1), range(70, 72)), (who(0), range(10, 13))]
    assert grouped(tracks, [True, False, False, False]) == [0, 0, -1, -1]
    assert grouped(tracks, [False] * 4) == [-1] * 4
    assert grouped([]) == []
