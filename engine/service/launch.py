"""Starting a worker, telling it to end, and finding out how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from .. import child_process
from ..durable import lock
from . import rundir
from .schedule import LIGHT

MAX_LOG_BYTES = 2_000_000  # bytes of worker.log, after which the next worker begins a new one
WORKER = f"{__package__}.worker"
RUNNER = f"{__package__.rpartition('.')[0]}.job_bodies:run"


@dataclass
class Attempt:
    """A worker at a job, as its supervisor sees it; all times are monotonic, so that no set clock matters.

    `child` is None for a worker that an earlier engine started. `beat` is the heartbeat's time as it was
    last read, `moved` when that was seen to change.
    """

    folder: Path
    lease: int
    child: subprocess.Popen[bytes] | None = None
    beat: int = 0
    moved: float = field(default_factory=time.monotonic)
    cancelled: float | None = None
    told: bool = False
    cause: str = ""

    def alive(self) -> bool:
        """Whether the worker still is there."""
        if self.child:
            return self.child.poll() is None
        with lock(self.folder / rundir.LOCK) as free:
            return not free

    def still(self) -> float:
        """Seconds for which the job has not moved."""
        with contextlib.suppress(OSError):
            beat = (self.folder / rundir.HEARTBEAT).stat().st_mtime_ns
            if beat != self.beat:
                self.beat, self.moved = beat, time.monotonic()
        return time.monotonic() - self.moved

    def signal(self, number: int) -> None:
        """Send the worker a signal; one that has ended gets none."""
        with contextlib.suppress(OSError, ValueError):
            if self.child:
                self.child.send_signal(number)
            elif pid := int((self.folder / rundir.HEARTBEAT).read_text(encoding="ascii") or 0):
                os.kill(pid, number)

    def kill(self, cause: str) -> None:
        """End the worker at once; `cause` is what its death is put down to."""
        self.cause = cause
        self.signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)

    def death(self) -> str:
        """How the worker ended, in words."""
        code = self.child.returncode if self.child else None
        if self.cause:
            return self.cause
        if code is None:
            return "while the engine was away"
        if code >= 0:
            return f"exit code {code}"
        if code == -signal.SIGKILL:
            return "killed, often for lack of memory"
        return f"signal {-code}"


def spawn(folder: Path, runner: str, lease: int, devices: int) -> Attempt:
    """Start a worker that no signal to this process's group or terminal reaches. Raises OSError.

    Where there are several devices, it sees only the one it has the lease of.
    """
    flags = 0
    if sys.platform == "win32":
        flags = (
            subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        )
    more = own_modules(runner, RUNNER)
    if lease != LIGHT and devices > 1:
        seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        more["CUDA_VISIBLE_DEVICES"] = seen[lease] if lease < len(seen) else str(lease)
    (folder / rundir.LEASE).write_text(str(lease), encoding="ascii")
    with contextlib.suppress(OSError):
        if (folder / rundir.LOG).stat().st_size > MAX_LOG_BYTES:
            (folder / rundir.LOG).replace(folder / f"{rundir.LOG}.1")
    with (folder / rundir.LOG).open("ab") as log:
        child = child_process.start(
            child_process.module(WORKER, str(folder), runner),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            more=more,
            start_new_session=True,
            creationflags=flags,
        )
    return Attempt(folder, lease, child)


def own_modules(named: str, usual: str) -> dict[str, str]:
    """What a child needs to find a function that is not Understudy's own: the places where this process looks."""
    return {} if named == usual else {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}


def adopt(folder: Path, lease: int) -> Attempt:
    """The worker that an earlier engine may have left at a job."""
    with contextlib.suppress(OSError, ValueError):
        lease = int((folder / rundir.LEASE).read_text(encoding="ascii"))
    return Attempt(folder, lease)
