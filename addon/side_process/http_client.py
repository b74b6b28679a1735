"""HTTP to the engine with the standard library. Only the process beside Blender calls this: it may block.

Every call raises `EngineGone` when nobody answers, `Refused` when the engine answers with an error.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...engine import protocol

TIMEOUT_SECONDS = 3.0
PREVIEW_SECONDS = 120.0
REMOTE_SECONDS = 30.0
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class EngineGone(Exception):
    """Nobody answers at the engine's address."""


class EngineSlow(EngineGone):
    """Somebody listens there but did not answer in time: a busy machine, no reason to start another engine."""


class Refused(Exception):
    """The engine said no; the message is its sentence, `status` its HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Address:
    """Where an engine listens and the token it wants."""

    url: str
    token: str


def read_address() -> Address | None:
    """The address that a running (or crashed) engine left in its file, or None.

    Addresses off this computer are refused: the file is ours, but it is read as input.
    """
    try:
        data = json.loads(protocol.address_file().read_text(encoding="utf-8"))
        address = Address(str(data["url"]).rstrip("/"), str(data["token"]))
        parts = urllib.parse.urlsplit(address.url)
        if parts.scheme != "http" or parts.hostname not in LOOPBACK or not parts.port:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return address


def call(
    address: Address, method: str, path: str, body: dict[str, Any] | None = None, timeout: float = TIMEOUT_SECONDS
) -> dict[str, Any]:
    """One request, one JSON object back."""
    parts = urllib.parse.urlsplit(address.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    headers = {"Authorization": f"Bearer {address.token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        status, text = response.status, response.read()
    except TimeoutError:
        raise EngineSlow("The engine does not answer in time. Try again when the computer is less busy.") from None
    except (OSError, http.client.HTTPException) as error:
        raise EngineGone(f"The engine does not answer ({error}).") from None
    finally:
        connection.close()
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = None
    if status >= 400:
        sentence = answer.get("error") if isinstance(answer, dict) else None
        raise Refused(status, sentence or f"The engine answered with error {status}. Look into its log.")
    if not isinstance(answer, dict):
        raise EngineGone("Something else than the engine answers at its address.")
    return answer


def engine_info(address: Address) -> protocol.EngineInfo:
    """Who listens there. Raises Refused when it speaks another major version of the protocol."""
    info = _read(protocol.EngineInfo, call(address, "GET", "/v1/engine"))
    if info.protocol.split(".")[0] != protocol.PROTOCOL.split(".")[0]:
        raise Refused(
            426,
            f"The engine speaks protocol {info.protocol}, this add-on {protocol.PROTOCOL}. "
            "Update whichever is older, then stop and start the engine.",
        )
    return info


def submit(address: Address, job_id: str, kind: str, spec: dict[str, Any], after: Sequence[str] = ()) -> protocol.Job:
    """Queue a job, behind all of `after`; the same id again is the same job."""
    body = {"id": job_id, "kind": kind, "spec": spec, "after": list(after)}
    return _read(protocol.Job, call(address, "POST", "/v1/jobs", body))


def cancel(address: Address, job_id: str) -> protocol.Job:
    """Ask a job to stop at its next safe point."""
    return _read(protocol.Job, call(address, "POST", f"/v1/jobs/{urllib.parse.quote(job_id)}/cancel"))


def pause(address: Address, job_id: str) -> protocol.Job:
    """Put a job aside at its next safe point: checkpointed, its memory freed, out of the queue."""
    return _read(protocol.Job, call(address, "POST", f"/v1/jobs/{urllib.parse.quote(job_id)}/pause"))


def resume(address: Address, job_id: str) -> protocol.Job:
    """Put a paused job back into the queue."""
    return _read(protocol.Job, call(address, "POST", f"/v1/jobs/{urllib.parse.quote(job_id)}/resume"))


def set_priority(address: Address, job_id: str, priority: int) -> protocol.Job:
    """Jobs of higher priority run first."""
    path = f"/v1/jobs/{urllib.parse.quote(job_id)}/priority"
    return _read(protocol.Job, call(address, "POST", path, {"priority": priority}))


def preview(address: Address, spec: protocol.PreviewSpec) -> protocol.PreviewResult:
    """One frame as it would be recast now. The first one of a model waits until it is loaded."""
    answer = call(address, "POST", "/v1/preview", protocol.to_json(spec), timeout=PREVIEW_SECONDS)
    return _read(protocol.PreviewResult, answer)


def events(address: Address, job_id: str, after: int) -> tuple[protocol.Job, list[protocol.Event]]:
    """The job as it is now, and what happened in it after event `after`."""
    answer = call(address, "GET", f"/v1/jobs/{urllib.parse.quote(job_id)}/events?after={after}&wait=0")
    happened = answer.get("events")
    if not isinstance(happened, list):
        raise EngineGone("Something else than the engine answers at its address.")
    return _read(protocol.Job, answer.get("job")), [_read(protocol.Event, event) for event in happened]


def use_remote(address: Address, url: str, token: str) -> protocol.EngineInfo:
    """Have another machine's engine do the work, reached at `url`; empty: this computer's own."""
    body = {"url": url, "token": token}
    return _read(protocol.EngineInfo, call(address, "POST", "/v1/remote", body, timeout=REMOTE_SECONDS))


def shutdown(address: Address) -> None:
    """Stop the engine; running jobs go on at its next start."""
    call(address, "POST", "/v1/shutdown")


def _read(cls: type, data: Any) -> Any:
    try:
        return protocol.from_json(cls, data)
    except ValueError as error:
        raise EngineGone(f"The engine's answer cannot be read: {error}") from None
