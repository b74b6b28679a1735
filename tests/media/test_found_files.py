"""Files as people's disks hold them: names that look like addresses, playlists, broken parts, sound nothing decodes."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import zlib
from itertools import islice

import av
import cv2
import numpy as np
import pytest
from understudy.engine.errors import MediaError
from understudy.engine.media.damage import Damage
from understudy.engine.media.footage import Footage, as_footage
from understudy.engine.media.pictures import are_photographs, unread_photographs
from understudy.engine.media.reader import probe, read_frames
from understudy.engine.media.sound import cut_samples, lost_tracks
from understudy.engine.media.writer import MovieWriter


@pytest.mark.parametrize("name", ["12:30 take.mp4", "http:127.0.0.1:19998", "pipe:0.mkv", "100% [a] #1.mp4"])
def test_a_name_is_a_name_and_no_address(tmp_path, make_clip, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = make_clip(tmp_path / "plain.mp4", 6).rename(tmp_path / name)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        here = type(path)(name)  # relative, as a command line has it
        info = probe(here)
        assert info.frames == len(list(read_frames(here))) == 6
        output = type(path)(f"out:{name}.mkv")
        with MovieWriter(output, info, 0, 6, format="ffv1") as writer:
            for frame in read_frames(here):
                writer.write(frame)
        assert probe(output).frames == 6


@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "txt"])
@pytest.mark.parametrize("kind", ["hls", "concat", "dash"])
def test_a_playlist_reads_no_other_file(tmp_path, make_clip, kind, suffix):
    other = make_clip(tmp_path / "secret.ts", 6)
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other.name}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {other.name}\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        f'<Representation id="0"><BaseURL>{other.name}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    }[kind]
    path = tmp_path / f"list.{suffix}"
    path.write_text(text)
    with pytest.raises(MediaError, match="cannot be read"):
        probe(path)


def test_a_file_that_asks_for_more_memory_than_there_is_is_damaged(tmp_path, make_clip):
    path = make_clip(tmp_path / "v.mp4", 6)
    data = bytearray(path.read_bytes())
    at = data.index(b"stts") + 8  # the number of durations
    data[at : at + 4] = (0x0FFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(MediaError, match="tells of more parts than it can have"):
        probe(path)


def test_a_broken_stretch_is_repeated_and_told(tmp_path, make_clip, read_counter):
    path = make_clip(tmp_path / "v.mp4", 60, options={"g": "12"})
    whole = [frame.rgb for frame in read_frames(path)]
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    middle = packets[29][0]
    data[middle : middle + 1500] = np.random.default_rng(0).bytes(1500)
    path.write_bytes(data)
    frames = list(read_frames(path))
    assert [f.index for f in frames] == list(range(probe(path).frames))
    lost = [f.index for f in frames if f.repeated]
    assert lost and all(24 <= index < 48 for index in lost)
    partial = [f.index for f in frames if f.is_partial]
    assert not set(partial) & set(lost) and all(24 <= index < 48 for index in partial)
    assert [read_counter(f.rgb) for f in frames[:24]] == list(range(24))
    assert [read_counter(f.rgb) for f in frames[50:]] == list(range(50, 60))
    damage = Damage(as_footage(path))
    for frame in frames:
        damage.add(frame)
    wrong = {f.index for f in frames if not np.array_equal(f.rgb, whole[f.index])} - set(lost)
    assert wrong - set(partial), "frames that decode, from damaged ones, as something else"
    assert damage.lost == lost and wrong <= set(damage.unsound()) <= set(range(24, 48))
    for index in (lost[0] - 1, lost[0], lost[-1], lost[-1] + 1):  # the same picture whatever range is read
        (alone,) = read_frames(path, index, index + 1)
        assert alone.repeated == (index in lost)
        assert np.array_equal(alone.rgb, frames[index].rgb)


def test_a_destroyed_first_key_frame_loses_the_frames_after_it_and_not_their_places(tmp_path, make_clip, read_counter):
    path = make_clip(tmp_path / "begin.mp4", options={"g": "12", "sc_threshold": "0"})
    with av.open(str(path)) as container:
        first = next(packet for packet in container.demux(video=0) if packet.size)
        place, size = first.pos, first.size
    data = bytearray(path.read_bytes())
    data[place + 4 : place + size] = np.random.default_rng(1).bytes(size - 4)
    path.write_bytes(data)
    for played in (False, True):
        footage, damage = Footage(path=path, played=played), Damage(as_footage(path))
        frames = list(read_frames(footage))
        for frame in frames:
            damage.add(frame)
        assert len(frames) == probe(footage).frames == 40 and damage.lost == list(range(12))
        assert [read_counter(frame.rgb) for frame in frames] == [12] * 12 + list(range(12, 40))


@pytest.mark.parametrize(("codec", "form", "at"), [("png", "rgb24", 3), ("cfhd", "yuv422p10le", 20)])
def test_what_a_decoder_refuses_in_other_words_is_lost_too(tmp_path, make_clip, codec, form, at):
    path = make_clip(tmp_path / "clip.mov", codec=codec, pixel_format=form)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    place, size = packets[at]
    data = bytearray(path.read_bytes())
    data[place + size // 4 : place + size] = np.random.default_rng(0).bytes(size - size // 4)
    path.write_bytes(data)
    damage = Damage(as_footage(path))
    for frame in read_frames(as_footage(path)):
        damage.add(frame)
    assert probe(path).frames == 40 and damage.lost == [at]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the decoder has to have one processor alone")
def test_frames_that_a_damaged_one_leaves_in_the_decoder_are_no_lack_of_memory(tmp_path, people_footage):
    path = tmp_path / "clip.webm"
    with av.open(str(path), "w") as made, av.open(str(people_footage["carphone"])) as shot:
        options = {"g": "12", "deadline": "realtime", "cpu-used": "8"}
        stream = made.add_stream("libvpx-vp9", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 176, 144, "yuv420p", 4_000_000
        for number, frame in enumerate(islice(shot.decode(video=0), 30)):
            whole = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24").reformat(
                176, 144, "yuv420p"
            )
            whole.pts = number
            made.mux(stream.encode(whole))
        made.mux(stream.encode(None))
    with av.open(str(path)) as container:
        key = next(packet for packet in container.demux(video=0) if packet.is_keyframe and packet.pts)
    data = bytearray(path.read_bytes())
    data[key.pos + 20 : key.pos + 80] = np.random.default_rng(0).bytes(60)
    path.write_bytes(data)
    script = (
        "import os, sys\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from pathlib import Path\nfrom understudy.engine.media.footage import Footage\n"
        "from understudy.engine.media.reader import read_frames\n"
        "print([frame.index for frame in read_frames(Footage(path=Path(sys.argv[1])), 24, 28)])"
    )
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == "[24, 25, 26, 27]\n"


def test_content_decides_what_a_picture_is_and_a_bad_one_is_passed_over(tmp_path):
    picture = np.full((40, 60, 3), 120, np.uint8)
    for kind, name in ((".jpg", "a.png"), (".webp", "b.jpg"), (".png", "c.webp"), (".tif", "d.bmp")):
        (tmp_path / name).write_bytes(cv2.imencode(kind, picture)[1].tobytes())
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "e.jpg").write_bytes(b"no picture")
    frames = list(read_frames(tmp_path))
    assert [f.repeated for f in frames] == [True, False, False, False, False, True]
    assert all(np.abs(f.rgb.astype(int) - 120).max() < 3 for f in frames)
    assert probe(tmp_path).width == 60
    assert not are_photographs(tmp_path)
    cv2.imwrite(str(tmp_path / "f.png"), np.zeros((50, 50, 3), np.uint8))
    assert are_photographs(tmp_path)


def test_sound_whose_rate_or_channels_change_within_goes_on_as_it_began(tmp_path):
    """As a damaged packet has it, too: one second each at 44.1 kHz, at 48 kHz in stereo, and at 44.1 kHz again."""
    parts = []
    for number, (rate, layout) in enumerate([(44100, "mono"), (48000, "stereo"), (44100, "mono")]):
        tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
        with av.open(str(tmp_path / f"{number}.mp3"), "w", options={"write_xing": "0", "id3v2_version": "0"}) as file:
            stream = file.add_stream("libmp3lame", rate=rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(np.stack([tone] * stream.channels), format="fltp", layout=layout)
            frame.sample_rate = rate
            file.mux([*stream.encode(frame), *stream.encode(None)])
        parts.append((tmp_path / f"{number}.mp3").read_bytes())
    path = tmp_path / "in.mp3"
    path.write_bytes(b"".join(parts))
    with av.open(str(path)) as movie:
        track = movie.streams.audio[0]
        rate, channels = track.rate, track.channels
        heard = np.concatenate(list(cut_samples(track, (0.0, 3.0))))
    assert heard.shape == (3 * rate, channels)
    crossings = [np.diff(np.signbit(heard[round(t * rate) :][: rate // 2, 0])).sum() for t in (0.3, 1.3, 2.3)]
    assert np.abs(np.array(crossings) - 440).max() <= 4


def test_a_sound_track_that_nothing_decodes_is_left_out(tmp_path, make_clip):
    path = tmp_path / "phone.mp4"
    plain = make_clip(tmp_path / "plain.mp4", 12, sound=np.zeros((2, 24000), np.float32))
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        picture, sound = source.streams.video[0], source.streams.audio[0]
        copies = [target.add_stream_from_template(stream) for stream in (picture, sound, sound)]
        for packet in list(source.demux()):
            if packet.dts is None:
                continue
            goes_to = copies[:1] if packet.stream == picture else copies[1:]
            for copy in goes_to:
                packet.stream = copy
                target.mux(packet)
    data = path.read_bytes()
    at = data.rindex(b"mp4a")
    data = data[:at] + b"apac" + data[at + 4 :]
    at = data.rindex(b"esds")
    path.write_bytes(data[:at] + b"dapa" + data[at + 4 :])
    assert lost_tracks(path) == 1
    info, output = probe(path), tmp_path / "out.mp4"
    with MovieWriter(output, info, 0, 12) as writer:
        for frame in read_frames(path):
            writer.write(frame)
    assert probe(output).frames == 12
    with av.open(str(output)) as made:  # the other track is kept
        assert [track.codec_context.name for track in made.streams.audio] == ["aac"]


TURNED = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
"""EXIF that says: turn this picture clockwise by a quarter."""


def turned(kind: str, picture: np.ndarray, orientation: int = 6) -> bytes:
    """A picture of 60 × 40 pixels in that format, with EXIF that has it turned."""
    data = _turned(kind, picture)
    return data.replace(TURNED[10:22], TURNED[10:18] + bytes([orientation]) + TURNED[19:22])


def _turned(kind: str, picture: np.ndarray) -> bytes:
    data = cv2.imencode(f".{kind}", picture, [cv2.IMWRITE_WEBP_QUALITY, 101] if kind == "webp" else [])[1].tobytes()
    if kind == "jpg":
        exif = b"Exif\0\0" + TURNED
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    if kind == "png":
        chunk = b"eXIf" + TURNED
        return data[:33] + struct.pack(">I", len(TURNED)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    if kind == "webp":
        head = b"WEBPVP8X" + struct.pack("<IIHBHB", 10, 8, 59, 0, 39, 0)
        body = head + data[12:] + b"EXIF" + struct.pack("<I", len(TURNED)) + TURNED
        return b"RIFF" + struct.pack("<I", len(body)) + body
    at = struct.unpack("<I", data[4:8])[0]  # a TIFF's table of tags is written anew at its end
    count = struct.unpack("<H", data[at : at + 2])[0]
    tags = [data[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    tags = sorted([tag for tag in tags if tag[:2] != b"\x12\x01"] + [TURNED[10:22]], key=lambda tag: tag[1::-1])
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4)


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""EXIF 2.32, 4.6.4 A: what makes a stored picture of each orientation upright."""


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tif", "jpg"])
def test_a_mirrored_photograph_is_upright_too(tmp_path, kind, orientation, depth):
    y, x = np.mgrid[0:40, 0:60]
    picture = np.dstack([x * 4, y * 6, np.full_like(x, 90)]).astype(depth) * (257 if depth is np.uint16 else 1)
    if kind == "jpg" and depth is np.uint16:
        return  # JPEG has 8 bits
    path = tmp_path / f"a.{kind}"
    data = turned(kind, picture, orientation)
    if kind == "png":  # its checksum counts
        at = data.index(b"eXIf")
        data = (
            data[: at + 4 + len(TURNED)]
            + struct.pack(">I", zlib.crc32(data[at : at + 4 + len(TURNED)]))
            + data[at + 8 + len(TURNED) :]
        )
    path.write_bytes(data)
    (frame,) = read_frames(path)
    wanted = UPRIGHT[orientation]((picture // (257 if depth is np.uint16 else 1))[..., ::-1])  # OpenCV's are BGR
    assert frame.rgb.shape == wanted.shape and np.abs(frame.rgb.astype(int) - wanted).max() <= (
        40 if kind == "jpg" else 1
    )


def test_tiffs_that_ffmpeg_reads_wrongly(tmp_path):
    picture = np.full((40, 60, 3), (90, 160, 200), np.uint8)
    path = tmp_path / "jpeg.tif"
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_TIFF_COMPRESSION, 7])
    (frame,) = read_frames(path)
    assert np.abs(frame.rgb[20, 30].astype(int) - (200, 160, 90)).max() < 8
    data = bytearray(cv2.imencode(".tif", picture)[1].tobytes())
    (at,) = struct.unpack("<I", data[4:8])
    for tag in range(at + 2, at + 2 + 12 * struct.unpack("<H", data[at : at + 2])[0], 12):
        if data[tag : tag + 2] == struct.pack("<H", 262):
            data[tag + 8] = 8
    (tmp_path / "lab.tif").write_bytes(data)
    with pytest.raises(MediaError, match="holds CIELab colours"):
        probe(tmp_path / "lab.tif")


