"""A track in pieces: fixed whole seconds from its beginning, with neighbours around them, and how they join again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .signal import FRAMES_A_SECOND

CORE, AROUND = 16, 2
"""Seconds of a piece, and of its neighbours before and after it."""
FADE = 0.1
"""Seconds in which pieces fade into one another, half of it before their border."""
EDGE = 0.01
"""Seconds in which a clip begins and ends, inside it."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Samples of a track: `core` is the piece's own part of the clip, `span` what is read for it."""

    number: int
    core: tuple[int, int]
    span: tuple[int, int]


def cut(samples: int, rate: int, clip: tuple[int, int]) -> list[Piece]:
    """The pieces of a clip [start, end) of a track of so many samples.

    They lie where they would for any other clip of the track, and begin at whole seconds, so that frames of 10 ms
    and pieces at another rate begin there, too.
    """
    size, around = CORE * rate, AROUND * rate
    found = []
    for number in range(clip[0] // size, -(-clip[1] // size)):
        first, last = number * size, (number + 1) * size
        span = max(0, first - around), min(samples, last + around)
        found.append(Piece(number=number, core=(max(first, clip[0]), min(last, clip[1])), span=span))
    return found


def frames_of_core(piece: Piece, rate: int, count: int) -> slice:
    """Which of a piece's `count` frames lie in its core."""
    first, last = ((at - piece.span[0]) * FRAMES_A_SECOND for at in piece.core)
    return slice(min(-(-first // rate), count), min(-(-last // rate), count))


def join(made: Iterable[tuple[Piece, np.ndarray]], rate: int) -> Iterator[tuple[int, np.ndarray]]:
    """Consecutive parts (first sample, (…, n)) of what was made of consecutive pieces' spans, faded at the borders."""
    half = round(FADE * rate / 2)
    held: tuple[int, np.ndarray] | None = None  # what the last piece has from `half` before its end on
    for piece, rows in made:
        first, last = (at - piece.span[0] for at in piece.core)
        before = min(half, first) if held is not None else 0
        start = piece.core[0] - before
        body = rows[..., first - before : last + min(half, rows.shape[-1] - last)]
        if held is not None:
            tail = held[1]
            width = min(tail.shape[-1], body.shape[-1])
            rise = (np.arange(width, dtype=np.float32) + 0.5) / width
            body = np.concatenate([tail[..., :width] * (1 - rise) + body[..., :width] * rise, body[..., width:]], -1)
        cut_at = max(0, last - first + before - half)
        yield start, body[..., :cut_at]
        held = (start + cut_at, body[..., cut_at:])
        end = piece.core[1]
    if held is not None:
        yield held[0], held[1][..., : end - held[0]]


def edges(start: int, count: int, clip: tuple[int, int], rate: int) -> np.ndarray:
    """Factors 0..1 (count,) for samples from `start` on: 0 at the clip's ends, 1 from 10 ms inside on."""
    at = np.arange(start, start + count)
    width = max(1, round(EDGE * rate))
    inside = np.clip(np.minimum(at - clip[0] + 0.5, clip[1] - at - 0.5) / width, 0, 1)
    return (0.5 - 0.5 * np.cos(np.pi * inside)).astype(np.float32)
