"""The engine itself: who it is, whose hardware works, what it keeps on disk, its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...errors import UnderstudyError
from ...protocol import EngineInfo, check_path, to_json
from ...protocol.paths import MAX_PATH_LENGTH, path_pattern
from ...remote.link import Unreachable, checked_address, choose_remote
from ..auth import answer
from ..disk import usage
from ..schedule import HEAVY_KINDS
from .messages import BodyRoute, DiskUsage, Nothing, RemoteAddress, body_of, refusals
from .services import Engine

PATH: dict[str, Any] = {"pattern": path_pattern(may_be_empty=True), "maxLength": MAX_PATH_LENGTH}

router = APIRouter(route_class=BodyRoute)


@router.get("/v1/engine", response_model=EngineInfo)
async def info(engine: Engine) -> Response:
    """Which engine answers; `device` may be empty for the first seconds of the first run."""
    return answer(to_json(engine.engine_info()))


@router.post("/v1/remote", response_model=EngineInfo, responses=refusals(409))
async def use_remote(asked: Annotated[RemoteAddress, body_of(RemoteAddress)], engine: Engine) -> Response:
    """Choose which other engine scans, trains and converts from here on; `url` "": this one. Not while jobs are
    under way."""
    jobs = engine.store.jobs()
    busy = [job.id for job in jobs if job.kind in HEAVY_KINDS and job.state in ("running", "paused")]
    if busy:
        raise HTTPException(409, f"Jobs are under way ({', '.join(busy)}). Let them end, or cancel them, first.")
    try:
        if asked.url:
            await run_in_threadpool(choose_remote, checked_address(asked.url, asked.token))
        else:
            choose_remote(None)
    except (Unreachable, ValueError, UnderstudyError) as error:
        raise HTTPException(409, str(error)) from None
    return answer(to_json(engine.engine_info()))


@router.get("/v1/disk", response_model=DiskUsage)
async def disk(engine: Engine, project: Annotated[str, Query(json_schema_extra=PATH)] = "") -> Response:
    """What a project's parts and the engine's own files take, largest first."""
    try:
        if project:
            check_path("project", project)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    items = await run_in_threadpool(usage, engine.store.home, Path(project) if project else None)
    return answer({"items": items})


@router.post("/v1/shutdown", response_model=Nothing)
async def shutdown(engine: Engine) -> Response:
    """Stop the engine; running jobs pause at a safe point and go on at its next start."""
    engine.stop()
    return answer({})
