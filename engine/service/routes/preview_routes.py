"""One frame as it would be recast now, and the pictures that were made so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...protocol import PreviewResult, PreviewSpec, check_paths, to_json
from ..auth import answer
from .messages import BodyRoute, body_of, content, refusals
from .services import Engine

PICTURE = ("0123456789abcdef", ".png")

router = APIRouter(route_class=BodyRoute)


@router.post("/v1/preview", response_model=PreviewResult, responses=refusals(409, 422))
async def preview(asked: Annotated[PreviewSpec, body_of(PreviewSpec)], engine: Engine) -> Response:
    """Render one frame, in a process that keeps its model loaded; a newer request replaces one that waits. There is no
    picture where a consent is not on record, for instance."""
    try:
        check_paths(asked)
        return answer(to_json(await run_in_threadpool(engine.previews.render, asked)))
    except ValueError as error:
        raise HTTPException(400, str(error)) from None


@router.get("/v1/previews/{name}", responses=content("image/png"))
async def preview_picture(name: str, engine: Engine) -> Response:
    """A picture that `POST /v1/preview` made."""
    digits, ending = PICTURE
    path = Path(engine.store.home, "previews", name)
    if not (name.endswith(ending) and set(name.removesuffix(ending)) <= set(digits) and path.is_file()):
        raise HTTPException(404, "There is no such preview any more. Ask for it again.")
    return Response(await run_in_threadpool(path.read_bytes), media_type="image/png")
