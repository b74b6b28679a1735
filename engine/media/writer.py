"""Write a recast movie: the source's size, rate, colours and sound, and only the recast pixels new."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.codec import Codec
from av.container import OutputContainer
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from ..arrays import replace_atomically
from ..errors import MediaError
from .colour import LIMITED, UNSPECIFIED, matrix_of, range_of
from .frametable import STANDARD_RATES, frame_table, open_movie, video_stream
from .partial import partial_movie
from .planes import merged, reformatted
from .reader import Frame, MediaInfo, rotation_of, turn
from .sound import Timed, sound_tracks

SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv"}
KEY_FRAME_EVERY = 12  # frames: scrubbing in an editor decodes at most this many
SOUND_AHEAD = 0.5  # seconds by which sound is written before its picture
# https://cv.iptc.org/newscodes/digitalsourcetype: existing footage, parts of it made by a trained network
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


def require_constant_rate(info: MediaInfo) -> None:
    """Raise MediaError with the command that mends it when a movie's frame rate varies."""
    if info.variable_frame_rate:
        name, rate = info.path.name, min(STANDARD_RATES, key=lambda r: abs(r - info.fps))
        raise MediaError(
            f"{name} has a variable frame rate, which cannot keep its place on a timeline; make it constant and use "
            f'that: ffmpeg -i "{name}" -fps_mode cfr -r {rate} -crf 12 "{info.path.stem}-cfr.mp4"'
        )


def check_output(output: Path, source: Path, lossless: bool = False) -> None:
    """Raise MediaError when `output` is no name for a movie, or is the footage itself."""
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES or (lossless and suffix != ".mkv"):
        kinds = ".mkv" if lossless else ".mp4, .mov or .mkv"
        raise MediaError(f"{output.name} is no name for a movie that can be written; end it in {kinds}.")
    if output.exists() and source.exists() and output.samefile(source):
        raise MediaError(f"{output} is the footage itself. Choose another name for the recast movie.")


def provenance() -> dict[str, str]:
    """What every recast movie says of itself in its container."""
    try:
        release = version("understudy")
    except PackageNotFoundError:
        release = "(development)"
    return {
        "comment": f"Recast with Understudy {release}: contains synthetic faces",
        "description": "Faces in this footage were replaced by machine learning; it does not show what happened.",
        "digital_source_type": DIGITAL_SOURCE_TYPE,
    }


