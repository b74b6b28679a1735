"""The process beside Blender that does whatever waits: started, asked and listened to without ever waiting. No bpy.

Why the add-on has no thread in Blender
    Blender 4.5 and 5.0 (Python 3.11) run operators with the GIL released. Inside `context.temp_override` they ask
    `PyC_IsInterpreterActive`, which says yes as soon as *any* Python thread holds the GIL, and then use Python's
    allocator without holding it: a segmentation fault in either thread. Every add-on's override is such a place, so
    Blender's own rule is kept without exception: no Python thread, ever; processes instead. What needs threads
    (`poller`, `previewer`, `installer`) is imported by `sidecar_main` only, which runs in this process.

How the two speak
    One loopback connection, JSON lines both ways, never blocking on this side: requests are [worker, method,
    arguments…], answers begin with the name of a class of `reports`. Blender's timers call `pump`. A socket, because it
    can be read without waiting on Linux, macOS and Windows alike, and because the system closes it however either side
    ends: the process ends with Blender, even a killed one, and leaves no file behind.

It is started with the first request: who never uses the add-on never has it. Asked for nothing it waits for the
next line and uses no processor time.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...engine import child_process
from .environment import ROOT

WORKERS = {
    "JobReport": "poller", "EngineReport": "poller", "FootageReport": "poller", "Picture": "previewer",
    "FaceRows": "previewer", "Progress": "installer",
}  # fmt: skip
"""What each answer is called → whose it is."""

START_SECONDS = 30.0
RESTARTS = 3
RESTART_WINDOW_SECONDS = 600.0
"""So often within so long it is started again when it ends, and the engine that it watches likewise."""
PUMP_BYTES = 1 << 20
"""At most about so much is read at once: the timers that read have a budget."""

BOOTSTRAP = """
import importlib, pathlib, sys, types
root = pathlib.Path(sys.argv[1])
for name, folder in (("understudy", root), ("understudy.addon", root / "addon")):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [str(folder)]
importlib.import_module("understudy.addon.side_process.main").main()
"""
"""Imports the extension under a plain name, without its `__init__`s: the add-on's needs bpy."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds between two looks: at a watched job, for an engine that is away, after a remote engine."""

    poll: float = 0.25
    retry: float = 1.0
    far: float = 3.0


PACE = Pace()


class CannotStart(Exception):
    """The process does not run and cannot be started; the message is one sentence for the panel."""


class Gone(Exception):
    """The process has ended, or who answers is not it."""


