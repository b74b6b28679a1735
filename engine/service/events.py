"""A job's events on disk: one JSON object a line, appended only, numbered by one from 1.

One process writes at a time (it holds the run directory's lock); any number read. A crash can
tear the last lines: the next writer cuts them off, and no reader was ever told of them, because
a reader makes the file durable before it hands out what it read.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from ..protocol import Event, EventKind, Job, JobState

MIN_ADVANCE = 0.001  # a job got further when its fraction rose by more than this over the best before


def valid_events(path: Path, offset: int = 0, seq: int = 0, end: int | None = None) -> Iterator[tuple[Event, int]]:
    """Events that follow number `seq`, whose line ends at byte `offset`, each with the byte its own line ends at.

    Ends before byte `end`, or at the first line that is torn, damaged or out of order.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            offset += len(line)
            seq += 1
            event = _parse(line) if end is None or offset <= end else None
            if event is None or event.seq != seq:
                return
            yield event, offset


def _parse(line: bytes) -> Event | None:
    if not line.endswith(b"\n"):
        return None
    try:
        raw = json.loads(line)  # by hand: `from_json` is too slow for the hundred thousand events of a night
        event = Event(seq=raw["seq"], time=raw["time"], kind=raw["kind"], data=raw["data"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return event if isinstance(event.data, dict) else None


def apply_event(job: Job, event: Event) -> Job:
    """The job after one more event."""
    data = event.data
    if event.kind == "progress":
        job = replace(job, progress=data["fraction"], message=data["message"], seconds_left=data["seconds_left"])
    elif event.kind == "state":
        state: JobState = data["state"]
        job = replace(job, state=state, error=data.get("error"), seconds_left=None)
        if state == "done":
            job = replace(job, progress=1.0)
        if "retry" in data:
            job = replace(job, progress=0.0, result={})
        if state != "running":
            job = replace(job, message="")
    return replace(job, last_event=event.seq)


@dataclass(frozen=True)
class History:
    """What a log says of the job's life so far.

    `deaths` counts the workers that died since the job last got further than ever before
    (`best`, a fraction), or was begun anew.
    """

    state: JobState = "queued"
    attempts: int = 0
    best: float = 0.0
    deaths: int = 0

    def after(self, event: Event) -> History:
        """The history with one more event."""
        if event.kind == "progress" and event.data["fraction"] > self.best + MIN_ADVANCE:
            return replace(self, best=event.data["fraction"], deaths=0)
        if event.kind != "state":
            return self
        state: JobState = event.data["state"]
        return replace(
            self,
            state=state,
            attempts=self.attempts + (state == "running"),
            deaths=0 if "retry" in event.data else self.deaths + ("death" in event.data),
        )


class EventLog:
    """The writing end; the caller holds the run directory's lock. Opening it cuts off a torn end."""

    def __init__(self, path: Path) -> None:
        self.history = History()
        self._seq = 0
        self._size = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for event, end in valid_events(path):
            self._seq, self._size = event.seq, end
            self.history = self.history.after(event)
        os.ftruncate(self._fd, self._size)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._fd)

    def append(self, kind: EventKind, data: dict[str, Any], durable: bool = False) -> Event:
        """Write one event, whole or not at all; with `durable`, on disk when this returns. Raises OSError."""
        event = Event(seq=self._seq + 1, time=time.time(), kind=kind, data=data)
        line = json.dumps(vars(event), allow_nan=False, separators=(",", ":")).encode() + b"\n"
        try:
            if os.write(self._fd, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._seq, self._size = event.seq, self._size + len(line)
        self.history = self.history.after(event)
        return event


class EventReader:
    """The reading end; may be used by several threads while another process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends = array("Q", [0])  # where the line of event n ends
        self._lock = threading.Lock()

    def refresh(self) -> Iterator[Event]:
        """What was appended since the last refresh, made durable first. Raises OSError."""
        with self._lock:
            fd = os.open(self._path, os.O_RDWR)
            try:
                size = os.fstat(fd).st_size
                if size <= self._ends[-1]:
                    return
                os.fsync(fd)
            finally:
                os.close(fd)
            for event, end in valid_events(self._path, self._ends[-1], len(self._ends) - 1, size):
                self._ends.append(end)
                yield event

    def read(self, after: int, limit: int) -> list[Event]:
        """Up to `limit` of the refreshed events numbered above `after`. Raises OSError."""
        with self._lock:
            known = len(self._ends) - 1
            if after >= known:
                return []
            start, end = self._ends[after], self._ends[min(known, after + limit)]
        return [event for event, _ in valid_events(self._path, start, after, end)]
