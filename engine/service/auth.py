"""Who may talk to the engine: this machine's own programs, with the token, in requests of bounded size."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = re.compile(rb"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.IGNORECASE)
KEY = re.compile(rb"key=[0-9a-f]{32}")
AUTHENTICATED = "known"  # is in the state of a request that came with the token or from a browser that was let in
MAX_BODY_BYTES = 1_000_000  # bytes


def answer(data: dict[str, Any], status: int = 200) -> Response:
    """A JSON response. ASCII, because file names may hold what UTF-8 cannot."""
    return Response(json.dumps(data, allow_nan=False), status, media_type="application/json")


def failure(status: int, sentence: str) -> Response:
    """An error as every call answers it."""
    return answer({"error": sentence}, status)


class Visitors:
    """Browsers that may see the page: each brings a key that is good once and soon, and gets a cookie for it.

    The cookie opens nothing but the page and its pictures.
    """

    COOKIE = "understudy"
    PAGES = ("/", "/page/")
    SECONDS = 120.0  # that a key is good

    def __init__(self) -> None:
        self._keys: dict[str, float] = {}
        self._cookies: list[bytes] = []

    def key(self) -> str:
        """A new key."""
        now = time.monotonic()
        self._keys = {key: until for key, until in self._keys.items() if until > now}
        key = secrets.token_hex(16)
        self._keys[key] = now + self.SECONDS
        return key

    def welcome(self, key: str) -> str | None:
        """The cookie for a key, which is worth nothing from now on; None when it was not good."""
        if self._keys.pop(key, 0.0) <= time.monotonic():
            return None
        cookie = secrets.token_hex(32)
        self._cookies = [*self._cookies[-15:], cookie.encode()]
        return cookie

    def may_see(self, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request without the token is one for the page by a browser that was let in, or comes with a key."""
        if method != "GET" or not (path == self.PAGES[0] or path.startswith(self.PAGES[1])):
            return False
        if path == self.PAGES[0] and KEY.fullmatch(query):
            return True
        jar = b"; ".join(value for name, value in headers if name == b"cookie").split(b"; ")
        given = [part.partition(b"=")[2] for part in jar if part.startswith(self.COOKIE.encode() + b"=")]
        return any(hmac.compare_digest(cookie, one) for cookie in self._cookies for one in given)


class Guard:
    """Lets a request through to `app` only from this machine's own programs, with the token, and of bounded size.

    `visitors` may see the page without the token; `seen` is called with every request that is let through.
    """

    def __init__(self, app: ASGIApp, token: str, visitors: Visitors, seen: Callable[[], None]) -> None:
        self._app = app
        self._bearer = f"Bearer {token}".encode()
        self._visitors = visitors
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if not refusal:
            scope.setdefault("state", {})[AUTHENTICATED] = True
        body = b"" if refusal else await _body(receive)
        if body is None:
            refusal = failure(413, f"The request is larger than {MAX_BODY_BYTES} bytes.")
        if refusal:
            await refusal(scope, receive, send)
            return
        self._seen()
        read = False

        async def replay() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = scope["headers"]
        if any(name == b"origin" for name, _ in headers):
            return failure(403, "The engine answers no web pages. Use the add-on or the command line.")
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            return failure(403, "The engine answers only as 127.0.0.1 or localhost. Use the address in engine.json.")
        given = [value for name, value in headers if name == b"authorization"]
        known = len(given) == 1 and hmac.compare_digest(given[0], self._bearer)
        if not known and not self._visitors.may_see(scope["method"], scope["path"], scope["query_string"], headers):
            return failure(401, "The token is missing or wrong. Read the engine's address and token from engine.json.")
        for name, value in headers:
            if (
                name == b"content-length" and int(value) > MAX_BODY_BYTES
            ):  # the HTTP parser has seen that it is a number
                return failure(413, f"The request is larger than {MAX_BODY_BYTES} bytes.")
        return None


async def _body(receive: Receive) -> bytes | None:
    """The whole body, None when it is too large or the client left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return body