def test_what_a_jpeg_is_also_called_and_what_is_passed_over(tmp_path):
    for name in ("a.jfif", "b.jpe", "c.jpg"):
        (tmp_path / name).write_bytes(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    for name in ("d.gif", "e.CR2", "f.psd", "g.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert probe(tmp_path).frames == 3
    assert [path.name for path in unread_photographs(tmp_path)] == ["d.gif", "e.CR2", "f.psd"]


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_a_turned_photograph_is_upright_by_itself_and_as_stored_in_blender(tmp_path, kind):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20, :30] = 255
    path = tmp_path / f"turned.{kind}"
    path.write_bytes(turned(kind, picture))
    for where, shape, white in ((path, (60, 40), (5, 35)), (Footage(path=path, played=True), (40, 60), (5, 5))):
        info, (frame,) = probe(where), read_frames(where)
        assert (info.height, info.width) == frame.shape == frame.rgb.shape[:2] == shape
        assert frame.rgb[white].min() > 250 and np.sum(frame.rgb[..., 0] > 127) == 600


@pytest.mark.parametrize("name", ["photo.heic", "photo.jpg", "photo.mp4"])
def test_heic_is_refused_with_what_to_do(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(MediaError, match="HEIC photograph, which Understudy does not read"):
        probe(path)
    if name == "photo.heic":
        with pytest.raises(MediaError, match="HEIC photograph"):
            probe(tmp_path)
        cv2.imwrite(str(tmp_path / "b.png"), np.zeros((8, 8, 3), np.uint8))
        assert probe(tmp_path).frames == 1 and unread_photographs(tmp_path) == [path]
