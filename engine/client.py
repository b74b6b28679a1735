"""The command line's way to a running engine.

The engine is this machine's, found by `engine.json`, unless UNDERSTUDY_ENGINE names another: a URL on
the loopback interface (an SSH tunnel's end) with the token after a #.
"""

from __future__ import annotations

import os
from typing import Any

from . import protocol
from .errors import UnderstudyError
from .protocol import http_client

TIMEOUT_SECONDS = 60.0


class Refused(UnderstudyError):
    """The engine said no; the message is its own sentence."""


class Engine(http_client.Address):
    """Where an engine listens, and the token it wants."""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request, one JSON object back. Raises UnderstudyError with what to do."""
        try:
            return http_client.call(self, method, path, body, TIMEOUT_SECONDS)
        except http_client.EngineGone as error:
            raise UnderstudyError(
                f"No engine answers at {self.url}. {error} Start it with understudy serve, or from Blender."
            ) from None
        except http_client.Refused as error:
            raise Refused(str(error)) from None


def find() -> Engine:
    """The engine to talk to, after a word with it: its protocol is ours. Raises UnderstudyError."""
    named = os.environ.get("UNDERSTUDY_ENGINE", "")
    try:
        url, _, token = named.partition("#")
        address = http_client.address_of(url, token) if named else http_client.own_address()
    except FileNotFoundError:
        raise UnderstudyError("No engine runs. Start it with understudy serve, or from Blender.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        source = "UNDERSTUDY_ENGINE" if named else str(protocol.address_file())
        raise UnderstudyError(
            f"{source} does not say where the engine is ({error}). It must be http://127.0.0.1:PORT with the token."
        ) from None
    engine = Engine(address.url, address.token)
    theirs = str(engine.call("GET", "/v1/engine").get("protocol"))
    if theirs.split(".")[0] != protocol.PROTOCOL.split(".")[0]:
        raise UnderstudyError(
            f"The engine that runs speaks protocol {theirs}, this command line {protocol.PROTOCOL}. "
            "Stop it and start it again from the newer installation."
        )
    return engine
