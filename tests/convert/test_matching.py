"""Colour, softness, grain, seam and fit: each takes out what was put in, and leaves alone what is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from understudy.engine.convert import blend, colour_matching, grain_blur, landmark_smoothing
from understudy.engine.convert.frame_measures import Measures, average_measures
from understudy.engine.convert.landmark_smoothing import smooth_landmarks
from understudy.engine.convert.mask import face_width, fit_mask
from understudy.engine.convert.plan import Placement
from understudy.engine.faces.geometry.align import crop, crop_matrix
from understudy.engine.media.reader import read_frames
from understudy.engine.model.draft.shape import difference, neutral_face
from understudy.engine.protocol import ConvertSettings

SIZE = 256


@pytest.fixture(scope="module")
def face(astronaut_scan: Any) -> np.ndarray:
    from pathlib import Path

    frame = next(iter(read_frames(Path(astronaut_scan.clip.path))))
    return crop(frame.rgb, crop_matrix(astronaut_scan.landmarks[0], SIZE), SIZE).astype(np.float32)


@pytest.fixture(scope="module")
def placement(astronaut_scan: Any) -> Placement:
    landmarks = astronaut_scan.landmarks[0]
    matrix = crop_matrix(landmarks, SIZE)
    own = neutral_face(landmarks[None])
    return Placement(
        source="a",
        face=landmarks,
        matrix=matrix,
        change=difference(own, own),
        choice=np.zeros(2, int),
        size=SIZE,
        radius=1.0,
        track=0,
        motion=np.zeros(2),
    )


def oval(soft: float = 6.0) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.float32)
    cv2.ellipse(mask, (SIZE // 2, SIZE // 2), (62, 84), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), soft)


@pytest.mark.parametrize("method", ["light", "reinhard", "mkl", "histogram"])
def test_a_colour_cast_is_taken_out_and_the_right_colour_left(method: Any, face: np.ndarray) -> None:
    mask = oval()
    inside = mask > 0.7
    cast = np.clip(0.85 * face * np.float32([1.1, 1.0, 0.85]) + 10, 0, 255)
    vector = colour_matching.measure(method, cast, face, mask)
    before = np.abs(cast - face)[inside].mean()
    after = np.abs(colour_matching.apply(method, cast, vector) - face)[inside].mean()
    assert after < (0.5 if method == "light" else 0.25) * before
    same = colour_matching.apply(method, face, colour_matching.measure(method, face, face, mask))
    assert np.abs(same - face)[inside].mean() < 0.5
    nothing = colour_matching.apply(method, face, colour_matching.measure(method, cast, face, np.zeros_like(mask)))
    assert np.abs(nothing - face).max() < 1.0 or method in ("reinhard", "mkl")
    assert np.abs(nothing - face).mean() < 1.0


def test_black_and_white_and_toned_footage_stay_so(face: np.ndarray) -> None:
    grey = np.repeat((face @ np.float32([0.299, 0.587, 0.114]))[..., None], 3, 2)
    plain = colour_matching.apply_tint(face, colour_matching.measure_tint(grey, oval()))
    assert np.ptp(plain, axis=-1).max() < 1.0
    sepia = np.clip(grey * np.float32([1.0, 0.9, 0.75]) + np.float32([8, 2, 0]), 0, 255)
    toned = colour_matching.apply_tint(face, colour_matching.measure_tint(sepia, oval()))
    line, found = (colour_matching.measure_tint(picture, oval()) for picture in (sepia, toned))
    assert line[0] == found[0] == 1 and np.allclose(line[[2, 4]], found[[2, 4]], atol=0.02)
    assert np.allclose(line[[1, 3]], found[[1, 3]], atol=2)
    assert (colour_matching.apply_tint(face, colour_matching.measure_tint(face, oval())) == face).all()


@pytest.mark.parametrize("strength", [2.0, 6.0])
@pytest.mark.parametrize("size", [0.0, 0.5])
def test_grain_is_measured_made_and_the_same_for_the_same_frame(strength: float, size: float) -> None:
    flat = np.full((200, 200, 3), 120, np.float32)
    asked = np.array([strength, strength / 2, size], np.float32)
    made = grain_blur.grain((200, 200), asked, (7, 1))
    again, other = grain_blur.grain((200, 200), asked, (7, 1)), grain_blur.grain((200, 200), asked, (8, 1))
    assert made is not None and (made == again).all()
    assert abs(np.corrcoef(made.ravel(), other.ravel())[0, 1]) < 0.03
    found = grain_blur.measure_grain(flat + made, np.ones((200, 200), bool))
    assert found[0] == pytest.approx(strength, rel=0.15) and found[1] == pytest.approx(strength / 2, rel=0.2)
    assert grain_blur.grain((9, 9), np.array([0.2, 0.1, 0.0]), (1,)) is None


def test_softness_is_measured_and_a_sharp_footage_is_left_alone(face: np.ndarray) -> None:
    mask, still = oval(), np.zeros(2)
    assert not grain_blur.measure_blur(face, face, mask, still).any()
    assert not grain_blur.measure_blur(cv2.GaussianBlur(face, (0, 0), 2), face, mask, still).any()
    soft = cv2.GaussianBlur(face, (0, 0), 2.0)
    vector = grain_blur.measure_blur(face, soft, mask, still)
    assert 1.2 < vector[0] < 2.6
    away = [np.abs(grain_blur.apply_blur(face, v, still) - soft)[mask > 0.7].mean() for v in (np.zeros(2), vector)]
    assert away[1] < 0.5 * away[0]
    motion = np.array([9.0, 0.0])
    kernel = np.full((1, 9), 1 / 9, np.float32)
    along, across = grain_blur.measure_blur(face, cv2.filter2D(face, -1, kernel), mask, motion)
    assert along > 1.2 and across < 0.6


@pytest.mark.parametrize("method", ["multiband", "feather", "seamless"])
def test_a_blend_is_the_face_inside_and_the_footage_outside(method: Any, face: np.ndarray) -> None:
    mask = oval()
    mask[mask < 0.02] = 0
    new = blend.extend_face(face + 30 * (mask > 0.01)[..., None], face, np.clip(mask * 8, 0, 1))
    mixed = blend.blend(face, new, mask, method)
    assert (mixed[mask == 0] == face[mask == 0]).all()
    assert np.abs(mixed - face - 30)[cv2.erode((mask > 0.99).astype(np.uint8), np.ones((41, 41))) > 0].max() < 6
    membrane = blend.membrane(blend.measure_membrane(face + 30, face, mask), SIZE)
    assert membrane[mask > 0.5].mean() == pytest.approx(-30, abs=1.5)


def test_each_side_is_drawn_in_by_itself(placement: Placement) -> None:
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[40:220, 60:200] = 1
    whole = fit_mask(mask, replace(placement, settings=ConvertSettings(feather=0.0)))
    assert (whole == mask).all()
    width = face_width(placement)

    def extent(values: np.ndarray) -> list[int]:
        rows, columns = (np.flatnonzero((values > 0.5).any(axis)) for axis in (1, 0))
        return [rows[0], columns[-1], rows[-1], columns[0]]

    for side in range(4):
        erode = [0.0] * 4
        erode[side] = 0.2
        moved = np.abs(
            np.subtract(
                extent(fit_mask(mask, replace(placement, settings=ConvertSettings(erode=erode, feather=0.0)))),
                extent(mask),
            )
        )
        assert moved[side] == pytest.approx(0.2 * width, abs=2) and not moved[np.arange(4) != side].any()
    soft = fit_mask(mask, replace(placement, settings=ConvertSettings(feather=0.3)))
    assert (soft <= mask).all() and soft[128, 128] == 1 and (soft > 0).sum() <= (mask > 0).sum()


@pytest.mark.parametrize("frames", [3, 9, 50, 53, 61])
def test_a_long_take_is_steadied_in_pieces_as_in_one(
    frames: int, astronaut_scan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(5)
    track = astronaut_scan.landmarks[0] + random.normal(0, 0.5, (frames, 468, 3)).astype(np.float32)
    whole = smooth_landmarks(track, np.arange(frames), 1.0)
    assert np.abs(whole - track).max() > 0.1
    monkeypatch.setattr(landmark_smoothing, "CHUNK_FRAMES", 10)
    assert (smooth_landmarks(track, np.arange(frames), 1.0) == whole).all()


def test_landmarks_are_steadied_but_motion_is_kept(astronaut_scan: Any) -> None:
    base = astronaut_scan.landmarks[0]
    t = np.arange(40, dtype=np.float32)[:, None, None]
    moving = base + np.float32([3, 1, 0]) * t + np.float32([0, 0.05, 0]) * t**2
    frames = np.arange(40)
    assert (
        np.abs(smooth_landmarks(moving, frames, 1.0) - moving)[..., :2].max() < 0.05
    )  # no lag, not at the ends either
    scale = float(np.ptp(base[:, 0]))
    noise = np.random.default_rng(0).normal(0, 0.0012 * scale, moving.shape)  # what a face mesh jitters by
    noisy = moving + noise.astype(np.float32)
    left = [np.abs(smooth_landmarks(noisy, frames, a) - moving)[..., :2].std() for a in (0.0, 1.0)]
    assert left[1] < 0.7 * left[0]
    blink = moving.copy()
    blink[20, 159, 1] += 0.05 * scale
    assert smooth_landmarks(blink, frames, 1.0)[20, 159, 1] - moving[20, 159, 1] > 0.04 * scale
    torn = np.r_[np.arange(20), np.arange(300, 320)]  # nothing is smoothed over a gap
    assert (
        np.abs(
            smooth_landmarks(np.where(t < 20, moving, moving + 400), torn, 1.0) - np.where(t < 20, moving, moving + 400)
        ).max()
        < 0.05
    )


def test_measures_are_averaged_around_a_frame() -> None:
    def of(value: float) -> Measures:
        empty = np.zeros(0, np.float32)
        return Measures(np.array([value], np.float32), np.ones(5, np.float32), empty, empty, empty)

    waver = [of(v) for v in (0, 10, 0, 10, 0, 10, 0)]
    assert average_measures(3, range(7), waver).colour[0] == pytest.approx(5, abs=1.5)
    assert average_measures(3, [3], [of(4.0)]).colour[0] == 4
