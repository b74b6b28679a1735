"""The stream of a movie that is its picture, and its frames."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import av.filter
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.stream import VideoStream

from ..errors import MediaError
from .footage import Footage
from .open import LACKS_MEMORY, open_movie
from .tone_mapping import PQ
from .words import many

DYNAMIC = {Type.DOVI_METADATA: "Dolby Vision", Type.DOVI_RPU_BUFFER: "Dolby Vision", Type.DYNAMIC_HDR_PLUS: "HDR10+"}
DOLBY_VISION = {"dvh1", "dvhe", "dvav", "dva1", "dav1"}
"""Sample entries of ISO files."""
REFUSED = "avcodec_send_packet"
"""By what a decoder is told from which a packet has to wait; without it threads are lacking."""


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
        except LACKS_MEMORY as error:
            if REFUSED not in str(error):
                raise
            # a damaged packet left frames in the decoder that PyAV does not fetch: begin anew
            stream.codec_context.flush_buffers()
            with contextlib.suppress(av.InvalidDataError):
                yield from packet.decode()
        except av.FFmpegError:
            continue


def is_bottom_first(frame: av.VideoFrame) -> bool:
    """Whether the lower field of an interlaced frame is the earlier one. Containers may not say it (DV); frames do,
    which FFmpeg tells its filters alone."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 24))
    chosen, sink = graph.add("select", "eq(interlace_type,BOTTOMFIRST)"), graph.add("buffersink")
    source.link_to(chosen)
    chosen.link_to(sink)
    graph.configure()
    graph.push(frame)
    try:
        graph.pull()
    except BlockingIOError:  # it wants another frame: this one was none
        return False
    return True


def unread_streams(footage: Footage, seconds: float) -> Iterator[str]:
    """What of a movie is not in a recast, in sentences; `seconds` is how long its picture lasts."""
    with open_movie(footage.path) as container:
        picture = video_stream(container, footage.path, footage.stream)
        silent = [s for s in container.streams.audio if s.codec_context is None or not s.codec_context.sample_rate]
        if silent:
            yield f"{many(len(silent), 'sound track')} that nothing here decodes."
        others = [s for s in container.streams.video if s != picture and _is_picture(s)]
        if others:
            numbers = ", ".join(str(container.streams.video.index(s)) for s in others)
            which = container.streams.video.index(picture)
            yield f"Picture stream {numbers}: this is of stream {which}; a strip's Stream Index chooses another."
        if picture.metadata.get("alpha_mode") == "1":
            yield "The alpha of VP8 and VP9: it is recast as if it were opaque."
        data = [s for s in container.streams.data if "timecode" not in s.metadata]
        counts = {"subtitle": len(container.streams.subtitles), "data track": len(data)}
        counts |= {"attachment": len(container.streams.attachments), "chapter": len(container.chapters())}
        if told := [many(count, thing) for thing, count in counts.items() if count]:
            yield f"{', '.join(told)}."
        dynamic = {"Dolby Vision"} if picture.codec_context.codec_tag in DOLBY_VISION else set()
        for frame in islice(decoded(container, picture), 1):
            if int(frame.color_trc) == PQ:  # see `mastering`: side data is listed of no other footage
                kinds = [frame.side_data[n].type for n in range(len(frame.side_data))]  # type: ignore[literal-required]
                dynamic |= {DYNAMIC[kind] for kind in kinds if kind in DYNAMIC}
        if dynamic:
            yield f"{' and '.join(sorted(dynamic))} metadata."
        begin = float((picture.start_time or 0) * (picture.time_base or 0))
        tail = ((container.duration or 0) + (container.start_time or 0)) / av.time_base - begin - seconds
        if (more := math.floor(tail * float(picture.guessed_rate or 24) + 0.5)) > 0:  # as Blender rounds
            frames = many(more, "frame")
            yield f"{tail:.2f} s at its end have no picture: Blender counts {frames} there, which a recast leaves out."
