"""Frame numbers are exact whatever the container, the coding order or the way a range is reached."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from understudy.engine.errors import MediaError
from understudy.engine.media import frametable, reader
from understudy.engine.media.reader import probe, read_frames

CLIPS = {
    "intra.mp4": {"options": {"g": "1", "bf": "0"}},
    "b-frames.mp4": {"options": {"g": "12", "bf": "3", "b_strategy": "0", "sc_threshold": "0"}},
    "open-gop.mp4": {"options": {"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0:scenecut=0"}},
    "refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=8:bframes=0:scenecut=0"}},
    "transport.ts": {"options": {"g": "8", "bf": "2"}},
    "rounded-times.mkv": {"options": {"g": "8", "bf": "2"}, "rate": Fraction(30000, 1001)},
    "start-offset.mp4": {"options": {"g": "8"}, "times": [n + 31 for n in range(40)]},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "8", "bf": "2"}},
    "vp8.webm": {"codec": "libvpx", "options": {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "10"}},
    "vp9.webm": {
        "codec": "libvpx-vp9",
        "options": {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8"},
    },
    "av1.mp4": {"codec": "libsvtav1", "options": {"g": "9", "preset": "12", "svtav1-params": "fast-decode=1"}},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"g": "9", "bf": "2"}, "rate": 25},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "keyint=9:bframes=3:open-gop=1:log-level=error"}},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory, make_clip) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    made = {name: make_clip(folder / name, **how) for name, how in CLIPS.items()}
    if hasattr(os, "sched_setscheduler"):  # SVT-AV1, run by root, leaves the thread that opened it a real-time one
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
    return made


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_from_every_start_is_the_one_asked_for(name, clips, read_counter):
    info = probe(clips[name])
    whole = list(read_frames(clips[name]))
    assert info.frames == 40
    assert [read_counter(f.rgb) for f in whole] == list(range(40))
    assert [f.index for f in whole] == list(range(40))
    for start in range(40):
        frames = list(read_frames(clips[name], start, min(start + 3, 40)))
        assert [f.index for f in frames] == list(range(start, min(start + 3, 40)))
        for frame in frames:
            assert np.array_equal(frame.rgb, whole[frame.index].rgb), (start, frame.index)


@pytest.mark.parametrize("name", ["b-frames.mp4", "open-gop.mp4", "transport.ts", "vp9.webm", "prores.mov"])
def test_a_late_frame_is_reached_by_seeking(name, clips, monkeypatch):
    decoded = []
    monkeypatch.setattr(reader, "decoded", lambda *a: (decoded.append(f) or f for f in frametable.decoded(*a)))
    next(read_frames(clips[name], 39))
    assert len(decoded) < 30


def test_a_cut_into_the_middle_of_a_group_counts_only_what_is_shown(tmp_path, clips, read_counter):
    """An edit list hides the first frames: what players skip is not frame 0."""
    path = tmp_path / "edited.mp4"
    with av.open(str(clips["b-frames.mp4"])) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            shift = round(5 / 24 / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            target.mux(packet)
    assert probe(path).frames == 35
    assert [read_counter(f.rgb) for f in read_frames(path)] == list(range(5, 40))
    assert read_counter(next(read_frames(path, 30)).rgb) == 35


def test_a_stream_cut_in_an_open_group_starts_with_its_first_decodable_frame(tmp_path, clips, read_counter):
    path = tmp_path / "cut.mp4"
    with av.open(str(clips["hevc.mp4"])) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.dts is not None]
        second = [i for i, p in enumerate(packets) if p.is_keyframe][1]
        for packet in packets[second:]:
            packet.stream = stream
            target.mux(packet)
    numbers = [read_counter(f.rgb) for f in read_frames(path)]
    assert probe(path).frames == len(numbers)
    assert numbers == list(range(numbers[0], 40))
    assert [read_counter(next(read_frames(path, k)).rgb) for k in range(len(numbers))] == numbers


@pytest.mark.parametrize("rate", [24, 25, Fraction(24000, 1001), Fraction(30000, 1001), 50, Fraction(60000, 1001)])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov"])
def test_rates_are_exact(tmp_path, make_clip, rate, kind):
    info = probe(make_clip(tmp_path / f"a.{kind}", 30, rate=rate, width=64, height=48))
    assert info.fps == rate
    assert not info.variable_frame_rate


def test_a_variable_rate_is_seen(tmp_path, make_clip, read_counter):
    times = list(range(10)) + list(range(10, 30, 2)) + list(range(33, 73, 4))
    path = make_clip(tmp_path / "phone.mp4", 30, times=times)
    info = probe(path)
    assert info.variable_frame_rate
    assert info.frames == 30
    assert [read_counter(f.rgb) for f in read_frames(path, 8, 14)] == list(range(8, 14))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_phone_held_upright(tmp_path, make_clip, make_counter_picture, rotation):
    path = make_clip(tmp_path / "phone.mp4", 3, rotation=rotation, options={"crf": "5"})
    info = probe(path)
    frame = next(read_frames(path, 2))
    expected = np.rot90(make_counter_picture(2, 160, 96), rotation // 90)
    assert info.rotation == rotation
    assert (info.height, info.width) == frame.rgb.shape[:2] == expected.shape[:2]
    assert np.abs(frame.rgb.astype(int) - expected).mean() < 6


@pytest.mark.parametrize(
    ("tagged", "full", "height", "kr", "kb"),
    [(1, False, 96, 0.2126, 0.0722), (6, False, 96, 0.299, 0.114), (6, True, 96, 0.299, 0.114),
     (2, False, 96, 0.299, 0.114), (2, False, 720, 0.2126, 0.0722), (9, False, 96, 0.2627, 0.0593)],
)  # fmt: skip
def test_colour_follows_the_tags(tmp_path, tagged, full, height, kr, kb):
    """Flat patches of known YUV come back as the standard's own formula says."""
    patches = [(81, 90, 240), (145, 54, 34), (41, 240, 110), (126, 128, 128), (180, 100, 150)]
    path = tmp_path / "tagged.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, height, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = tagged, 2 if full else 1
        frame = av.VideoFrame(160, height, "yuv444p")
        for plane in range(3):
            rows = np.frombuffer(frame.planes[plane], np.uint8).reshape(height, -1)
            for n, patch in enumerate(patches):
                rows[:, n * 32 : (n + 1) * 32] = patch[plane]
        frame.colorspace, frame.color_range, frame.pts = tagged, 2 if full else 1, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    rgb = next(read_frames(path)).rgb
    for n, (y, u, v) in enumerate(patches):
        luma = y / 255 if full else (y - 16) / 219
        blue, red = ((u - 128) / 255, (v - 128) / 255) if full else ((u - 128) / 224, (v - 128) / 224)
        r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
        g = (luma - kr * r - kb * b) / (1 - kr - kb)
        expected = np.clip(np.array([r, g, b]) * 255, 0, 255)
        assert np.abs(rgb[10, n * 32 + 16] - expected).max() <= 1.5, (n, rgb[10, n * 32 + 16], expected)


