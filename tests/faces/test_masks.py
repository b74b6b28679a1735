"""Masks of faces that lend their skin: no strand of hair comes along, brows and eyes do."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from understudy.engine.faces.facesets.masks import donor_masks, face_masks
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
