"""The name of a movie that is still being written. Standard library only: the supervisor asks for it, too."""

from __future__ import annotations

from pathlib import Path


def partial_movie(output: Path) -> Path:
    """Where the movie `output` grows until it is complete: the same suffix, by which FFmpeg knows its container."""
    return output.with_name(f"{output.stem}.part{output.suffix}")
