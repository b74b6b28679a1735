"""The engine's API over HTTP, as docs/dev/api.md lists it. It only translates: `Supervisor` acts."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..errors import UnderstudyError
from ..protocol import PROTOCOL, EngineInfo
from ..remote.remote_status import RemoteWatch
from .auth import Guard, Visitors, failure
from .device_probe import Device
from .mirror import InvalidPlace, Mirrors, Mismatch
from .page import Page
from .paths import Forbidden, Occupied
from .preview_process import NoPreview, PreviewRenderer, Superseded
from .routes import engine_routes, footage_routes, job_routes, mirror_routes, page_routes, preview_routes
from .routes.messages import NOT_JSON, refusals
from .routes.services import Services
from .store import JobConflict

if TYPE_CHECKING:
    from .supervisor import Supervisor

ROUTERS = (engine_routes, job_routes, footage_routes, preview_routes, mirror_routes, page_routes)
STATUS: dict[type[Exception], int] = {
    Forbidden: 403,
    InvalidPlace: 403,
    Occupied: 409,
    JobConflict: 409,
    Mismatch: 409,
    Superseded: 409,
    NoPreview: 422,
    UnderstudyError: 507,
}
"""What a call may raise: its message is the answer's sentence."""
logger = logging.getLogger(__name__)


def make_api() -> FastAPI:
    """Every call and its description, with nothing behind them yet."""
    token = Security(HTTPBearer(scheme_name="token", auto_error=False))  # told of in OpenAPI; `Guard` sees to it
    api = FastAPI(
        title="Understudy's engine",
        version=PROTOCOL,
        docs_url=None,
        redoc_url=None,
        dependencies=[token],
        responses=refusals(400, 401, 403, 404, 413, 507),
    )
    for part in ROUTERS:
        api.include_router(part.router)
    api.openapi = lambda: _openapi(api)  # type: ignore[method-assign]
    return api


def create_app(
    supervisor: Supervisor,
    previews: PreviewRenderer,
    device: Device,
    token: str,
    info: EngineInfo,
    stop: Callable[[], None],
    seen: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The API. Every call needs `token`; `stop` makes the process that serves it end soon; `seen` hears of calls."""
    app = make_api()
    store, visitors = supervisor.store, Visitors()
    app.state.services = Services(
        supervisor=supervisor,
        store=store,
        previews=previews,
        device=device,
        page=Page(store),
        visitors=visitors,
        remote=RemoteWatch(),
        mirrors=Mirrors(store.home),
        info=info,
        stop=stop,
    )
    app.add_middleware(Guard, token=token, visitors=visitors, seen=seen)

    async def refused(_: Request, error: HTTPException) -> Response:
        return failure(error.status_code, error.detail)

    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return failure(400, "; ".join(map(_sentence, error.errors())))

    async def raised(_: Request, error: Exception) -> Response:
        return failure(next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), str(error))

    async def no_disk(_: Request, error: Exception) -> Response:
        logger.error("a request met a disk that fails", exc_info=error)
        return failure(507, f"The engine cannot read or write its files in {store.folder} ({error}). Mend that disk.")

    async def fault(_: Request, error: Exception) -> Response:
        return failure(500, f"Internal error in the engine ({type(error).__name__}); engine.log has the details.")

    handlers: dict[Any, Any] = dict.fromkeys(STATUS, raised) | dict.fromkeys((OSError, sqlite3.Error), no_disk)
    handlers |= {HTTPException: refused, RequestValidationError: invalid, Exception: fault}
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    return app


def _sentence(error: Any) -> str:
    """What is wrong with a request, of one of pydantic's findings."""
    if error["loc"] == ("body",):
        return str(error["ctx"]["error"]) if "ctx" in error else NOT_JSON
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}."


def _openapi(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, without the 422 that FastAPI adds: what is wrong with a request is answered with 400."""
    told = get_openapi(title=api.title, version=api.version, routes=api.routes)
    for methods in told["paths"].values():
        for call in methods.values():
            if call["responses"].get("422", {}).get("description") == "Validation Error":
                del call["responses"]["422"]
    for unused in ("HTTPValidationError", "ValidationError"):
        told["components"]["schemas"].pop(unused, None)
    return told
