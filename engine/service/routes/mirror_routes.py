"""The calls by which an engine on another machine gets footage and gives back results; see `mirror`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...protocol import FINAL_STATES
from ..auth import answer
from .messages import (
    BodyRoute,
    MediaState,
    MirrorListing,
    MirrorState,
    MirrorUpdate,
    Nothing,
    body_of,
    content,
    refusals,
)
from .services import Engine

BYTES = "application/octet-stream"

router = APIRouter(route_class=BodyRoute)


@router.get("/v1/media/{digest}", response_model=MediaState)
async def arrived(digest: str, engine: Engine) -> Response:
    """How much of a file, named by its SHA-256, has arrived here."""
    here, complete = await run_in_threadpool(engine.mirrors.have, digest)
    return answer({"bytes": here, "complete": complete})


@router.put("/v1/media/{digest}", response_model=MediaState, responses=refusals(409))
async def append(digest: str, offset: int, size: int, request: Request, engine: Engine) -> Response:
    """Send the next piece of a file of `size` bytes, which is the body. In the way are a piece that is not the next
    one, and a whole that is not what its name says."""
    here, complete = await run_in_threadpool(engine.mirrors.append, digest, offset, size, await request.body())
    return answer({"bytes": here, "complete": complete})


@router.post("/v1/mirrors/{key}", response_model=MirrorState, responses=refusals(409))
async def update(key: str, asked: Annotated[MirrorUpdate, body_of(MirrorUpdate)], engine: Engine) -> Response:
    """Have files in a mirror, and others not; nothing is done while any is lacking."""
    identity, lacking = await run_in_threadpool(engine.mirrors.place, key, asked.files, asked.gone)
    return answer({"id": identity, "root": str(engine.mirrors.root(key)), "lacking": lacking})


@router.get("/v1/mirrors/{key}", response_model=MirrorListing)
async def listing(key: str, engine: Engine, under: str = "") -> Response:
    """The files of a mirror whose path begins with `under`."""
    return answer({"files": await run_in_threadpool(engine.mirrors.listing, key, under)})


@router.get("/v1/mirrors/{key}/file", responses=refusals(409) | content(BYTES))
async def piece(key: str, path: str, sha256: str, engine: Engine, offset: int = 0) -> Response:
    """The next piece of a file of a mirror, which must still be the same file."""
    found = await run_in_threadpool(engine.mirrors.read, key, path, sha256, offset)
    return Response(found, media_type=BYTES)


@router.delete("/v1/mirrors/{key}", response_model=Nothing, responses=refusals(409))
async def remove(key: str, engine: Engine) -> Response:
    """Remove a mirror, and the footage that no other one shows. Not while its jobs are under way."""
    root = str(await run_in_threadpool(engine.mirrors.root, key))
    jobs = engine.store.jobs()
    busy = [job.id for job in jobs if job.state not in FINAL_STATES and root in str(job.spec)]
    if busy:
        raise HTTPException(409, f"Jobs of this project are under way ({', '.join(busy)}). Cancel them first.")
    await run_in_threadpool(engine.mirrors.remove, key)
    return answer({})
