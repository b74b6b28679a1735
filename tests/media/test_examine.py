"""What is said of footage before it is recast: on the command line, and to Blender by the engine's API."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from understudy.engine.media.examine import examine
from understudy.engine.media.footage import Footage
from understudy.engine.media.reader import read_frames

Said = dict[str, list[str]]


def said(path: Path, **which: object) -> Said:
    """The sentences by kind; of a recast from Blender and of the whole file alike."""
    found: Said = {kind: [] for kind in ("is", "kept", "lost", "cannot")}
    for finding in examine(Footage(path=path, **which)):
        found[finding.kind].append(finding.text)
    return found


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0) if packet.size][29]
    data[place : place + 1500] = np.random.default_rng(0).bytes(1500)
    path.write_bytes(data)


def unreadable_track(path: Path) -> None:
    data = path.read_bytes()
    at = data.rindex(b"mp4a")
    data = data[:at] + b"apac" + data[at + 4 :]
    at = data.rindex(b"esds")
    path.write_bytes(data[:at] + b"dapa" + data[at + 4 :])


SOUND = np.zeros((2, 24000), np.float32)
PQ = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
HDR = {"codec": "libx265", "pixel_format": "yuv420p10le", "tags": PQ, "frames": 3}
PRORES = {"codec": "prores_ks", "pixel_format": "yuv444p10le", "frames": 3}


@pytest.mark.parametrize(
    ("name", "made", "spoil", "kind", "says"),
    [
        ("plain.mp4", {}, None, "is", "a movie of 60 frames at 25 a second, 256 × 144 pixels"),
        ("ntsc.mp4", {"rate": Fraction(30000, 1001)}, None, "is", "60 frames at 29.97 a second"),
        ("plain.mp4", {}, None, "kept", "Size, number of frames, frame rate; away from the faces every sample"),
        ("ten.mkv", {"pixel_format": "yuv422p10le"}, None, "kept", r"H.264, 10-bit 4:2:2 \(mkv file\)"),
        ("turned.mov", {"rotation": 90}, None, "kept", "rotation"),
        ("vfr.mp4", {"times": [n + 10 * (n > 9) for n in range(60)]}, None, "is", "before at frames 10 to 19"),
        ("hole.mkv", {"times": [n + 10 * (n > 9) for n in range(60)]}, None, "lost", "missing, 0.40 s after frame 9"),
        ("xvid.avi", {"codec": "mpeg4", "options": {"bf": "2"}}, None, "is", "it shows it 1 frame late"),
        ("raw.h264", {}, None, "is", "it leaves out frames 1 to 59 of the file"),
        ("broken.mp4", {"options": {"g": "12"}}, damage, "lost", r"Frames 2\d.* cannot be decoded: the picture before"),
        ("phone.mp4", {"sound": SOUND}, unreadable_track, "lost", "1 sound track that nothing here decodes"),
        ("long.mkv", {"sound": np.zeros((1, 153600), np.float32)}, None, "lost", "s at its end have no picture"),
        ("hdr.mov", HDR, None, "cannot", "HDR"),
        ("deep.mov", PRORES, None, "kept", "ProRes, 10-bit"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_movie(
    tmp_path: Path, make_clip: Callable[..., Path], name: str, made: dict, spoil: Callable | None, kind: str, says: str
) -> None:
    path = make_clip(tmp_path / name, **{"frames": 60, "rate": 25, "width": 256, "height": 144, **made})
    if spoil:
        spoil(path)
    found = said(path)
    assert any(re.search(says, text) for text in found[kind]), found
    if name == "plain.mp4":
        assert not found["lost"] and not found["cannot"]


def test_interlaced_footage_cannot_be_some_formats(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    options = {"flags": "+ildct+ilme"}  # of frames that do not say which field is first x264 takes the lower one
    found = said(make_clip(tmp_path / "interlaced.mp4", 4, options=options))
    assert "It is interlaced, the lower field first." in found["is"]
    assert [text.split("which ")[1][:5] for text in found["cannot"]] == ["H.265", "DNxHR"]


def test_a_second_picture_stream_is_named(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 256, 144, "yuv420p"
        for stream in [*streams, *streams]:
            container.mux(stream.encode(av.VideoFrame(256, 144, "yuv420p")))
        for stream in streams:
            container.mux(stream.encode(None))
    for stream, other in ((0, 1), (1, 0)):
        assert f"Picture stream {other}: this is of stream {stream};" in " ".join(said(path, stream=stream)["lost"])
    assert "has no picture stream 2" in said(path, stream=2)["cannot"][0]


def test_what_is_said_of_pictures(tmp_path: Path) -> None:
    sequence, photographs = tmp_path / "shot", tmp_path / "photographs"
    for folder in (sequence, photographs):
        folder.mkdir()
    for number in (1001, 1002, 1004):
        cv2.imwrite(str(sequence / f"shot.{number}.png"), np.zeros((48, 64, 3), np.uint16))
    found = said(sequence)
    assert "shot holds 3 pictures, shot.1001.png to shot.1004.png, 64 × 48 pixels." in found["is"]
    assert "Missing among its numbers: 1003. The pictures after them move up." in found["lost"]
    assert any("PNG, 16-bit RGB" in text for text in found["kept"])
    for number, size in enumerate((40, 60)):
        cv2.imwrite(str(photographs / f"{number}.jpg"), np.zeros((size, size, 3), np.uint8))
    (photographs / "a.png").write_bytes(b"no picture")
    (photographs / "b.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    found = said(photographs)
    assert not found["kept"] and "of different sizes" in found["cannot"][0]
    assert "a.png of photographs cannot be decoded: each of them is passed over." in found["lost"]
    assert any(text.startswith("Beside them, not read: ") and ".heic" in text for text in found["lost"])
    assert "HEIC photograph, which Understudy does not read" in said(photographs / "b.heic")["cannot"][0]


def test_channels_of_openexr_that_are_not_read_are_named(tmp_path: Path) -> None:
    header = b"\x76\x2f\x31\x01\x02\0\0\0channels\0chlist\0"
    names = b"".join(name + b"\0" + bytes(16) for name in (b"A", b"B", b"G", b"R", b"Z", b"mask.x")) + b"\0"
    from understudy.engine.media.exr import unread_parts

    whole = header + len(names).to_bytes(4, "little") + names + b"\0"
    assert unread_parts(whole) == "channels other than R, G, B, A (Z, mask.x)"
    assert unread_parts(whole[:40]) == unread_parts(b"") == ""


def test_a_long_film_is_decoded_for_a_time_only(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    path = make_clip(tmp_path / "long.mp4", 60)
    found = examine(path, 10, 50, seconds=0.0)
    assert "Frames 10 to 10 were decoded for this; a scan tells of those after them." in [one.text for one in found]
    assert examine(path, 10, 70)[0].kind == "cannot"  # outside of it


def test_the_doctor_says_it_on_one_screen(
    tmp_path: Path, make_clip: Callable[..., Path], run: Callable, capsys
) -> None:
    path = make_clip(tmp_path / "plain.mp4", 12)
    code, answer, _ = run("doctor", "--footage", path)
    assert code == 0 and answer["findings"] == [vars(one) for one in examine(path)]
    (tmp_path / "text.mp4").write_text("no movie")
    code, answer, _ = run("doctor", "--footage", tmp_path / "text.mp4")
    assert code == 3 and "cannot be read as footage" in answer["error"]
    code, answer, _ = run("doctor", "--footage", tmp_path / "nothing.mp4")
    assert code == 3 and "is not there" in answer["error"]


def test_pictures_of_unusual_kinds_are_told_and_read(tmp_path: Path) -> None:
    """One bit a pixel (Fax, scans), and files with several pictures of which one is read."""
    rows = b"".join(b"\0" + bytes([0xF0] * 4) for _ in range(32))  # white and black, four pixels each
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 32, 32, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    bits, animated = tmp_path / "bits.png", tmp_path / "animated.png"
    bits.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    control = b"acTL" + struct.pack(">II", 2, 0)
    chunks.insert(1, struct.pack(">I", 8) + control + struct.pack(">I", zlib.crc32(control)))
    animated.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    pages, page = tmp_path / "pages.tif", tmp_path / "page.tif"
    cv2.imwritemulti(str(pages), [np.zeros((32, 32, 3), np.uint8)] * 2)
    cv2.imwrite(str(page), np.zeros((32, 32, 3), np.uint8))
    for path, several in ((bits, False), (animated, True), (pages, True), (page, False)):
        found = said(path)
        assert any("only the first is used" in text for text in found["lost"]) == several, found
        assert not any("EXIF turns it" in text for text in found["is"])
    (frame,) = read_frames(bits)
    assert frame.rgb[:, :4].min() == 255 and frame.rgb[:, 4:8].max() == 0


def test_the_field_order_is_that_of_the_frames(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    """DV has the lower field first, and its containers do not say so."""
    path = make_clip(tmp_path / "tape.avi", 2, codec="dvvideo", width=720, height=576, rate=25)
    assert any("the lower field first" in text for text in said(path)["is"])


def test_untagged_grey_is_full_range(tmp_path: Path, make_clip: Callable[..., Path], make_counter_picture: Any) -> None:
    """As in FFmpeg, and so in Blender."""
    path = make_clip(tmp_path / "grey.mkv", 2, codec="ffv1", pixel_format="gray")
    grey = cv2.cvtColor(make_counter_picture(1, 160, 96), cv2.COLOR_RGB2GRAY)
    assert np.abs(list(read_frames(path))[1].rgb.astype(int) - grey[..., None]).max() < 3
