"""Conversion: the right face in the right frames, everything else untouched, nothing left when it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from understudy.engine.convert.convert import DEFAULTS, convert, recast_batch
from understudy.engine.convert.paste import paste
from understudy.engine.convert.plan import make_plan
from understudy.engine.convert.sources import load_sources
from understudy.engine.errors import DataError, NoFaceError, Stopped
from understudy.engine.faces.align import crop, crop_matrix
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.embedding import Embedder
from understudy.engine.media.reader import read_frames
from understudy.engine.model.folder import prepare
from understudy.engine.protocol import Clip, Identity, Material, Swap
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory, astronaut_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("model")
    prepare(
        folder, [Identity(name="woman", material=[Material(scan=str(astronaut_folder), person=0)])], "draft", Silent()
    )
    return folder


def test_pasting_a_crop_back_unchanged_is_all_but_nothing(carphone_scan: Any) -> None:
    frame = next(read_frames(Path(carphone_scan.clip.path)))
    matrix = crop_matrix(carphone_scan.landmarks[0], 256)
    mask = np.zeros((256, 256), np.float32)
    cv2.circle(mask, (128, 128), 80, 1.0, -1)
    picture, matte = frame.rgb.copy(), np.zeros(frame.rgb.shape[:2], np.float32)
    paste(picture, matte, crop(frame.rgb, matrix, 256).astype(np.float32), mask, matrix)
    touched = matte > 0
    assert touched.any() and not touched.all()
    assert (picture[~touched] == frame.rgb[~touched]).all()
    assert np.abs(picture.astype(int) - frame.rgb)[touched].mean() < 2


def test_a_face_half_out_of_the_picture_is_pasted_in_part() -> None:
    picture, matte = np.zeros((40, 50, 3), np.uint8), np.zeros((40, 50), np.float32)
    matrix = np.array([[1.0, 0.0, 20.0], [0.0, 1.0, 10.0]])  # crop pixel = source pixel + (20, 10)
    paste(picture, matte, np.full((32, 32, 3), 200, np.float32), np.ones((32, 32), np.float32), matrix)
    assert (picture[:20, :10] == 200).all() and (matte[:20, :10] == 1).all()
    assert not matte[24:].any() and not matte[:, 14:].any()
    far = np.array([[1.0, 0.0, 500.0], [0.0, 1.0, 0.0]])
    before = picture.copy()
    paste(picture, matte, np.zeros((32, 32, 3), np.float32), np.ones((32, 32), np.float32), far)
    assert (picture == before).all()


def test_draft_recast_is_the_other_person_and_nothing_else_changes(
    tmp_path: Path, carphone_folder: Path, carphone_scan: Any, astronaut_scan: Any, drafts: Path
) -> None:
    output = tmp_path / "recast.mp4"
    counts = convert(carphone_folder, drafts, [Swap(person=0, identity="woman")], output, CPU, Silent())
    clip = carphone_scan.clip
    source = list(read_frames(Path(clip.path), clip.start, clip.end))
    result = list(read_frames(output))
    assert counts["frames"] == len(source) == len(result) and counts["recast"] == len(source)
    embedder = Embedder("cpu")
    woman = astronaut_scan.embedding[0]
    nearer = []
    for row in range(0, len(carphone_scan), 6):
        index = int(carphone_scan.frame[row]) - clip.start
        faces = embedder.embed([source[index].rgb, result[index].rgb], carphone_scan.landmarks[[row, row]])
        nearer.append(np.linalg.norm(faces - woman, axis=1))
        outside = np.ones(source[index].rgb.shape[:2], bool)
        x0, y0, x1, y1 = carphone_scan.box[row].astype(int)
        outside[max(0, y0 - 4) : y1 + 4, max(0, x0 - 4) : x1 + 4] = False
        error = ((source[index].rgb.astype(float) - result[index].rgb)[outside] ** 2).mean()
        assert 10 * np.log10(255**2 / error) > 38  # all that H.264 at its finest loses on noise
    before, after = np.mean(nearer, 0)
    assert after < before - 0.1


def test_every_pixel_that_is_not_marked_as_touched_is_the_sources_own(
    carphone_folder: Path, carphone_scan: Any, drafts: Path
) -> None:
    sources = load_sources(drafts, {"woman"}, CPU, use_refiner=False)
    plan = make_plan(carphone_scan, [Swap(person=0, identity="woman")], sources)
    frames = list(read_frames(Path(carphone_scan.clip.path), 0, 8))
    for frame in frames:
        result = recast_batch(frames, plan, sources, CPU, DEFAULTS)[frame.index]
        picture, touched = result.rgb, result.touched
        assert (picture[~touched] == frame.rgb[~touched]).all()
        assert 0.02 < touched.mean() < 0.5 and (picture != frame.rgb).any()


def test_frames_without_a_face_pass_through(
    tmp_path: Path, carphone_folder: Path, carphone_scan: Any, drafts: Path
) -> None:
    kept = carphone_scan.frame >= carphone_scan.clip.start + 10
    columns = {n: getattr(carphone_scan, n)[kept] for n in ("frame", "box", "landmarks", "score", "sharpness")}
    columns |= {n: getattr(carphone_scan, n)[kept] for n in ("embedding", "track", "person", "carried")}
    replace(carphone_scan, **columns).save(tmp_path)
    counts = convert(tmp_path, drafts, [Swap(person=0, identity="woman")], tmp_path / "out.mp4", CPU, Silent())
    assert counts["frames"] - counts["recast"] == 10


@pytest.mark.parametrize(
    ("swaps", "error", "words"),
    [
        ([Swap(person=7, identity="woman")], NoFaceError, "Person 7 does not appear"),
        ([Swap(person=0, identity="nobody")], DataError, "does not know nobody"),
        ([Swap(person=0, identity="woman"), Swap(person=0, identity="woman")], DataError, "one face only"),
        ([], DataError, "Nobody is to be recast"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    tmp_path: Path, carphone_folder: Path, drafts: Path, swaps: list[Swap], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        convert(carphone_folder, drafts, swaps, tmp_path / "out.mp4", CPU, Silent())
    assert not list(tmp_path.iterdir())


def test_stopping_leaves_no_movie(tmp_path: Path, carphone_folder: Path, drafts: Path) -> None:
    class StopsAtThird(Silent):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 3:
                raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        swaps = [Swap(person=0, identity="woman")]
        convert(carphone_folder, drafts, swaps, tmp_path / "out.mp4", CPU, StopsAtThird())
    assert not list(tmp_path.iterdir())


def test_footage_that_changed_since_the_scan_is_refused(
    tmp_path: Path, carphone_scan: Any, drafts: Path, make_clip: Any
) -> None:
    other = make_clip(tmp_path / "other.mp4", 60)
    replace(carphone_scan, clip=Clip(path=str(other), start=0, end=48)).save(tmp_path)
    with pytest.raises(DataError, match="Scan it again"):
        convert(tmp_path, drafts, [Swap(person=0, identity="woman")], tmp_path / "out.mp4", CPU, Silent())
    assert load_alignments(tmp_path).clip.path == str(other)
    assert not list(tmp_path.glob("out*"))
