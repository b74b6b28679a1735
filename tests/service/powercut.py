"""What a disk may hold after the power went, at every step of a real queue at work.

The scenario runs the real `Store`, `Supervisor` and `worker` in one process over a real folder. At every
call of os.open, write, fsync, ftruncate, replace, rename, unlink, mkdir and utime below that folder one
picture is taken of what a power cut at that moment may leave:

- a folder's names are those of a random moment between its last fsync and now, each folder by itself;
- a file's contents are, at random, those of its last fsync, those of now, a part of what was appended since,
  or as many zeros as were written; a file that never was fsynced may be empty;
- the database is as SQLite has it then (WAL, synchronous FULL: a commit is on disk when it returns), at
  random with rubbish after the last commit.

Not simulated: sectors torn inside an fsynced file, disks that lie about fsync, and cuts inside SQLite's own
commit, which SQLite's own tests cover.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HOOKS = ("open", "write", "fsync", "ftruncate", "replace", "rename", "unlink", "mkdir", "utime", "close")
Names = dict[str, tuple[int, bool]]  # name → inode, whether it is a folder


class Disk:
    """Watches a folder, and makes folders of what a power cut would leave of it."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.pictures: list[tuple[dict[str, bytes | None], Any]] = []
        self.told: Callable[[], Any] = lambda: None  # what a client knew at the moment of a picture
        self.stride = 1  # every how many calls a picture is taken
        self._calls = 0
        self._random = random.Random(seed)
        self._versions: dict[int, list[Names]] = {}  # of every folder, from its last fsync on
        self._now: dict[int, bytes] = {}
        self._synced: dict[int, bytes] = {}
        self._kept: dict[int, int] = {}  # an open descriptor of every file, so that no inode number comes twice
        self._inside = False
        self._turn = threading.RLock()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        real = {name: getattr(os, name) for name in HOOKS}

        def hooked(name: str) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                with self._turn:  # of the threads that write
                    if self._inside:
                        return real[name](*arguments, **options)
                    inode = os.fstat(arguments[0]).st_ino if name == "fsync" else None
                    answer = real[name](*arguments, **options)
                    self._inside = True
                    try:
                        self._scan(str(self.root))
                        if inode is not None:
                            self._sync(inode)
                        self._calls += 1
                        if self._calls % self.stride == 0:
                            self.pictures.append((self._picture(), self.told()))
                    finally:
                        self._inside = False
                    return answer

            return call

        self._scan(str(self.root))
        for names in self._versions.values():
            del names[:-1]
        self._synced = dict(self._now)
        for name in HOOKS:
            setattr(os, name, hooked(name))
        try:
            yield
        finally:
            for name in HOOKS:
                setattr(os, name, real[name])
            for descriptor in self._kept.values():
                os.close(descriptor)

    def _scan(self, folder: str) -> None:
        names: Names = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                inode = entry.inode()
                names[entry.name] = (inode, entry.is_dir())
                if inode not in self._kept:
                    self._kept[inode] = os.open(entry.path, os.O_RDONLY)
                if entry.is_dir():
                    self._scan(entry.path)
                else:
                    self._now[inode] = Path(entry.path).read_bytes()
        versions = self._versions.setdefault(Path(folder).stat().st_ino, [])
        if not versions or versions[-1] != names:
            versions.append(names)

    def _sync(self, inode: int) -> None:
        if inode in self._versions:
            del self._versions[inode][:-1]
        elif inode in self._now:
            self._synced[inode] = self._now[inode]

    def _picture(self) -> dict[str, bytes | None]:
        """Path → contents (None: a folder) of what may be left."""
        left: dict[str, bytes | None] = {}

        def draw(folder: int, path: str) -> None:
            versions = self._versions[folder]
            certain = versions[0] if self._random.random() < 0.5 else self._random.choice(versions)
            for name, (inode, is_folder) in certain.items():
                here = f"{path}{name}"
                if is_folder:
                    left[here] = None
                    if inode in self._versions:
                        draw(inode, f"{here}/")
                elif name.startswith("jobs.sqlite"):
                    continue
                else:
                    left[here] = self._contents(inode)

        root = self.root.stat().st_ino
        draw(root, "")
        for name, (inode, _) in self._versions[root][-1].items():
            if name in ("jobs.sqlite", "jobs.sqlite-wal"):
                left[name] = self._now[inode]
                if name.endswith("-wal") and self._random.random() < 0.3:
                    left[name] += self._random.randbytes(self._random.randrange(5000))
        return left

    def _contents(self, inode: int) -> bytes:
        now, synced = self._now[inode], self._synced.get(inode, b"")
        if now == synced:
            return now
        choice = self._random.randrange(4)
        if choice == 0:
            return synced
        if choice == 1:
            return now
        if now.startswith(synced):
            more = len(now) - len(synced)
            return synced + (now[len(synced) :][: self._random.randrange(more + 1)] if choice == 2 else bytes(more))
        return b""


def restore(picture: dict[str, bytes | None], root: Path) -> None:
    """Make the folder that a picture shows."""
    root.mkdir(parents=True)
    for name, contents in picture.items():
        if contents is None:
            (root / name).mkdir(exist_ok=True)
        else:
            (root / name).write_bytes(contents)
