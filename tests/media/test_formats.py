"""Everything that comes in and goes out: codecs, depths, fields, timecode, layers; and clear words where not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import av.filter
import cv2
import numpy as np
import pytest
from understudy.engine.errors import MediaError
from understudy.engine.media.encode import picture_bytes
from understudy.engine.media.float_view import Patch
from understudy.engine.media.formats import check_output, suffix_of
from understudy.engine.media.partial_output import matte_path
from understudy.engine.media.pictures import missing_numbers, picture_files
from understudy.engine.media.planes import planar, plane_array
from understudy.engine.media.reader import Frame, probe, read_frames
from understudy.engine.media.recipes import Recipe
from understudy.engine.media.signal import from_signal
from understudy.engine.media.timecode import offset_timecode
from understudy.engine.media.writer import MovieWriter
from understudy.engine.protocol import OutputFormat

HDR = {"colorspace": 9, "color_primaries": 9, "color_range": 1}
LOSSLESS = {"x265-params": "log-level=error:lossless=1"}
BOX = (40, 30, 130, 90)


def patches(frame: Frame) -> list[Patch]:
    """A soft-edged red disc."""
    y, x = np.mgrid[0 : BOX[3] - BOX[1], 0 : BOX[2] - BOX[0]]
    matte = np.clip(1.4 - np.hypot((x - 45) / 40, (y - 30) / 26), 0, 1).astype(np.float32)
    old = frame.view(BOX)
    return [Patch(BOX[0], BOX[1], old + matte[..., None] * (np.array([0.7, 0.3, 0.3], np.float32) - old), matte)]


def recast(source: Path, output: Path, start: int = 0, end: int | None = None, change=patches, **how):
    info = probe(source)
    end = end or info.frames
    with MovieWriter(output, info, start, end, **how) as writer:
        for frame in read_frames(source, start, end):
            writer.write(frame, change(frame))
    return probe(output)


@pytest.fixture(scope="module")
def sources(tmp_path_factory, make_clip) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    size = {"width": 256, "height": 144}
    return {
        "sdr": make_clip(folder / "sdr.mp4", 3, options={"crf": "4"}, **size),
        "pq": make_clip(
            folder / "pq.mp4", 3, codec="libx265", pixel_format="yuv420p10le", options=LOSSLESS,
            tags={**HDR, "color_trc": 16}, **size,
        ),
        "hlg": make_clip(
            folder / "hlg.mov", 3, codec="prores_ks", pixel_format="yuv422p10le", tags={**HDR, "color_trc": 18}, **size
        ),
    }  # fmt: skip


@pytest.mark.parametrize("format", ["same", "h264", "h265", "prores-hq", "prores-4444", "dnxhr", "ffv1", "png", "exr"])
@pytest.mark.parametrize("name", ["sdr", "pq", "hlg"])
def test_every_format_looks_like_its_source_and_like_what_was_painted(tmp_path, sources, read_counter, name, format):
    source = probe(sources[name])
    output = tmp_path / f"out{suffix_of(format, source)}"
    info = recast(sources[name], output, format=format)
    assert (info.width, info.height, info.frames) == (256, 144, 3)
    if format != "exr":
        assert (info.primaries, info.transfer) == (source.primaries, source.transfer)
        assert info.bits >= source.bits
    for before, after in zip(read_frames(sources[name]), read_frames(output), strict=True):
        assert read_counter(after.rgb) == before.index
        error = np.abs(before.rgb.astype(int) - after.rgb)
        error[BOX[1] - 2 : BOX[3] + 2, BOX[0] - 4 : BOX[2] + 4] = 0
        dark = format == "exr" and name != "sdr"  # sRGB and BT.1886 show the same light with other shadows
        assert error.mean() < (4 if dark else 1.6)
        assert np.abs(after.rgb[60, 85].astype(int) - [178, 76, 76]).max() <= (14 if dark else 5)


@pytest.mark.parametrize("format", ["prores-4444", "ffv1", "png", "tiff", "exr"])
@pytest.mark.parametrize("name", ["sdr", "hlg"])
def test_a_layer_over_its_source_is_the_recast(tmp_path, sources, name, format):
    source = probe(sources[name])
    if name == "hlg" and format == "tiff":
        with pytest.raises(MediaError, match="cannot say that they are HDR"):
            check_output(tmp_path / "out", source, "tiff", layer=True)
        return
    output = tmp_path / f"out{suffix_of(format, source, layer=True)}"
    info = recast(sources[name], output, format=format, layer=True)
    matte = probe(matte_path(output))
    assert info.alpha and (matte.width, matte.height, matte.frames) == (256, 144, 3)
    for before, layer, grey in zip(
        read_frames(sources[name]), read_frames(output), read_frames(matte_path(output)), strict=True
    ):
        (patch,) = patches(before)
        part = layer.native.reformat(format="gbrapf32le", src_colorspace=5, dst_colorspace=5)
        alpha = plane_array(part, 3)
        here = alpha[BOX[1] : BOX[3], BOX[0] : BOX[2]]
        assert np.abs(here - patch.matte).max() < 0.006
        assert alpha[: BOX[1]].max() == 0 and alpha[:, BOX[2] :].max() == 0
        if format != "exr":
            shown = grey.rgb[BOX[1] : BOX[3], BOX[0] : BOX[2], 0] / 255
            straight = patch.matte if source.transfer != 18 or format == "prores-4444" else None
            if source.transfer != 18 and straight is not None:
                assert np.abs(shown - straight).max() < 0.02
        over = before.view(BOX) + patch.matte[..., None] * (layer.view(BOX) - before.view(BOX))
        solid = patch.matte > 0.05
        other_curve = format == "exr" and name == "hlg"  # both views show the same light, not the same signal
        assert np.abs(over - patch.rgb)[solid].mean() < (0.03 if other_curve else 0.012)
        inner = patch.matte == 1
        assert np.abs(layer.view(BOX)[inner] - [0.7, 0.3, 0.3]).mean() < (0.04 if other_curve else 0.02)


def still(folder: Path, number: int, kind: str, form: str, make_counter_picture) -> None:
    """One picture of a sequence with finer steps than 8 bits."""
    rgb = make_counter_picture(number, 161, 97).astype(np.float32) / 255
    y, x = np.mgrid[0:97, 0:161]
    rgb = np.clip(rgb + ((x + y) % 7 / 7 / 255)[..., None], 0, 1).astype(np.float32)
    alpha = np.tile(np.linspace(0, 1, 161, dtype=np.float32), (97, 1))
    if "f" in form.removeprefix("gb"):
        rgb = rgb * 4 - 0.1  # beyond white and below black, as renders are
    planar = {"rgb48be": "gbrp16le", "rgba64be": "gbrap16le", "rgb48le": "gbrp16le", "rgba64le": "gbrap16le"}
    frame = from_signal(rgb, alpha, planar.get(form, form), 1, 2)
    if form in planar:
        frame = frame.reformat(format=form)
    options = {"format": "half"} if kind == "half" else {"format": "float"} if kind == "exr" else {}
    suffix = {"half": "exr"}.get(kind, kind)
    codec = {"tif": "tiff"}.get(suffix, suffix)
    recipe = Recipe(name=codec, codec=codec, pixel_format=form, options=options)
    (folder / f"shot.{1001 + number}.{suffix}").write_bytes(picture_bytes(frame, recipe))


def samples(frame: Frame) -> list[np.ndarray]:
    native = planar(frame.native)
    return [plane_array(native, part.plane).copy() for part in native.format.components]


@pytest.mark.parametrize(("kind", "form", "bits"), [
    ("png", "rgb48be", 16), ("png", "rgba64be", 16), ("tif", "rgb48le", 16), ("tif", "rgba64le", 16),
    ("exr", "gbrpf32le", 32), ("exr", "gbrapf32le", 32), ("half", "gbrapf32le", 32), ("dpx", "gbrp10le", 10),
    ("dpx", "gbrp12le", 12), ("dpx", "rgb48le", 16),
])  # fmt: skip
def test_a_sequence_keeps_depth_names_and_samples(tmp_path, make_counter_picture, read_counter, kind, form, bits):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        still(folder, number, kind, form, make_counter_picture)
    source = probe(folder)
    assert (source.bits, source.alpha, source.is_still) == (bits, "a" in form.removeprefix("gbr"), True)
    assert [read_counter(f.rgb) for f in read_frames(folder)] == [0, 1, 2]
    output = tmp_path / "out"
    info = recast(folder, output)
    assert (info.pixel_format, info.bits) == (source.pixel_format, bits)
    assert [f.name for f in picture_files(output)] == [f.name for f in picture_files(folder)]
    for before, after in zip(read_frames(folder), read_frames(output), strict=True):
        touched = np.zeros((97, 161), bool)
        (patch,) = patches(before)
        touched[BOX[1] : BOX[3], BOX[0] : BOX[2]] = patch.matte > 0
        for old, new in zip(samples(before), samples(after), strict=True):
            assert np.array_equal(old[~touched], new[~touched])
        assert np.abs(after.view(BOX)[patch.matte == 1] - [0.7, 0.3, 0.3]).max() < 0.004


def test_a_movie_as_sixteen_bit_pictures_has_the_formulas_own_values(tmp_path, sources):
    output = tmp_path / "out"
    recast(sources["sdr"], output, format="png", change=lambda frame: [])
    before, after = next(read_frames(sources["sdr"])), next(read_frames(output))
    assert np.abs(after.view() - np.clip(before.view(), 0, 1)).max() < 1 / 65000
    assert picture_files(output)[1].name == "out.000001.png"


def test_interlaced_footage_stays_interlaced(tmp_path):
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "bff=1", "bf": "0", "crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.field_order = 3
        graph = av.filter.Graph()
        first = graph.add_buffer(width=160, height=96, format="yuv420p", time_base=Fraction(1, 25))
        mark, last = graph.add("setfield", "mode=bff"), graph.add("buffersink")
        first.link_to(mark)
        mark.link_to(last)
        graph.configure()
        for number in range(4):  # each field shows another moment, in colour too
            x = np.tile(np.arange(160), (96, 1))
            x[1::2] += 12
            picture = np.stack([(x * 3 + 24 * number) % 256, 128 + 60 * np.sin(x / 9), 255 - x], -1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts = number
            graph.push(frame)
            container.mux(stream.encode(graph.pull()))
        container.mux(stream.encode(None))
    assert probe(source).field_order == "bff"
    for name, format in (("out.mp4", "same"), ("out.mov", "prores-hq"), ("out.mkv", "ffv1")):
        info = recast(source, tmp_path / name, format=format)
        assert info.field_order == "bff", name
        frames = zip(read_frames(source), read_frames(tmp_path / name), strict=True)
        for before, after in frames:
            assert after.native.interlaced_frame
            error = np.abs(before.rgb.astype(int) - after.rgb)
            error[BOX[1] - 4 : BOX[3] + 4, BOX[0] - 4 : BOX[2] + 4] = 0
            assert error.mean() < 4
    for format in ("h265", "dnxhr"):
        with pytest.raises(MediaError, match="is interlaced"):
            check_output(tmp_path / "no.mov", probe(source), format)


def test_hdr10_metadata_is_kept(tmp_path, make_clip):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    source = make_clip(
        tmp_path / "in.mp4", 3, codec="libx265", pixel_format="yuv420p10le", tags={**HDR, "color_trc": 16},
        options={"x265-params": f"log-level=error:master-display={display}:max-cll=1000,400"},
    )  # fmt: skip
    info = probe(source)
    assert (info.mastering, info.light) == (display, "1000,400")
    for format in ("h265", "h264"):
        again = recast(source, tmp_path / f"{format}.mp4", format=format)
        assert (again.mastering, again.light) == (display, "1000,400"), format


@pytest.mark.parametrize("kind", ["mov", "mp4", "mkv"])
def test_timecode_is_kept_and_moved_by_the_ranges_start(tmp_path, kind):
    source = tmp_path / "in.mov"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["timecode"] = "00:59:59;28"
        for number in range(8):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe(source).timecode == "00:59:59;28"
    info = recast(source, tmp_path / f"out.{kind}", 3, 8, change=lambda frame: [], format="h264")
    assert info.timecode == "01:00:00;01"


@pytest.mark.parametrize(("code", "frames", "rate", "after"), [
    ("01:00:00:00", 25, 25, "01:00:01:00"), ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
    ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"), ("23:59:59:23", 1, 24, "00:00:00:00"),
    ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
    ("00:00:00;00", 107892, Fraction(30000, 1001), "01:00:00;00"),
    ("10:00:00:00", 100, Fraction(24000, 1001), "10:00:04:04"),
])  # fmt: skip
def test_timecode_counts_as_smpte_does(code, frames, rate, after):
    assert offset_timecode(code, frames, Fraction(rate)) == after


@pytest.mark.parametrize(("format", "layer", "name", "says"), [
    ("h264", True, "out.mp4", "A layer needs transparency, which H.264"),
    ("dnxhr", True, "out.mov", "which DNxHR"),
    ("dnxhr", False, "out.mov", "DNxHR cannot hold pictures of 64×48"),
    ("prores-4444", False, "out.mp4", "ProRes 4444; end it in .mov"),
    ("ffv1", False, "out.mov", "FFV1; end it in .mkv"),
    ("exr", False, "out.mov", "a folder of EXR pictures"),
])  # fmt: skip
def test_what_cannot_be_is_said_before_a_frame_is_computed(tmp_path, make_clip, format, layer, name, says):
    source = probe(make_clip(tmp_path / "in.mp4", 2, width=64, height=48))
    with pytest.raises(MediaError, match=says):
        check_output(tmp_path / name, source, format, layer)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_pictures_that_lack_are_named_and_one_cut_off_repeats_its_neighbour(
    tmp_path, make_counter_picture, read_counter
):
    for number in (1, 2, 5, 6):
        cv2.imwrite(str(tmp_path / f"shot.{number:04}.png"), make_counter_picture(number, 160, 96))
    assert missing_numbers(picture_files(tmp_path)) == [3, 4]
    assert missing_numbers([Path("shot9.png"), Path("take12.png"), Path("take13.png")]) == []
    whole = (tmp_path / "shot.0005.png").read_bytes()
    (tmp_path / "shot.0005.png").write_bytes(whole[: len(whole) // 2])
    frames = [(f.index, f.repeated, read_counter(f.rgb)) for f in read_frames(tmp_path)]
    assert frames == [(0, False, 1), (1, False, 2), (2, True, 2), (3, False, 6)]
    for alone in range(4):  # whatever range is read
        (frame,) = read_frames(tmp_path, alone, alone + 1)
        assert (frame.index, frame.repeated, read_counter(frame.rgb)) == frames[alone]
    with pytest.raises(MediaError, match=r"shot\.0005\.png is damaged"):
        list(read_frames(tmp_path / "shot.0005.png"))


@pytest.mark.parametrize("kind", ["png", "tif", "exr", "dpx"])
def test_a_cut_off_picture_is_no_picture(tmp_path, make_counter_picture, kind):
    still(tmp_path, 0, kind, {"exr": "gbrpf32le", "png": "rgb48be"}.get(kind, "rgb48le"), make_counter_picture)
    (path,) = picture_files(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match="is damaged or not a picture"):
        probe(path)


def test_lossless_footage_of_an_odd_size_stays_what_it_is(tmp_path, make_clip):
    source = make_clip(tmp_path / "in.mkv", 3, width=479, height=477, codec="ffv1")
    output, info = tmp_path / "out.mkv", probe(source)
    with MovieWriter(output, info, 0, 3) as writer:
        for frame in read_frames(source):
            writer.write(frame)
    assert probe(output).codec == "ffv1"
    for old, new in zip(read_frames(source), read_frames(output), strict=True):
        assert all((plane_array(old.native, n) == plane_array(new.native, n)).all() for n in range(3))


def test_float_pictures_can_be_every_format_that_takes_their_size(tmp_path):
    frame = av.VideoFrame(256, 144, "gbrpf32le")
    for plane in frame.planes:
        plane.update(np.full(plane.buffer_size // 4, 0.5, np.float32))
    recipe = Recipe(name="exr", codec="exr", pixel_format="gbrpf32le", picture=".exr")
    folder = tmp_path / "shot"
    folder.mkdir()
    (folder / "a.exr").write_bytes(picture_bytes(frame, recipe))
    info = probe(folder)
    assert info.bits == 32
    for format in get_args(OutputFormat):
        with MovieWriter(tmp_path / f"out-{format}{suffix_of(format, info)}", info, 0, 1, format=format) as writer:
            for picture in read_frames(folder, 0, 1):
                writer.write(picture)
    assert probe(tmp_path / "out-ffv1.mkv").bits == 16
