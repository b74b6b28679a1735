"""Detection, landmarks and embedding on two real portraits, turned, shrunk and moved."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from understudy.engine.faces.detectors.blazeface import BlazeFace
from understudy.engine.faces.detectors.found import Found
from understudy.engine.faces.detectors.mtcnn import Mtcnn
from understudy.engine.faces.detectors.search import Search
from understudy.engine.faces.geometry import align
from understudy.engine.faces.geometry.topology import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from understudy.engine.faces.networks.embedding import MEAN_FACE, POINTS, Embedder, chip_matrix
from understudy.engine.faces.networks.face_mesh import (
    ALONE,
    EYE_LINE,
    EYE_POINTS,
    LIP_POINTS,
    Mesh,
    box_of,
    region_of_detection,
    region_of_face,
)
from understudy.engine.faces.tracking.measure import Measurer

Detector = Callable[[np.ndarray], Found]

pytestmark = pytest.mark.usefixtures("networks")


@pytest.fixture(scope="module")
def detector() -> Detector:
    search = Search()
    return lambda picture: search([picture])[0]


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


@pytest.fixture(scope="module")
def measurer() -> Measurer:
    return Measurer()


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


def landmarks_of(picture: np.ndarray, detector: Detector, mesh: Mesh) -> np.ndarray:
    found = detector(picture)
    assert len(found.boxes) == 1
    landmarks, scores = mesh([picture], [region_of_detection(found.boxes[0], found.points[0, :2])])
    assert scores[0] > 0.9
    return landmarks[0]


def eye_distance(landmarks: np.ndarray) -> float:
    return float(np.linalg.norm(landmarks[EYE_LINE[0], :2] - landmarks[EYE_LINE[1], :2]))


def away(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of two meshes' points as a share of the distance between the eyes."""
    return float(np.linalg.norm(a[:, :2] - b[:, :2], axis=1).mean() / eye_distance(b))


def turned(picture: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1)
    return cv2.warpAffine(picture, matrix, (width, height)), matrix


