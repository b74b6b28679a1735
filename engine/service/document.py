"""The OpenAPI document, with what the calls take and answer; built when it is asked for."""

from __future__ import annotations

import copy
import math
import sys
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .. import protocol
from ..protocol import (
    SPECS,
    EngineInfo,
    Event,
    Job,
    JobKind,
    PreviewResult,
    PreviewSpec,
    Setting,
    settings_of,
)
from .mirror_transfer import Arrived, Placed, Placing
from .paths import MAX_LENGTH, MAY_BE_EMPTY, PATH_FIELDS

MAX_PRIORITY = 1_000_000  # priority
ABSOLUTE = r"^[A-Za-z]:[\\/][^\x00]*$" if sys.platform == "win32" else r"^/[^\x00]*$"
REF = "#/components/schemas/{model}"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The body of `POST /v1/jobs`."""

    id: str
    kind: JobKind
    spec: dict[str, Any]
    priority: int = 0
    after: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Priority:
    """The body of `POST /v1/jobs/{id}/priority`."""

    priority: int


@dataclass(frozen=True, kw_only=True)
class Prune:
    """The body of `POST /v1/prune`: the newest `keep` jobs that have ended stay."""

    keep: int


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The answer of `GET /v1/jobs`."""

    jobs: list[Job]


@dataclass(frozen=True, kw_only=True)
class JobEvents:
    """The answer of `GET /v1/jobs/{id}/events`."""

    events: list[Event]
    job: Job


@dataclass(frozen=True, kw_only=True)
class Removed:
    """The answer of `POST /v1/prune`."""

    removed: list[str]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A part of a project, and the room it takes."""

    path: str
    kind: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Items:
    """The answer of `GET /v1/disk`."""

    items: list[Item]


@dataclass(frozen=True, kw_only=True)
class Page:
    """The answer of `POST /v1/key`: where a browser sees the page, once and soon."""

    url: str


@dataclass(frozen=True, kw_only=True)
class Address:
    """The body of `POST /v1/remote`: the engine of another machine that is to work; with no `url`, this one."""

    url: str
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What every refusal answers: one sentence that says what to do."""

    error: str


BODIES: dict[str, type] = {
    "/v1/mirrors/{key}": Placing,
    "/v1/remote": Address,
    "/v1/jobs": Submission,
    "/v1/jobs/{job_id}/priority": Priority,
    "/v1/preview": PreviewSpec,
    "/v1/prune": Prune,
}
ANSWERS: dict[str, type] = {
    "/v1/engine": EngineInfo,
    "/v1/jobs/{job_id}/events": JobEvents,
    "/v1/preview": PreviewResult,
    "/v1/prune": Removed,
    "/v1/disk": Items,
    "/v1/key": Page,
    "/v1/media/{digest}": Arrived,
    "/v1/remote": EngineInfo,
}
REFUSALS = {400: "bad request", 401: "no token", 403: "not allowed", 404: "not known", 413: "too large", 507: "no room"}


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document. Bodies are read by `protocol.from_json`, so their schemas come from the same dataclasses."""
    told = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components: dict[str, Any] = {}
    told["components"] = {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    for parameter in told["paths"]["/v1/disk"]["get"].get("parameters", []):
        parameter["schema"] = {
            "anyOf": [{"const": ""}, {"type": "string", "pattern": ABSOLUTE, "maxLength": MAX_LENGTH}]
        }
    told["security"] = [{"token": []}]
    failure = _schema(Failure, components)
    for path, methods in told["paths"].items():
        for method, call in methods.items():
            listed = path == "/v1/jobs" and method == "get"
            answer = Jobs if listed else ANSWERS.get(path, Job if path.startswith("/v1/jobs") else None)
            answer = Placed if path == "/v1/mirrors/{key}" and method == "post" else answer
            schema = _schema(answer, components) if answer else {"type": "object"}
            call["responses"] = {"200": _json(schema, "done")}
            if path == "/":
                call["responses"] = {"200": {"description": "the page", "content": {"text/html": {}}}}
            if path.startswith("/page/"):
                pictures: dict[str, Any] = {"image/jpeg": {}, "image/png": {}}
                call["responses"] = {"200": {"description": "a picture", "content": pictures}}
            if path.endswith(("/file", "/previews/{name}")):
                call["responses"] = {"200": {"description": "bytes", "content": {"application/octet-stream": {}}}}
            clashes = path in ("/v1/jobs", "/v1/preview", "/v1/remote") or path.startswith(("/v1/media", "/v1/mirrors"))
            more = {409: "in the way"} if clashes and (method != "get" or path.endswith("/file")) else {}
            more |= {422: "no picture"} if path == "/v1/preview" else {}
            for status, meaning in (REFUSALS | more).items():
                call["responses"][str(status)] = _json(failure, meaning)
            if method == "post" and path in BODIES:
                call["requestBody"] = {**_json(_body(BODIES[path], components), ""), "required": True}
                del call["requestBody"]["description"]
    return told


def _json(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body(body: type, components: dict[str, Any]) -> dict[str, Any]:
    schema = _schema(body, components)
    if body is not Submission:
        for name, (low, high) in {"priority": (-MAX_PRIORITY, MAX_PRIORITY), "keep": (0, None)}.items():
            found = components[body.__name__]["properties"].get(name)
            if found is not None:
                found |= {"minimum": low} | ({"maximum": high} if high is not None else {})
        return schema
    base = components.pop("Submission")
    base["properties"]["id"] |= {"pattern": "^[A-Za-z0-9_-]{1,64}$"}
    base["properties"]["priority"] |= {"minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY}
    kinds = []
    for kind, spec in SPECS.items():
        one = copy.deepcopy(base)
        one["properties"] |= {"kind": {"const": kind}, "spec": _schema(spec, components)}
        kinds.append(one)
    return {"oneOf": kinds}


def _schema(cls: type, components: dict[str, Any]) -> dict[str, Any]:
    """A reference to the schema of a dataclass, which is put among the components."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(cls).json_schema(ref_template=REF)
    parts = {**schema.pop("$defs", {}), cls.__name__: schema}
    for name, part in parts.items():
        if name not in components:
            components[name] = part
            for one in settings_of(getattr(protocol, name, Failure)):
                _describe(part["properties"][one.name], one)
            for field_name, described in part.get("properties", {}).items():
                if field_name in PATH_FIELDS and described.get("type") == "string":
                    absolute = {"pattern": ABSOLUTE, "maxLength": MAX_LENGTH}
                    if field_name in MAY_BE_EMPTY and "default" in described:
                        described["anyOf"] = [{"const": ""}, {"type": described.pop("type"), **absolute}]
                    else:
                        described |= absolute
    return {"$ref": REF.format(model=cls.__name__)}


def _describe(described: dict[str, Any], one: Setting) -> None:
    """Put what a setting means, and its limits, into the schema of its field."""
    if one.help:
        described["description"] = one.help.format(part=", ".join(one.limits.parts) if one.limits else "")
    if one.limits is None:
        return
    for part in described.get("anyOf", [described]):
        if part.get("type") == "null":
            continue
        if one.limits.parts:
            part |= {"minItems": len(one.limits.parts), "maxItems": len(one.limits.parts)}
            part = part["items"]
        part["exclusiveMinimum" if one.limits.above else "minimum"] = one.limits.low
        if math.isfinite(one.limits.high):
            part["maximum"] = one.limits.high
