"""The durable mark on real faces: unseen, found again after what happens to films, and nowhere else."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from understudy.engine.faces.geometry.align import crop, crop_matrix, hull_mask, mesh_radius, to_opencv, transform
from understudy.engine.provenance import mark

NUMBER = 0xBEEF


def soft_mask(landmarks: np.ndarray, size: int) -> np.ndarray:
    hull = cv2.erode(hull_mask(landmarks, size), np.ones((9, 9)))
    return cv2.GaussianBlur(hull, (0, 0), 3).astype(np.float32) / 255


def pasted(picture: np.ndarray, landmarks: np.ndarray, number: int | None) -> np.ndarray:
    """The picture with its face cut, marked (or not), and put back."""
    size = 256
    matrix = crop_matrix(landmarks, size)
    face, there = crop(picture, matrix, size).astype(np.float32), transform(landmarks, matrix)
    mask = soft_mask(there, size)
    if number is not None:
        face = mark.embed(face, mask, there, float(mesh_radius(landmarks)), number)
    shape, flags = picture.shape[1::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    alpha = cv2.warpAffine(mask, to_opencv(matrix), shape, flags=flags)[..., None]
    fresh = cv2.warpAffine(face, to_opencv(matrix), shape, flags=flags)
    return np.round(picture + alpha * (fresh - picture)).clip(0, 255).astype(np.uint8)


def read(picture: np.ndarray, landmarks: np.ndarray) -> mark.Found:
    reader = mark.Reader()
    reader.add(picture, landmarks)
    return reader.found()


def compressed(picture: np.ndarray, crf: int, frames: int = 8) -> list[np.ndarray]:
    """A pan over the picture, a pixel a frame, through H.264."""
    height, width = (side // 2 * 2 - frames for side in picture.shape[:2])
    height, width = height // 2 * 2, width // 2 * 2
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as movie:
        stream = movie.add_stream("libx264", rate=Fraction(25), options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for at in range(frames):
            view = np.ascontiguousarray(picture[:height, at : at + width])
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(view, "rgb24")))
        movie.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as movie:
        return [frame.to_ndarray(format="rgb24") for frame in movie.decode(video=0)]


@pytest.fixture(scope="module")
def portrait(people_footage: Any, astronaut_scan: Any) -> tuple[np.ndarray, np.ndarray]:
    """A real portrait, enlarged so that the face is 220 pixels wide, and its landmarks."""
    from understudy.engine.media.reader import read_frames

    picture = next(iter(read_frames(people_footage["astronaut"]))).rgb
    scale = 220 / float(np.ptp(astronaut_scan.landmarks[0, :, 0]))
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return large, astronaut_scan.landmarks[0] * np.float32(scale)


@pytest.fixture(scope="module")
def marked(portrait: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return pasted(*portrait, NUMBER)


def test_it_is_read_back_and_names_the_recast(portrait: Any, marked: np.ndarray) -> None:
    found = read(marked, portrait[1])
    assert found.present and found.number == NUMBER
    assert not read(portrait[0], portrait[1]).present
    assert not read(pasted(*portrait, None), portrait[1]).present


def test_it_is_not_seen(portrait: Any, marked: np.ndarray) -> None:
    plain = pasted(*portrait, None).astype(float)
    matrix = crop_matrix(portrait[1], 256)
    inside = cv2.warpAffine(
        soft_mask(transform(portrait[1], matrix), 256), to_opencv(matrix), plain.shape[1::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip
    off = (marked - plain)[inside > 0.5]
    assert 10 * np.log10(255**2 / (off**2).mean()) >= 45
    assert np.abs(off @ [0.2126, 0.7152, 0.0722]).mean() < 0.6  # hardly a change of brightness
    assert (marked == plain)[inside == 0].all()


def test_it_outlives_compression_scaling_and_cropping(portrait: Any, marked: np.ndarray) -> None:
    landmarks = portrait[1]
    half = cv2.resize(marked, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    low, high = landmarks[:, :2].min(0).astype(int) - 20, landmarks[:, :2].max(0).astype(int) + 20
    around = np.ascontiguousarray(marked[low[1] : high[1], low[0] : high[0]])
    moved = landmarks - np.array([*low, 0], np.float32)
    bgr = cv2.cvtColor(marked, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)
    for picture, points in ((half, landmarks / 2), (around, moved), (cv2.cvtColor(jpeg, cv2.COLOR_BGR2RGB), landmarks)):
        found = read(picture, points)
        assert found.present and found.number == NUMBER, found
    reader = mark.Reader()
    for at, picture in enumerate(compressed(around, 28)):
        reader.add(picture, moved - np.array([at, 0, 0], np.float32))
    assert reader.found().present and reader.found().number == NUMBER, reader.found()


def read_moving(picture: np.ndarray, landmarks: np.ndarray, crf: int, frames: int = 8) -> mark.Found:
    reader = mark.Reader()
    for at, frame in enumerate(compressed(picture, crf, frames)):
        reader.add(frame, landmarks - np.array([at, 0, 0], np.float32))
    return reader.found()


def test_it_outlives_half_the_size_and_compression_together(portrait: Any, marked: np.ndarray) -> None:
    half = cv2.resize(marked, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    found = read_moving(half, portrait[1] / 2, 23, 24)  # of the 120 that `understudy verify` reads
    assert found.present and found.number == NUMBER, found


def test_a_small_face_outlives_compression(portrait: Any) -> None:
    """72 pixels wide, where films keep 36 of colour."""
    small = cv2.resize(portrait[0], None, fx=72 / 220, fy=72 / 220, interpolation=cv2.INTER_AREA)
    landmarks = portrait[1] * np.float32(72 / 220)
    found = read_moving(pasted(small, landmarks, NUMBER), landmarks, 18)
    assert found.present and found.number == NUMBER, found
    assert not read_moving(pasted(small, landmarks, None), landmarks, 18).present


def test_shots_of_a_recast_add_up(portrait: Any, marked: np.ndarray) -> None:
    """Nearly all of them too spoiled to be sure of by themselves."""
    random = np.random.default_rng(2)
    noisy = [np.clip(marked + random.normal(0, 36, marked.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    together, scores = mark.Reader(), []
    for picture in noisy:
        shot = mark.Reader()
        shot.add(picture, portrait[1])
        scores.append(shot.found().score)
        together.join(shot)
    found = together.found()
    assert sum(score < mark.PRESENT for score in scores) >= 5
    assert found.number == NUMBER and found.present and found.score > np.mean(scores) + 1 and together.frames == 6


def test_a_face_measured_a_little_off_is_read(portrait: Any, marked: np.ndarray) -> None:
    random = np.random.default_rng(0)
    radius = np.ptp(portrait[1][:, 0]) / 2
    for _ in range(5):
        off = portrait[1] + random.normal(0, 0.01 * radius, 3).astype(np.float32)
        assert read(marked, off).number == NUMBER


def test_black_and_white_faces_are_marked_in_their_brightness(portrait: Any) -> None:
    grey = np.repeat(cv2.cvtColor(portrait[0], cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    found = pasted(grey, portrait[1], NUMBER)
    assert np.ptp(found.astype(int), axis=2).max() == 0  # no colour comes in
    assert read(found, portrait[1]).number == NUMBER
    lasting = read_moving(found, portrait[1], 28, 24)  # of the 120 that `understudy verify` reads
    assert lasting.present and lasting.number == NUMBER, lasting


def test_frames_of_a_face_add_up(carphone_scan: Any, people_footage: Any) -> None:
    """A face of 60 pixels, compressed: too small to be sure of in one frame."""
    from understudy.engine.media.reader import read_frames

    reader, plain = mark.Reader(), mark.Reader()
    for frame in read_frames(people_footage["carphone"], 0, 24):
        row = np.flatnonzero((carphone_scan.frame == frame.index) & (carphone_scan.person == 0))[0]
        landmarks = carphone_scan.landmarks[row]
        reader.add(pasted(frame.rgb, landmarks, NUMBER), landmarks)
        plain.add(frame.rgb, landmarks)
    found = reader.found()
    assert found.present and found.number == NUMBER
    assert not plain.found().present


def test_the_same_number_makes_the_same_pixels(portrait: Any, marked: np.ndarray) -> None:
    assert np.array_equal(pasted(*portrait, NUMBER), marked)
    assert not np.array_equal(pasted(*portrait, NUMBER + 1), marked)


def test_a_reader_that_saw_nothing_finds_nothing() -> None:
    assert not mark.Reader().found().present


def test_nothing_to_mark_is_left_alone(portrait: Any) -> None:
    face = np.full((128, 128, 3), 100, np.float32)
    mask = np.zeros((128, 128), np.float32)
    matrix = crop_matrix(portrait[1], 128)
    assert np.array_equal(mark.embed(face, mask, transform(portrait[1], matrix), 60.0, 1), face)
