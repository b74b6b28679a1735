"""What hides a face: masks drawn by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from understudy.engine.errors import DataError
from understudy.engine.faces.align import crop_matrix, hull_mask, transform
from understudy.engine.faces.masks import drawn_face_mask, drawn_mask, drawn_path, face_mask
from understudy.engine.faces.scan import replacing


@pytest.fixture
def face() -> np.ndarray:
    """(468, 3): an ellipsoid of points around (100, 80), 30 pixels wide to each side."""
    turn = np.arange(468) * 2.399963
    height = np.linspace(-1, 1, 468)
    ring = np.sqrt(1 - height**2)
    points = np.stack([100 + 30 * ring * np.cos(turn), 80 + 40 * height, 20 * ring * np.sin(turn)], 1)
    points[[10, 152, 33, 263]] = [[100, 40, 0], [100, 120, 0], [85, 70, -9], [115, 70, -9]]
    return points.astype(np.float32)


def draw(scan: Path, frame: int, picture: np.ndarray) -> None:
    path = drawn_path(scan, frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def test_a_drawn_mask_is_the_mask_of_its_frame(tmp_path: Path, face: np.ndarray) -> None:
    half = np.zeros((160, 200), np.uint8)
    half[:, 100:] = 255
    draw(tmp_path, 7, half)
    assert drawn_mask(tmp_path, 8, 160, 200) is None
    drawn = drawn_mask(tmp_path, 7, 160, 200)
    assert drawn is not None
    matrix = crop_matrix(face, 128)
    points = transform(face, matrix)
    mask, hull = drawn_face_mask(drawn, points, matrix, 128), hull_mask(points, 128)
    middle = matrix @ [100, 80, 1]
    left, right = np.arange(128) < middle[0] - 2, np.arange(128) > middle[0] + 2
    assert mask[:, left].max() == 0
    assert (mask[:, right] == hull[:, right]).all()
    automatic = face_mask(np.full((128, 128, 3), 150, np.uint8), points)
    assert (mask != automatic).any()


def test_a_drawn_mask_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, 0, np.zeros((80, 100), np.uint8))
    with pytest.raises(DataError, match="100×80, but its footage is 200×160"):
        drawn_mask(tmp_path, 0, 160, 200)
    drawn_path(tmp_path, 1).write_bytes(b"no picture")
    with pytest.raises(DataError, match="no picture"):
        drawn_mask(tmp_path, 1, 160, 200)


def test_drawn_masks_outlive_a_new_scan(tmp_path: Path) -> None:
    scan = tmp_path / "scan"
    draw(scan, 3, np.full((16, 16), 255, np.uint8))
    with replacing(scan) as folder:
        (folder / "scan.json").write_text("{}")
    assert (scan / "scan.json").is_file()
    assert drawn_mask(scan, 3, 16, 16) is not None
