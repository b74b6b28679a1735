"""One output's segments: encoded by themselves, joined without encoding again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.filter
import numpy as np
from av.codec import CodecContext
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from ..errors import MediaError
from .colour_spaces import LIMITED, is_float, matrix_of, range_of, transfer_of, usual_matrix
from .frametable import frame_table
from .linear import display_signal, to_linear
from .open import create_movie, open_movie
from .planes import chroma_steps, planar, planar_name, reformatted
from .reader import MediaInfo
from .recipes import RGB, Recipe, coded_size
from .signal import alpha_of, from_signal, signal_of
from .sound import Timed, sound_tracks
from .streams import video_stream
from .tone_mapping import LINEAR

SOUND_LEAD_SECONDS = 0.5  # seconds by which sound is written before its picture


@dataclass(frozen=True)
class Clock:
    """When frames are shown: `times` in units of `base`, by frame from the range's first; `end` ends the last."""

    times: np.ndarray
    end: int
    base: Fraction


def clock_of(info: MediaInfo, start: int, end: int) -> Clock:
    """A constant rate's own times; of a variable rate, those of the footage."""
    if not info.variable_frame_rate:
        return Clock(np.arange(end - start), end - start, 1 / info.fps)
    table = frame_table(info.footage)
    times = table.times[start:end] - table.times[start]
    usual = max(1, round(1 / info.fps / table.time_base))
    last = int(table.times[end] - table.times[start]) if end < len(table) else int(times[-1]) + usual
    return Clock(times, last, table.time_base)


class MovieSegment:
    """Encodes the frames of one segment into a file of its own."""

    def __init__(self, path: Path, recipe: Recipe, info: MediaInfo, threads: int) -> None:
        self._path, self._recipe, self._info, self._threads = path, recipe, info, threads
        self._container: OutputContainer | None = None
        self._stream: VideoStream
        self._fields: av.filter.Graph | None = None
        self._count = 0

    def write(self, picture: av.VideoFrame, number: int) -> None:
        """Encode the next frame; `number` is the source's."""
        frame = to_encoder_format(picture, self._recipe)
        if self._recipe.fields:
            frame = self._flagged(frame)
        if self._container is None:
            self._container = create_movie(self._path, format=self._recipe.segment)
            size = (frame.width, frame.height)
            self._stream = add_picture(self._container, self._recipe, self._info, size, self._threads)
        coder = self._stream.codec_context
        require_size(frame, (coder.width, coder.height), self._info, number)
        frame.pts, frame.time_base, frame.duration = self._count, 1 / self._info.fps, 1
        self._container.mux(self._stream.encode(frame))
        self._count += 1

    def _flagged(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame marked as interlaced: only FFmpeg's filters can."""
        if self._fields is None:
            self._fields = graph = av.filter.Graph()
            base = 1 / self._info.fps
            steps = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=base)
            mark, sink = graph.add("setfield", f"mode={self._recipe.fields}"), graph.add("buffersink")
            steps.link_to(mark)
            mark.link_to(sink)
            graph.configure()
        self._fields.push(frame)
        return cast(av.VideoFrame, self._fields.pull())

    def close(self) -> list[str]:
        """Finish the file; gives its name."""
        assert self._container is not None
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._container = None
        return [self._path.name]

    def discard(self) -> None:
        """Close and remove what is not finished."""
        if self._container is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
            self._container = None
            with contextlib.suppress(OSError):
                self._path.unlink()


class PictureSegment:
    """Writes every frame of a segment as a picture of its own; `name` tells the file's name of a frame."""

    def __init__(self, folder: Path, recipe: Recipe, info: MediaInfo, name: Callable[[int], str]) -> None:
        self._folder, self._recipe, self._info, self._name = folder, recipe, info, name
        self._names: list[str] = []

    def write(self, picture: av.VideoFrame | bytes, number: int) -> None:
        """Write the picture of source frame `number`, or the bytes of its file."""
        if isinstance(picture, bytes):
            data = picture
        else:
            data = picture_bytes(to_encoder_format(picture, self._recipe), self._recipe)
        self._names.append(self._name(number))
        (self._folder / self._names[-1]).write_bytes(data)

    def close(self) -> list[str]:
        """The names of the files that were written."""
        return self._names

    def discard(self) -> None:
        """Remove what was written."""
        for name in self._names:
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()


def to_encoder_format(picture: av.VideoFrame, recipe: Recipe) -> av.VideoFrame:
    """The picture in the encoder's pixel format; scene-linear for OpenEXR."""
    tags = recipe.colour
    if recipe.codec == "exr":
        frame = picture if picture.format.name == recipe.pixel_format else to_linear(picture, recipe.pixel_format)
    else:
        frame = _in_format(picture, recipe)
    frame.color_range, frame.colorspace = tags.range, tags.matrix
    frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
    return frame


def _in_format(picture: av.VideoFrame, recipe: Recipe) -> av.VideoFrame:
    """By libswscale where that is exact, else by the formulas."""
    old, new, tags = picture.format, VideoFormat(recipe.pixel_format, 64, 64), recipe.colour
    matrix = usual_matrix(tags.matrix, picture.width, picture.height)
    if old.is_rgb or new.is_rgb:
        bits = [form.components[0].bits for form in (old, new)]
        same = old.is_rgb and new.is_rgb and bits[0] == bits[1] and not is_float(picture)
        easy = same or (max(bits) <= 8 and not new.is_rgb)
    else:
        same_range = range_of(picture) == tags.range and not old.name.startswith("gray")
        depth = old.components[0].bits == new.components[0].bits
        woven = bool(recipe.fields) and chroma_steps(old.name)[1] != chroma_steps(new.name)[1]
        same_matrix = matrix == matrix_of(picture) or tags.matrix == RGB
        easy = not woven and same_range and same_matrix and (depth or tags.range == LIMITED)
    if easy:
        return reformatted(picture, recipe.pixel_format, tags.range)
    source = planar(picture)
    signal = signal_of(source, (0, 0, source.width, source.height))
    if transfer_of(picture) == LINEAR:
        signal = display_signal(signal)
    form = planar_name(recipe.pixel_format)
    made = from_signal(signal, alpha_of(source), form, matrix, tags.range, lines=2 if recipe.fields else 1)
    return reformatted(made, recipe.pixel_format, tags.range)


