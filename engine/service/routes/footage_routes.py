"""Footage, looked at before it is recast."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...protocol import Clip, FootageReport, check_paths, to_json
from ..auth import answer
from ..footage_process import examine_apart
from .messages import BodyRoute, body_of

router = APIRouter(route_class=BodyRoute)


@router.post("/v1/footage", response_model=FootageReport)
async def footage(asked: Annotated[Clip, body_of(Clip)]) -> Response:
    """What the footage of a clip is, what of it a recast keeps and loses, and what cannot be done with it; its frames
    are decoded for some seconds at most."""
    try:
        check_paths(asked)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return answer(to_json(await run_in_threadpool(examine_apart, asked)))
