"""The previewer process, seen from the supervisor's: started with the first request, kept warm, ended when idle."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import secrets
import subprocess
import threading
import time
from pathlib import Path

from .. import child_process
from ..durable import make_private
from ..errors import UnderstudyError
from ..protocol import PreviewResult, PreviewSpec, from_json, to_json
from ..protocol.http_client import Address
from ..remote.link import Refused, Unreachable, chosen_remote
from ..remote.remote_job import remote_preview
from .launch import own_modules
from .preview_worker import RECASTER

PREVIEWER = f"{__package__}.preview_worker"
IDLE_SECONDS = 300.0  # seconds without a request after which its memory is freed
RENDER_SECONDS = 120.0  # seconds that one frame may take
START_SECONDS = 120.0  # seconds that the process may take to start
KEPT_FILES, KEPT_BYTES = 200, 200_000_000  # of pictures; the oldest go first

logger = logging.getLogger(__name__)


class Superseded(Exception):
    """A newer request has come; nobody waits for this one any more."""

    def __init__(self) -> None:
        super().__init__("A newer preview was asked for; this one is not made.")


class NoPreview(Exception):
    """There is no picture; the message is a sentence for the user."""


class PreviewRenderer:
    """Renders previews, one at a time; of those that wait only the latest is ever rendered. Any thread may call."""

    def __init__(self, home: Path, recaster: str = RECASTER) -> None:
        self._folder = home / "previews"
        self._log = home / "preview.log"
        self._recaster = recaster
        self._turn = threading.Condition()
        self._tickets = itertools.count(1)
        self._latest = 0
        self._busy = False
        self._child: subprocess.Popen[bytes] | None = None
        self._used = 0.0
        self._closed = False

    def render(self, spec: PreviewSpec) -> PreviewResult:
        """One frame as it would be recast now. Raises Superseded, or NoPreview with what to do."""
        with self._turn:
            ticket = self._latest = next(self._tickets)
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._busy or ticket != self._latest or self._closed)
            if ticket != self._latest or self._closed:
                raise Superseded
            self._busy = True
        try:
            return self._ask(spec)
        finally:
            with self._turn:
                self._busy, self._used = False, time.monotonic()
                self._turn.notify_all()

    def rest(self) -> None:
        """End a process that nobody has asked for long."""
        with self._turn:
            if self._child and not self._busy and time.monotonic() - self._used > IDLE_SECONDS:
                self._end()

    def close(self) -> None:
        """End the process, also amid a picture."""
        with self._turn:
            self._closed = True
            self._end()
            self._turn.notify_all()

    def _ask(self, spec: PreviewSpec) -> PreviewResult:
        try:
            self._make_room()
            if remote := chosen_remote():
                return _from(remote, spec, self._folder)
            output = self._folder / f"{secrets.token_hex(8)}.png"
            request = json.dumps({"spec": to_json(spec), "output": str(output)}).encode() + b"\n"
            began, rested = time.monotonic(), self._child is not None
            line = self._exchange(request)
            if not line and rested and time.monotonic() - began < 1.0 and not self._closed:
                line = self._exchange(request)  # it had ended while nobody asked
        except OSError as error:
            self._end()
            raise NoPreview(f"The preview cannot be made ({error}). Look into {self._log}, then try again.") from None
        if not line:
            raise NoPreview(
                "The preview's process ended, perhaps for lack of memory. Try again: it starts anew "
                f"(its last words are in {self._log})."
            )
        answer = json.loads(line)
        if "error" in answer:
            raise NoPreview(answer["error"])
        return from_json(PreviewResult, answer["result"])

    def _exchange(self, request: bytes) -> bytes:
        """The answer's line, empty when the process ended; the next request starts it anew then."""
        child = self._child or self._start()
        line = _said(child, RENDER_SECONDS, request) if child else b""
        if not line:
            self._end()
        return line

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._log.open("wb") as log:
            child = child_process.start(
                child_process.module(PREVIEWER, self._recaster),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._folder,
                more={"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **own_modules(self._recaster, RECASTER)},
                start_new_session=True,
            )
        with self._turn:
            self._child = child
            if self._closed:
                self._end()
                return None
        logger.info("previewer %d", child.pid)
        return child if _said(child, START_SECONDS) else None

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()  # it has nothing to lose: pictures get their names when they are whole
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _make_room(self) -> None:
        make_private(self._folder)
        found = sorted((file.stat().st_mtime_ns, file.stat().st_size, file) for file in self._folder.iterdir())
        size = sum(bytes_ for _, bytes_, _ in found)
        for number, (_, bytes_, file) in enumerate(found):
            if len(found) - number < KEPT_FILES and size <= KEPT_BYTES:
                break
            file.unlink(missing_ok=True)
            size -= bytes_


def _from(remote: Address, spec: PreviewSpec, folder: Path) -> PreviewResult:
    try:
        return remote_preview(remote, spec, folder)
    except Refused as error:
        if error.status == 409:
            raise Superseded from None
        raise NoPreview(str(error)) from None
    except (Unreachable, UnderstudyError) as error:
        raise NoPreview(str(error)) from None


def _said(child: subprocess.Popen[bytes], patience: float, request: bytes = b"") -> bytes:
    """The next line the process says, empty when it ended; it is killed after `patience` seconds."""
    assert child.stdin and child.stdout
    watchdog = threading.Timer(patience, child.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        child.stdin.write(request)
        child.stdin.flush()
        line = child.stdout.readline()
    except (BrokenPipeError, ValueError):  # ended by itself; by us
        return b""
    finally:
        watchdog.cancel()
    return line if line.endswith(b"\n") else b""