def picture_bytes(frame: av.VideoFrame, recipe: Recipe) -> bytes:
    """A picture file."""
    coder = CodecContext.create(recipe.codec, "w")
    coder.width, coder.height, coder.pix_fmt = frame.width, frame.height, frame.format.name  # type: ignore[attr-defined]
    coder.time_base, coder.options = Fraction(1, 24), recipe.options
    frame.pts = 0
    packets = [*coder.encode(frame), *coder.encode(None)]  # type: ignore[attr-defined]
    return b"".join(bytes(packet) for packet in packets)


def add_picture(
    container: OutputContainer, recipe: Recipe, info: MediaInfo, size: tuple[int, int], threads: int
) -> VideoStream:
    """Add the video stream, its encoder set up for frames of this size."""
    stream = cast(VideoStream, container.add_stream(recipe.codec, rate=info.fps, options=dict(recipe.options)))
    coder = stream.codec_context
    (coder.width, coder.height), coder.pix_fmt = size, recipe.pixel_format
    coder.time_base = 1 / info.fps
    coder.gop_size = recipe.key_frame_every
    coder.thread_count = threads
    coder.color_range, coder.colorspace = recipe.colour.range, recipe.colour.matrix
    coder.color_primaries, coder.color_trc = recipe.colour.primaries, recipe.colour.transfer
    if recipe.fields:
        coder.field_order = 2 if recipe.fields == "tff" else 3
        coder.flags |= Flags.interlaced_dct | Flags.interlaced_me
    coder.flags |= Flags.global_header  # the segments' headers are the joined movie's
    return stream


def require_size(frame: av.VideoFrame, size: tuple[int, int], info: MediaInfo, number: int) -> None:
    """Raise MediaError when a frame is of another size than the first."""
    if (frame.width, frame.height) != size:
        raise MediaError(
            f"{info.path.name} changes its picture size at frame {number}; "
            "a movie has one size. Choose footage or pictures of one size to recast."
        )


def join(
    path: Path,
    target: Path,
    pieces: list[Path],
    recipe: Recipe,
    info: MediaInfo,
    start: int,
    end: int,
    metadata: dict[str, str],
    timecode: str,
    sound: bool,
) -> None:
    """Put segments into one movie at `path`, which will be called `target`: packets as they are, sound and timecode."""
    clock = clock_of(info, start, end)
    options = {"fflags": "bitexact"}  # no random numbers: the same segments make the same file
    if target.suffix.lower() != ".mkv":
        options |= {"movflags": "use_metadata_tags", "write_tmcd": "1"}
    with create_movie(path, container_options=options) as container:
        container.metadata.update(metadata)
        stream = add_picture(container, recipe, info, coded_size(info), 1)
        if info.variable_frame_rate:
            stream.codec_context.time_base = clock.base
        if recipe.tag and target.suffix.lower() != ".mkv":
            stream.codec_context.codec_tag = recipe.tag
        if timecode:
            stream.metadata["timecode"] = timecode
        if not info.is_still:
            _follow_movie(stream, info)
        tracks = _tracks(container, target, info, start, end) if sound and info.has_audio else []
        container.start_encoding()  # writes the header: a folder that refuses it does so now
        waiting = [next(track, None) for track in tracks]

        def mux_sound(until: float) -> None:
            for number, track in enumerate(tracks):
                while (timed := waiting[number]) is not None and timed[0] < until:
                    container.mux(timed[1])
                    waiting[number] = next(track, None)

        count = 0
        for packet in _packets(pieces):
            packet.pts = packet.dts = int(clock.times[count])
            after = clock.times[count + 1] if count + 1 < len(clock.times) else clock.end
            packet.duration = int(after) - packet.pts
            packet.time_base, packet.stream = clock.base, stream
            container.mux(packet)
            mux_sound(float(int(after) * clock.base) + SOUND_LEAD_SECONDS)
            count += 1
        if count != end - start:
            raise MediaError(
                f"Finished parts of {target} are damaged. Delete {pieces[0].parent.parent} and start again."
            )
        mux_sound(float("inf"))


def _packets(pieces: list[Path]) -> Iterator[Any]:
    for piece in pieces:
        with open_movie(piece) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    yield packet


def _follow_movie(stream: VideoStream, info: MediaInfo) -> None:
    """Take the source's pixel aspect and rotation."""
    with open_movie(info.path) as source:
        if aspect := video_stream(source, info.path, info.stream).sample_aspect_ratio:
            stream.codec_context.sample_aspect_ratio = aspect
    if info.rotation:
        stream.set_display_rotation(info.rotation)


def _tracks(container: OutputContainer, target: Path, info: MediaInfo, start: int, end: int) -> list[Iterator[Timed]]:
    table = frame_table(info.footage)
    if info.variable_frame_rate:
        clock = clock_of(info, start, end)
        at = float(table.times[start] * table.time_base)
        span = (at, at + float(clock.end * clock.base))
    else:
        # Where a constant rate puts the frame: its own time may be rounded to a millisecond.
        at = table.begin + float(start / info.fps)
        span = (at, at + float((end - start) / info.fps))
    return sound_tracks(container, target, info.path, span, start == 0 and end == len(table))
