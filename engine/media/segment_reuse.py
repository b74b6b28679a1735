"""Segments of an earlier result, taken out of the finished movie as the packets that they are.

A movie is joined from its segments without encoding again (`media.segments`), so it still holds them: nothing else has
to be kept on the disk for what did not change not to be made twice.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

from ..errors import MediaError
from .encode import add_picture
from .open import create_movie, open_movie
from .reader import MediaInfo
from .recipes import Recipe, coded_size
from .streams import video_stream

START_CODE = b"\x00\x00\x00\x01"


@dataclass(frozen=True)
class EarlierMovie:
    """A finished movie, and what `segments_record` told of it: facts, and the segments' first, end, key, sha256."""

    movie: Path
    facts: dict[str, Any]
    segments: list[tuple[int, int, str, str]]

    @classmethod
    def of(cls, movie: Path, told: dict[str, Any]) -> EarlierMovie:
        """From what `segments_record` gave. Raises KeyError, TypeError or ValueError when it is something else."""
        segments = [(int(s["first"]), int(s["end"]), str(s["key"]), str(s["sha256"])) for s in told["segments"]]
        return cls(movie, dict(told["facts"]), segments)


def segments_record(movie: Path, facts: dict[str, Any], spans: list[tuple[int, int, str]]) -> dict[str, Any]:
    """What a later writer needs to know of a finished movie: `facts` of how it was written, and of each span of
    frames (first, end, key) the hash of its packets. Plain JSON."""
    packets = _packets(movie)
    segments = []
    for first, end, key in spans:
        digest = hashlib.sha256()
        for _ in range(first, end):
            digest.update(bytes(next(packets)))
        segments.append({"first": first, "end": end, "key": key, "sha256": digest.hexdigest()})
    return {"facts": facts, "segments": segments}


def copy_segments(
    earlier: EarlierMovie,
    wanted: dict[tuple[int, int], str],
    target: dict[tuple[int, int], Path],
    recipe: Recipe,
    info: MediaInfo,
) -> list[tuple[int, int]]:
    """Write the spans that the earlier movie has under the very key that is `wanted` to their `target` files.

    Gives the spans that are written; a movie that is gone, or whose packets are no longer those of its record, gives
    fewer or none.
    """
    todo = {(first, end) for first, end, key, _ in earlier.segments if wanted.get((first, end)) == key}
    made: list[tuple[int, int]] = []
    with contextlib.suppress(av.FFmpegError, OSError, StopIteration, MediaError):
        packets = _packets(earlier.movie)
        for first, end, _, digest in earlier.segments:
            if (first, end) not in todo:
                for _ in range(first, end):
                    next(packets)
                continue
            todo.remove((first, end))
            if _written(target[first, end], packets, end - first, digest, recipe, info):
                made.append((first, end))
            if not todo:
                break
    return made


def _written(path: Path, packets: Iterator[Packet], count: int, digest: str, recipe: Recipe, info: MediaInfo) -> bool:
    """Copy so many packets into a segment's file; False, and no file, where they are others than they were."""
    found = hashlib.sha256()
    with create_movie(path, format=recipe.segment) as container:
        stream = add_picture(container, recipe, info, coded_size(info), 1)
        container.start_encoding()
        for number in range(count):
            old = next(packets)
            data = bytes(old)
            found.update(data)
            packet = Packet(_with_start_codes(data) if recipe.codec in ("libx264", "libx265") else data)
            packet.pts = packet.dts = number
            packet.duration, packet.time_base, packet.stream = 1, 1 / info.fps, stream
            packet.is_keyframe = old.is_keyframe
            container.mux(packet)
    if found.hexdigest() != digest:
        path.unlink()
    return found.hexdigest() == digest


def _packets(movie: Path) -> Iterator[Packet]:
    with open_movie(movie) as container:
        for packet in container.demux(video_stream(container, movie)):
            if packet.size:
                yield packet


def _with_start_codes(data: bytes) -> bytes:
    """A picture of H.264 or H.265 as movies hold it (each part behind its length) as encoders give it."""
    parts, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        parts += [START_CODE, data[at + 4 : at + 4 + length]]
        at += 4 + length
    return b"".join(parts)
