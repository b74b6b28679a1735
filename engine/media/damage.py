"""Which frames of a movie are not sound: those that are decoded in part, and those that are decoded from such ones."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from av.video.frame import PictureType

from .footage import Footage
from .frametable import FrameTable, frame_table
from .open import open_movie
from .pictures import is_pictures
from .reader import Frame
from .streams import video_stream


@dataclass
class Damage:
    """What is damaged in a range of frames, gathered as they are read, in order.

    lost      frames that cannot be decoded, ascending
    partial   frames that are decoded in part, ascending
    """

    footage: Footage
    lost: list[int] = field(default_factory=list)
    partial: list[int] = field(default_factory=list)
    _seen: list[int] = field(default_factory=list)
    _keys: list[tuple[int, bool]] = field(default_factory=list)
    _before: list[int] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        """Take note of the next frame."""
        self._before += frame.hurt_before
        self._seen.append(frame.index)
        if frame.repeated:
            self.lost.append(frame.index)
        elif frame.is_partial:
            self.partial.append(frame.index)
        elif frame.native.key_frame:
            self._keys.append((frame.index, frame.native.pict_type == PictureType.I))

    def unsound(self) -> list[int]:
        """The frames seen that are decoded in part, from a damaged one since which no key frame came, or before one in
        the file, ascending.

        Where nothing tells that no other picture leans on a damaged one, those that follow it are taken to.
        """
        if is_pictures(self.footage.path):
            return self.partial
        table = frame_table(self.footage)
        if not (self.lost or self.partial or self._before or table.hurt):
            return []
        shown = np.arange(len(table.times)) if table.order is None else table.order
        place, times, keys, hurt = _decode_order(self.footage, table)
        places = set(hurt) | {place[number] for number in self._before if number in place}
        gone, part = (
            {place[int(shown[i])] for i in which if int(shown[i]) in place} for which in (self.lost, self.partial)
        )
        places |= gone | part
        if len(keys) < len(times):  # what destroyed a packet may begin in the one before, whose end is then made up
            places |= {at - 1 for at in gone}
        bad = sorted(places)
        first = place.get(int(shown[self._seen[0]]), 0)
        mended = [(key, key) for key in keys if key < first]  # whether they are damaged themselves `_before` tells
        mended += _mended_at([(place[int(shown[i])], whole) for i, whole in self._keys if int(shown[i]) in place])
        lost, found = set(self.lost), set(self.partial)
        for index in self._seen:
            at = place.get(int(shown[index]))
            if at is None or index in lost:
                continue
            last = bisect_right(mended, at, key=lambda one: one[1]) - 1
            while last >= 0 and times[mended[last][1]] > times[at]:  # shown before the key frame, it may lean past it
                last -= 1
            since = mended[last][0] if last >= 0 else -1
            if bisect_left(bad, since) < bisect_right(bad, at):
                found.add(index)
        return sorted(found)


def _mended_at(keys: list[tuple[int, bool]]) -> list[tuple[int, int]]:
    """(a, b) of each key frame: from place b in decoding order on, nothing leans on what is before place a. A key frame
    that is no whole picture by itself begins a refresh, which is done when the next one begins."""
    keys = sorted(keys)
    refreshed = [(a, b) for (a, _), (b, whole) in pairwise(keys) if not whole]
    return sorted([(at, at) for at, whole in keys if whole] + refreshed, key=lambda one: one[1])


def _decode_order(footage: Footage, table: FrameTable) -> tuple[dict[int, int], dict[int, int], list[int], list[int]]:
    """The place in decoding order of each stored frame, the time of each place, and the places of packets that say that
    they are key frames, and of those that are damaged."""
    if not table.seekable:
        numbers = range(len(table.times))
        return {n: n for n in numbers}, {n: n for n in numbers}, [], []
    place: dict[int, int] = {}
    times: dict[int, int] = {}
    keys: list[int] = []
    hurt: list[int] = []
    number = {int(time): n for n, time in enumerate(table.times)}
    with open_movie(footage.path) as container:
        stream = video_stream(container, footage.path, footage.stream)
        for at, packet in enumerate(container.demux(stream)):
            if packet.is_corrupt and packet.size:
                hurt.append(at)
            elif packet.size and packet.pts in number:
                place[number[packet.pts]] = at
                times[at] = packet.pts
                keys += [at] if packet.is_keyframe else []
    return place, times, keys, hurt
