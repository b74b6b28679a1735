"""Masks of faces that lend their skin: no strand of hair comes along, brows and eyes do."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from understudy.engine.faces.facesets import masks
from understudy.engine.faces.facesets.masks import donor_masks, face_masks
from understudy.engine.faces.geometry.topology import EYES
from understudy.engine.faces.networks.parser import BEARD, HAIR, LENS, RIM, parse

KEPT = [70, 63, 105, 107, 55, 52, 300, 293, 334, 336, 285, 282, 159, 145, 386, 374, 4, 205, 425, 17]
"""Brows, lids, nose, cheeks and chin."""


def test_a_strand_at_the_temple_is_no_skin_that_could_be_lent(astronaut_faces: Any) -> None:
    pixels, landmarks = astronaut_faces.pixels[0].copy(), astronaut_faces.landmarks[0]
    size = len(pixels)
    strand = np.zeros((size, size), np.uint8)
    # from the fringe down beside the brow
    points = landmarks[[103, 54, 21], :2] + [0.05 * size, 0]
    cv2.polylines(strand, [np.round(points).astype(np.int32)], False, 255, max(3, size // 40))
    pixels[strand > 0] = (70, 45, 20)
    whole = np.full((1, size, size), 255, np.uint8)
    lent = donor_masks(pixels[None], whole, landmarks[None])[0]
    assert (lent[strand > 0] > 128).mean() < 0.2
    x, y = np.round(landmarks[KEPT, :2]).astype(int).T
    assert (lent[y, x] > 200).all()


def test_what_lends_is_never_more_than_the_mask_was(astronaut_faces: Any) -> None:
    masks, _ = face_masks(astronaut_faces.pixels, astronaut_faces.landmarks)
    assert (donor_masks(astronaut_faces.pixels, masks, astronaut_faces.landmarks) <= masks).all()


def test_drawn_spectacles_are_told_and_stay_in_front_of_the_face(astronaut_faces: Any) -> None:
    pixels, landmarks = astronaut_faces.pixels[0].copy(), astronaut_faces.landmarks[0]
    size = len(pixels)
    bare = face_masks(pixels[None], landmarks[None])[1][0]
    rim = np.zeros((size, size), np.uint8)
    lens = np.zeros((size, size), np.uint8)
    wide = float(np.hypot(*(landmarks[263, :2] - landmarks[33, :2])))
    for corners in ((33, 133), (362, 263)):
        middle = landmarks[list(corners), :2].mean(0)
        place = tuple(np.round(middle).astype(int).tolist())
        cv2.ellipse(lens, place, (round(0.3 * wide), round(0.24 * wide)), 0, 0, 360, 255, -1)
        cv2.ellipse(rim, place, (round(0.3 * wide), round(0.24 * wide)), 0, 0, 360, 255, max(2, round(0.05 * wide)))
    pixels[rim > 0] = (20, 18, 22)
    told = parse(pixels[None], landmarks[None])[0]
    assert (told[RIM][rim > 0] > 127).mean() > 0.6
    assert (told[LENS][(lens > 0) & (rim == 0)] > 127).mean() > 0.6
    assert (told[RIM][cv2.dilate(np.maximum(rim, lens), np.ones((15, 15))) == 0] > 127).mean() < 0.02
    _, in_front = (stack[0] for stack in face_masks(pixels[None], landmarks[None]))
    assert (in_front[rim > 0] > 127).mean() > (bare[rim > 0] > 127).mean() + 0.5


def test_hair_is_told_at_any_size_of_crop_and_a_clean_chin_is_no_beard(astronaut_faces: Any) -> None:
    pixels, landmarks = astronaut_faces.pixels[:1], astronaut_faces.landmarks[:1]
    size = pixels.shape[1]
    usual = parse(pixels, landmarks)
    assert usual.shape == (1, 4, size, size) and usual.dtype == np.uint8
    x, y = np.round(landmarks[0, 10, :2] - [0, 0.06 * size]).astype(int)
    assert usual[0, HAIR, y, x] > 200  # above her forehead
    chin = np.round(landmarks[0, [152, 175, 199, 428], :2] - [0, 2]).astype(int)
    assert (usual[0, BEARD, chin[:, 1], chin[:, 0]] < 100).all()
    half = np.stack([cv2.resize(p, (size // 2, size // 2), interpolation=cv2.INTER_AREA) for p in pixels])
    found = parse(half, landmarks / 2)
    again = cv2.resize(found[0, HAIR], (size, size), interpolation=cv2.INTER_LINEAR) > 127
    both, union = (again & (usual[0, HAIR] > 127)).sum(), (again | (usual[0, HAIR] > 127)).sum()
    assert both / union > 0.9


def test_painted_lids_are_no_spectacles(astronaut_faces: Any) -> None:
    """Broad dark lines along both lids, as liner and lashes draw them: nothing of the eyes stands in front of them."""
    pixels, landmarks = astronaut_faces.pixels[0].copy(), astronaut_faces.landmarks[0]
    size = len(pixels)
    paint = np.zeros((size, size), np.uint8)
    for ring in EYES:
        line = np.round(landmarks[ring, :2]).astype(np.int32)
        cv2.polylines(paint, [line], True, 255, max(3, size // 50))
        tail = line[0] + np.round(0.5 * (line[0] - line[8])).astype(np.int32) - [0, size // 40]
        cv2.line(paint, tuple(line[0].tolist()), tuple(tail.tolist()), 255, max(3, size // 60))
    pixels[paint > 0] = (25, 18, 20)
    own, in_front = (stack[0] for stack in face_masks(pixels[None], landmarks[None]))
    assert (in_front[paint > 0] > 127).mean() < 0.02
    assert (own[paint > 0] > 127).mean() > 0.95


def test_what_strays_out_of_hair_is_not_lent(astronaut_faces: Any) -> None:
    """Dark lines on the forehead just beside hair that is cut out: single hairs, which no network tells."""
    pixels, landmarks = astronaut_faces.pixels[0].copy(), astronaut_faces.landmarks[0]
    size = len(pixels)
    whole = np.full((1, size, size), 255, np.uint8)
    before = donor_masks(pixels[None], whole, landmarks[None])[0]
    x, y = np.round(landmarks[9, :2]).astype(int)  # between the brows
    row = (
        y - int(np.argmax(before[y::-1, x - size // 20 : x + size // 20].max(1) < 128)) + size // 40
    )  # up to where hair begins
    hair = np.zeros((size, size), np.uint8)
    cv2.line(hair, (x - size // 20, row), (x + size // 20, row), 255, 1)
    pixels[hair > 0] = (0.45 * pixels[hair > 0]).astype(np.uint8)
    lent = donor_masks(pixels[None], whole, landmarks[None])[0]
    assert (before[hair > 0] > 150).mean() > 0.6
    assert (lent[hair > 0] < 100).mean() > (before[hair > 0] < 100).mean() + 0.5


def test_half_an_eye_is_never_hair(astronaut_faces: Any, monkeypatch: Any) -> None:
    pixels, landmarks = astronaut_faces.pixels[:1], astronaut_faces.landmarks[:1]
    eye = np.round(landmarks[0, [159, 145], :2].mean(0)).astype(int)
    told = parse(pixels, landmarks)
    cheek = np.round(landmarks[0, 205, :2]).astype(int)
    for x, y in (eye, cheek):
        told[0, HAIR, y - 3 : y + 4, x - 3 : x + 4] = 180
    monkeypatch.setattr(masks, "parse", lambda *_: told)
    own, _ = face_masks(pixels, landmarks, look=False)
    assert own[0, eye[1], eye[0]] == 255
    assert own[0, cheek[1], cheek[0]] < 20
