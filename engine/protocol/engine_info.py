"""Which engine answers, and which one works for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class RemoteInfo:
    """The engine of another machine that scans, trains and converts for this one.

    `url` is the local end of the way there, `host` and `device` are that machine's. ready: it answered when last
    asked; away: nobody answers, and jobs wait; refused: it will not have us, `error` says why.
    """

    url: str
    state: Literal["ready", "away", "refused"]
    host: str = ""
    device: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """`GET /v1/engine`, and (with the token) the file a client finds the engine by. `remote` None: it works itself."""

    protocol: str
    version: str
    pid: int
    device: str
    url: str
    host: str = ""
    remote: RemoteInfo | None = None
