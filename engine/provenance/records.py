"""A project's records of what was made, a file each: written when it is signed, read whenever somebody asks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ..durable import make_folders, write_json
from ..errors import DataError
from ..protocol import from_json, parse_json
from ..reading import read_text
from .erase import entries, is_file

Record = TypeVar("Record")


def keep_record(folder: Path, record: Any) -> None:
    """Write a record (a dataclass with an `id`) as `<folder>/<id>.json`. Raises OSError."""
    make_folders(folder)
    write_json(folder / f"{record.id}.json", asdict(record))


def read_records(folder: Path, kind: type[Record]) -> list[tuple[Path, Record]]:
    """Every record of a kind in a folder with its file, oldest first. Raises DataError when one is damaged."""
    found = []
    files = [path for path in entries(folder) if path.suffix == ".json" and is_file(path)]
    for path in sorted(files, key=lambda p: p.stat().st_mtime):
        try:
            found.append((path, from_json(kind, parse_json(read_text(path)))))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is damaged ({error}). Move it away to go on.") from None
    return found
