"""Files as people have them, written by the engine's Python (`found_clips.py FOLDER`); frames look like `footage`'s.

Prints JSON: file name → [frames that the engine counts, the number in each of them], or the engine's refusal.
"""

from __future__ import annotations

import json
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from understudy.engine.errors import MediaError
from understudy.engine.media.footage import Footage
from understudy.engine.media.reader import read_frames

SIZE, BAR, COUNT = 64, 8, 40


def picture(number: int) -> av.VideoFrame:
    row = np.repeat(np.array([(number >> bit) & 1 for bit in range(SIZE // BAR)], np.uint8) * 255, BAR)
    return av.VideoFrame.from_ndarray(np.repeat(np.tile(row, (SIZE, 1))[..., None], 3, 2), "rgb24")


def write(path: Path, numbers, *, rate=24, codec="libx264", b_frames=0, sound=0.0, streams=1):
    """A movie that shows `numbers`, each at its own time; the second picture stream shows 100 more."""
    rate = Fraction(rate)
    with av.open(str(path), "w") as container:
        made = []
        for _ in range(streams):
            stream = container.add_stream(codec, rate=rate, options={"crf": "8"} if codec == "libx264" else {})
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = SIZE, SIZE, "yuv420p", 2_000_000
            coder = stream.codec_context
            coder.gop_size, coder.max_b_frames, coder.time_base = 12, b_frames, 1 / rate
            made.append(stream)
        track = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for number in numbers:
            for index, stream in enumerate(made):
                frame = picture(number + 100 * index)
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
        for stream in made:
            container.mux(stream.encode(None))
        if track is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, round(sound * 48000)), np.float32), "flt", "mono")
            silence.sample_rate, silence.pts = 48000, 0
            container.mux(track.encode(silence))
            container.mux(track.encode(None))


CLIPS = {
    "gap.mp4": {"numbers": [*range(10), *range(20, COUNT)]},
    "gap-b-frames.mkv": {"numbers": [*range(10), *range(20, COUNT)], "b_frames": 2},
    "every-third-missing.mkv": {"numbers": [n for n in range(COUNT) if n % 3 != 1]},
    "held-before-its-end.mp4": {"numbers": [*range(30), COUNT - 1]},
    "ntsc.mkv": {"numbers": range(COUNT), "rate": Fraction(30000, 1001)},
    "film.mkv": {"numbers": range(COUNT), "rate": Fraction(24000, 1001), "b_frames": 2},
    "sound-longer.mkv": {"numbers": range(COUNT), "sound": 2.5},
    "xvid-b-frames.avi": {"numbers": range(COUNT), "codec": "mpeg4", "b_frames": 2},
    "h264-b-frames.avi": {"numbers": range(COUNT), "b_frames": 2},
    "h264.avi": {"numbers": range(COUNT)},
    "two-pictures.mkv": {"numbers": range(COUNT), "streams": 2},
}


def write_turned(path: Path, number: int) -> None:
    """A JPEG whose EXIF says that it is to be turned by a quarter."""
    data = cv2.imencode(".jpg", picture(number).to_ndarray(format="bgr24"))[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])


def seen(path: Path, stream: int = 0):
    try:
        frames = [frame.rgb for frame in read_frames(Footage(path=path, stream=stream, played=True))]
    except MediaError as error:
        return str(error)
    return [sum(int(rgb[SIZE // 2, BAR * bit + BAR // 2, 0] > 127) << bit for bit in range(8)) for rgb in frames]


if __name__ == "__main__":
    folder, told = Path(sys.argv[1]), {}
    for name, how in CLIPS.items():
        write(folder / name, **how)
        told[name] = seen(folder / name, how.get("streams", 1) - 1)
    write_turned(folder / "turned.jpg", 37)
    told["turned.jpg"] = seen(folder / "turned.jpg")
    print(json.dumps(told))
