"""What runs in the process beside Blender (`sidecar`): a thread that reads requests, one that writes answers, and
the workers with theirs. No bpy.

It ends when the connection does, that is with Blender, and takes a program that the set-up runs with it; an engine
goes on.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from ...engine import protocol
from ..engine_link.reports import EngineReport, FaceRows, Faces
from ..engine_link.sidecar import Pace
from ..state import face_boxes
from .poller import Poller
from .preview_requests import Previewer

ROWS = 256
"""Faces that Blender reads in a millisecond or less."""
END_SECONDS = 5.0
"""So long a set-up may take to stop its program."""


class Workers:
    """The workers, each made when it is first asked for something."""

    def __init__(self, reports: SimpleQueue, pace: Pace) -> None:
        self._reports, self._pace = reports, pace
        self._installer: Any = None

    def do(self, worker: str, method: str, *arguments: Any) -> None:
        """What Blender asks: see `handles`."""
        if (worker, method) == ("previewer", "want"):
            number, spec = arguments
            arguments = (number, protocol.from_json(protocol.PreviewSpec, spec))
        if (worker, method) == ("poller", "look_at"):
            python, clip = arguments
            arguments = (python, protocol.from_json(protocol.Clip, clip))
        getattr(getattr(self, worker), method)(*arguments)

    @functools.cached_property
    def poller(self) -> Poller:
        return Poller(self._reports, self._pace)

    @functools.cached_property
    def previewer(self) -> Previewer:
        return Previewer(self._reports)

    @property
    def installer(self) -> Any:
        """Its module is large and seldom needed: imported with the first set-up."""
        if self._installer is None:
            from .installer import Installer

            self._installer = Installer(self._reports)
        return self._installer

    def end(self) -> None:
        """Stop a set-up that is under way; what was downloaded stays."""
        if self._installer is not None:
            self._installer.cancel()
            self._installer.wait(END_SECONDS)


def lines(report: Any) -> Iterator[bytes]:
    """A report as it is sent."""
    if isinstance(report, Faces):
        rows = face_boxes.rows(report.faces)
        for start in range(0, max(len(rows), 1), ROWS):
            part = FaceRows(key=report.key, rows=rows[start : start + ROWS], more=start + ROWS < len(rows))
            yield from lines(part)
    else:
        facts = protocol.to_json(report)
        text = json.dumps(facts if isinstance(report, FaceRows) else plain(facts))  # rows hold numbers alone
        yield f"{type(report).__name__} {text}\n".encode()


def plain(value: Any) -> Any:
    """JSON without what is no text: names of files may hold bytes that are no UTF-8, and Blender's properties none."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def write(line: socket.socket, reports: SimpleQueue) -> None:
    """Send reports until Blender is gone. It may be busy for minutes: then they wait here."""
    with contextlib.suppress(OSError):
        while True:
            for text in lines(reports.get()):
                line.sendall(text)


def read(line: socket.socket, word: bytes, do: Callable[..., None], reports: SimpleQueue) -> None:
    """Do what Blender asks, until it is gone."""
    with contextlib.suppress(OSError), line.makefile("rb") as requests:
        if not secrets.compare_digest(requests.readline(), word):
            return
        for text in requests:
            try:
                do(*json.loads(text))
            except Exception as error:  # the process must live on, and the user must hear of it
                reports.put(EngineReport(state="failed", error=f"Understudy's own process failed: {error!r}."))


def main() -> None:
    """Call the Blender that wrote to standard input where it is to be reached."""
    known = json.loads(sys.stdin.readline())
    with contextlib.suppress(OSError):
        line = socket.create_connection(("127.0.0.1", known["port"]))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(known["here"].encode() + b"\n")
        reports: SimpleQueue = SimpleQueue()
        threading.Thread(target=write, args=(line, reports), daemon=True).start()
        workers = Workers(reports, Pace(**known["pace"]))
        read(line, known["there"].encode() + b"\n", workers.do, reports)
        workers.end()
    os._exit(0)  # the workers' threads may be in a call that takes its time-out to end
