"""Whole conversions of footage as editors have it, HDR, black-and-white or grainy; stages beside one another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from understudy.engine.convert import conversion as conversion
from understudy.engine.convert.grain_blur import measure_grain
from understudy.engine.convert.plan import make_plan
from understudy.engine.convert.render import Rendered, Work, average_neighbours, render
from understudy.engine.convert.source_identities import load_sources
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.geometry.align import crop_box, crop_matrix
from understudy.engine.media.planes import planar, plane_array
from understudy.engine.media.reader import probe, read_frames
from understudy.engine.model.model_folder import prepare
from understudy.engine.protocol import Clip, ConvertSettings, ConvertSpec, Identity, Material, Swap
from understudy.engine.reporter import Silent

COUNT = 10
WITHOUT = 4
"""A frame whose face the scan did not find."""
BT2020 = {"colorspace": 9, "color_primaries": 9, "color_range": 1}

Samples = list[np.ndarray]


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory, astronaut_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("model")
    woman = Identity(name="woman", material=[Material(scan=str(astronaut_folder), person=0)])
    prepare(folder, [woman], "draft", Silent())
    return folder


def graded(scan: Any, folder: Path, form: str, tags: dict[str, int], grade: Callable[[Samples], Samples]) -> Path:
    """The scan of the clip's first frames as lossless footage of another pixel format, its 8-bit planes graded."""
    path = folder / "footage.mkv"
    (folder / "scan").mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = scan.width, scan.height, form
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for frame in read_frames(Path(scan.clip.path), 0, COUNT):
            shown = av.VideoFrame.from_ndarray(frame.rgb, format="rgb24").reformat(format="yuv420p")
            picture = av.VideoFrame(scan.width, scan.height, form)
            for number, samples in enumerate(grade([plane_array(shown, n).astype(np.int64) for n in range(3)])):
                plane_array(picture, number)[:] = samples
            for name, value in tags.items():
                setattr(picture, name, value)
            picture.pts, picture.time_base = frame.index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    kept = (scan.frame < COUNT) & (scan.frame != WITHOUT)
    names = ("frame", "box", "landmarks", "score", "sharpness", "embedding", "track", "person", "carried", "irises")
    columns = {name: getattr(scan, name)[kept] for name in names}
    replace(scan, clip=Clip(path=str(path), start=0, end=COUNT), fps=Fraction(25), **columns).save(folder / "scan")
    return folder / "scan"


def recast(scan: Path, drafts: Path, output: Path, **settings: Any) -> Path:
    """The scan's footage recast, lossless."""
    spec = ConvertSpec(
        scan=str(scan),
        model=str(drafts),
        swaps=[Swap(person=0, identity="woman")],
        output=str(output),
        format="ffv1",
        settings=ConvertSettings(**settings),
    )
    conversion.convert(spec, torch.device("cpu"), Silent())
    return output


def decoded(path: Path) -> list[Samples]:
    """Every frame's planes, as coded."""
    frames = [planar(frame.native) for frame in read_frames(path)]
    return [[plane_array(f, n).copy() for n in range(len(f.format.components))] for f in frames]


def faces(scan: Path) -> dict[int, tuple[slice, slice]]:
    """Frame → the luma samples that its face's crop is cut from."""
    known = load_alignments(scan)
    places = {}
    for frame, landmarks in zip(known.frame.tolist(), known.landmarks, strict=True):
        x0, y0, x1, y1 = crop_box(crop_matrix(landmarks, 128), 128, known.width, known.height)
        places[frame] = np.s_[y0:y1, x0:x1]
    return places


@pytest.mark.parametrize("transfer", [16, 18], ids=["PQ", "HLG"])
def test_ten_bits_of_hdr_stay_what_they_are(tmp_path: Path, carphone_scan: Any, drafts: Path, transfer: int) -> None:
    random = np.random.default_rng(1)

    def finer(planes: Samples) -> Samples:
        return [4 * p + random.integers(0, 4, p.shape) for p in planes]

    scan = graded(carphone_scan, tmp_path, "yuv420p10le", {**BT2020, "color_trc": transfer}, finer)
    output = recast(scan, drafts, tmp_path / "recast.mkv", match_grain=False)
    told, before = (
        (i.pixel_format, i.bits, i.matrix, i.primaries, i.transfer, i.full_range)
        for i in (probe(output), probe(tmp_path / "footage.mkv"))
    )
    assert told == before and told[1:5] == (10, 9, 9, transfer)
    source, result, places = decoded(tmp_path / "footage.mkv"), decoded(output), faces(scan)
    assert len(source) == len(result) == COUNT
    for number, (old, new) in enumerate(zip(source, result, strict=True)):
        if number == WITHOUT:
            assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))
            continue
        for n, (a, b) in enumerate(zip(old, new, strict=True)):
            outside = np.ones(old[0].shape, bool)
            outside[places[number]] = False
            outside = outside if n == 0 else outside[::2, ::2] & outside[1::2, 1::2]
            assert outside.any() and np.array_equal(a[outside], b[outside])
        changed = new[0][old[0] != new[0]]
        assert changed.size > 500
        # steps of ten bits, not of eight: every remainder is about as frequent
        assert min((changed % 4 == k).mean() for k in range(4)) > 0.15