@pytest.mark.parametrize("height", [24, 60, 200, 500])
def test_faces_of_every_size_are_found(height: int, hopper: np.ndarray, detector: Detector) -> None:
    scale = height / 225
    picture = cv2.resize(hopper, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((max(400, picture.shape[0]), max(640, picture.shape[1]), 3), 90, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    found = detector(canvas)
    assert len(found.boxes) == 1
    center = (found.boxes[0, :2] + found.boxes[0, 2:]) / 2
    np.testing.assert_allclose(center, np.array([265, 230]) * scale, atol=25 * scale)


def test_both_faces_of_a_picture_are_found(astronaut: np.ndarray, hopper: np.ndarray, detector: Detector) -> None:
    found = detector(np.concatenate([astronaut, hopper[:512]], 1))
    assert len(found.boxes) == 2
    assert (np.diff(found.points[:, :2, 0], axis=1) > 0).all()


@pytest.mark.parametrize("degrees", [60, 90, 180, -90])
def test_a_face_that_lies_is_found_and_measured(degrees: int, astronaut: np.ndarray, measurer: Measurer) -> None:
    picture, matrix = turned(astronaut, degrees)
    (face,) = measurer(0, [picture], [0])
    assert np.linalg.norm(face.landmarks[:, :2].mean(0) - matrix @ [225, 118, 1]) < 25
    eyes = face.landmarks[EYE_LINE[1], :2] - face.landmarks[EYE_LINE[0], :2]
    angle = np.degrees(np.arctan2(-eyes[1], eyes[0]))
    assert face.score > 0.9 and abs((angle - degrees + 180) % 360 - 180) < 15


def test_detectors_see_several_frames_as_they_see_each(astronaut: np.ndarray, hopper: np.ndarray) -> None:
    frames = [astronaut, hopper[:512], np.full_like(astronaut, 90)]
    for detect in (Mtcnn(), BlazeFace()):
        for together, (alone,) in zip(detect(frames), (detect([frame]) for frame in frames), strict=True):
            np.testing.assert_allclose(together.boxes, alone.boxes, atol=0.01)
            np.testing.assert_allclose(together.scores, alone.scores, atol=1e-4)


def test_small_faces_of_a_large_frame_are_found_in_a_thorough_search(hopper: np.ndarray) -> None:
    crowd = np.full((1080, 1920, 3), (70, 80, 90), np.uint8)
    small = cv2.resize(hopper, (44, 51), interpolation=cv2.INTER_AREA)  # the face is 20 pixels high
    for x in range(100, 1900, 300):
        crowd[500:551, x : x + 44] = small
    assert [len(found.boxes) for found in Search()([crowd, crowd])] == [6, 6]


def test_no_face_in_noise(detector: Detector, mesh: Mesh) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8)
    assert len(detector(noise).boxes) == 0
    landmarks, scores = mesh([noise], [np.array([160, 120, 150, 0.0])])
    assert landmarks.shape == (1, 468, 3) and scores[0] < 0.1


def test_the_start_does_not_matter(hopper: np.ndarray, detector: Detector, mesh: Mesh) -> None:
    landmarks = landmarks_of(hopper, detector, mesh)
    region = region_of_face(landmarks)
    side = region[2]
    starts = [
        region + np.array(d) for d in ([0.06 * side, 0, 0, 0], [0, -0.06 * side, 0.1 * side, 0.1], [0, 0, 0, -0.2])
    ]
    for other in mesh([hopper] * len(starts), starts)[0]:
        assert away(other, landmarks) < 0.012


def test_landmarks_lie_on_the_eyes(hopper: np.ndarray, detector: Detector, mesh: Mesh) -> None:
    landmarks = landmarks_of(hopper, detector, mesh)
    # read off the picture, ten times enlarged: outer corners of both eyes, tip of the nose, corners of the mouth
    seen = {33: (203, 195), 263: (330, 189), 4: (270, 240), 61: (228, 281), 291: (304, 277)}
    for point, place in seen.items():
        assert np.linalg.norm(landmarks[point, :2] - place) < 9, point


def test_coordinates_have_pixel_centres_at_halves(hopper: np.ndarray, detector: Detector, mesh: Mesh) -> None:
    region = region_of_face(landmarks_of(hopper, detector, mesh))
    (landmarks,), _ = mesh.once([hopper], [region])  # one pass: a second one has a region of its own
    double = cv2.resize(hopper, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    (larger,), _ = mesh.once([double], [region * [2, 2, 2, 1]])
    assert abs((larger - 2 * landmarks)[:, :2].mean(0)).max() < 0.2  # half a pixel of error would show as 0.5
    assert np.polyfit(landmarks[:, 2], larger[:, 2], 1)[0] == pytest.approx(2, abs=0.05)
    flipped = np.ascontiguousarray(hopper[:, ::-1])
    (mirror,), _ = mesh.once([flipped], [np.array([hopper.shape[1] - region[0], region[1], region[2], -region[3]])])
    width = hopper.shape[1]
    assert abs(width - mirror[1, 0] - landmarks[1, 0]) < 0.02 * eye_distance(landmarks)
    assert landmarks[1, 2] < landmarks[234, 2]  # the nose is nearer than the ear


def test_landmarks_turn_with_the_picture(astronaut: np.ndarray, detector: Detector, mesh: Mesh) -> None:
    landmarks = landmarks_of(astronaut, detector, mesh)
    picture, matrix = turned(astronaut, 35)
    expected = (landmarks[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5
    assert away(landmarks_of(picture, detector, mesh), expected) < 0.02


def test_a_batch_measures_like_single_faces(
    astronaut: np.ndarray, hopper: np.ndarray, detector: Detector, mesh: Mesh
) -> None:
    picture = np.concatenate([astronaut, hopper[:512]], 1)
    found = detector(picture)
    regions = [region_of_detection(b, e) for b, e in zip(found.boxes, found.points[:, :2], strict=True)]
    both, _ = mesh([picture] * len(regions), regions)
    for one, region in zip(both, regions, strict=True):
        np.testing.assert_allclose(one, mesh([picture], [region])[0][0], atol=0.05)
    assert (box_of(both)[:, 2:] > box_of(both)[:, :2]).all()


def test_a_mirrored_face_has_mirrored_landmarks(hopper: np.ndarray, detector: Detector, mesh: Mesh) -> None:
    landmarks, width = landmarks_of(hopper, detector, mesh), hopper.shape[1]
    flipped = np.ascontiguousarray(hopper[:, ::-1])
    (mirror,), _ = mesh([flipped], [region_of_face(align.mirror(landmarks, width))])
    apart = np.linalg.norm((align.mirror(mirror, width) - landmarks)[:, :2], axis=1) / eye_distance(landmarks)
    assert apart.mean() < 0.025 and apart[LIP_POINTS].max() < 0.05 and apart[EYE_POINTS].max() < 0.05
    here, there = mesh.irises([hopper, flipped], np.stack([landmarks, mirror]))
    np.testing.assert_allclose(here, there[::-1] * [-1, 1] + [width, 0], atol=0.02 * eye_distance(landmarks))
    for iris, corners in zip(here, (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS), strict=True):
        first, second = landmarks[list(corners), :2]
        assert 0.3 < (iris - first) @ (second - first) / ((second - first) ** 2).sum() < 0.7


def test_the_finer_network_has_the_last_word_on_a_face_it_sees(
    hopper: np.ndarray, detector: Detector, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = region_of_face(landmarks_of(hopper, detector, mesh))
    (whole,), _ = mesh._measure(mesh.whole, [hopper], [region])
    (fine,), _ = mesh._measure(mesh.fine, [hopper], [region])
    assert 0.005 < away(whole, fine) < 0.1
    np.testing.assert_array_equal(mesh.once([hopper], [region])[0][0], fine)
    for sure, moved, score in ((0.3, 0, 0.4), (0.9, 0, ALONE), (0.9, 500, 0.4)):  # alone, it must agree
        answers = {mesh.whole: (whole, 0.4), mesh.fine: (fine + np.float32(moved), sure)}
        given = {net: (points[None].copy(), np.array([s])) for net, (points, s) in answers.items()}
        monkeypatch.setattr(mesh, "_measure", lambda net, *_, given=given: given[net])
        landmarks, scores = mesh.once([hopper], [region])
        np.testing.assert_array_equal(landmarks[0], answers[mesh.fine if sure > 0.5 else mesh.whole][0])
        assert scores[0] == score


def test_the_chip_is_dlibs(hopper: np.ndarray, detector: Detector, mesh: Mesh) -> None:
    landmarks = landmarks_of(hopper, detector, mesh)
    matrix = chip_matrix(landmarks)
    placed = landmarks[POINTS, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert np.linalg.norm(placed - MEAN_FACE, axis=1).mean() < 6  # of 150 pixels: a real face is not the mean one
    nudged = [
        placed @ [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] * s
        for a, s in ((0.02, 1), (-0.02, 1), (0, 1.02), (0, 0.98))
    ]
    best = ((placed - MEAN_FACE) ** 2).sum()
    assert all(((n - n.mean(0) + MEAN_FACE.mean(0) - MEAN_FACE) ** 2).sum() > best for n in nudged)


def test_embeddings_tell_people_apart(
    astronaut: np.ndarray, hopper: np.ndarray, detector: Detector, mesh: Mesh, embedder: Embedder
) -> None:
    dim = cv2.convertScaleAbs(cv2.resize(hopper, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), alpha=0.7)
    pictures = [hopper, dim, turned(hopper, 20)[0], astronaut, np.ascontiguousarray(astronaut[:, ::-1])]
    landmarks = [landmarks_of(picture, detector, mesh) for picture in pictures]
    found = embedder.embed(pictures, landmarks)
    assert found.shape == (5, 128) and found.dtype == np.float32
    apart = np.linalg.norm(found[:, None] - found[None], axis=-1)
    assert max(apart[0, 1], apart[0, 2], apart[3, 4]) < 0.42
    assert apart[:3, 3:].min() > 0.65
    np.testing.assert_allclose(embedder.embed_one(hopper, landmarks[0]), found[0], atol=1e-4)
    assert embedder.embed([], []).shape == (0, 128)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_head_that_lies_beside_an_upright_one_is_found(
    measurer: Measurer, astronaut: np.ndarray, hopper: np.ndarray, quarters: int
) -> None:
    picture = np.full((600, 1024, 3), 90, np.uint8)
    picture[:, :512] = hopper
    picture[40:552, 512:] = np.rot90(astronaut, quarters)
    frames = [picture] * 6
    faces = measurer(0, frames, [0] * len(frames))
    for frame in range(len(frames)):
        seen = [face for face in faces if face.frame == frame and face.score]  # not what only a detector saw
        assert len(seen) == 2
        assert sorted(box_of(face.landmarks)[0] > 512 for face in seen) == [False, True]
        beside = max(seen, key=lambda face: face.box[0]).landmarks
        up = beside[10, :2] - beside[152, :2]  # from the chin to the forehead
        assert np.argmax([-up[1], -up[0], up[1], up[0]]) == quarters


def test_nothing_is_found_beside_an_upright_head_that_is_there_already(
    measurer: Measurer, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    for picture in (astronaut, hopper):
        assert len(measurer(0, [picture] * 4, [0] * 4)) == 4


def test_a_head_that_is_seen_upright_and_is_upside_down_is_measured_upside_down(
    hopper: np.ndarray, measurer: Measurer
) -> None:
    """Chin and forehead change places in pictures of this size: detectors see a face in the upright search, too."""
    small = cv2.resize(hopper, None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA)
    for picture, down in ((np.ascontiguousarray(small[::-1, ::-1]), False), (small, True)):
        seen = measurer(0, [picture] * 4, [0] * 4)
        assert [face.frame for face in seen] == [0, 1, 2, 3]
        assert all((face.landmarks[152, 1] > face.landmarks[10, 1]) == down for face in seen)
