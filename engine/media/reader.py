"""Read footage frame by frame: movies, pictures, folders of pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video.frame import PictureType

from ..errors import MediaError
from .colour_spaces import FULL, as_croppable, is_float, range_of, to_rgb, transfer_of
from .float_view import Patch, view_of
from .footage import Footage, as_footage
from .frametable import FrameTable, frame_table
from .mastering import mastering_of
from .open import LACKS_MEMORY, open_movie
from .pictures import is_pictures, picture_files, read_picture
from .planes import planar
from .signal import Box
from .sound import readable
from .streams import decoded, is_bottom_first, video_stream
from .timecode import timecode_of

PICTURE_RATE = Fraction(24)
INTERLACE_PROBE_FRAMES = 3  # frames that are asked whether they are interlaced


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """What a movie, picture or folder of pictures is.

    width, height         pixels as shown, after rotation metadata (a folder: of its first picture)
    fps                   frames a second; of a variable rate, the mean; 24 for pictures
    frames                exact count of the frames that `read_frames` gives
    variable_frame_rate   frames are not where a constant rate would put them
    is_still              pictures, not a movie
    codec, profile        FFmpeg's names; pictures: their suffix
    pixel_format          FFmpeg's name of the decoded samples
    bits                  of a sample, 8 to 16; 32 for floating point of any size
    alpha                 the footage has transparency
    rotation              counterclockwise degrees by which the coded picture is turned to be shown: 0, 90, 180, 270
    matrix, primaries, transfer   as tagged, FFmpeg's AVColorSpace, AVColorPrimaries, AVColorTransferCharacteristic;
                          2 where not tagged (floating-point transfer: 8, linear)
    full_range            samples use their whole range
    field_order           "" is progressive; "tff" or "bff" is interlaced, that field first
    timecode              of frame 0, as hh:mm:ss:ff (; before ff is drop-frame); "" without one
    mastering, light      HDR10's static metadata as encoders take it; "" without (see `media.mastering`)
    stream, played        which pictures, and how they are counted (`protocol.Clip`)
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    frames: int
    variable_frame_rate: bool
    has_audio: bool
    is_still: bool
    codec: str
    pixel_format: str
    rotation: int
    profile: str = ""
    bits: int = 8
    alpha: bool = False
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False
    field_order: str = ""
    timecode: str = ""
    mastering: str = ""
    light: str = ""
    stream: int = 0
    played: bool = False

    @property
    def footage(self) -> Footage:
        """What `read_frames` reads to give these frames."""
        return Footage(path=self.path, stream=self.stream, played=self.played)


