"""Locks between processes that a crash lets go. Standard library only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_BYTE = 1 << 30  # Windows locks a byte, and nobody can read that byte meanwhile: take one past the contents


@contextmanager
def lock(path: Path, patience: float = 0.0) -> Iterator[bool]:
    """Hold `path` for this process alone; yields whether that worked within `patience` seconds.

    The system lets go of the lock when its holder ends, however it ends.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + patience
        while not (held := _try_lock(fd)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield held
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(fd, LOCK_BYTE, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
