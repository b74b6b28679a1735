"""Whether footage is still what was scanned: a scan's frames and boxes fit no other file.

`source.json` of a scan folder: {"schema": 1, "path", "bytes", "time", "digest"}. The digest is SHA-256 over
the size and the first, middle and last megabyte of a file, over names and sizes of a folder's files; it is
only looked at where the time differs, so that a copied or restored file still counts as the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .durable import write_json
from .errors import MediaError
from .protocol import ConvertSpec, JobSpec, ReviewSpec, ScanSpec, TrainSpec, parse_json
from .reading import open_regular, read_text

FILE_NAME = "source.json"
SCHEMA = 1
PIECE = 1 << 20  # bytes


def remember(spec: ScanSpec, seen: dict[str, Any]) -> None:
    """Keep with a scan what its footage was when the scan began (`facts`)."""
    write_json(Path(spec.output) / FILE_NAME, {"schema": SCHEMA, "path": spec.clip.path, **seen})


def require_unchanged(spec: JobSpec) -> None:
    """Raise MediaError with what to do when footage that a job reads is gone, or not what was scanned."""
    if isinstance(spec, TrainSpec):
        scans = {material.scan for identity in spec.identities for material in identity.material}
    else:
        scans = {spec.scan} if isinstance(spec, ConvertSpec | ReviewSpec) else set()
    for scan in sorted(scans):
        _require_unchanged(Path(scan))


def _require_unchanged(scan: Path) -> None:
    try:
        kept = parse_json(read_text(scan / FILE_NAME))
        path, size, time, digest = Path(kept["path"]), kept["bytes"], kept["time"], kept["digest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # an older scan, or one that is damaged: its reader says so
    try:
        now = facts(path)
    except (OSError, ValueError):
        raise MediaError(
            f"{str(path)[:300]} is not there any more. Put it back, or scan the footage where it is now."
        ) from None
    if now["bytes"] == size and (now["time"] == time or now["digest"] == digest):
        return
    raise MediaError(f"{path} has changed since it was scanned, so its faces may be elsewhere now. Scan it again.")


def facts(path: Path) -> dict[str, Any]:
    """Size in bytes, time of the last change in nanoseconds, and digest of footage. Raises OSError."""
    hashed = hashlib.sha256()
    if path.is_dir():
        files = sorted((file.name, file.stat()) for file in path.iterdir() if file.is_file())
        for name, status in files:
            hashed.update(f"{name}/{status.st_size}/".encode("utf-8", "surrogateescape"))
        size = sum(status.st_size for _, status in files)
        time = max((status.st_mtime_ns for _, status in files), default=0)
        return {"bytes": size, "time": time, "digest": hashed.hexdigest()}
    status = path.stat()
    hashed.update(str(status.st_size).encode())
    with open_regular(path) as file:
        for start in (0, status.st_size // 2, max(0, status.st_size - PIECE)):
            file.seek(start)
            hashed.update(file.read(PIECE))
    return {"bytes": status.st_size, "time": status.st_mtime_ns, "digest": hashed.hexdigest()}