@dataclass(frozen=True, eq=False)
class Frame:
    """One shown frame: `native` is as coded, with the footage's own samples.

    `rgb` is (H, W, 3) uint8, and `view` a rectangle in floating point, of the same display-referred SDR picture
    (R'G'B'; HDR and scene-linear footage is tone-mapped, see `media.tone_mapping`), turned as shown.
    """

    index: int
    native: av.VideoFrame
    repeated: bool = False  # this one cannot be decoded: it is its neighbour's picture
    hurt_before: tuple[int, ...] = ()  # of a range's first one: stored frames before it, damaged since a key frame

    @property
    def is_partial(self) -> bool:
        """Whether the decoder could make only a part of it, and filled the rest as players do."""
        return bool(self.native.is_corrupt) and not self.repeated

    @property
    def rotation(self) -> int:
        """Counterclockwise degrees by which the native frame is turned to be shown, in quarter turns."""
        return rotation_of(self.native)

    @cached_property
    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB as shown; made at the first look."""
        if is_float(self.native) or self.native.format.name.startswith("gray"):  # which libswscale scales otherwise
            return np.round(np.clip(self.view(), 0, 1) * 255).astype(np.uint8)
        return turn(to_rgb(self.native), self.rotation)

    @cached_property
    def _parts(self) -> list[tuple[Box, np.ndarray]]:
        return []

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns as shown."""
        height, width = self.native.height, self.native.width
        return (width, height) if self.rotation % 180 else (height, width)

    def part(self, box: Box) -> np.ndarray:
        """(h, w, 3) uint8: the rectangle x0, y0, x1, y1 of `rgb`, and little more is converted for it."""
        x0, y0, x1, y1 = box
        rows, columns = self.shape
        whole = "rgb" in self.__dict__ or 2 * (x1 - x0) * (y1 - y0) > rows * columns
        source = None if whole else as_croppable(self.native)
        if source is None:
            return self.rgb[y0:y1, x0:x1]
        for (left, top, right, bottom), picture in self._parts:
            if left <= x0 and top <= y0 and x1 <= right and y1 <= bottom:
                return picture[y0 - top : y1 - top, x0 - left : x1 - left]
        coded = coded_box(box, source.width, source.height, self.rotation)
        self._parts.append((box, turn(to_rgb(source, coded), self.rotation)))
        return self._parts[-1][1]

    def let_go(self) -> None:
        """Forget what was made of the frame; it is made again when it is asked for."""
        for name in ("rgb", "_parts", "_planar"):
            self.__dict__.pop(name, None)

    @cached_property
    def _planar(self) -> av.VideoFrame:
        return planar(self.native)

    def view(self, box: Box | None = None) -> np.ndarray:
        """(h, w, 3) float32 of the rectangle x0, y0, x1, y1 of the picture as shown (None: all of it).

        Not rounded and not clipped: 0..1 is nominal, footage may lie a little outside. What a rectangle shows
        does not depend on the rectangle, and `media.float_view.apply_patches` takes it back to the very sample.
        """
        width, height = self.native.width, self.native.height
        shown = (0, 0, *((height, width) if self.rotation % 180 else (width, height)))
        return turn(view_of(self._planar, coded_box(box or shown, width, height, self.rotation)), self.rotation)


def probe(where: Path | Footage) -> MediaInfo:
    """Look at a movie, a picture or a folder of pictures.

    Raises MediaError with what to do when it is missing, unreadable, empty or has no picture.
    """
    footage = as_footage(where)
    path = footage.path
    if not path.exists():
        raise MediaError(f"{path} is not there. Check the path, or whether the disk is connected.")
    return _probe_pictures(footage) if is_pictures(path) else _probe_movie(footage)


def read_frames(where: Path | Footage, start: int = 0, end: int | None = None) -> Iterator[Frame]:
    """Frames `start` to `end` (exclusive; None is to the last), exact, in order, one at a time.

    A frame that cannot be decoded shows the picture before it (at the footage's beginning, after it), whatever the
    range, and says that it is `repeated`. Raises MediaError at once when the range is empty or outside the footage, and
    while reading when nothing of the footage can be decoded.
    """
    footage = as_footage(where)
    path = footage.path
    if not path.exists():
        raise MediaError(f"{path} is not there. Check the path, or whether the disk is connected.")
    if is_pictures(path):
        files = picture_files(path)
        end = _checked_end(path, start, end, len(files))
        return _read_pictures(files, start, end, footage.played)
    table = frame_table(footage)
    end = _checked_end(path, start, end, len(table))
    return _read_movie(footage, table, start, end) if table.order is None else _read_played(footage, table, start, end)


def require_range(info: MediaInfo, start: int, end: int | None) -> int:
    """The end of a range of frames (None is to the last), cut to the footage where it is counted as it is played.

    Raises MediaError when it is not inside the footage.
    """
    if info.played and end is not None and start < info.frames:
        end = min(end, info.frames)
    return _checked_end(info.path, start, info.frames if end is None else end, info.frames)


