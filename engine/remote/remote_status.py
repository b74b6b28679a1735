"""Whether the remote engine answers, for those who look at a panel: asked in a thread, and seldom."""

from __future__ import annotations

import threading
import time

from ..errors import UnderstudyError
from ..protocol import RemoteInfo
from ..protocol.http_client import Address
from .link import Link, Unreachable, chosen_remote, raise_unreachable, send_remembered_cancels

CHECK_SECONDS = 5.0  # seconds


class RemoteWatch:
    """What is known of the remote engine. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: RemoteInfo | None = None
        self._asked = -CHECK_SECONDS

    def ask(self) -> RemoteInfo | None:
        """How it stands, None where this computer works by itself; asks anew in the background now and then."""
        try:
            remote = chosen_remote()
        except UnderstudyError as error:
            return RemoteInfo(url="", state="refused", error=str(error))
        if remote is None:
            return None
        with self._lock:
            if self._known is None or self._known.url != remote.url:
                self._known, self._asked = RemoteInfo(url=remote.url, state="away"), -CHECK_SECONDS
            if time.monotonic() - self._asked > CHECK_SECONDS:
                self._asked = time.monotonic()
                threading.Thread(target=self._look, args=(remote,), name="remote", daemon=True).start()
            return self._known

    def _look(self, remote: Address) -> None:
        found = remote_info(remote)
        with self._lock:
            self._known = found


def remote_info(remote: Address) -> RemoteInfo:
    """How it stands with the remote engine now; jobs that are still to be cancelled there are."""
    link = Link(remote, raise_unreachable)
    try:
        info = link.info()
        send_remembered_cancels(link)
        return RemoteInfo(url=remote.url, state="ready", host=info.host, device=info.device)
    except Unreachable as error:
        return RemoteInfo(url=remote.url, state="away", error=str(error))
    except UnderstudyError as error:
        return RemoteInfo(url=remote.url, state="refused", error=str(error))
    except ValueError:
        return RemoteInfo(url=remote.url, state="refused", error="Something else than an engine answers there.")
    finally:
        link.close()
