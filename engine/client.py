"""The command line's way to a running engine: HTTP with the standard library.

The engine is this machine's, found by `engine.json`, unless UNDERSTUDY_ENGINE names another: a URL on
the loopback interface (an SSH tunnel's end) with the token after a #.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.parse
from dataclasses import dataclass
from typing import Any

from . import protocol
from .errors import UnderstudyError

LOOPBACK = {"127.0.0.1", "localhost"}
TIMEOUT = 60.0  # seconds


class Refused(UnderstudyError):
    """The engine said no; the message is its own sentence."""


@dataclass(frozen=True)
class Engine:
    """Where an engine listens, and the token it wants."""

    url: str
    token: str

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request, one JSON object back. Raises UnderstudyError with what to do."""
        parts = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = protocol.parse_json(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnderstudyError(
                f"No engine answers at {self.url} ({error}). Start it with understudy serve, or from Blender."
            ) from None
        finally:
            connection.close()
        if response.status >= 400:
            raise Refused(str(answer.get("error")))
        return dict(answer)


def find() -> Engine:
    """The engine to talk to, after a word with it: its protocol is ours. Raises UnderstudyError."""
    named = os.environ.get("UNDERSTUDY_ENGINE", "")
    try:
        if named:
            url, _, token = named.partition("#")
        else:
            told = protocol.parse_json(protocol.address_file().read_text(encoding="utf-8"))
            url, token = str(told["url"]), str(told["token"])
        parts = urllib.parse.urlsplit(url.rstrip("/"))
        if parts.scheme != "http" or parts.hostname not in LOOPBACK or not parts.port or not token:
            raise ValueError("no loopback address with a token")
    except FileNotFoundError:
        raise UnderstudyError("No engine runs. Start it with understudy serve, or from Blender.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        source = "UNDERSTUDY_ENGINE" if named else str(protocol.address_file())
        raise UnderstudyError(
            f"{source} does not say where the engine is ({error}). It must be http://127.0.0.1:PORT with the token."
        ) from None
    engine = Engine(url.rstrip("/"), token)
    theirs = str(engine.call("GET", "/v1/engine").get("protocol"))
    if theirs.split(".")[0] != protocol.PROTOCOL.split(".")[0]:
        raise UnderstudyError(
            f"The engine that runs speaks protocol {theirs}, this command line {protocol.PROTOCOL}. "
            "Stop it and start it again from the newer installation."
        )
    return engine
