"""Which frames Blender shows of a movie: at a constant rate from its start time on, the last one that is due.

The arithmetic is that of Blender's `movie_read.cc` (`ffmpeg_get_pts_to_search`, `ffmpeg_steps_per_frame_get`), alike in
4.5, 5.0 and 5.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from av.container import InputContainer

from ..errors import MediaError
from .footage import Footage
from .open import open_movie
from .streams import decoded, video_stream

if TYPE_CHECKING:
    from .frametable import FrameTable

HEAD = 32  # packets that tell whether a container has presentation times, and how late the decoder is
GENERATE = 0x0001  # AVFMT_FLAG_GENPTS, which PyAV sets and Blender does not


def as_played(table: FrameTable, footage: Footage, begin: int, rate: Fraction) -> FrameTable:
    """`table` counted as Blender plays it: `rate` frames a second (FFmpeg's guess) from time `begin` on.

    Raises MediaError where the times of the frames do not ascend: which one is shown depends on where Blender was.
    """
    times = _told_times(footage, table.times)
    if bool(np.any(np.diff(times) <= 0)):
        name = footage.path
        raise MediaError(
            f"{name} does not tell when its frames are shown, so Blender shows them late or in another order. Convert "
            f"it, as `ffmpeg -i {name.name} -crf 12 {name.stem}-mended.mp4` does, and use that in its place."
        )
    step = 1 / (rate * table.time_base)
    count = max(1, int((int(times[-1]) - begin) / step + Fraction(1, 2)) + 1)
    due = begin + np.floor(np.arange(count) * float(step) + 0.5).astype(np.int64)
    order = np.maximum(np.searchsorted(times, due[due <= times[-1]], side="right") - 1, 0)
    if np.array_equal(order, np.arange(len(times))):
        return replace(table, rate=rate, variable=False)
    return replace(table, rate=rate, variable=False, begin=float(begin * table.time_base), order=order)


def _told_times(footage: Footage, stored: np.ndarray) -> np.ndarray:
    """The times by which Blender finds the frames: when they are shown, or where a container (AVI) does not tell, when
    the packet was due that brought them out of the decoder, so that B-frames make the whole movie late."""
    with _open_plainly(footage) as container:
        head = list(islice(_packets(container, footage), HEAD))
    if all(shown is not None for shown, _ in head):
        return stored
    with _open_plainly(footage) as container:
        due = [packet[1] for packet in _packets(container, footage)]
        first = list(islice(_frame_times(_open_plainly(footage), footage), HEAD // 2))
    if len(due) == len(stored) and None not in due:
        for late in range(HEAD // 2):
            if first[: len(due) - late] == due[late : late + len(first)]:
                return _filled([*due[late:], *[None] * late])
    return _filled(list(_frame_times(_open_plainly(footage), footage)))


def _open_plainly(footage: Footage) -> InputContainer:
    container = open_movie(footage.path)
    container.flags &= ~GENERATE
    return container


def _packets(container: InputContainer, footage: Footage) -> Iterator[tuple[int | None, int | None]]:
    for packet in container.demux(video_stream(container, footage.path, footage.stream)):
        if packet.size and not packet.is_corrupt:
            yield packet.pts, packet.dts


def _frame_times(container: InputContainer, footage: Footage) -> Iterator[int | None]:
    with container:
        for frame in decoded(container, video_stream(container, footage.path, footage.stream)):
            yield frame.dts if frame.pts is None else frame.pts


def _filled(times: list[int | None]) -> np.ndarray:
    """Times with those that nothing tells a tick after the one before, as in the decoder's last frames."""
    filled: list[int] = []
    for time in times:
        filled.append(time if time is not None else filled[-1] + 1 if filled else 0)
    return np.array(filled, np.int64)
