"""The engine's API over HTTP, as docs/architecture.md lists it. It only translates: `Supervisor` acts."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import UnderstudyError
from ..protocol import FINAL_STATES, SPECS, EngineInfo, Job, JobKind, JobSpec, from_json, to_json
from .device import Device

if TYPE_CHECKING:
    from .supervisor import Supervisor

HOST = re.compile(rb"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.IGNORECASE)
LARGEST_BODY = 1_000_000  # bytes
LONGEST_WAIT = 30.0  # seconds
LOOK = 0.1  # seconds between two looks of a waiting reader
PATHS = {"path", "output", "scan", "model"}  # the specs' fields that name files

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The body of `POST /v1/jobs`."""

    id: str
    kind: JobKind
    spec: dict[str, Any]


def create_app(supervisor: Supervisor, token: str, info: EngineInfo, stop: Callable[[], None]) -> FastAPI:
    """The API. Every call needs `token`; `stop` makes the process that serves it end soon."""
    app = FastAPI(title="Understudy's engine", version=info.protocol, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, token=token)
    store = supervisor.store
    device = Device(store.home / "device.json")

    def find(job_id: str) -> Job:
        job = store.job(job_id)
        if job is None:
            raise HTTPException(404, f"There is no job {job_id[:64]}. It may belong to another engine's home.")
        return job

    @app.get("/v1/engine")
    async def engine() -> Response:
        return answer(to_json(replace(info, device=device.ask())))

    @app.post("/v1/jobs")
    async def submit(request: Request) -> Response:
        try:
            asked = from_json(Submission, _parse(await request.body()))
            spec: JobSpec = from_json(SPECS[asked.kind], asked.spec)
            _check_paths(to_json(spec))
            return answer(to_json(await run_in_threadpool(supervisor.submit, asked.id, asked.kind, spec)))
        except (ValueError, OverflowError) as error:
            raise HTTPException(400, str(error)) from None

    @app.get("/v1/jobs")
    async def jobs() -> Response:
        return answer({"jobs": [to_json(job) for job in store.jobs()]})

    @app.get("/v1/jobs/{job_id}")
    async def job(job_id: str) -> Response:
        return answer(to_json(find(job_id)))

    @app.get("/v1/jobs/{job_id}/events")
    async def events(job_id: str, after: int = 0, wait: float = 0.0) -> Response:
        deadline = time.monotonic() + (min(wait, LONGEST_WAIT) if wait > 0 else 0.0)
        job = find(job_id)
        while (
            job.last_event <= after
            and job.state not in FINAL_STATES
            and time.monotonic() < deadline
            and not supervisor.stopping.is_set()
        ):
            await asyncio.sleep(LOOK)
            job = find(job_id)
        # after the job was looked at: an answer whose job has ended holds its last event too
        found = await run_in_threadpool(store.events, job_id, max(after, 0))
        return answer({"events": [to_json(event) for event in found], "job": to_json(job)})

    @app.post("/v1/jobs/{job_id}/cancel")
    async def cancel(job_id: str) -> Response:
        find(job_id)
        return answer(to_json(await run_in_threadpool(supervisor.cancel, job_id)))

    @app.post("/v1/shutdown")
    async def shutdown() -> Response:
        stop()
        return answer({})

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return failure(error.status_code, error.detail)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return failure(400, "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()) + ".")

    @app.exception_handler(UnderstudyError)
    async def impossible(_: Request, error: UnderstudyError) -> Response:
        return failure(507, str(error))

    @app.exception_handler(OSError)
    @app.exception_handler(sqlite3.Error)
    async def no_disk(_: Request, error: Exception) -> Response:
        logger.error("a request met a disk that fails", exc_info=error)
        return failure(507, f"The engine cannot read or write its files in {store.folder} ({error}). Mend that disk.")

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> Response:
        return failure(500, f"The engine met a fault of its own ({type(error).__name__}); engine.log has the details.")

    return app


def answer(data: dict[str, Any], status: int = 200) -> Response:
    """A JSON response. ASCII, because file names may hold what UTF-8 cannot."""
    return Response(json.dumps(data, allow_nan=False), status, media_type="application/json")


def failure(status: int, sentence: str) -> Response:
    """An error as every call answers it."""
    return answer({"error": sentence}, status)


def _parse(body: bytes) -> Any:
    try:
        data = json.loads(body)
        json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # no JSON, NaN or 1e999, a lone surrogate, nested too deep
        raise ValueError("The request's body is not plain JSON in UTF-8 with finite numbers.") from None
    return data


def _check_paths(spec: Any) -> None:
    """Raise ValueError unless every path of a spec is an absolute one: the worker has a folder of its own."""
    if isinstance(spec, list):
        for part in spec:
            _check_paths(part)
    elif isinstance(spec, dict):
        for name, value in spec.items():
            if name in PATHS and isinstance(value, str) and (not Path(value).is_absolute() or "\0" in value):
                raise ValueError(f"{name} must be an absolute path, not {value[:200]!r}.")
            _check_paths(value)


class Guard:
    """Lets a request through to `app` only from this machine's own programs, with the token, and of bounded size."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._bearer = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope["headers"])
        body = b"" if refusal else await _body(receive)
        if body is None:
            refusal = failure(413, f"The request is larger than {LARGEST_BODY} bytes.")
        if refusal:
            await refusal(scope, receive, send)
            return
        read = False

        async def replay() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> Response | None:
        if any(name == b"origin" for name, _ in headers):
            return failure(403, "The engine answers no web pages. Use the add-on or the command line.")
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            return failure(403, "The engine answers only as 127.0.0.1 or localhost. Use the address in engine.json.")
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1 or not hmac.compare_digest(given[0], self._bearer):
            return failure(401, "The token is missing or wrong. Read the engine's address and token from engine.json.")
        for name, value in headers:
            if name == b"content-length" and int(value) > LARGEST_BODY:  # the HTTP parser has seen that it is a number
                return failure(413, f"The request is larger than {LARGEST_BODY} bytes.")
        return None


async def _body(receive: Receive) -> bytes | None:
    """The whole body, None when it is too large or the client left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not message.get("more_body"):
            return body