class MovieWriter:
    """Writes frames `start` to `end` (exclusive) of `source` as a movie; a context manager.

    H.264 visually without loss in .mp4, .mov or .mkv; `lossless` is FFV1 in .mkv. The movie gets
    its name only when all frames are written and the block ends well: an exception leaves
    nothing behind, no folder made for it either. Raises MediaError when the output cannot be
    written (its folder is made).
    """

    def __init__(self, output: Path, source: MediaInfo, start: int, end: int, lossless: bool = False) -> None:
        self._output, self._source = Path(output), source
        self._start, self._end, self._lossless = start, end, lossless
        self._partial = partial_movie(self._output)
        self._made: list[Path] = []  # folders, the innermost first
        self._container: OutputContainer | None = None
        self._stream: VideoStream
        self._encoder_format = ""
        self._sound: list[Iterator[Timed]] = []
        self._waiting: list[Timed | None] = []
        self._written = 0

    def __enter__(self) -> Self:
        check_output(self._output, self._source.path, self._lossless)
        self._made = [folder for folder in self._output.parents if not folder.exists()]
        try:
            with self._in_plain_words():
                self._output.parent.mkdir(parents=True, exist_ok=True)
                free_keys = {} if self._output.suffix.lower() == ".mkv" else {"movflags": "use_metadata_tags"}
                self._container = av.open(str(self._partial), "w", container_options=free_keys)
        except BaseException:
            self._discard()
            raise
        self._container.metadata.update(provenance())
        return self

    def write(self, frame: Frame, rgb: np.ndarray | None = None, touched: np.ndarray | None = None) -> None:
        """Write the next frame of the range.

        rgb (H, W, 3) uint8 is the recast frame as shown and touched (H, W) bool where it differs;
        every sample outside is the decoded source's own. None passes the frame through.
        Raises MediaError when the disk is full or the frame is of another size than the first.
        """
        if frame.index != self._start + self._written or frame.index >= self._end:
            raise ValueError(f"frame {frame.index} is not the next of {self._start}..{self._end}")
        native = frame.native or av.VideoFrame.from_ndarray(frame.rgb, format="rgb24")
        if rgb is not None and touched is not None:
            back = -rotation_of(native) % 360
            picture = merged(native, turn(rgb, back), turn(touched, back))
        else:
            picture = merged(native)
        with self._in_plain_words():
            if not self._encoder_format:
                self._open_streams(picture)
            self._encode(picture)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        if self._container is None or self._written != self._end - self._start:
            raise ValueError(f"{self._written} of {self._end - self._start} frames were written")
        with self._in_plain_words():
            self._container.mux(self._stream.encode(None))
            self._mux_sound(float("inf"))
            self._container.close()
            self._container = None
            replace_atomically(self._partial, self._output)

    def _discard(self) -> None:
        """Close and remove what is not finished; after `_finish` there is nothing left of it."""
        if self._container is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
            self._container = None
        self._sound.clear()
        with contextlib.suppress(OSError):  # not there, or what keeps it from going is being told already
            self._partial.unlink()
        for folder in self._made:
            with contextlib.suppress(OSError):  # not empty: the movie is in it, or somebody else's file
                folder.rmdir()

    def _open_streams(self, first: av.VideoFrame) -> None:
        assert self._container is not None
        rate, info = self._source.fps, self._source
        self._encoder_format = encoder_format(first, self._lossless, info.is_still)
        if self._lossless:
            options = {"level": "3", "slices": "4", "slicecrc": "1"}
        else:
            options = {"crf": "12", "preset": "fast", "bf": "0"}  # no B-frames: every frame is at hand when scrubbing
        stream = self._container.add_stream("ffv1" if self._lossless else "libx264", rate=rate, options=options)
        coder = stream.codec_context
        coder.width, coder.height, coder.pix_fmt = first.width, first.height, self._encoder_format
        coder.time_base = 1 / rate
        coder.gop_size = 1 if self._lossless else KEY_FRAME_EVERY
        made_yuv = first.format.is_rgb and not VideoFormat(self._encoder_format).is_rgb
        coder.color_range = LIMITED if made_yuv else first.color_range
        coder.colorspace = _matrix_tag(first) if made_yuv else first.colorspace
        coder.color_primaries, coder.color_trc = first.color_primaries, first.color_trc
        self._stream = stream
        if not info.is_still:
            self._follow_movie(stream)
        self._container.start_encoding()  # writes the header: a folder that refuses it does so now

    def _follow_movie(self, stream: VideoStream) -> None:
        """Take the source's pixel aspect, rotation and sound."""
        assert self._container is not None
        info, rate, coder = self._source, self._source.fps, stream.codec_context
        table = frame_table(info.path)
        with open_movie(info.path) as source:
            if aspect := video_stream(source, info.path).sample_aspect_ratio:
                coder.sample_aspect_ratio = aspect
        if info.rotation:
            stream.set_display_rotation(info.rotation)
        if info.has_audio:
            # Where a constant rate puts the frame: its own time may be rounded to a millisecond.
            at = float((table.times[0] * table.time_base if table.seekable else 0) + self._start / rate)
            span = (at, at + float((self._end - self._start) / rate))
            whole = self._start == 0 and self._end == len(table)
            self._sound = sound_tracks(self._container, self._output, info.path, span, whole)
            self._waiting = [next(track, None) for track in self._sound]

    def _encode(self, picture: av.VideoFrame) -> None:
        assert self._container is not None
        made_yuv = picture.format.is_rgb and not VideoFormat(self._encoder_format).is_rgb
        frame = reformatted(picture, self._encoder_format, LIMITED if made_yuv else range_of(picture))
        coder = self._stream.codec_context
        if (frame.width, frame.height) != (coder.width, coder.height):
            raise MediaError(
                f"{self._source.path.name} changes its picture size at frame {self._start + self._written}; "
                "a movie has one size. Choose footage or pictures of one size to recast."
            )
        frame.pts, frame.time_base = self._written, 1 / self._source.fps
        frame.duration = 1
        self._container.mux(self._stream.encode(frame))
        self._written += 1
        self._mux_sound(float(self._written / self._source.fps) + SOUND_AHEAD)

    def _mux_sound(self, until: float) -> None:
        assert self._container is not None
        for number, track in enumerate(self._sound):
            while (timed := self._waiting[number]) is not None and timed[0] < until:
                self._container.mux(timed[1])
                self._waiting[number] = next(track, None)

    @contextlib.contextmanager
    def _in_plain_words(self) -> Iterator[None]:
        """Say what FFmpeg or the system complains of as a sentence for the user."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise MediaError(
                    f"The disk is full: {self._output} could not be written. Make room, or choose another place."
                ) from error
            raise MediaError(
                f"{self._output} could not be written ({error.strerror or error}). Check the folder, or choose another."
            ) from error


def encoder_format(frame: av.VideoFrame, lossless: bool, is_still: bool) -> str:
    """The encoder's pixel format nearest to a planar frame's: same depth and chroma where it takes them."""
    name = frame.format.name
    taken = {f.name for f in Codec("ffv1" if lossless else "libx264", "w").video_formats or ()}
    if lossless:
        name = {"gbrp": "bgr0", "gbrap": "bgra"}.get(name, name)  # how FFV1 takes 8-bit RGB
        return name if name in taken else ("gbrp16le" if frame.format.is_rgb else "yuv444p16le")
    if frame.format.is_rgb:
        name = "yuv420p" if is_still else "yuv444p"
    elif name.startswith("gray"):
        name = "yuv420p"
    block = VideoFormat(name, 64, 64).components[1]
    across, down = 64 // block.width, 64 // block.height
    chroma = {(1, 1): "444", (2, 1): "422", (2, 2): "420"}.get((across, down), "444")
    if frame.width % across or frame.height % down:
        chroma = "444"  # x264 takes odd sizes only without subsampling
    deep = frame.format.components[0].bits > 8
    return f"yuv{chroma}p10le" if deep else f"yuv{chroma}p"


def _matrix_tag(frame: av.VideoFrame) -> int:
    """AVColorSpace of the matrix that RGB is converted with."""
    tags = {1: 1, 4: 4, 5: 6, 7: 7, 9: 9}
    return tags.get(int(matrix_of(frame)), UNSPECIFIED)
