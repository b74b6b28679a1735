"""Which engine on another machine does the work, and the way to it. Standard library only.

`remote.json` of Understudy's home names it: the local end of an SSH tunnel, and the token. The file is
there while a remote engine is to be used.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .. import protocol
from ..durable import make_private, raise_flag, write_json
from ..errors import UnderstudyError
from ..protocol import EngineInfo, from_json, http_client, parse_json
from ..protocol.http_client import Address
from ..reading import read_text

Answer = TypeVar("Answer")

NOT_OURS = "The remote engine answers in a way that is not ours. Update the older of the two."
TOO_MUCH = (
    "The remote engine sends more than any answer of its kind holds, and the rest was not read. Look at the engine on "
    "the other machine, then try again."
)
LONGEST_TEXT = 2000  # characters of a sentence of the other engine that are told here
MIN_PROTOCOL = [1, 2]  # the protocol that knows mirrors
TIMEOUT_SECONDS = 20.0  # seconds without a byte after which the connection counts as lost
HASHING_SECONDS = 600.0  # seconds that a list of large files may take
CANCELS_FOLDER = "remote-owed"
LONGEST_VERSION = 20  # characters of a protocol's version
RETRY_SECONDS = 1.0  # seconds between two attempts


class Unreachable(Exception):
    """Nobody answers."""


class Refused(http_client.Refused, UnderstudyError):
    """The other engine said no; the message is its own sentence."""


def chosen_remote() -> Address | None:
    """The remote engine that is to be used; None for this computer's own. Raises UnderstudyError for a damaged file."""
    try:
        found = parse_json(read_text(_file(), "ascii"))
        return checked_address(str(found["url"]), str(found["token"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnderstudyError(f"{_file()} is damaged ({error}). Say again: understudy remote use, or off.") from None


def choose_remote(remote: Address | None) -> EngineInfo | None:
    """Use this remote engine from now on, after a word with it; None means this computer's own.

    Raises UnderstudyError when nobody answers, or an engine that cannot work with this one.
    """
    if remote is None:
        _file().unlink(missing_ok=True)
        return None
    info = Link(remote, raise_unreachable).info()
    if info.pid and info.url and _same_home(info):
        raise UnderstudyError("That is this computer's own engine. Name the local end of a tunnel to another machine.")
    protocol.make_home()
    write_json(_file(), {"url": remote.url, "token": remote.token}, mode=0o600)
    return info


def checked_address(url: str, token: str) -> Address:
    """An address as it may be used: plain HTTP where a tunnel begins, on loopback. Raises UnderstudyError."""
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token or len(token) < 32:
        raise UnderstudyError(
            "The remote engine's token is missing. Copy its token file from there, and name the copy."
        )
    try:
        return http_client.address_of(url, token)
    except ValueError:
        raise UnderstudyError(
            f"{url[:200]!r} is not http://127.0.0.1:PORT. Open a tunnel (ssh -N -L PORT:127.0.0.1:PORT HOST) and name "
            "its end on this computer: nothing is sent over the network in the clear."
        ) from None


def remember_cancel(job_id: str) -> None:
    """Remember that a job over there is to be cancelled, which it could not be told."""
    folder = make_private(protocol.make_home() / CANCELS_FOLDER)
    raise_flag(folder / job_id)


def send_remembered_cancels(link: Link) -> None:
    """Cancel the jobs over there that are owed to be. Raises Unreachable."""
    for flag in sorted((protocol.home() / CANCELS_FOLDER).glob("*")):
        try:
            link.tell("POST", f"/v1/jobs/{flag.name}/cancel")
        except Refused as error:
            if error.status != 404:
                continue
        flag.unlink(missing_ok=True)


def read(kind: type[Answer], data: Any) -> Answer:
    """What the other engine says, as a dataclass: the only way in which anything of it is read. Raises UnderstudyError
    where it is none."""
    try:
        return from_json(kind, data)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise UnderstudyError(NOT_OURS) from None


def raise_unreachable(sentence: str) -> None:
    """What a `Link` does that is not to wait."""
    raise Unreachable(sentence)


class Link:
    """A connection that is opened again as often as it is lost; every call may be repeated without harm.

    While nobody answers, `waiting` is called each second with a sentence about that; what it raises ends the
    call. One thread at a time.
    """

    def __init__(self, remote: Address, waiting: Callable[[str], None]) -> None:
        self.remote, self.waiting = remote, waiting
        self._connection = http_client.Connection(remote)

    def answer(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        body: Any = None,
        timeout: float = TIMEOUT_SECONDS,
        largest: int = http_client.LARGEST_ANSWER,
    ) -> Answer:
        """One request with JSON both ways (`bytes` are sent as they are), the answer read as a dataclass.

        Raises Refused, and UnderstudyError for an answer that is none, or of more than `largest` bytes.
        """
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        text = self._ask(method, path, data, timeout, largest)
        try:
            told = parse_json(text)
        except ValueError:
            raise UnderstudyError(NOT_OURS) from None
        return read(kind, told)

    def tell(self, method: str, path: str, timeout: float = TIMEOUT_SECONDS) -> None:
        """One request whose answer says nothing but that it was heard. Raises Refused."""
        self._ask(method, path, None, timeout, http_client.LARGEST_ANSWER)

    def get(self, path: str, largest: int) -> bytes:
        """The bytes that a path answers, `largest` at most. Raises Refused."""
        return self._ask("GET", path, None, TIMEOUT_SECONDS, largest)

    def info(self) -> EngineInfo:
        """Who is there. Raises UnderstudyError when it cannot work with this one, for its protocol."""
        info = self.answer(EngineInfo, "GET", "/v1/engine")
        try:
            theirs, ours = ([int(part) for part in text.split(".")] for text in (info.protocol, protocol.PROTOCOL))
        except ValueError:
            raise UnderstudyError(NOT_OURS) from None
        if len(info.protocol) > LONGEST_VERSION:
            raise UnderstudyError(NOT_OURS)
        if theirs[0] != ours[0] or theirs < MIN_PROTOCOL:
            raise UnderstudyError(
                f"The remote engine speaks protocol {info.protocol}, this one {protocol.PROTOCOL}. Update the older."
            )
        return info

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, data: bytes | None, timeout: float, largest: int) -> bytes:
        while True:
            rested = self._connection.opened
            try:
                status, text = self._connection.send(method, path, data, timeout, largest)
                break
            except http_client.TooLong:
                raise UnderstudyError(TOO_MUCH) from None
            except (OSError, http.client.HTTPException) as error:
                if rested:
                    continue
                self.waiting(
                    f"The remote engine does not answer at {self.remote.url} ({error or type(error).__name__}). "
                    "Nothing is lost; it goes on when the tunnel stands again."
                )
                time.sleep(RETRY_SECONDS)
        if status >= 400:
            raise Refused(status, _sentence(status, text))
        return text


def _sentence(status: int, text: bytes) -> str:
    try:
        said = str(parse_json(text)["error"])
    except (ValueError, KeyError, TypeError):
        said = f"It answered with error {status}; look into its engine.log."
    if status == 401:
        return "The remote engine refuses the token. Copy its token file again, and name it: understudy remote use."
    return f"The remote engine says: {said[:LONGEST_TEXT]}"


def _same_home(info: EngineInfo) -> bool:
    try:
        own = parse_json(read_text(protocol.address_file()))
        return (own["pid"], own["url"]) == (info.pid, info.url)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _file() -> Path:
    return protocol.home() / "remote.json"
