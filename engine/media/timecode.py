"""SMPTE timecode: read from a movie, moved on by frames."""

from __future__ import annotations

import re
from fractions import Fraction

from av.container import InputContainer
from av.video.stream import VideoStream

PATTERN = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d+)")


def timecode_of(container: InputContainer, stream: VideoStream) -> str:
    """The timecode of a movie's first frame as its container has it; "" where there is none."""
    for metadata in (stream.metadata, *(data.metadata for data in container.streams.data), container.metadata):
        for name, value in metadata.items():
            if name.lower() == "timecode" and PATTERN.fullmatch(value.strip()):
                return value.strip()
    return ""


def offset_timecode(timecode: str, frames: int, fps: Fraction) -> str:
    """The timecode so many frames later, at whole frame numbers of the rate rounded up (SMPTE ST 12-1).

    Drop-frame (; or . before the frames) leaves out two numbers a minute (four at 60) but each tenth minute.
    """
    found = PATTERN.fullmatch(timecode)
    if found is None:
        raise ValueError(f"{timecode!r} is no timecode")
    hours, minutes, seconds, number = (int(found[n]) for n in (1, 2, 3, 5))
    mark, base = found[4], round(fps)
    dropped = (2 * base // 30) if mark != ":" and base % 30 == 0 else 0
    total_minutes = hours * 60 + minutes
    count = (total_minutes * 60 + seconds) * base + number - dropped * (total_minutes - total_minutes // 10) + frames
    per_minute, per_ten = base * 60 - dropped, base * 600 - dropped * 9
    count %= per_ten * 144  # a day
    if dropped:
        tens, rest = divmod(count, per_ten)
        count += dropped * 9 * tens + (dropped * ((rest - dropped) // per_minute) if rest >= dropped else 0)
    number, seconds = count % base, count // base
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{number:02}"
