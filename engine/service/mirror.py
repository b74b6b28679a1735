"""What clients on other machines have sent here: files by content, and mirrors of their project folders.

`media/<sha256>` of the engine's home is a whole file, `media/<sha256>.part` one that still comes: pieces are
appended, and the name is given when the contents are what the name says. `mirrors/<key>.understudy/` is a project
folder as jobs here see it; the client puts into it what a job reads, and fetches what a job made. A mirror is a
copy: to remove it loses nothing. Standard library only. Any thread may call.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..durable import finished_files, hash_file, make_folders, sync_folder
from ..errors import UnderstudyError
from ..reading import open_regular, read_text

KEY = re.compile(r"[0-9a-f]{32}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_FILE_BYTES = 1 << 42  # bytes of one file
MIN_FREE_BYTES = 500_000_000  # bytes that stay free on the disk
PIECE_BYTES = 1_000_000  # bytes of a file in one answer
ABANDONED_SECONDS = 7 * 86400.0  # seconds after which nobody is expected to send the rest of a file
ID = ".mirror"


class InvalidPlace(ValueError):
    """A name, place or size that no client of ours would send."""


class Mismatch(Exception):
    """A file is not as the client believes; `bytes` of it are here."""

    def __init__(self, sentence: str, bytes_: int = 0) -> None:
        super().__init__(sentence)
        self.bytes = bytes_


@dataclass(frozen=True, kw_only=True)
class MirrorFile:
    """A file that a client wants in a mirror. `fresh`: in place of what is there; else only where nothing is.

    `shared`: footage, of which one copy serves all mirrors, and which no job writes.
    """

    path: str
    sha256: str
    fresh: bool = False
    shared: bool = False


class Mirrors:
    """The mirrors of one home folder, and the files that they are made of."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._media = home / "media"
        self._mirrors = home / "mirrors"
        self._lock = threading.RLock()
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}  # path → what it was, and its digest then

    def root(self, key: str) -> Path:
        """The project folder of a mirror, there or not. Raises InvalidPlace."""
        if not KEY.fullmatch(key):
            raise InvalidPlace("A mirror's key is 32 hexadecimal digits.")
        return self._mirrors / f"{key}.understudy"

    # -- files by their contents

    def have(self, digest: str) -> tuple[int, bool]:
        """How many bytes of a file are here, and whether that is all of it."""
        whole, partial = self._names(digest)
        if whole.is_file():
            return whole.stat().st_size, True
        return (partial.stat().st_size, False) if partial.is_file() else (0, False)

    def append(self, digest: str, offset: int, size: int, piece: bytes) -> tuple[int, bool]:
        """Take the bytes of a file from `offset` on; `size` is the whole file's. Answers like `have`.

        Raises Mismatch when another part of it is due (also after damage, when it begins anew), UnderstudyError
        when the disk does not take it.
        """
        if not 0 <= size <= MAX_FILE_BYTES or offset < 0 or offset + len(piece) > size:
            raise InvalidPlace(f"A file has 0 to {MAX_FILE_BYTES} bytes, and a piece lies inside of it.")
        whole, partial = self._names(digest)
        with self._lock:
            here, done = self.have(digest)
            if done:
                return here, True
            if here != offset:
                raise Mismatch(f"{here} bytes of this file are here.", here)
            try:
                make_folders(self._media)
                if shutil.disk_usage(self._media).free < size - offset + MIN_FREE_BYTES:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                with partial.open("ab") as file:
                    file.write(piece)
            except OSError as error:
                raise UnderstudyError(
                    f"The engine's disk does not take the footage ({error.strerror}): {(size - offset) / 1e6:.0f} MB "
                    f"more are needed in {self._media}. Make room there, then start the job again."
                ) from None
            if offset + len(piece) < size:
                return offset + len(piece), False
            if hash_file(partial) != digest:
                partial.unlink()
                raise Mismatch("The file arrived damaged, and is to be sent again.", 0)
            with open_regular(partial) as file:
                os.fsync(file.fileno())
            partial.replace(whole)
            sync_folder(self._media)
            return size, True

    # -- mirrors

    def place(self, key: str, sent: Iterable[MirrorFile], gone: Iterable[str]) -> tuple[str, list[str]]:
        """Put files into a mirror, and take others away; answers the mirror's own id, and the digests it lacks.

        Where any is lacking nothing is done: the client sends those and asks again. Raises InvalidPlace for a path
        that leads out of the mirror.
        """
        root = self.root(key)
        with self._lock:
            mark = root / ID
            if not mark.is_file():
                make_folders(root)
                mark.write_text(secrets.token_hex(16), encoding="ascii")
            identity = read_text(mark, "ascii")
            wanted = [(self._inside(root, one.path), one) for one in sent]
            wanted = [(place, one) for place, one in wanted if one.fresh or not place.is_file()]
            wanted = [(place, one) for place, one in wanted if not self._is(place, one.sha256)]
            lacking = list(dict.fromkeys(one.sha256 for _, one in wanted if not self.have(one.sha256)[1]))
            removed = [self._inside(root, path) for path in gone]
            if lacking:
                return identity, lacking
            for place, one in wanted:
                make_folders(place.parent)
                _copy(self._names(one.sha256)[0], place, one.shared)
            for place in removed:
                place.unlink(missing_ok=True)
            for _, one in wanted:
                whole = self._names(one.sha256)[0]
                if not one.shared and whole.is_file() and whole.stat().st_nlink == 1:
                    whole.unlink()
            return identity, []

    def listing(self, key: str, under: str) -> list[dict[str, object]]:
        """The files of a mirror whose paths begin with `under`, but for unfinished and hidden ones."""
        root = self.root(key)
        found: list[dict[str, object]] = []
        for path in finished_files(root, shown=".outside"):  # what lies beside the project on the client's machine
            name = path.relative_to(root).as_posix()
            if name.startswith(under):
                try:
                    found.append({"path": name, "bytes": path.stat().st_size, "sha256": self._digest(path)})
                except FileNotFoundError:
                    continue  # a job has just replaced it
        return found

    def read(self, key: str, path: str, digest: str, offset: int) -> bytes:
        """The next piece of a file of a mirror. Raises Mismatch when the file has changed since it was listed."""
        place = self._inside(self.root(key), path)
        try:
            with open_regular(place) as file:
                stamp = _stamp(os.fstat(file.fileno()))
                file.seek(max(offset, 0))
                piece = file.read(PIECE_BYTES)
            if self._known.get(str(place)) == (stamp, digest) or self._digest(place) == digest:
                return piece
        except OSError:
            pass
        raise Mismatch(f"{path[:300]} is another file by now.")

    def remove(self, key: str) -> None:
        """Remove a mirror, the footage that no other one shows, and all previews, which may show its people."""
        root = self.root(key)
        with self._lock:
            shown = {path.stat().st_ino for path in root.rglob("*") if path.is_file()}
            shutil.rmtree(root, ignore_errors=True)
            for picture in (self._home / "previews").glob("*.png"):
                picture.unlink(missing_ok=True)
            for path in self._media.iterdir() if self._media.is_dir() else ():
                if path.stat().st_ino in shown and path.stat().st_nlink == 1:
                    path.unlink()

    def prune(self) -> None:
        """Remove what was sent long ago and is in no mirror: transfers that nobody took up again."""
        with self._lock:
            for path in self._media.iterdir() if self._media.is_dir() else ():
                if path.stat().st_nlink == 1 and time.time() - path.stat().st_ctime > ABANDONED_SECONDS:
                    path.unlink()

    def _names(self, digest: str) -> tuple[Path, Path]:
        if not SHA256.fullmatch(digest):
            raise InvalidPlace("A file is named by its SHA-256, 64 hexadecimal digits.")
        return self._media / digest, self._media / f"{digest}.part"

    def _inside(self, root: Path, path: str) -> Path:
        parts = PurePosixPath(path).parts
        bad = not parts or len(path) > 2048 or path.startswith("/") or any(c in path for c in "\0\\:")
        if bad or any(part in ("..", ".", ID) for part in parts):
            raise InvalidPlace(f"{path[:200]!r} is no place inside a mirror.")
        place = root.joinpath(*parts)
        if any(p.is_symlink() for p in (place, *place.parents) if root in p.parents):
            raise InvalidPlace(f"{path[:200]!r} leads out of the mirror.")
        return place

    def _is(self, place: Path, digest: str) -> bool:
        return place.is_file() and self._digest(place) == digest

    def _digest(self, path: Path) -> str:
        stamp = _stamp(path.stat())
        known = self._known.get(str(path))
        if known is None or known[0] != stamp:
            known = self._known[str(path)] = (stamp, hash_file(path))
        return known[1]


def _copy(source: Path, place: Path, shared: bool) -> None:
    """The file under another name, too: the same bytes on the disk where both only read, else a copy."""
    partial = place.with_name(f".{place.name}.part")
    partial.unlink(missing_ok=True)
    try:
        if not shared:
            raise OSError
        os.link(source, partial)
    except OSError:  # also a file system that knows no second names
        shutil.copyfile(source, partial)
    with open_regular(partial) as file:
        os.fsync(file.fileno())
    partial.replace(place)
    sync_folder(place.parent)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino
