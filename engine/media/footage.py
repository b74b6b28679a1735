"""Which pictures of which file are meant, and how they are counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..protocol import Clip


@dataclass(frozen=True, kw_only=True)
class Footage:
    """A movie, a picture or a folder of pictures; `stream` and `played` are those of `protocol.Clip`."""

    path: Path
    stream: int = 0
    played: bool = False

    @property
    def is_whole_file(self) -> bool:
        """The file's first pictures, each counted once, upright."""
        return not self.stream and not self.played


def footage_of(clip: Clip) -> Footage:
    """The footage that a clip is a range of."""
    return Footage(path=Path(clip.path), stream=clip.stream, played=clip.played)


def as_footage(where: Path | Footage) -> Footage:
    """A path stands for its file's first pictures, each counted once."""
    return where if isinstance(where, Footage) else Footage(path=Path(where))
