"""Which faces go into a faceset, and what is known of each."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from understudy.engine.errors import DataError
from understudy.engine.faces.alignments import Alignments
from understudy.engine.faces.facesets.faceset import Source, choose_faces, enlargement, exposure, gather, load_faceset
from understudy.engine.faces.people.summary import missing_views
from understudy.engine.protocol import Clip, Identity, Material
from understudy.engine.reporter import Silent

HEAD = np.random.default_rng(2).normal(0, 1, (468, 3))
HEAD[234], HEAD[454], HEAD[10], HEAD[152] = (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)


def take(yaws: np.ndarray, sharpness: np.ndarray, tracks: np.ndarray | None = None, size: float = 60) -> Alignments:
    """One face a frame, turned by `yaws` degrees; faces of one yaw differ a little, as an expression does."""
    count = len(yaws)
    y = np.radians(yaws)
    around = np.zeros((count, 3, 3))
    around[:, 0, 0] = around[:, 2, 2] = np.cos(y)
    around[:, 0, 2], around[:, 2, 0], around[:, 1, 1] = -np.sin(y), np.sin(y), 1
    landmarks = (size * HEAD @ around.transpose(0, 2, 1) + 200).astype(np.float32)
    return Alignments(
        clip=Clip(path="none.mp4"),
        width=400,
        height=400,
        fps=Fraction(24),
        frame=np.arange(count, dtype=np.int32),
        box=np.zeros((count, 4), np.float32),
        landmarks=landmarks,
        score=np.ones(count, np.float32),
        sharpness=sharpness.astype(np.float32),
        embedding=np.zeros((count, 128), np.float32),
        track=np.zeros(count, np.int32) if tracks is None else tracks,
        person=np.zeros(count, np.int32),
        carried=np.zeros(count, bool),
    )


def chosen(limit: int, *takes: Alignments) -> list[list[int]]:
    sources = [Source("", alignments, np.arange(len(alignments))) for alignments in takes]
    return [rows.tolist() for rows in choose_faces(sources, limit)]


def test_few_faces_are_all_kept() -> None:
    assert chosen(10, take(np.zeros(10), np.ones(10))) == [list(range(10))]


def test_rare_poses_stay_when_faces_are_thinned() -> None:
    yaws = np.concatenate([np.full(90, 5.0), np.full(5, 35.0), np.full(5, -35.0)])
    (rows,) = chosen(30, take(yaws, np.arange(100.0), np.arange(100, dtype=np.int32)))
    assert len(rows) == 30 and set(range(90, 100)) <= set(rows)
    assert set(rows[:20]) == set(range(70, 90))  # of the many, the sharpest


def test_near_copies_go_first() -> None:
    yaws = np.concatenate([np.full(20, 4.0), np.linspace(2, 8, 4)])  # a still take, and four faces of other takes
    tracks = np.concatenate([np.zeros(20), np.arange(1, 5)]).astype(np.int32)
    (rows,) = chosen(6, take(yaws, np.concatenate([np.arange(20.0) + 50, np.ones(4)]), tracks))
    assert {20, 21, 22, 23} <= set(rows) and 19 in rows


def test_a_short_clip_is_not_drowned_by_a_long_one() -> None:
    """The limit is for all material together: what one clip lacks another may bring."""
    every = np.arange(100, dtype=np.int32)
    long, short = take(np.full(100, 5.0), np.full(100, 9.0), every), take(np.full(5, 45.0), np.ones(5), every[:5])
    first, second = chosen(40, long, short)
    assert len(first) == 35 and second == list(range(5))


def test_enlargement_and_exposure() -> None:
    alignments = take(np.zeros(2), np.ones(2))
    double = take(np.zeros(2), np.ones(2), size=120)
    rows = np.arange(2)
    assert enlargement(alignments, rows, 256) == pytest.approx(2 * enlargement(double, rows, 256), rel=1e-4)
    pixels, mask = np.full((8, 8, 3), 120, np.uint8), np.full((8, 8), 255, np.uint8)
    pixels[:2], pixels[2:4] = 255, 3
    assert exposure(pixels, mask) == 0.5
    mask[:4] = 0
    assert exposure(pixels, mask) == 1.0
    assert exposure(pixels, np.zeros_like(mask)) == 0.0


def test_what_is_missing_is_said() -> None:
    counts = [[0] * 7 for _ in range(5)]
    counts[2][3] = 40
    assert "no profile to the picture's left" in missing_views(counts)
    assert "no face looking down" in missing_views(counts) and "no view from the front" not in missing_views(counts)
    assert missing_views([[1] * 7 for _ in range(5)]) == []


def test_a_faceset_stays_on_disk(carphone_faces: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.faceset"
    carphone_faces.save(path)
    read = load_faceset(path)
    assert isinstance(read.pixels, np.memmap) and isinstance(read.masks, np.memmap)
    for name in ("pixels", "masks", "landmarks", "shot", "frame", "sharpness", "exposure", "enlarged"):
        np.testing.assert_array_equal(getattr(read, name), getattr(carphone_faces, name))
    assert set(read.clip) == {0} and set(read.track) == {0}
    before = path.read_bytes()
    read.pixels[0] = 0  # a copy in memory
    assert path.read_bytes() == before
    assert read.exposure.min() > 0.9 and 1.0 < read.enlarged.min() < read.enlarged.max() < 2
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(DataError, match="damaged"):
        load_faceset(path)


def test_small_footage_is_said_to_be_small(carphone_folder: Path) -> None:
    said: list[tuple[str, str]] = []
    reporter = Silent()
    reporter.log = lambda text, level="info": said.append((level, text))  # type: ignore[method-assign]
    identity = Identity(name="Jo", material=[Material(scan=str(carphone_folder), person=0)])
    faces = gather(identity, 512, reporter, limit=4)
    assert len(faces) == 4 and faces.size == 512 and faces.enlarged.min() > 4
    assert any(level == "warning" and "Jo's faces are small for 512 pixels" in text for level, text in said)
    assert any(text.startswith("Jo: no profile") for _, text in said)
