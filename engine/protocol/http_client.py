"""HTTP to an engine with the standard library. A call waits for its answer: nothing here is for Blender's own process.

Calls raise `EngineGone` when nobody answers, `Refused` when the engine answers with an error.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from . import PROTOCOL
from .conversion import PreviewResult, PreviewSpec
from .engine_info import EngineInfo
from .footage import FootageReport
from .jobs import Event, Job
from .json_io import from_json, parse_json, to_json
from .paths import address_file
from .scans import Clip

TIMEOUT_SECONDS = 3.0
PREVIEW_SECONDS = 120.0
"""A preview's first frame waits until the model is loaded."""
REMOTE_SECONDS = 30.0
FOOTAGE_SECONDS = 90.0
"""Looking at footage may wait for another's, and takes a minute at most."""
LARGEST_ANSWER = 64 << 20
"""Bytes above which an answer is none that an engine gives."""
SLOWEST = 1000
"""Bytes a second at which an answer comes at least, once it has begun."""
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

T = TypeVar("T")


class EngineGone(Exception):
    """Nobody answers at the engine's address."""


class EngineSlow(EngineGone):
    """Somebody listens there but did not answer in time: a busy machine, no reason to start another engine."""


class Refused(Exception):
    """The engine said no; the message is its sentence, `status` its HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class TooLong(http.client.HTTPException):
    """An answer has more bytes than any of its kind."""

    def __init__(self) -> None:
        super().__init__("its answer has no end")


@dataclass(frozen=True)
class Address:
    """Where an engine listens and the token it wants."""

    url: str
    token: str


def address_of(url: str, token: str) -> Address:
    """An engine's address. Raises ValueError unless it is plain HTTP to a port of this computer: nothing goes over the
    network in the clear."""
    url, token = url.strip().rstrip("/"), token.strip()
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in LOOPBACK or not parts.port or parts.path or not token:
        raise ValueError("no loopback address with a token")
    return Address(url, token)


def own_address() -> Address:
    """The address that a running (or crashed) engine of this computer left in its file, read as anybody's input.

    Raises OSError, ValueError, KeyError or TypeError when there is none in it.
    """
    told = parse_json(address_file().read_text(encoding="utf-8"))
    return address_of(str(told["url"]), str(told["token"]))


def read_address() -> Address | None:
    """`own_address`, or None."""
    try:
        return own_address()
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Connection:
    """A connection to an engine that opens with a request and stays open for the next one."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._wire: http.client.HTTPConnection | None = None

    @property
    def opened(self) -> bool:
        """Whether it is open from an earlier request; the engine lets go of one that rests."""
        return self._wire is not None

    def send(
        self, method: str, path: str, data: bytes | None, timeout: float, largest: int = LARGEST_ANSWER
    ) -> tuple[int, bytes]:
        """One request; the status and body of its answer, which begins within `timeout` seconds, comes at SLOWEST or
        faster and has `largest` bytes or fewer. Raises OSError or HTTPException (TooLong), and is closed then."""
        try:
            if self._wire is None:
                parts = urllib.parse.urlsplit(self.address.url)
                self._wire = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
                self._wire.connect()
            assert self._wire.sock
            self._wire.sock.settimeout(timeout)
            kind = "application/octet-stream" if method == "PUT" else "application/json"
            headers = {"Authorization": f"Bearer {self.address.token}", "Content-Type": kind}
            self._wire.response_class = partial(_Response, patience=timeout)  # type: ignore[assignment]
            self._wire.request(method, path, data, headers)
            response = self._wire.getresponse()
            if (response.length or 0) > largest:
                raise TooLong
            status, text = response.status, response.read(largest + 1)
            if len(text) > largest:
                raise TooLong
            if response.length:
                raise http.client.IncompleteRead(text, response.length)
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.will_close:
            self.close()
        return status, text

    def close(self) -> None:
        """Let go of it."""
        if self._wire:
            self._wire.close()
        self._wire = None


class _Response(http.client.HTTPResponse):
    """An answer that comes within a time, head and body, however slowly it is sent."""

    def __init__(self, sock: socket.socket, *more: Any, patience: float, **named: Any) -> None:
        super().__init__(sock, *more, **named)
        self.fp = io.BufferedReader(_Timed(sock, self.fp.detach(), patience))


