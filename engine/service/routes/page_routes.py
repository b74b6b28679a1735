"""The page for a browser, and who may see it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..auth import Visitors, answer
from .messages import PageAddress, content
from .services import Engine

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

router = APIRouter()


@router.post("/v1/key", response_model=PageAddress)
async def key(engine: Engine) -> Response:
    """An address with a key, by which one browser, once and within two minutes, gets a cookie that opens the page."""
    return answer({"url": f"{engine.info.url}/?key={engine.visitors.key()}"})


@router.get("/", responses=content("text/html"))
async def page(engine: Engine, key: str = "") -> Response:
    """The queue, every training's curves and latest preview."""
    if key:
        cookie = engine.visitors.welcome(key)
        if cookie is None:
            raise HTTPException(401, "This address was used before, or is too old: understudy jobs open makes one.")
        response: Response = RedirectResponse("/", 303)
        response.set_cookie(Visitors.COOKIE, cookie, httponly=True, samesite="strict", path="/")
        return response
    info = engine.engine_info()
    far = info.remote
    where = f"{far.host or far.url}, {far.device or 'not answering'}" if far else info.device or "this computer"
    title = f"Understudy {info.version} on {where}"
    return HTMLResponse(await run_in_threadpool(engine.page.render, title), headers=PAGE_HEADERS)


@router.get("/page/preview/{job_id}", responses=content("image/jpeg", "image/png"))
async def picture(job_id: str, engine: Engine) -> Response:
    """A job's latest preview."""
    found = await run_in_threadpool(engine.page.picture, job_id)
    if found is None:
        raise HTTPException(404, "There is no preview of this job.")
    return Response(found[0], media_type=found[1], headers=PAGE_HEADERS)
