"""Frames that an editor should look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .paths import absolute_path

Cause = Literal["lost", "mesh", "profile", "hidden", "unseen", "expression", "gaze", "identity", "flicker"]


@dataclass(frozen=True, kw_only=True)
class ReviewSpec:
    """List the frames of a recast that are likely to be sent back; `scan` is what it was made from."""

    recast: str = absolute_path()
    scan: str = absolute_path()
    project: str = absolute_path("")


@dataclass(frozen=True, kw_only=True)
class Doubtful:
    """Frames `start` to `end` (exclusive) of the source in which one person's face is doubtful for one main `cause`.

    `frame` is the worst of them; `score` how many times its limit that measure is there; `causes` all that is beyond
    its limit in any of them, with its highest score.
    """

    frame: int
    start: int
    end: int
    person: int
    cause: Cause
    score: float
    causes: dict[str, float] = field(default_factory=dict)
