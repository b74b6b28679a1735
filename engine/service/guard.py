"""Who may talk to the engine: this machine's own programs, with the token, in requests of bounded size."""

from __future__ import annotations

import hmac
import json
import re
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = re.compile(rb"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.IGNORECASE)
LARGEST_BODY = 1_000_000  # bytes


def answer(data: dict[str, Any], status: int = 200) -> Response:
    """A JSON response. ASCII, because file names may hold what UTF-8 cannot."""
    return Response(json.dumps(data, allow_nan=False), status, media_type="application/json")


def failure(status: int, sentence: str) -> Response:
    """An error as every call answers it."""
    return answer({"error": sentence}, status)


class Guard:
    """Lets a request through to `app` only from this machine's own programs, with the token, and of bounded size."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._bearer = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope["headers"])
        body = b"" if refusal else await _body(receive)
        if body is None:
            refusal = failure(413, f"The request is larger than {LARGEST_BODY} bytes.")
        if refusal:
            await refusal(scope, receive, send)
            return
        read = False

        async def replay() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> Response | None:
        if any(name == b"origin" for name, _ in headers):
            return failure(403, "The engine answers no web pages. Use the add-on or the command line.")
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            return failure(403, "The engine answers only as 127.0.0.1 or localhost. Use the address in engine.json.")
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1 or not hmac.compare_digest(given[0], self._bearer):
            return failure(401, "The token is missing or wrong. Read the engine's address and token from engine.json.")
        for name, value in headers:
            if name == b"content-length" and int(value) > LARGEST_BODY:  # the HTTP parser has seen that it is a number
                return failure(413, f"The request is larger than {LARGEST_BODY} bytes.")
        return None


async def _body(receive: Receive) -> bytes | None:
    """The whole body, None when it is too large or the client left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not message.get("more_body"):
            return body
