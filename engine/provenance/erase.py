"""Look into a project folder, which may come from anybody, and erase in it: no link is followed out of it.

A path counts by where it really is: the folders above it are resolved, and the last name itself is never a link.
Standard library only.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

from ..errors import UnderstudyError
from ..protocol import parse_json
from ..reading import read_text


def is_file(path: Path) -> bool:
    """Whether a regular file, no link, has this name."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether a folder, no link, has this name."""
    return stat.S_ISDIR(_mode(path))


def entries(folder: Path) -> list[Path]:
    """What a folder holds, by name; nothing of a link, or of a folder that is not there or may not be read."""
    try:
        return sorted(folder.iterdir()) if is_folder(folder) else []
    except OSError:
        return []


def folders(project: Path, inner: str) -> list[Path]:
    """The folders in the folder `inner` of a project, and those in the project itself."""
    return [path for parent in (project / inner, project) for path in entries(parent) if is_folder(path)]


def settled(text: str | Path) -> Path | None:
    """Where a path really is that may come from anybody, all links above it resolved; None where it names no place."""
    path = Path(text)
    if not str(text) or "\0" in str(text) or not path.is_absolute() or ".." in path.parts or not path.name:
        return None
    try:
        return path.parent.resolve() / path.name
    except (OSError, RuntimeError):  # a loop of links, a name too long
        return None


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count for nothing."""
    if is_folder(path):
        return sum(size_of(child) for child in entries(path))
    return path.lstat().st_size if is_file(path) else 0


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where that is a link, not there, or holds something else."""
    try:
        found = parse_json(read_text(path)) if is_file(path) else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def erase(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; of a link itself. What is not there is no error.

    Raises UnderstudyError when a folder above it has become a link since `path` was settled, OSError when it cannot be
    removed.
    """
    require_unlinked(path)
    if is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_unlinked(path: Path) -> None:
    """Raise UnderstudyError when a folder above a path has become a link since the path was settled."""
    if path.parent.resolve() != path.parent:
        raise UnderstudyError(
            f"{path.parent} was replaced by a link meanwhile, so nothing there is removed. Try again."
        )


def _mode(path: Path) -> int:
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return 0