class Sidecar:
    """The process, or the want of one. Every method returns at once.

    `lost` counts how often it was gone: whoever awaits something of it asks again when that has changed.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.started: Callable[[], None] = lambda: None
        """Called whenever the process was started: somebody has to `pump` soon, until it is not `connecting`."""
        self._process: subprocess.Popen | None = None
        self._listener: socket.socket | None = None
        self._callers: dict[socket.socket, bytes] = {}  # connected, but has not said yet that it is ours
        self._line: socket.socket | None = None
        self._its_word, self._our_word = b"", b""
        self._out, self._in = bytearray(), b""
        self._heard: dict[str, deque[tuple[str, bytes]]] = {worker: deque() for worker in WORKERS.values()}
        self._deaths: list[float] = []
        self._patience = 0.0

    @property
    def process(self) -> subprocess.Popen | None:
        """The running process, None where none runs."""
        return self._process

    @property
    def connecting(self) -> bool:
        """Whether it was started and has not called yet."""
        return self._process is not None and self._line is None

    def ask(self, worker: str, method: str, *arguments: Any) -> None:
        """Have a worker do something; the process is started if need be. `arguments` are plain JSON.

        Raises CannotStart.
        """
        self.pump()
        if self._process is None:
            self._start()
        self._out += json.dumps([worker, method, *arguments]).encode() + b"\n"
        self.pump()

    def hear(self, worker: str) -> tuple[str, Any] | None:
        """The next answer of a worker, what it is called and its JSON, or None."""
        heard = self._heard[worker]
        if not heard:
            self.pump()
        if not heard:
            return None
        name, text = heard.popleft()
        return name, json.loads(text)

    def pump(self) -> None:
        """Send what waits to be sent and sort what has come, as far as that goes without waiting."""
        if self._process is None:
            return
        try:
            if self._line is None:
                self._answer_callers()
            if self._line is not None:
                self._receive(self._line)
                self._send(self._line)
        except (OSError, Gone):
            now = time.monotonic()
            self._deaths = [t for t in self._deaths if now - t < RESTART_WINDOW_SECONDS] + [now]
            self._process.kill()
            self._let_go()

    def forgive(self) -> None:
        """Somebody wants it started whatever went wrong before."""
        self._deaths.clear()

    def close(self) -> None:
        """End the process. It is not waited for: it may have to stop a program that it runs."""
        self._let_go()
        self.forgive()
        for heard in self._heard.values():
            heard.clear()

    def _let_go(self) -> None:
        if self._process is None:
            return
        for one in (self._line, self._listener, *self._callers):
            if one is not None:
                one.close()
        self._process = self._line = self._listener = None
        self._callers.clear()
        self._out.clear()
        self._in = b""
        self.lost += 1

    def _start(self) -> None:
        now = time.monotonic()
        if sum(now - t < RESTART_WINDOW_SECONDS for t in self._deaths) >= RESTARTS:
            raise CannotStart(
                f"Understudy's process beside Blender stopped {RESTARTS} times within ten minutes: "
                "start the engine again."
            )
        python = find_python()
        if python is None:
            raise CannotStart("Blender's Python was not found: Understudy cannot reach its engine.")
        words = secrets.token_hex(32), secrets.token_hex(32)
        try:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self._listener.setblocking(False)
            self._process = _spawn(python)
        except OSError as error:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
            raise CannotStart(f"Understudy's process beside Blender cannot be run ({error}).") from None
        self._its_word, self._our_word = (word.encode() + b"\n" for word in words)
        known = {"port": self._listener.getsockname()[1], "here": words[0], "there": words[1], "pace": asdict(PACE)}
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as stdin:  # where it has ended already, `pump` sees it
            stdin.write(json.dumps(known).encode() + b"\n")
        self._out += self._our_word
        self._patience = now + START_SECONDS
        self.started()

    def _answer_callers(self) -> None:
        """Take the process's call. Anybody on this computer may call: ours knows the word that only it was told."""
        assert self._listener is not None and self._process is not None
        with contextlib.suppress(BlockingIOError):
            caller, _ = self._listener.accept()
            caller.setblocking(False)
            self._callers[caller] = b""
        for caller, said in list(self._callers.items()):
            try:
                more = caller.recv(len(self._its_word) - len(said))
            except BlockingIOError:
                continue
            except OSError:
                more = b""
            self._callers[caller] = said + more
            if more and len(said + more) < len(self._its_word):
                continue
            del self._callers[caller]
            if not secrets.compare_digest(said + more, self._its_word):
                caller.close()
                continue
            for other in (self._listener, *self._callers):
                other.close()
            self._callers.clear()
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a second request waits for the first
            self._listener, self._line = None, caller
            return
        if self._process.poll() is not None or time.monotonic() > self._patience:
            raise Gone

    def _send(self, line: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._out:
                del self._out[: line.send(self._out)]

    def _receive(self, line: socket.socket) -> None:
        read = 0
        with contextlib.suppress(BlockingIOError):
            while read < PUMP_BYTES:
                some = line.recv(1 << 16)
                if not some:
                    raise Gone
                read += len(some)
                *whole, self._in = (self._in + some).split(b"\n")
                for answer in whole:
                    name, _, text = answer.partition(b" ")
                    self._heard[WORKERS[name.decode()]].append((name.decode(), text))


def find_python() -> Path | None:
    """The Python that Blender runs, as a program; None where there is none."""
    folders = [Path(sys.prefix, "bin"), Path(sys.prefix)]
    names = [f"python{sys.version_info[0]}.{sys.version_info[1]}", "python3", "python"]
    if sys.platform == "win32":
        names = ["python.exe"]
    beside = [folder / name for folder in folders for name in names]
    # where Blender does not find its own, `sys.executable` is Blender itself
    ours = [Path(sys.executable)] if Path(sys.executable or "-").name.lower().startswith("python") else []
    return next((python for python in (*ours, *beside) if python.is_file()), None)


def _spawn(python: Path) -> subprocess.Popen:
    hidden: dict = {"start_new_session": True, "stderr": None}  # a Ctrl-C in Blender's terminal is Blender's
    if sys.platform == "win32":  # a window's program may have no valid handle to hand on
        hidden = {"creationflags": subprocess.CREATE_NO_WINDOW, "stderr": subprocess.DEVNULL}
    # nothing but the standard library, whatever the environment says; text as Blender's own Python has it
    options = ["-I", "-S", "-X", "utf8"]
    # Blender may stand in a stranger's folder, where Windows, and a PATH with `.` in it, look for programs first
    return child_process.start(
        [str(python), *options, "-c", BOOTSTRAP, str(ROOT)], cwd=sys.prefix, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, **hidden,
    )  # fmt: skip


SIDECAR = Sidecar()
"""This Blender's."""
