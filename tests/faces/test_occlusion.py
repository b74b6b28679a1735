"""What hides a face: told from it by the network, and drawn by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from understudy.engine.errors import DataError
from understudy.engine.faces.facesets.faceset import ENOUGH_FACES, _least_hidden
from understudy.engine.faces.facesets.masks import drawn_mask, drawn_path
from understudy.engine.faces.geometry.align import hull_mask
from understudy.engine.faces.networks.occlusion import hidden
from understudy.engine.faces.scan import replace_folder


def lit_ball(pixels: np.ndarray, centre: tuple[int, int], radius: int, colour: np.ndarray) -> np.ndarray:
    """Put a ball, lit from above, into a crop, in place; (S, S) bool where it is."""
    size = len(pixels)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    dx, dy = (x - centre[0]) / radius, (y - centre[1]) / radius
    inside = dx**2 + dy**2 < 1
    shade = 0.45 + 0.55 * np.clip(np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1)) - 0.4 * dy, 0, 1.2)
    pixels[inside] = np.clip(colour * shade[..., None], 0, 255).astype(np.uint8)[inside]
    return inside


def overlap(found: np.ndarray, wanted: np.ndarray, hull: np.ndarray) -> float:
    """Intersection over union inside the hull."""
    return float((found & wanted & hull).sum() / ((found | wanted) & hull).sum())


def test_clean_faces_are_hidden_by_nothing(carphone_faces: Any, astronaut_faces: Any) -> None:
    for faces in (carphone_faces, astronaut_faces):
        hulls = np.stack([hull_mask(points, faces.size) > 127 for points in faces.landmarks])
        found = hidden(faces.pixels, faces.landmarks) > 127
        assert found[hulls].mean() < 0.005
        assert max(f[h].mean() for f, h in zip(found, hulls, strict=True)) < 0.03
        assert faces.hidden.max() < 0.03


@pytest.mark.parametrize("colour", [(40, 40, 45), (70, 110, 200), None])
def test_a_thing_pasted_over_a_face_is_found(
    colour: tuple[int, int, int] | None, carphone_faces: Any, astronaut_faces: Any
) -> None:
    """A dark and a coloured ball over the mouth, and one of the skin's own colour at the jaw."""
    for faces in (carphone_faces, astronaut_faces):
        pixels, landmarks = faces.pixels[0].copy(), faces.landmarks[0]
        own = np.median(pixels[hull_mask(landmarks, faces.size) > 127], 0)
        centre = landmarks[17 if colour else 397, :2].astype(int)
        ball = lit_ball(pixels, (int(centre[0]), int(centre[1])), 22, np.array(colour or 1.25 * own, np.float32))
        hull = hull_mask(landmarks, faces.size) > 127
        found = hidden(pixels[None], landmarks[None])[0] > 127
        assert overlap(found, ball, hull) > 0.6
        assert found[hull & ~ball].mean() < 0.05


def test_a_face_alone_and_among_others_is_the_same(carphone_faces: Any) -> None:
    together = hidden(carphone_faces.pixels[:20], carphone_faces.landmarks[:20])
    alone = hidden(carphone_faces.pixels[18:19], carphone_faces.landmarks[18:19])
    assert np.abs(together[18].astype(int) - alone[0]).max() <= 1


def test_hidden_faces_give_way_to_whole_ones() -> None:
    share = np.zeros(3 * ENOUGH_FACES)
    share[::3] = 0.4
    assert _least_hidden(share).tolist() == [n for n in range(3 * ENOUGH_FACES) if n % 3]
    few = np.full(10, 0.3)
    assert _least_hidden(few).tolist() == list(range(10))  # better hidden in part than not at all
    many = np.linspace(0.2, 0.9, 2 * ENOUGH_FACES)
    assert _least_hidden(many).tolist() == list(range(ENOUGH_FACES))


def draw(scan: Path, frame: int, picture: np.ndarray) -> None:
    path = drawn_path(scan, frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def test_a_drawn_mask_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, 0, np.zeros((80, 100), np.uint8))
    with pytest.raises(DataError, match="100×80, but its footage is 200×160"):
        drawn_mask(tmp_path, 0, 160, 200)
    drawn_path(tmp_path, 1).write_bytes(b"no picture")
    with pytest.raises(DataError, match="no picture"):
        drawn_mask(tmp_path, 1, 160, 200)
    assert drawn_mask(tmp_path, 2, 160, 200) is None


def test_drawn_masks_outlive_a_new_scan(tmp_path: Path) -> None:
    scan = tmp_path / "scan"
    draw(scan, 3, np.full((16, 16), 255, np.uint8))
    with replace_folder(scan) as folder:
        (folder / "scan.json").write_text("{}")
    assert (scan / "scan.json").is_file()
    assert drawn_mask(scan, 3, 16, 16) is not None
