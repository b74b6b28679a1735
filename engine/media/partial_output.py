"""Where a recast grows until it is complete. Standard library only: the supervisor asks for it, too."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

CLOSED = "[0-9]*.json"  # what a finished segment leaves in its folder


def partial_folder(output: Path) -> Path:
    """The folder beside `output` that holds its finished segments, and the movie while they are joined."""
    return output.with_name(f"{output.name}.part")


def remove_partial(output: Path, *, keep_finished: bool = False) -> None:
    """Remove what is unfinished of `output`; with `keep_finished` only when no segment of it is finished.

    Raises nothing: what cannot be removed stays.
    """
    folder = partial_folder(output)
    with contextlib.suppress(OSError):
        finished = keep_finished and any((folder / "segments").glob(CLOSED))
        if folder.is_dir() and not folder.is_symlink() and not finished:
            shutil.rmtree(folder)
