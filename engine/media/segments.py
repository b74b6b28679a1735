"""Finished pieces of a conversion, durable one by one, so that a stopped or killed one goes on after the last.

A recast is made in segments of whole groups of pictures, each encoded by itself, also when nobody interrupts; so a
resumed conversion's result is the uninterrupted one's, byte for byte. Beside a segment's files lies a JSON file that
names them with their sizes and the key of what they were made from: that file is written last, and is what makes
the segment finished.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..durable import make_folders, write_json
from ..protocol import parse_json
from ..reading import read_text

SEGMENT_FRAMES = 120
"""Frames of a segment: whole groups of pictures, a few seconds of work at most to do again."""

Key = Callable[[int, int], str]
"""Tells, of frames first..end, all that a recast of them depends on (settings, model, swaps, alignments)."""


class Segments:
    """The segments of frames `start` to `end` in `folder`, which is made when the first one is closed.

    `facts` are what all of them have in common; segments of other facts or another key are not taken over. `key`
    None takes none over.
    """

    def __init__(
        self, folder: Path, start: int, end: int, facts: dict[str, Any], key: Key | None, length: int = SEGMENT_FRAMES
    ) -> None:
        self.folder = folder
        cuts = [start, *range((start // length + 1) * length, end, length), end]  # the same whatever the range is
        self.spans = list(pairwise(cuts))
        self._facts, self._key = facts, key
        self.shared: dict[str, Any] = {}
        self._finished = self._take_over()

    def missing(self) -> list[tuple[int, int]]:
        """Ranges of frames that are still to be made, in order; neighbours are one."""
        runs: list[tuple[int, int]] = []
        for first, end in self.spans:
            if first in self._finished:
                continue
            if runs and runs[-1][1] == first:
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((first, end))
        return runs

    def end_of(self, first: int) -> int:
        """Where the segment that begins with this frame ends."""
        return dict(self.spans)[first]

    def begin(self, shared: dict[str, Any]) -> None:
        """Make the folder, empty but for what is taken over; `shared` is kept for who resumes."""
        make_folders(self.folder)
        kept = {name for first in self._finished for name in (*self.files(first), _marker(first))}
        for path in self.folder.iterdir():
            if path.name not in kept and path.name != "conversion.json":
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if not self.shared:
            self.shared = shared
            write_json(self.folder / "conversion.json", {"facts": self._facts, "shared": shared})

    def is_finished(self, first: int) -> bool:
        """Whether the segment that begins with this frame is."""
        return first in self._finished

    def key_of(self, first: int) -> str:
        """The key of the segment that begins with this frame; "" where none is kept."""
        return self._key(first, self.end_of(first)) if self._key else ""

    def files(self, first: int) -> list[str]:
        """Names of the files of a finished segment."""
        return list(self._finished[first])

    def close(self, first: int, names: list[str]) -> None:
        """Make a segment's files, which lie in the folder, durable and the segment finished."""
        sizes = {}
        for name in names:
            with (self.folder / name).open("rb+") as file:
                os.fsync(file.fileno())
                sizes[name] = os.fstat(file.fileno()).st_size
        write_json(self.folder / _marker(first), {"key": self.key_of(first), "files": sizes})
        _sync_folder(self.folder)
        self._finished[first] = sizes

    def _take_over(self) -> dict[int, dict[str, int]]:
        """Finished segments of an earlier run that are still good."""
        if self._key is None:
            return {}
        begun = _read(self.folder / "conversion.json")
        if begun is None or begun.get("facts") != json.loads(json.dumps(self._facts)):
            return {}
        self.shared = begun.get("shared", {})
        found = {}
        for first, _ in self.spans:
            marker = _read(self.folder / _marker(first))
            if marker is not None and marker.get("key") == self.key_of(first) and self._whole(marker.get("files")):
                found[first] = marker["files"]
        return found

    def _whole(self, files: Any) -> bool:
        if not isinstance(files, dict) or not files:
            return False
        with contextlib.suppress(OSError):
            return all(_is_file(self.folder, name, size) for name, size in files.items())
        return False


def _is_file(folder: Path, name: str, size: int) -> bool:
    """Whether the folder itself holds a file of this name and size; a link is none."""
    status = (folder / name).lstat()
    return Path(name).name == name and stat.S_ISREG(status.st_mode) and status.st_size == size


def _marker(first: int) -> str:
    return f"{first:08}.json"


def _read(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        data = parse_json(read_text(path))
        return data if isinstance(data, dict) else None
    return None


def _sync_folder(folder: Path) -> None:
    """Make new names in a folder durable, where the system knows how."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
