"""How many connections the engine keeps and for how long, so that none of them takes what its jobs need.

Any program of this computer may connect, without the token too. So a connection that keeps the engine waiting is closed
after a while, and before that where a new one finds no room: one that asks at once is answered whatever the others do.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from .auth import AUTHENTICATED

if sys.platform != "win32":
    import resource

MAX_CONNECTIONS = 256  # connections; Blender and a command line hold a handful
RESERVED_DESCRIPTORS = 192  # descriptors for the database, files of jobs, workers and their pipes
BACKLOG = 32  # connections that asyncio accepts in one go, before any of them is counted
MAX_QUEUED = (
    4096  # connections that the system keeps until they are accepted; above it, it lets the next ones wait a second
)
WANTED_DESCRIPTORS = 4096  # that the engine asks the system for; it opens some hundreds
HEADER_SECONDS = 10.0  # that a connection may take to ask for something
BODY_SECONDS = 60.0  # for the rest of a request (1 MB at most), or to take an answer: a slow line between two machines

logger = logging.getLogger(__name__)


class Listening(socket.socket):
    """A socket that keeps `MAX_QUEUED` connections waiting, however few asyncio accepts in one go."""

    def listen(self, backlog: int = MAX_QUEUED, /) -> None:
        """Listen."""
        super().listen(max(backlog, MAX_QUEUED))


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it is allowed, up to `WANTED_DESCRIPTORS`; returns how many that is."""
    if sys.platform == "win32":
        return WANTED_DESCRIPTORS  # sockets are no descriptors there, and there is no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS caps it below the hard limit
        return soft
    return wanted


def most_connections(descriptors: int) -> int:
    """How many connections leave the jobs what they need, of a process that may open so many descriptors."""
    # two bursts: one that was accepted and is not counted, one that was closed and is not gone
    return max(min(MAX_CONNECTIONS, descriptors - RESERVED_DESCRIPTORS - 2 * BACKLOG), 8)


class Connections:
    """The connections that are open. `limit` is how many there may be; strangers' are closed before the user's."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[Connection, None] = {}

    def admit(self, new: Connection) -> bool:
        """Count `new` in, at the cost of the one that keeps us waiting longest; False where all are at work."""
        if len(self._open) >= self._limit:
            idle = [one for one in self._open if one.waits]
            if not idle:
                logger.warning("a connection was refused: %d are at work", self._limit)
                return False
            logger.warning("connections that asked for nothing are closed: there are more than %d", self._limit)
            min(idle, key=lambda one: (one.known, one.since)).drop()
        self._open[new] = None
        return True

    def forget(self, gone: Connection) -> None:
        """Count a closed connection out."""
        self._open.pop(gone, None)

    def protocol(self, **given: Any) -> Connection:
        """A new connection, as uvicorn asks for one."""
        return Connection(self, **given)


class Connection(H11Protocol):
    """A connection that waits for nobody for ever.

    `waits`: there is nothing to do for the other side (no request is under way, or the other side does not take the
    answer); `since`: from when on, in seconds of the event loop's clock.
    """

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None
        self._blocked = False
        self.since = self.loop.time()

    @property
    def waits(self) -> bool:
        """Whether this connection may be closed for another."""
        return self._blocked or self.cycle is None or self.cycle.response_complete

    @property
    def known(self) -> bool:
        """Whether its last request came from the user's programs; see `auth.Guard`."""
        return bool(self.scope) and AUTHENTICATED in self.scope["state"]

    def drop(self) -> None:
        """Close it without a word; it no longer counts."""
        self._connections.forget(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio."""
        super().connection_made(transport)
        if self._connections.admit(self):
            self._look_again(HEADER_SECONDS)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio."""
        self._connections.forget(self)
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """asyncio."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:  # what is asked for is known; the rest may take longer
            self.since = self.loop.time()

    def on_response_complete(self) -> None:
        """uvicorn."""
        self.since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """asyncio."""
        self._blocked, self.since = True, self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """asyncio."""
        self._blocked, self.since = False, self.loop.time()
        super().resume_writing()

    def _look_again(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        under_way = self.cycle is not None and not self.cycle.response_complete
        slow = self._blocked or (under_way and self.cycle.more_body)
        if under_way and not slow:
            self._look_again(HEADER_SECONDS)
            return
        left = self.since + (BODY_SECONDS if slow else HEADER_SECONDS) - self.loop.time()
        if left > 0:
            self._look_again(max(left, 0.01))
        else:
            logger.info("a connection was closed: its request did not come to an end")
            self.drop()
