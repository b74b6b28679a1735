"""Where a path of this computer lies in a mirror on another one, and back; in specs, results and files.

A mirror is a project folder. What lies in the project here has the same place in the mirror; what lies elsewhere
(footage, a movie's folder) has `.outside/<key of its folder>/<name>`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..durable import write_bytes, writing
from ..reading import open_regular, read_text

OUTSIDE = ".outside"
NOT_EXCHANGED = (".part", ".old", ".lock")
LONGEST_NAME, LONGEST_PLACE = 255, 2048
"""Bytes of a file's name, characters of its place."""
LARGEST_HEADER = 100_000_000  # bytes, as safetensors has it


class Places:
    """The places of one project. `folders` are the folders beside it that are known by their keys."""

    def __init__(self, project: Path, folders: dict[str, str]) -> None:
        self._project = project
        self.folders = folders
        self.root = ""  # the mirror's folder, once it is known

    def of(self, path: str | Path) -> str:
        """The place in the mirror of a path of this computer, relative; its folder is known from now on."""
        path = Path(path)
        if path == self._project:
            return ""
        if path.is_relative_to(self._project):
            return path.relative_to(self._project).as_posix()
        key = hashlib.sha256(str(path.parent).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.folders[key] = str(path.parent)
        return f"{OUTSIDE}/{key}/{path.name}"

    def here(self, place: str) -> Path | None:
        """The path of this computer that a place in the mirror stands for; None where nobody knows its folder."""
        parts = Path(place).parts
        if ".." in parts or Path(place).is_absolute():
            return None
        if parts[:1] != (OUTSIDE,):
            return self._project.joinpath(*parts)
        folder = self.folders.get(parts[1]) if len(parts) > 2 else None
        return Path(folder, *parts[2:]) if folder else None

    def there(self, path: str) -> str:
        """A path of this computer as the other engine names it; other words stay as they are."""
        if not path or not Path(path).is_absolute():
            return path
        found = Path(path)
        if found.is_relative_to(self._project):
            return f"{self.root}/{found.relative_to(self._project).as_posix()}".removesuffix("/.")
        for key, folder in self.folders.items():
            if found.is_relative_to(folder) and found != Path(folder):
                return f"{self.root}/{OUTSIDE}/{key}/{found.relative_to(folder).as_posix()}"
        return path

    def back(self, path: str) -> str:
        """A path of the other engine as this computer names it; other words stay as they are."""
        if path == self.root:
            return str(self._project)
        known = self.here(path.removeprefix(f"{self.root}/")) if path.startswith(f"{self.root}/") else None
        return str(known) if known else path

    def inside(self, path: str) -> str:
        """The place in the mirror that the other engine names by its own path; empty where it names another."""
        return path.removeprefix(f"{self.root}/") if self.root and path.startswith(f"{self.root}/") else ""

    def in_text(self, text: str) -> str:
        """A sentence of the other engine, with this computer's folders in place of the mirror's."""
        for key, folder in self.folders.items():
            text = text.replace(f"{self.root}/{OUTSIDE}/{key}", folder)
        return text.replace(self.root, str(self._project)) if self.root else text


def covers(asked: str, place: str) -> bool:
    """Whether a place is the one asked for, or lies in the folder asked for (which ends in /); what is hidden there,
    partial or a lock is never exchanged."""
    if not asked.endswith("/"):
        return place == asked
    parts = place.removeprefix(asked).split("/")
    return place.startswith(asked) and len(place) <= LONGEST_PLACE and all(map(_is_ordinary, parts))


def _is_ordinary(name: str) -> bool:
    """Whether a name is one of those that a job gives to what it makes: one that every file system takes, too."""
    try:
        short = len(name.encode("utf-8")) <= LONGEST_NAME
    except UnicodeEncodeError:  # half a character
        return False
    special = not name.isprintable() or any(sign in name for sign in '\\:*?"<>|')
    return bool(name) and short and not special and not name.startswith(".") and not name.endswith(NOT_EXCHANGED)


def walk(data: Any, change: Callable[[str], str]) -> Any:
    """JSON with every string changed."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, list):
        return [walk(part, change) for part in data]
    return {name: walk(part, change) for name, part in data.items()} if isinstance(data, dict) else data


def rewrite(source: Path, target: Path, change: Callable[[str], str]) -> bool:
    """Write a file of ours with the paths in it changed; False, and nothing written, where it names none.

    JSON, and the header of safetensors (which says where its numbers begin only relatively). Damaged files name
    none: their reader says so.
    """
    try:
        if source.suffix == ".json":
            data = json.loads(read_text(source))
            changed = walk(data, change)
            if changed == data:
                return False
            write_bytes(target, json.dumps(changed, indent=1).encode())
            return True
        if source.suffix in (".safetensors", ".faceset"):
            return _rewrite_header(source, target, change)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return False


def _rewrite_header(source: Path, target: Path, change: Callable[[str], str]) -> bool:
    with open_regular(source) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            return False
        header = json.loads(file.read(length))
        facts = json.loads(header["__metadata__"]["understudy"])
        changed = walk(facts, change)
        if changed == facts:
            return False
        header["__metadata__"]["understudy"] = json.dumps(changed)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # the numbers stay aligned
        with writing(target) as partial, partial.open("wb") as output:
            output.write(len(text).to_bytes(8, "little") + text)
            shutil.copyfileobj(file, output, 1 << 20)
    return True
