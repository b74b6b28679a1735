"""The stream of a movie that is its picture, and its frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ..errors import MediaError
from .open import LACKS_MEMORY


def video_stream(container: InputContainer, path: Path, number: int = 0) -> VideoStream:
    """The stream that is the picture (`protocol.Clip.stream`). Raises MediaError without one."""
    streams = container.streams.video
    if number and not (0 < number < len(streams) and _is_picture(streams[number])):
        raise MediaError(f"{path} has no picture stream {number}. Set the strip's stream to one that it has.")
    for stream in streams[number : number + 1] if number else streams:
        if _is_picture(stream):
            return stream
    raise MediaError(f"{path} has no picture in it, only other streams. Choose a movie or a picture.")


def _is_picture(stream: VideoStream) -> bool:
    return not stream.disposition & Disposition.attached_pic and stream.codec_context is not None


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Frames in shown order; packets that cannot be decoded are passed over, as players do."""
    for packet in container.demux(stream):
        if packet.is_corrupt and packet.size:
            continue  # cut off in the middle: it would show as garbage
        try:
            yield from packet.decode()
        except LACKS_MEMORY:
            raise
        except av.FFmpegError:
            continue
