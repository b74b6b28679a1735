"""When each frame of a movie is shown: the table that makes frame numbers exact.

The n-th frame of a movie is the n-th that a decode from the very start would show. Packet
timestamps tell that without decoding for codecs in which every packet is one frame; where
they do not (codecs with hidden frames, containers without presentation times), the whole
stream is decoded once and never sought in.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from av.video.stream import VideoStream

from ..errors import MediaError
from .footage import Footage, as_footage
from .open import open_movie
from .played import as_played
from .streams import decoded, video_stream

ONE_PACKET_ONE_FRAME = {
    *("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video", "mpeg1video", "png", "tiff", "qtrle"),
    *("cfhd", "ffv1", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "hap"),
}
ALONE = {"png", "tiff", "cfhd"}
"""Codecs whose frames need no other, beside those of which FFmpeg says so."""
PROBE_FRAMES = 8  # so many frames are decoded to see that the packets' times hold (packed B-frames break them)
STANDARD_RATES = [Fraction(n, d) for n, d in ((24, 1), (25, 1), (30, 1), (50, 1), (60, 1), (48, 1), (120, 1))] + [
    Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)
]


@dataclass(frozen=True, kw_only=True)
class FrameTable:
    """The shown frames of one video stream. Its length is how many are counted.

    times         (N,) int64, presentation time of each frame in `time_base`, ascending; or, when
                  `seekable` is False, nothing more than a count in shown order
    keys          (K,) int64, presentation times of the frames that decode without others
    rate          frames a second; of a variable rate, the mean
    variable      frames are not where a constant rate would put them, by more than half a frame
    begin         seconds of the stream's clock at which the first counted frame is due
    hurt          packets are damaged: frames are lost that are not counted
    order         (M,) int64, ascending: which of `times` each counted frame shows; None where each is counted once
    """

    times: np.ndarray
    keys: np.ndarray
    time_base: Fraction
    rate: Fraction
    variable: bool
    seekable: bool
    begin: float = 0.0
    hurt: bool = False
    order: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.times if self.order is None else self.order)


def frame_table(where: Path | Footage) -> FrameTable:
    """The table of a movie file, remembered while the file does not change.

    Raises MediaError when the file is missing, is no movie, not one frame decodes, or it does not tell when frames are
    shown although they are to be counted so.
    """
    footage = as_footage(where)
    try:
        stat = footage.path.stat()
    except OSError:
        raise MediaError(f"{footage.path} is not there. Check the path, or whether the disk is connected.") from None
    return _frame_table(footage, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _frame_table(footage: Footage, modified: int, size: int) -> FrameTable:
    path, number = footage.path, footage.stream
    with open_movie(path) as container:
        stream = video_stream(container, path, number)
        first = [frame.pts for frame in islice(decoded(container, stream), PROBE_FRAMES)]
        if not first:
            raise MediaError(f"Not one frame of {path} can be decoded; it is damaged or incomplete. Export it again.")
        codec = stream.codec_context.codec
        rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
        time_base = stream.time_base or Fraction(1, 1000)
        begin, guessed = stream.start_time, stream.guessed_rate
        indexed = _index_times(stream) if codec.intra_only else None
        begins_whole = any(entry.is_keyframe for entry in islice(stream.index_entries, 1))
    found = None
    told = [pts for pts in first if pts is not None]
    if (codec.intra_only or codec.canonical_name in ONE_PACKET_ONE_FRAME) and len(told) == len(first):
        found = (indexed, indexed, False, told[0]) if indexed is not None else _packet_times(path, number)
    times, keys, seekable, hurt = np.empty(0, np.int64), np.empty(0, np.int64), False, False
    if found is not None:
        # A stream cut in an open group begins with pictures that no decoder can show; what follows a key frame that is
        # damaged itself is lost.
        begun = min(told[0], found[3]) if begins_whole else told[0]
        times, keys, hurt = found[0][found[0] >= begun], found[1], found[2]
        lost = int(np.searchsorted(times, told[0]))
        seekable = times[lost : lost + len(first)].tolist() == first
        # where no frame waits for another, one of these is damaged itself
        if not seekable and (codec.intra_only or codec.canonical_name in ALONE):
            seekable = bool(np.all(np.diff(told) > 0)) and bool(np.isin(told, times).all())
    if not seekable:
        times, keys = _decoded_times(path, number), np.empty(0, np.int64)
    rate, variable = _rate(times, time_base, [r for r in rates if r])
    at = float(times[0] * time_base) if seekable else 0.0
    table = FrameTable(
        times=times,
        keys=keys,
        time_base=time_base,
        rate=rate,
        variable=variable,
        seekable=seekable,
        begin=at,
        hurt=hurt,
    )
    return as_played(table, footage, begin or 0, guessed or rate) if footage.played else table


def _index_times(stream: VideoStream) -> np.ndarray | None:
    """Times off the container's index, where every frame is a key frame: no reading of the whole file."""
    entries = list(stream.index_entries)
    if not entries or len(entries) != stream.frames or not all(e.is_keyframe and not e.is_discard for e in entries):
        return None
    times = np.array([e.timestamp for e in entries], np.int64)
    return times if bool(np.all(np.diff(times) > 0)) else None


def _packet_times(path: Path, number: int) -> tuple[np.ndarray, np.ndarray, bool, int] | None:
    """Shown times and key times from packets alone, whether some are damaged, and when the first one in the file is
    shown; None where they do not tell."""
    hurt = False
    times: list[int] = []
    keys: list[int] = []
    with open_movie(path) as container:
        for packet in container.demux(video_stream(container, path, number)):
            if not packet.size or packet.is_corrupt:
                hurt |= bool(packet.size)
                continue
            if packet.pts is None:
                return None
            if packet.is_keyframe:
                keys.append(packet.pts)
            if not packet.is_discard:
                times.append(packet.pts)
    unique = np.unique(np.array(times, np.int64))
    if not times or len(unique) != len(times):
        return None
    return unique, np.unique(np.array(keys, np.int64)), hurt, times[0]


def _decoded_times(path: Path, number: int) -> np.ndarray:
    """Shown times by decoding everything; invented (-1) where a frame has none."""
    with open_movie(path) as container:
        frames = decoded(container, video_stream(container, path, number))
        return np.array([-1 if frame.pts is None else frame.pts for frame in frames], np.int64)


def _rate(times: np.ndarray, time_base: Fraction, stated: list[Fraction]) -> tuple[Fraction, bool]:
    """The frame rate, and whether the times depart from it by more than half a frame."""
    if len(times) < 2 or bool(np.any(np.diff(times) <= 0)):
        return (stated[0] if stated else Fraction(24)), False
    seconds = (times - times[0]) * float(time_base)
    steps = np.arange(len(times))

    def departure(rate: Fraction) -> float:
        """Largest distance of a frame from its place, in frames."""
        return float(np.abs(seconds * float(rate) - steps).max())

    usual = [r for r in stated if r in STANDARD_RATES]
    tick = float(time_base) * float(stated[0] if stated else 60)  # in frames
    for rates, allowed in (
        (stated, 1e-6),  # what the file says, where its times are exact
        (usual, 1.5 * tick),  # times in milliseconds make odd means: 19001/317 for 60000/1001
        (STANDARD_RATES, 1.5 * tick),
        (stated, 0.5),
        (STANDARD_RATES, 0.5),
    ):
        best = min(rates, key=departure, default=None)
        if best is not None and departure(best) <= allowed:
            return best, False
    mean = Fraction(len(times) - 1, int(times[-1] - times[0])) / time_base
    return mean.limit_denominator(100000), departure(mean) > 0.5
