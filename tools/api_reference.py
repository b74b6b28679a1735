"""Write docs/dev/api.md, the reference of the engine's API, from its OpenAPI document.

.env/engine/bin/python tools/api_reference.py
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from understudy.engine import protocol
from understudy.engine.protocol import SPECS
from understudy.engine.service.mirror import MirrorFile
from understudy.engine.service.routes import messages
from understudy.engine.service.server import make_api

PAGE = Path(__file__).parents[1] / "docs" / "dev" / "api.md"
HEAD = """# API

Made by `tools/api_reference.py` from the engine's OpenAPI document, which a running engine gives as `/openapi.json`.

The engine answers on the loopback interface only, with `Authorization: Bearer TOKEN` on every call; a browser with a
cookie sees the page and its pictures. Address and token are in `engine.json` of the home folder. Bodies and answers are
JSON. Paths are absolute, without `..`; unknown fields are ignored. What a job does, its events and its results:
[File formats](file-formats.md#jobs).

Every call may be refused with `{"error": "one sentence that says what to do"}` and 400 (wrong request), 401 (no token),
403 (a browser's `Origin`, another `Host`, or an output among the system's or the engine's own files), 404, 405, 413 (a
body over 1 MB) or 507 (the disk does not take it); further ones are named with the calls.

## Calls
"""
FURTHER = {"409": "something is in the way", "422": "there is no picture"}
PREFIX = "#/components/schemas/"


def reference() -> str:
    """The whole page."""
    told = make_api().openapi()
    schemas = told["components"]["schemas"]
    rows = [row for path, methods in told["paths"].items() for row in _calls(path, methods)]
    calls = ["| call | body | answer | |", "|---|---|---|---|", *rows]
    known = [name for name in schemas if any(f"`{name}`" in row for row in rows)]
    known += [spec.__name__ for spec in SPECS.values()]
    for name in known:  # grows by what its messages hold
        known += [one for one in _held(schemas[name]) if one not in known]
    parts = [part for name in sorted(set(known)) for part in _message(name, schemas[name])]
    return "\n".join([HEAD, *calls, "\n## Messages", *parts]) + "\n"


def _calls(path: str, methods: dict[str, Any]) -> Iterator[str]:
    for method, call in methods.items():
        body = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        found = call["responses"]["200"]["content"]
        kinds = " or ".join(kind for kind in found if kind != "application/json")
        answer = kinds or _type(found["application/json"]["schema"])
        query = [one["name"] for one in call.get("parameters", []) if one["in"] == "query"]
        where = path + ("?" + "&".join(f"{name}=" for name in query) if query else "")
        said = " ".join(call["description"].split())
        said += "".join(f" {code}: {meaning}." for code, meaning in FURTHER.items() if code in call["responses"])
        sent = "`Submission`" if path == "/v1/jobs" else _type(body)  # one for each kind of job
        yield f"| `{method.upper()} {where}` | {sent if body else ''} | {answer} | {said} |"


def _message(name: str, schema: dict[str, Any]) -> Iterator[str]:
    text = inspect.getdoc(getattr(protocol, name, None) or getattr(messages, name, None) or MirrorFile) or ""
    yield "\n### " + name + "\n\n" + re.sub(r"(?m)^(\w+) {2,}", r"- `\1`: ", text) + "\n"
    if name == "Submission":
        yield "| kind | spec |\n|---|---|"
        yield from (f"| `{kind}` | `{spec.__name__}` |" for kind, spec in SPECS.items())
        yield ""
    fields = schema.get("properties", {})
    if fields:
        yield "| field | type | default | |\n|---|---|---|---|"
    for field, one in fields.items():
        unsaid = "null" if {"type": "null"} in one.get("anyOf", []) else "optional"
        default = _code(one["default"]) if "default" in one else unsaid
        given = "required" if field in schema.get("required", []) else default
        limits = one | next((part for part in one.get("anyOf", []) if part.get("type") != "null"), {})
        words = [one.get("description", ""), _limits(limits.get("items", {}) | limits)]
        yield f"| `{field}` | {_type(one)} | {given} | {'; '.join(filter(None, words))} |"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].removeprefix(PREFIX)}`"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return ", ".join(map(_code, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        count = f"{schema['minItems']} of " if "minItems" in schema else "list of "
        return count + _type(schema["items"])
    if "/" in schema.get("pattern", ""):
        return "path"
    return str(schema.get("type", "anything"))


def _limits(schema: dict[str, Any]) -> str:
    told = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
    said = [f"{words} {schema[key]:.7g}" for key, words in told.items() if key in schema]
    return ", ".join(said) + (f"`{schema['pattern']}`" if "/" not in schema.get("pattern", "/") else "")


def _code(value: Any) -> str:
    return f"`{value if value and isinstance(value, str) else json.dumps(value)}`"


def _held(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix(PREFIX)
        for part in schema.values():
            yield from _held(part)
    if isinstance(schema, list):
        for part in schema:
            yield from _held(part)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
