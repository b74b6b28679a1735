"""Files that survive a crash, and locks that a crash lets go. Standard library only; arrays: `engine.arrays`."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .reading import open_regular

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PRIVATE, SHARED = 0o600, 0o666
"""Modes of files: what shows or describes faces is its user's alone; what the user asked for under a name (a page, a
movie and what lies beside it) is read by whom their mask lets."""
LEFT_SECONDS = 3600.0
"""Seconds without a change after which nobody is writing a file any more that was to be renamed."""
LONGEST_STEM = 200
"""Bytes of a name that its temporary one begins with: file systems take 255, and 22 are added."""
LOCK_BYTE = 1 << 30  # Windows locks a byte, and nobody can read that byte meanwhile: take one past the contents


def hash_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal. Raises OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folders(folder: Path) -> Path:
    """Make a folder that holds faces, voices or what is said of people, with whatever lacks above it.

    New ones are their user's alone, whatever the mask. Raises OSError.
    """
    for one in reversed((folder, *folder.parents)):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
    return folder


def make_private(folder: Path) -> Path:
    """Make a folder into which nobody else on this computer looks, also where it was made otherwise. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32" and folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def make_private_file(path: Path) -> None:
    """Have a file that nobody else on this computer reads, empty unless it is there. Raises OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        path.chmod(0o600)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (new, renamed and removed files)."""
    if sys.platform == "win32":
        return  # NTFS journals names, and a folder cannot be opened to be flushed
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(path: Path) -> None:
    """Make a file, or a folder with all in it, and the names of the folders above it durable.

    What cannot be opened is left to the system.
    """
    folders = [(str(folder), names) for folder, _, names in os.walk(path)] or [(str(path.parent), [path.name])]
    for folder, names in folders:
        for name in names:
            with contextlib.suppress(OSError), Path(folder, name).open("rb+") as file:
                os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            sync_folder(Path(folder))
    for parent in path.parents:
        with contextlib.suppress(OSError):
            sync_folder(parent)


def finished_files(root: Path, shown: str = "", left_out: str = "") -> Iterator[Path]:
    """Every file below `root` that is whole: none hidden, partial, replaced or a lock, and none in such folders.

    A hidden folder named `shown` is entered all the same, and one named `left_out` is not.
    """
    for folder, names, files in os.walk(root):
        names[:] = sorted(
            n for n in names if n == shown or not (n.startswith(".") or n == left_out or n.endswith((".part", ".old")))
        )
        for name in sorted(files):
            if not name.startswith(".") and not name.endswith((".part", ".lock")):
                yield Path(folder, name)


def make_beside(final: Path, mode: int = SHARED, keep_suffix: bool = False) -> Path:
    """Make an empty file beside `final` under a name that nobody has, `NAME.<16 hex>.part`; hidden and with the suffix
    of `final` where a library goes by that. What killed writers left there of the same file goes, once it is old.

    Half of the digits are random, the others a digest of them and the name: so a leftover is told from anybody's file.
    """
    name = os.fsencode(final.stem if keep_suffix else final.name)[:LONGEST_STEM].decode("utf-8", "ignore")
    before, after = (f".{name}.", f".part{final.suffix}") if keep_suffix else (f"{name}.", ".part")
    _remove_leftovers(final.parent, before, after)
    chance = secrets.token_hex(4)
    path = final.with_name(f"{before}{chance}{_digest(name, chance)}{after}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    return path


def _remove_leftovers(folder: Path, before: str, after: str) -> None:
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for one in found:
            digits = one.name[len(before) : -len(after)]
            if f"{before}{digits}{after}" != one.name or len(digits) != 16:
                continue
            ours = digits[8:] == _digest(before.strip("."), digits[:8]) and one.is_file(follow_symlinks=False)
            if ours and time.time() - one.stat(follow_symlinks=False).st_mtime > LEFT_SECONDS:
                Path(one.path).unlink(missing_ok=True)


def _digest(name: str, chance: str) -> str:
    return hashlib.sha256(f"understudy {name.strip('.')} {chance}".encode("utf-8", "replace")).hexdigest()[:8]


@contextmanager
def writing(final: Path, mode: int = PRIVATE, allow: Allow | None = None) -> Iterator[Path]:
    """A new and empty file beside `final`, for whoever fills it by its name; it takes the place of `final` in one step
    when the block ends well, and is on disk then. Otherwise it vanishes. `mode` holds from its creation on; `allow` as
    in `put`."""
    partial = make_beside(final, mode)
    try:
        yield partial
        put(partial, final, allow)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


Allow = Callable[[Path], None]
"""Raises UnderstudyError where what lies under a name must stay."""
Seen = tuple[Any, ...] | None
"""What lies under a name, to know later whether it is that still; None: nothing."""


def put(partial: Path, final: Path, allow: Allow | None = None) -> None:
    """Put a finished file, or a folder, under its name so that a crash leaves the old or the new, never half; on disk
    when this returns.

    With `allow` whatever lies there at that moment is asked about, also what came at the last: it is replaced only as
    it was when `allow` looked at it. A folder takes no place of another: that is moved away before. Raises OSError, and
    what `allow` raises; then all is as it was.
    """
    folder = partial.is_dir()
    if not folder:
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
    if not folder and allow is None:
        partial.replace(final)
    else:
        while not _put_new(partial, final):
            if allow is None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
            seen = look(final)
            allow(final)
            if seen is not None and look(final) == seen:
                partial.replace(final)
                break
    sync_folder(final.parent)


def look(path: Path) -> Seen:
    """What lies under a name, no link followed: a file by its number, size and time, a folder by all that is in it."""
    try:
        status = path.lstat()
        inside = tuple((p.name, look(p)) for p in sorted(path.iterdir())) if stat.S_ISDIR(status.st_mode) else ()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, 0 if inside else status.st_size, 0 if inside else status.st_mtime_ns, inside


def _put_new(partial: Path, final: Path) -> bool:
    """Name a file or folder so only where nothing has that name; whether that was so."""
    if partial.is_dir() or sys.platform == "win32":
        if os.path.lexists(final):
            return False
        partial.rename(final)  # a folder replaces nothing but an empty one, and on Windows nothing replaces anything
        return True
    try:
        os.link(partial, final, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: an empty file keeps the name free
        try:
            os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        try:
            partial.replace(final)
        except OSError:
            final.unlink(missing_ok=True)
            raise
        return True
    partial.unlink()
    return True


def write_bytes(path: Path, data: bytes, mode: int = PRIVATE, allow: Allow | None = None) -> None:
    """Put `data` under `path` in one step; on disk when this returns. `allow` as in `put`."""
    with writing(path, mode, allow) as partial:
        partial.write_bytes(data)


def write_json(path: Path, data: Any, mode: int = PRIVATE, indent: int | None = 1, allow: Allow | None = None) -> None:
    """Put `data` under `path` in one step; on disk when this returns. `mode` holds from the file's creation on.

    Without indent what is long and read by programs only. Raises ValueError for NaN and infinity."""
    write_bytes(path, json.dumps(data, indent=indent, allow_nan=False).encode("ascii"), mode, allow)


def raise_flag(path: Path) -> None:
    """Create an empty file; on disk when this returns."""
    path.touch()
    sync_folder(path.parent)


@contextmanager
def lock(path: Path, patience: float = 0.0) -> Iterator[bool]:
    """Hold `path` for this process alone; yields whether that worked within `patience` seconds.

    The system lets go of the lock when its holder ends, however it ends.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
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
