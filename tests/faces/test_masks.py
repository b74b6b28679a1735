"""Masks of faces that lend their skin: no strand of hair comes along, brows and eyes do."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from understudy.engine.faces.facesets.masks import bare, face_mask


def test_a_strand_at_the_temple_is_no_skin_that_could_be_lent(astronaut_faces: Any) -> None:
    pixels, landmarks = astronaut_faces.pixels[0].copy(), astronaut_faces.landmarks[0]
    size = len(pixels)
    strand = np.zeros((size, size), np.uint8)
    # from the fringe down beside the brow
    points = landmarks[[103, 54, 21], :2] + [0.05 * size, 0]
    cv2.polylines(strand, [np.round(points).astype(np.int32)], False, 255, max(3, size // 40))
    pixels[strand > 0] = (70, 45, 20)
    mask = face_mask(pixels, landmarks)
    lent = bare(pixels, mask, landmarks)
    assert (mask[strand > 0] > 128).mean() > 0.2  # it would have come along
    assert (lent[strand > 0] > 128).mean() < 0.4 * (mask[strand > 0] > 128).mean()
    assert (lent <= mask).all()
    kept = [70, 63, 105, 107, 55, 52, 300, 293, 334, 336, 285, 282, 159, 145, 386, 374, 4, 205, 425, 17]
    x, y = np.round(landmarks[kept, :2]).astype(int).T
    assert (lent[y, x] > 200).all()


def test_a_face_without_hair_in_it_lends_all_of_itself(carphone_faces: Any) -> None:
    whole = np.full(carphone_faces.pixels.shape[1:3], 255, np.uint8)
    assert (bare(carphone_faces.pixels[0], whole, carphone_faces.landmarks[0]) == 255).all()