def turn(picture: np.ndarray, rotation: int) -> np.ndarray:
    """Turn (H, W, ...) counterclockwise by 0, 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(picture, rotation // 90)) if rotation else picture


def rotation_of(frame: av.VideoFrame) -> int:
    """Counterclockwise degrees by which a decoded frame is to be turned, in quarter turns."""
    return round(frame.rotation / 90) * 90 % 360


def coded_box(box: Box, width: int, height: int, rotation: int) -> Box:
    """Where a rectangle of the shown picture lies in the coded one, which is `width` x `height`."""
    x0, y0, x1, y1 = box
    return {
        0: box,
        90: (width - y1, x0, width - y0, x1),
        180: (width - x1, height - y1, width - x0, height - y0),
        270: (y0, height - x1, y1, height - x0),
    }[rotation]


def as_coded(patch: Patch, native: av.VideoFrame) -> Patch:
    """A patch of the shown picture as one of the coded frame."""
    rotation = rotation_of(native)
    if not rotation:
        return patch
    x0, y0, _, _ = coded_box(patch.box, native.width, native.height, rotation)
    return Patch(x0, y0, turn(patch.rgb, -rotation % 360), turn(patch.matte, -rotation % 360))


def _probe_pictures(footage: Footage) -> MediaInfo:
    files = picture_files(footage.path)
    first = next(_read_pictures(files, 0, len(files), footage.played)).native
    return MediaInfo(
        path=footage.path,
        played=footage.played,
        fps=PICTURE_RATE,
        frames=len(files),
        variable_frame_rate=False,
        has_audio=False,
        is_still=True,
        codec=files[0].suffix[1:].lower(),
        **_facts(first),
    )


def _probe_movie(footage: Footage) -> MediaInfo:
    table, path = frame_table(footage), footage.path
    with open_movie(path) as container:
        stream = video_stream(container, path, footage.stream)
        frames = list(islice(decoded(container, stream), INTERLACE_PROBE_FRAMES))
        interlaced = [frame for frame in frames if frame.interlaced_frame]
        mastering, light = mastering_of(frames[0])
        return MediaInfo(
            path=path,
            stream=footage.stream,
            played=footage.played,
            mastering=mastering,
            light=light,
            fps=table.rate,
            frames=len(table),
            variable_frame_rate=table.variable,
            has_audio=bool(readable(container)),
            is_still=False,
            codec=stream.codec_context.codec.canonical_name,
            profile=stream.codec_context.profile or "",
            field_order=("bff" if is_bottom_first(interlaced[0]) else "tff") if interlaced else "",
            timecode=timecode_of(container, stream),
            **_facts(frames[0]),
        )


def _facts(first: av.VideoFrame) -> dict[str, Any]:
    """What a decoded frame tells of its footage."""
    rotation = rotation_of(first)
    parts = first.format.components
    return {
        "width": first.height if rotation % 180 else first.width,
        "height": first.width if rotation % 180 else first.height,
        "pixel_format": first.format.name,
        "rotation": rotation,
        "bits": 32 if is_float(first) else max(8, parts[0].bits),
        "alpha": any(part.is_alpha for part in parts) or first.format.name == "pal8",
        "matrix": int(first.colorspace),
        "primaries": int(first.color_primaries),
        "transfer": transfer_of(first),
        "full_range": range_of(first) == FULL,
    }


def _checked_end(path: Path, start: int, end: int | None, frames: int) -> int:
    last = frames if end is None else end
    if not 0 <= start < last <= frames:
        raise MediaError(
            f"{path.name} has {frames} {'frame' if frames == 1 else 'frames'} (0 to {frames - 1}), so the range "
            f"{start} to {last} (exclusive) cannot be read. Choose a range inside it."
        )
    return last


def _read_pictures(files: list[Path], start: int, end: int, as_stored: bool) -> Iterator[Frame]:
    good: av.VideoFrame | None = None
    for index in range(start, end):
        try:
            good = read_picture(files[index], as_stored)
            repeated = False
        except MediaError:
            good, repeated = good or _nearest_picture(files, index, as_stored), True
        yield Frame(index, good, repeated)


def _nearest_picture(files: list[Path], index: int, as_stored: bool) -> av.VideoFrame:
    """The picture before one that cannot be read, or after it. Raises MediaError, naming it, when there is none."""
    for other in (*range(index - 1, -1, -1), *range(index + 1, len(files))):
        with contextlib.suppress(MediaError):
            return read_picture(files[other], as_stored)
    return read_picture(files[index], as_stored)


def _read_played(footage: Footage, table: FrameTable, start: int, end: int) -> Iterator[Frame]:
    """Frames counted as they are played: some stored ones several times, others not at all."""
    order = cast(np.ndarray, table.order)[start:end].tolist()
    at = 0
    for frame in _read_movie(footage, table, order[0], order[-1] + 1):
        while at < len(order) and order[at] == frame.index:
            yield Frame(start + at, frame.native, frame.repeated, frame.hurt_before if at == 0 else ())
            at += 1


def _read_movie(footage: Footage, table: FrameTable, start: int, end: int) -> Iterator[Frame]:
    size, good, path = None, None, footage.path
    wanted, before = start, -1
    hurt: tuple[int, ...] = ()
    for native in _frames_from(footage, table, start):
        if table.seekable:
            if native.pts is None:
                continue
            place = int(np.searchsorted(table.times, native.pts))
            if place == len(table.times) or table.times[place] != native.pts:
                continue  # none of those that are counted
            if place < wanted:
                if before < place < start:  # shown where the range's first frames cannot be decoded
                    hurt = (*hurt, *(range(before + 1, place) if before >= 0 else ()))
                    hurt = (*hurt, place) if native.is_corrupt else () if _is_whole(native) else hurt
                    before, good = place, native
                continue
            if wanted == start and before >= 0:
                hurt = (*hurt, *range(before + 1, start))
            for lost in range(wanted, min(place, end)):
                yield Frame(lost, good or native, True, hurt)
                hurt = ()
            wanted = place
            if wanted >= end:
                return
        here = (native.width, native.height, rotation_of(native) % 180)
        if size is not None and here != size:
            raise MediaError(f"{path.name} changes its picture size at frame {wanted}. Split it there, use one part.")
        size, good = here, native
        yield Frame(wanted, native, hurt_before=hurt)
        hurt = ()
        wanted += 1
        if wanted == end:
            return
    if good is None:
        raise MediaError(
            f"Frame {wanted} of {path.name} is damaged and cannot be decoded, nor can those after it. Choose another "
            f"range, or mend the file: ffmpeg -i {path.name} -crf 12 mended.mp4"
        )
    for lost in range(wanted, end):
        yield Frame(lost, good, True)


def _is_whole(native: av.VideoFrame) -> bool:
    """Whether a frame decodes without others, and those after it without what is before it."""
    return bool(native.key_frame) and native.pict_type == PictureType.I


def _frames_from(footage: Footage, table: FrameTable, start: int) -> Iterator[av.VideoFrame]:
    """Decoded frames from shown frame `start` on, or, where they tell their times, from some before it on.

    Seeks to the last key frame but one before it: pictures after a key frame may lean on those
    before it (open groups, gradual refresh), and some containers seek only roughly. Decodes from
    the beginning where seeking does not land as it should.
    """
    before = table.keys[table.keys <= table.times[start]] if table.seekable else table.keys
    if len(before) >= 3:
        frames = _seek_frames(footage, int(before[-2]), int(table.times[start]))
        first = next(frames, None)
        if first is not None:
            yield first
            yield from frames
            return
    with open_movie(footage.path) as container:
        stream = video_stream(container, footage.path, footage.stream)
        stream.thread_type = "AUTO"
        for index, frame in enumerate(_shown(decoded(container, stream), table)):
            if table.seekable or index >= start:
                yield frame


def _seek_frames(footage: Footage, key: int, target: int) -> Iterator[av.VideoFrame]:
    """Decoded frames from the key frame at `key` on, before time `target`; nothing where seeking lands elsewhere."""
    with open_movie(footage.path) as container:
        stream = video_stream(container, footage.path, footage.stream)
        stream.thread_type = "AUTO"
        try:
            container.seek(key, stream=stream)
        except LACKS_MEMORY:
            raise
        except av.FFmpegError:
            return
        landed = False
        for frame in decoded(container, stream):
            if not landed and (frame.pts is None or frame.pts > target or not frame.key_frame):
                return
            landed = True
            yield frame


def _shown(frames: Iterator[av.VideoFrame], table: FrameTable) -> Iterator[av.VideoFrame]:
    return frames if not table.seekable else (f for f in frames if f.pts is not None and f.pts >= table.times[0])
