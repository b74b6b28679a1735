"""The calls by which an engine on another machine gets footage and gives back results; see `mirror`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..protocol import FINAL_STATES
from .auth import answer
from .mirror import InvalidPlace, MirrorFile, Mirrors, Mismatch

if TYPE_CHECKING:
    from .store import Store

PICTURE = ("0123456789abcdef", ".png")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Placing:
    """The body of `POST /v1/mirrors/{key}`: files to be there, and files to be there no more."""

    files: list[MirrorFile] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Its answer: the mirror's id and folder, and the files (by SHA-256) that are to be sent first."""

    id: str
    root: str
    lacking: list[str]


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """How much of a file is here."""

    bytes: int
    complete: bool


def offer_exchange(
    app: FastAPI, mirrors: Mirrors, store: Store, read: Callable[[Request, type[Placing]], Awaitable[Placing]]
) -> None:
    """Add the calls to the API; `read` reads a request's body."""

    async def sure(act: Callable[..., T], *given: Any) -> T:
        try:
            return await run_in_threadpool(act, *given)
        except InvalidPlace as error:
            raise HTTPException(403, str(error)) from None
        except Mismatch as error:
            raise HTTPException(409, str(error)) from None

    @app.get("/v1/media/{digest}")
    async def have(digest: str) -> Response:
        here, complete = await sure(mirrors.have, digest)
        return answer({"bytes": here, "complete": complete})

    @app.put("/v1/media/{digest}")
    async def put(digest: str, offset: int, size: int, request: Request) -> Response:
        here, complete = await sure(mirrors.append, digest, offset, size, await request.body())
        return answer({"bytes": here, "complete": complete})

    @app.post("/v1/mirrors/{key}")
    async def place(key: str, request: Request) -> Response:
        asked = await read(request, Placing)
        identity, lacking = await sure(mirrors.place, key, asked.files, asked.gone)
        return answer({"id": identity, "root": str(mirrors.root(key)), "lacking": lacking})

    @app.get("/v1/mirrors/{key}")
    async def list_files(key: str, under: str = "") -> Response:
        return answer({"files": await sure(mirrors.listing, key, under)})

    @app.get("/v1/mirrors/{key}/file")
    async def file(key: str, path: str, sha256: str, offset: int = 0) -> Response:
        piece = await sure(mirrors.read, key, path, sha256, offset)
        return Response(piece, media_type="application/octet-stream")

    @app.delete("/v1/mirrors/{key}")
    async def remove(key: str) -> Response:
        root = str(await sure(mirrors.root, key))
        busy = [job.id for job in store.jobs() if job.state not in FINAL_STATES and root in str(job.spec)]
        if busy:
            raise HTTPException(409, f"Jobs of this project are under way ({', '.join(busy)}). Cancel them first.")
        await run_in_threadpool(mirrors.remove, key)
        return answer({})

    @app.get("/v1/previews/{name}")
    async def preview_picture(name: str) -> Response:
        digits, ending = PICTURE
        path = Path(store.home, "previews", name)
        if not (name.endswith(ending) and set(name.removesuffix(ending)) <= set(digits) and path.is_file()):
            raise HTTPException(404, "There is no such preview any more. Ask for it again.")
        return Response(await run_in_threadpool(path.read_bytes), media_type="image/png")