class _Timed(io.RawIOBase):
    """Reads what a socket brings until `patience` seconds, and as many more as its bytes take at SLOWEST, are over."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, patience: float) -> None:
        self._sock, self._raw, self._patience = sock, raw, patience
        self._deadline = time.monotonic() + patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("its answer comes too slowly")
        self._sock.settimeout(min(left, self._patience))
        count: int | None = self._raw.readinto(buffer)
        self._deadline += (count or 0) / SLOWEST
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def call(
    address: Address, method: str, path: str, body: dict[str, Any] | None = None, timeout: float = TIMEOUT_SECONDS
) -> dict[str, Any]:
    """One request on a connection of its own, one JSON object back."""
    connection = Connection(address)
    try:
        status, text = connection.send(method, path, None if body is None else json.dumps(body).encode(), timeout)
    except TimeoutError:
        raise EngineSlow("The engine does not answer in time. Try again when the computer is less busy.") from None
    except (OSError, http.client.HTTPException) as error:
        raise EngineGone(f"The engine does not answer ({error}).") from None
    finally:
        connection.close()
    try:
        answer = parse_json(text) if text else {}
    except ValueError:
        answer = None
    if status >= 400:
        sentence = answer.get("error") if isinstance(answer, dict) else None
        raise Refused(status, sentence or f"The engine answered with error {status}. Look into its log.")
    if not isinstance(answer, dict):
        raise EngineGone("Something else than the engine answers at its address.")
    return answer


def engine_info(address: Address) -> EngineInfo:
    """Who listens there. Raises Refused when it speaks another major version of the protocol."""
    info = _read(EngineInfo, call(address, "GET", "/v1/engine"))
    if info.protocol.split(".")[0] != PROTOCOL.split(".")[0]:
        raise Refused(
            426,
            f"The engine speaks protocol {info.protocol}, this add-on {PROTOCOL}. "
            "Update whichever is older, then stop and start the engine.",
        )
    return info


def submit(address: Address, job_id: str, kind: str, spec: dict[str, Any], after: Sequence[str] = ()) -> Job:
    """Queue a job, behind all of `after`; the same id again is the same job."""
    body = {"id": job_id, "kind": kind, "spec": spec, "after": list(after)}
    return _read(Job, call(address, "POST", "/v1/jobs", body))


def change(address: Address, job_id: str, verb: str, body: dict[str, Any] | None = None) -> Job:
    """Have a job do as the verb of the API says: cancel, pause, resume, retry or priority."""
    return _read(Job, call(address, "POST", f"/v1/jobs/{urllib.parse.quote(job_id)}/{verb}", body))


def preview(address: Address, spec: PreviewSpec) -> PreviewResult:
    """One frame as it would be recast now. The first one of a model waits until it is loaded."""
    answer = call(address, "POST", "/v1/preview", to_json(spec), timeout=PREVIEW_SECONDS)
    return _read(PreviewResult, answer)


def footage(address: Address, clip: Clip) -> FootageReport:
    """What is to be known of a clip's footage before it is recast."""
    return _read(FootageReport, call(address, "POST", "/v1/footage", to_json(clip), timeout=FOOTAGE_SECONDS))


def events(address: Address, job_id: str, after: int) -> tuple[Job, list[Event]]:
    """The job as it is now, and what happened in it after event `after`."""
    answer = call(address, "GET", f"/v1/jobs/{urllib.parse.quote(job_id)}/events?after={after}&wait=0")
    happened = answer.get("events")
    if not isinstance(happened, list):
        raise EngineGone("Something else than the engine answers at its address.")
    return _read(Job, answer.get("job")), [_read(Event, event) for event in happened]


def use_remote(address: Address, url: str, token: str) -> EngineInfo:
    """Have another machine's engine do the work, reached at `url`; empty: this computer's own."""
    body = {"url": url, "token": token}
    return _read(EngineInfo, call(address, "POST", "/v1/remote", body, timeout=REMOTE_SECONDS))


def shutdown(address: Address) -> None:
    """Stop the engine; running jobs go on at its next start."""
    call(address, "POST", "/v1/shutdown")


def _read(cls: type[T], data: Any) -> T:
    try:
        return from_json(cls, data)
    except ValueError as error:
        raise EngineGone(f"The engine's answer cannot be read: {error}") from None