def test_black_and_white_footage_comes_out_black_and_white(tmp_path: Path, carphone_scan: Any, drafts: Path) -> None:
    scan = graded(carphone_scan, tmp_path, "yuv420p", {}, lambda p: [p[0], 0 * p[1] + 128, 0 * p[2] + 128])
    source = decoded(tmp_path / "footage.mkv")
    for number, planes in enumerate(decoded(recast(scan, drafts, tmp_path / "recast.mkv"))):
        assert (planes[0] != source[number][0]).any() == (number != WITHOUT)
        assert max(np.abs(chroma.astype(int) - 128).max() for chroma in planes[1:]) <= 1


def test_a_face_in_grainy_footage_is_grainy_unless_it_is_not_to_be(
    tmp_path: Path, carphone_scan: Any, drafts: Path
) -> None:
    random = np.random.default_rng(2)

    def grainy(planes: Samples) -> Samples:
        luma = planes[0] + random.normal(0, 8, planes[0].shape)
        return [np.clip(np.round(luma), 16, 235), *planes[1:]]

    scan = graded(carphone_scan, tmp_path, "yuv420p", {}, grainy)
    places = faces(scan)

    def grain_of(path: Path) -> float:
        """Strength in luma in the middle of the face, 8-bit levels."""
        found = []
        for frame in read_frames(path):
            if frame.index in places:
                part = frame.rgb[places[frame.index]]
                height, width = part.shape[:2]
                middle = np.zeros((height, width), bool)
                middle[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = True
                found.append(measure_grain(part.astype(np.float32), middle)[0])
        return float(np.mean(found))

    footage = grain_of(tmp_path / "footage.mkv")
    matched = grain_of(recast(scan, drafts, tmp_path / "with.mkv"))
    plain = grain_of(recast(scan, drafts, tmp_path / "without.mkv", match_grain=False))
    assert footage > 5
    assert abs(matched - footage) < 0.35 * footage
    assert plain < 0.5 * footage


def test_a_seamless_blend_wavers_less_than_single_frames_do(carphone_scan: Any, drafts: Path) -> None:
    device, settings = torch.device("cpu"), ConvertSettings(blend="seamless", shape=0.0)
    sources = load_sources(drafts, {"woman"}, device, False)
    plan = make_plan(carphone_scan, [Swap(person=0, identity="woman")], sources, settings)
    rendered = render(list(read_frames(Path(carphone_scan.clip.path), 0, 16)), Work(plan, sources, device), None)

    def steps(frames: Iterable[Rendered]) -> float:
        """Mean change of the membrane from frame to frame, 8-bit levels."""
        membranes = np.stack([face[2].membrane for frame in frames for face in frame.faces])
        assert len(membranes) == 16
        return float(np.abs(np.diff(membranes, axis=0)).mean())

    alone = steps(rendered)
    assert alone > 0.1
    assert steps(average_neighbours(rendered)) < 0.4 * alone


def test_reading_recasting_measuring_and_writing_have_threads_of_their_own(
    tmp_path: Path, carphone_scan: Any, drafts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = graded(carphone_scan, tmp_path, "yuv420p", {}, lambda planes: planes)
    seen: dict[str, set[int]] = {}
    together: list[int] = []

    def noted(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any) -> Any:
            seen.setdefault(name, set()).add(threading.get_ident())
            return make(*arguments)

        return made

    read, cast = conversion.read_frames, conversion.recast_faces

    def reading(*arguments: Any) -> Iterator[Any]:
        seen.setdefault("read", set()).add(threading.get_ident())
        yield from read(*arguments)

    def casting(frames: list[Any], work: Any) -> Any:
        together.append(len(frames))
        return cast(frames, work)

    monkeypatch.setattr(conversion, "read_frames", reading)
    monkeypatch.setattr(conversion, "recast_faces", noted("recast", casting))
    monkeypatch.setattr(conversion, "measure_batch", noted("measure", conversion.measure_batch))
    monkeypatch.setattr(conversion.MovieWriter, "write", noted("write", conversion.MovieWriter.write))
    recast(scan, drafts, tmp_path / "recast.mkv")
    threads: Iterable[int] = [next(iter(some)) for some in seen.values() if len(some) == 1]
    assert len(seen) == 4 and len(set(threads)) == 4
    assert together == [8, 2]  # batches cross frames
