"""How much of the disk a project's parts and the engine's own files take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTS = {"scans": "scan", "models": "model", "recasts": "recast"}
OWN = {"models": "networks", "jobs": "jobs", "previews": "previews", "media": "media", "mirrors": "mirrors"}


def usage(home: Path, project: Path | None) -> list[dict[str, Any]]:
    """Items {"path", "kind", "bytes"}: the project's scans, what they observed, models, facesets and recasts; the
    largest first; then what the engine keeps at home. A faceset's bytes are its model's too."""
    found = sorted(_of_project(project), key=lambda item: -item["bytes"]) if project else []
    own = [_item(home / name, kind) for name, kind in OWN.items() if (home / name).is_dir()]
    return found + own


def _of_project(project: Path) -> Iterator[dict[str, Any]]:
    for folder, kind in PARTS.items():
        for part in _children(project / folder):
            observed = folder == "scans" and part.name == ".observed"
            for path in _children(part) if observed else [part]:
                yield _item(path, "observed" if observed else kind)
            for faceset in _children(part / "facesets") if kind == "model" else []:
                yield _item(faceset, "faceset")


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _item(path: Path, kind: str) -> dict[str, Any]:
    return {"path": str(path), "kind": kind, "bytes": _size(path)}


def _size(path: Path) -> int:
    """Bytes of a file, or of all that a folder holds; links count for nothing."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        with os.scandir(path) as entries:
            return sum(_size(Path(entry.path)) for entry in entries if not entry.is_symlink())
    except OSError:
        return 0
