"""What calls take and answer beyond `protocol`, and how a body is read; OpenAPI is derived from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, make_dataclass
from functools import partial
from typing import Any, Literal, TypeVar, Union

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import PlainValidator
from starlette.responses import Response

from ...protocol import SPECS, Event, Job, JobKind, Limits, from_json
from ...protocol.settings import setting
from ..mirror import MirrorFile

ID_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
PRIORITIES = Limits(unit="a priority", low=-1_000_000, high=1_000_000)
NOT_JSON = "The request's body is not plain JSON in UTF-8 with finite numbers."
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The body of `POST /v1/jobs`: a job, which begins once all of `after` are done."""

    id: str = field(metadata={"pattern": ID_PATTERN})
    kind: JobKind
    spec: dict[str, Any]
    priority: int = setting(0, limits=PRIORITIES)
    after: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Priority:
    """The body of `POST /v1/jobs/{job_id}/priority`."""

    priority: int = setting(limits=PRIORITIES)


@dataclass(frozen=True, kw_only=True)
class Prune:
    """The body of `POST /v1/prune`: the newest `keep` jobs that have ended stay."""

    keep: int = setting(limits=Limits(unit="a number of jobs"))


@dataclass(frozen=True, kw_only=True)
class RemoteAddress:
    """The body of `POST /v1/remote`: the engine of another machine that is to work; with no `url`, this one."""

    url: str
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class MirrorUpdate:
    """The body of `POST /v1/mirrors/{key}`: files to be there, and files to be there no more."""

    files: list[MirrorFile] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The answer of `GET /v1/jobs`, newest first."""

    jobs: list[Job]


@dataclass(frozen=True, kw_only=True)
class JobEvents:
    """The answer of `GET /v1/jobs/{job_id}/events`."""

    events: list[Event]
    job: Job


@dataclass(frozen=True, kw_only=True)
class Removed:
    """The answer of `POST /v1/prune`: ids."""

    removed: list[str]


@dataclass(frozen=True, kw_only=True)
class DiskItem:
    """A part of a project or of the engine's home, and the room it takes."""

    path: str
    kind: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class DiskUsage:
    """The answer of `GET /v1/disk`."""

    items: list[DiskItem]


@dataclass(frozen=True, kw_only=True)
class PageAddress:
    """The answer of `POST /v1/key`: where a browser sees the page, once and within two minutes."""

    url: str


@dataclass(frozen=True, kw_only=True)
class MirrorState:
    """The answer of `POST /v1/mirrors/{key}`: the mirror's id and folder, and the files (by SHA-256) to send first."""

    id: str
    root: str
    lacking: list[str]


@dataclass(frozen=True, kw_only=True)
class MirroredFile:
    """A file of a mirror."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class MirrorListing:
    """The answer of `GET /v1/mirrors/{key}`."""

    files: list[MirroredFile]


@dataclass(frozen=True, kw_only=True)
class MediaState:
    """How many bytes of a file are here, and whether that is all of it."""

    bytes: int
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """An answer that says nothing but that it was done."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What every refusal answers: one sentence that says what to do."""

    error: str


REFUSALS = {
    400: "bad request",
    401: "no token",
    403: "not allowed",
    404: "not known",
    409: "in the way",
    413: "too large",
    422: "no picture",
    507: "no room",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: with what a call may be refused."""
    return {status: {"model": Failure, "description": REFUSALS[status]} for status in statuses}


def content(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: an answer that is no JSON, of one of these media types."""
    return {200: {"description": "", "content": {kind: {} for kind in kinds}}}


def _submission(kind: JobKind) -> type:
    fields = [("kind", Literal[kind]), ("spec", SPECS[kind])]
    name = "".join(map(str.title, kind.split("-"))) + "Submission"
    return make_dataclass(name, fields, bases=(Submission,), kw_only=True, frozen=True)


SUBMISSIONS: Any = Union[tuple(map(_submission, SPECS))]  # noqa: UP007
"""One for each kind of job."""


def read_body(expected: type[T], body: bytes) -> T:
    """A body as a message, by the rules of `protocol.from_json`. Raises ValueError with what is wrong with it."""
    try:
        data = json.loads(body)
        json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # no JSON, NaN or 1e999, a lone surrogate, nested too deep
        raise ValueError(NOT_JSON) from None
    try:
        return from_json(expected, data)
    except OverflowError as error:
        raise ValueError(f"A number is too large ({error}).") from None


def body_of(expected: type, schema: Any = None) -> PlainValidator:
    """Metadata of a parameter that is the request's body: read by `read_body`, in OpenAPI as `expected` or `schema`."""
    return PlainValidator(partial(read_body, expected), json_schema_input_type=schema or expected)


class _Bytes(Request):
    async def json(self) -> Any:
        """The body as it is: `read_body` parses it, whatever its content type."""
        return await self.body()


class BodyRoute(APIRoute):
    """A route whose body is read by `read_body`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            return await handle(_Bytes(request.scope, request.receive))

        return handled
