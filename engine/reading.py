"""The one way to read a file that may come from anybody: a regular one, opened without waiting. Standard library only.

A pipe, a device or a file of the kernel's own (/proc, /sys) may keep its reader waiting for ever, have no end, or hand
out what is read once only; links to such are those. Libraries that open files by their names are told of one only after
`require_regular`.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from io import BufferedReader
from pathlib import Path

KERNELS_OWN = {
    *("proc", "sysfs", "devpts", "devtmpfs", "debugfs", "tracefs", "securityfs", "configfs", "cgroup", "cgroup2"),
    *("bpf", "pstore", "efivarfs", "mqueue", "selinuxfs", "fusectl", "binfmt_misc", "rpc_pipefs", "nfsd", "smackfs"),
}
"""Types of Linux' file systems whose files are made as they are read (proc(5), sysfs(5)); /dev/shm is none of them."""
MOUNTS = Path("/proc/self/mountinfo")
NO_FILE = "no file (a pipe or a device)"
"""What the error of `open_regular` says."""
TOO_LONG = "longer than any file of its kind"
"""What the error of a file with more bytes than its reader takes says."""


def is_readable_kind(status: os.stat_result) -> bool:
    """Whether a file is a regular one on a disk, or in memory as on one."""
    return stat.S_ISREG(status.st_mode) and status.st_dev not in _kernels_own()


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading. Raises OSError, at once for what is no regular file."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not is_readable_kind(status):
            raise OSError(errno.EINVAL, NO_FILE, str(path))
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def require_regular(path: Path) -> None:
    """Raise OSError where `open_regular` would."""
    open_regular(path).close()


def read_bytes(path: Path, largest: int | None = None) -> bytes:
    """All of a file. Raises OSError, also for one of more than `largest` bytes."""
    with open_regular(path) as file:
        found = file.read() if largest is None else file.read(largest + 1)
    if largest is not None and len(found) > largest:
        raise OSError(errno.EFBIG, TOO_LONG, str(path))
    return found


def read_text(path: Path, encoding: str = "utf-8", largest: int | None = None) -> str:
    """All of a file of text. Raises OSError as `read_bytes`, or ValueError where it is none."""
    return read_bytes(path, largest).decode(encoding)


@functools.cache
def _kernels_own() -> frozenset[int]:
    """The devices of the mounted file systems that are the kernel's own."""
    found: set[int] = set()
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux, or one without /proc
        return frozenset()
    for line in lines:
        before, _, after = line.partition(" - ")
        major, _, minor = before.split()[2].partition(":")
        if after.split()[0] in KERNELS_OWN:
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
