"""Files of a project folder, which may come from anybody: none is read through a link that leads out of it. No bpy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...engine import reading

ENDING = ".understudy"
LARGEST = 16 << 20
"""Bytes of a file that panels read while they draw; consents, scans and voices are told in thousands."""


def read_json(path: Path, largest: int = LARGEST) -> Any:
    """What a JSON file of a project holds. Raises OSError where it cannot be read, is a pipe, a device or of more than
    `largest` bytes, or leads out of the project; ValueError where it is none. Never waits."""
    if leads_out(path):
        raise OSError(f"{path} is a link that leads out of the project")
    try:
        return json.loads(reading.read_text(path, largest=largest))
    except RecursionError:
        raise ValueError(f"{path} is nested too deep") from None


def is_file(path: str | Path) -> bool:
    """Whether a file is there; not where the path is none that can be (`Path.is_file` raises for a name too long)."""
    return path != "" and _holds(Path(path), Path.is_file)


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there, likewise."""
    return path != "" and _holds(Path(path), Path.is_dir)


def is_there(path: str | Path) -> bool:
    """Whether a file or a folder is there; nothing else that a name can stand for, such as a pipe."""
    return is_file(path) or is_folder(path)


def resolved(path: Path) -> Path:
    """A path without links; as it stands where they lead in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def _holds(path: Path, test: Callable[[Path], bool]) -> bool:
    try:
        return test(path)
    except OSError:
        return False


def is_linked_project(path: Path) -> bool:
    """Whether a path is a project folder, or lies in one, that is a link: it may lead to any other project."""
    return any(one.suffix == ENDING and one.is_symlink() for one in (path, *path.parents))


def leads_out(path: Path) -> bool:
    """Whether a file is not in the project it is named in (or, where that is none, not in its folder) but behind a
    link."""
    project = next((parent for parent in path.parents if parent.suffix == ENDING), path.parent)
    try:
        if is_linked_project(path):
            return True
        return not path.resolve().is_relative_to(project.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is none
        return True
