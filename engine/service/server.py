"""The engine's API over HTTP, as docs/dev/file-formats.md lists it. It only translates: `Supervisor` acts."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..errors import UnderstudyError
from ..protocol import FINAL_STATES, SPECS, EngineInfo, Job, JobSpec, PreviewSpec, from_json, to_json
from ..remote.link import Unreachable, checked_address, choose_remote
from ..remote.remote_status import RemoteWatch
from .auth import Guard, Visitors, answer, failure
from .device_probe import Device
from .disk import usage
from .document import MAX_PRIORITY, Address, Priority, Prune, Submission, document
from .mirror import Mirrors
from .mirror_transfer import offer_exchange
from .page import Page
from .paths import Forbidden, Occupied, check_form, check_output
from .preview_process import NoPreview, PreviewRenderer, Superseded
from .schedule import HEAVY_KINDS
from .store import JobConflict

if TYPE_CHECKING:
    from .supervisor import Supervisor

MAX_WAIT_SECONDS = 30.0  # seconds
POLL_SECONDS = 0.1  # seconds between two looks of a waiting reader
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
T = TypeVar("T")
logger = logging.getLogger(__name__)


def create_app(
    supervisor: Supervisor,
    warm: PreviewRenderer,
    device: Device,
    token: str,
    info: EngineInfo,
    stop: Callable[[], None],
    seen: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The API. Every call needs `token`; `stop` makes the process that serves it end soon; `seen` hears of calls."""
    app = FastAPI(title="Understudy's engine", version=info.protocol, docs_url=None, redoc_url=None)
    visitors = Visitors()
    app.add_middleware(Guard, token=token, visitors=visitors, seen=seen)
    store = supervisor.store
    pages = Page(store)
    watch = RemoteWatch()
    mirrors = Mirrors(store.home)

    def find(job_id: str) -> Job:
        job = store.job(job_id)
        if job is None:
            raise HTTPException(404, f"There is no job {job_id[:64]}. It may belong to another engine's home.")
        return job

    @app.get("/v1/engine")
    async def engine() -> Response:
        return answer(to_json(replace(info, device=device.ask(), remote=watch.ask())))

    @app.post("/v1/remote")
    async def remote(request: Request) -> Response:
        asked = await read(request, Address)
        busy = [job.id for job in store.jobs() if job.kind in HEAVY_KINDS and job.state in ("running", "paused")]
        if busy:
            raise HTTPException(409, f"Jobs are under way ({', '.join(busy)}). Let them end, or cancel them, first.")
        try:
            if asked.url:
                await run_in_threadpool(choose_remote, checked_address(asked.url, asked.token))
            else:
                choose_remote(None)
        except (Unreachable, ValueError, UnderstudyError) as error:
            raise HTTPException(409, str(error)) from None
        return answer(to_json(replace(info, device=device.ask(), remote=watch.ask())))

    @app.post("/v1/jobs")
    async def submit(request: Request) -> Response:
        asked = await read(request, Submission)
        if not -MAX_PRIORITY <= asked.priority <= MAX_PRIORITY:
            raise HTTPException(400, f"priority must be from {-MAX_PRIORITY} to {MAX_PRIORITY}.")
        try:
            spec: JobSpec = from_json(SPECS[asked.kind], asked.spec)
            plain = to_json(spec)
            check_form(plain)
            ours = {str(job.spec.get("output")) for job in store.jobs()}
            try:
                await run_in_threadpool(check_output, plain, store.home, ours)
            except Occupied:
                if store.job(asked.id) is None:  # what was accepted already may have made its output by now
                    raise
            job = await run_in_threadpool(supervisor.submit, asked.id, asked.kind, spec, asked.priority, asked.after)
        except (Occupied, JobConflict) as error:
            raise HTTPException(409, str(error)) from None
        except Forbidden as error:
            raise HTTPException(403, str(error)) from None
        except (ValueError, OverflowError) as error:
            raise HTTPException(400, str(error)) from None
        return answer(to_json(job))

    @app.get("/v1/jobs")
    async def jobs() -> Response:
        return answer({"jobs": [to_json(job) for job in store.jobs()]})

    @app.get("/v1/jobs/{job_id}")
    async def job(job_id: str) -> Response:
        return answer(to_json(find(job_id)))

    @app.get("/v1/jobs/{job_id}/events")
    async def events(job_id: str, after: int = 0, wait: float = 0.0) -> Response:
        deadline = time.monotonic() + (min(wait, MAX_WAIT_SECONDS) if wait > 0 else 0.0)
        job = find(job_id)
        while (
            job.last_event <= after
            and job.state not in FINAL_STATES
            and time.monotonic() < deadline
            and not supervisor.stopping.is_set()
        ):
            await asyncio.sleep(POLL_SECONDS)
            job = find(job_id)
        # after the job was looked at: an answer whose job has ended holds its last event too
        found = await run_in_threadpool(store.events, job_id, max(after, 0))
        return answer({"events": [to_json(event) for event in found], "job": to_json(job)})

    @app.post("/v1/jobs/{job_id}/priority")
    async def priority(job_id: str, request: Request) -> Response:
        find(job_id)
        asked = await read(request, Priority)
        if not -MAX_PRIORITY <= asked.priority <= MAX_PRIORITY:
            raise HTTPException(400, f"priority must be from {-MAX_PRIORITY} to {MAX_PRIORITY}.")
        return answer(to_json(await run_in_threadpool(supervisor.set_priority, job_id, asked.priority)))

    def offer(name: str, act: Callable[[str], Job]) -> None:
        @app.post(f"/v1/jobs/{{job_id}}/{name}", name=name)
        async def call(job_id: str) -> Response:
            find(job_id)
            return answer(to_json(await run_in_threadpool(act, job_id)))

    offer("cancel", supervisor.cancel)
    offer("pause", supervisor.pause)
    offer("resume", supervisor.resume)
    offer("retry", supervisor.retry)

    @app.post("/v1/preview")
    async def preview(request: Request) -> Response:
        spec = await read(request, PreviewSpec)
        try:
            check_form(to_json(spec))
            return answer(to_json(await run_in_threadpool(warm.render, spec)))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        except Superseded:
            raise HTTPException(409, "A newer preview was asked for; this one is not made.") from None
        except NoPreview as error:
            raise HTTPException(422, str(error)) from None

    @app.post("/v1/prune")
    async def prune(request: Request) -> Response:
        asked = await read(request, Prune)
        if asked.keep < 0:
            raise HTTPException(400, "keep must be 0 or more.")
        await run_in_threadpool(mirrors.prune)
        return answer({"removed": await run_in_threadpool(store.prune, asked.keep)})

    @app.get("/v1/disk")
    async def disk(project: str = "") -> Response:
        try:
            check_form({"project": project})
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        items = await run_in_threadpool(usage, store.home, Path(project) if project else None)
        return answer({"items": items})

    @app.post("/v1/key")
    async def key() -> Response:
        return answer({"url": f"{info.url}/?key={visitors.key()}"})

    @app.get("/")
    async def page(key: str = "") -> Response:
        if key:
            cookie = visitors.welcome(key)
            if cookie is None:
                raise HTTPException(401, "This address was used before, or is too old: understudy jobs open makes one.")
            response: Response = RedirectResponse("/", 303)
            response.set_cookie(visitors.COOKIE, cookie, httponly=True, samesite="strict", path="/")
            return response
        far = watch.ask()
        where = f"{far.host or far.url}, {far.device or 'not answering'}" if far else device.ask() or "this computer"
        title = f"Understudy {info.version} on {where}"
        return HTMLResponse(await run_in_threadpool(pages.render, title), headers=PAGE_HEADERS)

    @app.get("/page/preview/{job_id}")
    async def picture(job_id: str) -> Response:
        found = await run_in_threadpool(pages.picture, job_id)
        if found is None:
            raise HTTPException(404, "There is no preview of this job.")
        return Response(found[0], media_type=found[1], headers=PAGE_HEADERS)

    offer_exchange(app, mirrors, store, read)

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
        return failure(500, f"Internal error in the engine ({type(error).__name__}); engine.log has the details.")

    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app


async def read(request: Request, expected: type[T]) -> T:
    """The body of a request. Answers 400 with what is wrong with it."""
    try:
        return from_json(expected, _parse(await request.body()))
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, str(error)) from None


def _parse(body: bytes) -> Any:
    try:
        data = json.loads(body)
        json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # no JSON, NaN or 1e999, a lone surrogate, nested too deep
        raise ValueError("The request's body is not plain JSON in UTF-8 with finite numbers.") from None
    return data
