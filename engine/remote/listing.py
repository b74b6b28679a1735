"""What a mirror on another engine lists: files with an end to their number and their sizes, whoever lists them."""

from __future__ import annotations

import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UnderstudyError
from .link import HASHING_SECONDS, NOT_OURS, TOO_MUCH, Link, read
from .path_map import covers

FETCHING = "Fetching what the remote engine made"
LARGEST_PIECE = 16_000_000  # bytes of a file in one answer
HEED = 1000  # listed files that are read before anybody is asked whether to go on
MOST_LISTED = 100_000  # files of a scan's or a model's folder, with masks that were drawn for each frame
MOST_MADE = 10_000  # files that a scan or a training makes: a picture of each person, or of how it came along
ENTRY_BYTES = 400  # bytes of an answer that a listed file takes, on the average
FREE_BYTES = 500_000_000  # bytes of the disk that stay free
LARGEST = {
    ".json": 64 << 20, ".jpg": 64 << 20, ".png": 1 << 30, ".safetensors": 16 << 30, ".faceset": 8 << 30,
}  # fmt: skip
"""Bytes of a file of ours by its ending, an hour's worth of faces or the largest network with room to spare; a movie
may be as long as the disk is large."""

Told = Callable[[float, str], None]
"""Is told the share that is done, 0..1, and what is being done."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file of a mirror."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Files of a mirror."""

    files: list[Any]


def listed_in(link: Link, mirror: str, asked: Iterable[str], most: int, told: Told) -> dict[str, Listed]:
    """What a mirror, by its path in the API, has of what is asked for, by its place: `most` files of each at most.

    Raises UnderstudyError for more, and for what is no list of files.
    """
    listed: dict[str, Listed] = {}
    largest = most * ENTRY_BYTES + LARGEST_PIECE
    for one_asked in asked:
        path = f"{mirror}?{urllib.parse.urlencode({'under': one_asked})}"
        files = link.answer(Listing, "GET", path, timeout=HASHING_SECONDS, largest=largest).files
        if len(files) > most:
            raise UnderstudyError(TOO_MUCH)
        for number, entry in enumerate(files):
            if number % HEED == 0:
                told(0.0, FETCHING)
            one = read(Listed, entry)
            if not covers(one_asked, one.path):
                continue
            if not re.fullmatch(r"[0-9a-f]{64}", one.sha256) or one.bytes < 0:
                raise UnderstudyError(NOT_OURS)
            listed[one.path] = one
    return listed


def require_room(project: Path, wanted: Mapping[Path, Listed]) -> None:
    """Raise UnderstudyError for files that are larger than any of their kind, or than the project's disk has room for.
    Each is listed by where it grows."""
    needed = 0
    for part, one in wanted.items():
        if one.bytes > LARGEST.get(part.suffix.lower(), one.bytes):
            raise UnderstudyError(
                f"The remote engine lists {Path(one.path).name} with {one.bytes / 1e9:.1f} GB, which no such file has, "
                "and it was not fetched. Look at the engine on the other machine, then try again."
            )
        needed += one.bytes - (part.lstat().st_size if part.is_file() and not part.is_symlink() else 0)
    free = max(shutil.disk_usage(project).free - FREE_BYTES, 0)
    if needed > free:
        raise UnderstudyError(
            f"What the remote engine made takes {needed / 1e9:.1f} GB more in {project}, and {free / 1e9:.1f} GB are "
            "free there. Make room on the disk, then start the job again: it goes on from there."
        )