def test_a_picture_is_a_clip_of_one_frame(tmp_path, make_counter_picture):
    path = tmp_path / "ein Bild ä.png"
    picture = make_counter_picture(5, 161, 97)
    path.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    info = probe(path)
    (frame,) = read_frames(path)
    assert (info.width, info.height, info.frames, info.fps, info.is_still) == (161, 97, 1, 24, True)
    assert np.array_equal(frame.rgb, picture)
    assert frame.native.format.name == "rgb24"


def test_a_folder_is_a_clip_in_natural_order(tmp_path, make_counter_picture, read_counter):
    for number in (0, 2, 10, 9, 1):
        cv2.imwrite(str(tmp_path / f"shot{number}.png"), make_counter_picture(number, 160 + number, 96)[..., ::-1])
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._shot3.png").write_bytes(b"a file manager's leftovers")
    assert probe(tmp_path).frames == 5
    assert [read_counter(f.rgb) for f in read_frames(tmp_path)] == [0, 1, 2, 9, 10]
    assert [read_counter(f.rgb) for f in read_frames(tmp_path, 3, 5)] == [9, 10]


def test_sound_alone_is_no_footage_and_cover_art_is_no_picture(tmp_path, make_clip):
    path = tmp_path / "song.wav"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=8000)
        track.layout = "mono"
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        piece.sample_rate = 8000
        container.mux(track.encode(piece))
    with pytest.raises(MediaError, match="no picture"):
        probe(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.mp4", None, "is not there"),
        ("empty.mp4", b"", "cannot be read"),
        ("text.mp4", b"this is no movie" * 1000, "cannot be read"),
        ("empty.png", b"", "damaged"),
        ("text.jpg", b"this is no picture" * 100, "damaged"),
    ],
)
def test_bad_files_are_named_with_what_to_do(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=says) as caught:
        probe(path)
    assert name in str(caught.value)
    assert str(caught.value).endswith(".")


def test_an_empty_folder(tmp_path):
    with pytest.raises(MediaError, match="holds no pictures"):
        probe(tmp_path)


def test_a_movie_without_its_index_cannot_be_read(tmp_path, clips):
    path = tmp_path / "cut-off.mp4"
    data = clips["b-frames.mp4"].read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match="cannot be read"):
        probe(path)


@pytest.mark.parametrize("kind", ["mkv", "ts", "mp4"])
def test_a_truncated_movie_has_the_frames_that_are_left(tmp_path, make_clip, read_counter, kind):
    """The header still promises 40: the count is of what can be shown."""
    whole = make_clip(tmp_path / f"whole.{kind}", options={"g": "6", "bf": "0"}, format_options=
                      {"movflags": "faststart"} if kind == "mp4" else {})  # fmt: skip
    data = whole.read_bytes()
    path = tmp_path / f"truncated.{kind}"
    path.write_bytes(data[: len(data) * 2 // 3])
    frames = probe(path).frames
    assert 10 < frames < 40
    assert [read_counter(f.rgb) for f in read_frames(path)] == list(range(frames))


def test_a_damaged_frame_is_its_neighbour_and_says_so(tmp_path, make_clip, read_counter):
    path = make_clip(tmp_path / "damaged.mov", codec="png", pixel_format="rgb24")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[20]
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    assert len(list(read_frames(path, 0, 20))) == 20
    frames = list(read_frames(path, 15, 25))
    assert [f.index for f in frames if f.repeated] == [20]
    assert [read_counter(f.rgb) for f in frames] == [15, 16, 17, 18, 19, 19, 21, 22, 23, 24]
    for start, end in ((20, 22), (20, 21)):  # the same whatever range is read
        assert [(f.index, f.repeated, read_counter(f.rgb)) for f in read_frames(path, start, end)] == [
            (20, True, 19),
            (21, False, 21),
        ][: end - start]


@pytest.mark.parametrize("span", [(0, 41), (40, None), (5, 5), (-1, 3), (10, 5), (100, 200)])
def test_a_range_outside_names_the_real_length(clips, span):
    with pytest.raises(MediaError, match="40 frames"):
        read_frames(clips["b-frames.mp4"], *span)
