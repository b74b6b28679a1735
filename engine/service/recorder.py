"""What a stage reports while it works in a worker, written as the job's events.

Calls only leave a note in memory; a thread writes the latest progress and losses four times a
second, beats the heartbeat while notes come in, and looks whether the job should stop.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Literal

from ..durable import raise_flag
from ..errors import Stopped, UnderstudyError
from ..protocol import EventKind, Verdict
from . import rundir
from .events import EventLog
from .rates import EARLY_SHARE, Rate

REPORT_SECONDS = 0.25  # seconds between two looks, and between two progress or loss events
WINDOW_SECONDS = 60.0  # seconds of progress that the estimate of the time left looks back on
MAX_TEXT_LENGTH = 4000  # characters of one text


class Estimate:
    """Time left, by what earlier jobs took and by what this one does.

    With a `rate` of earlier jobs (and `units`, how much there is to do) it is known from the first moment; the job's
    own pace, through the earlier ones' shape, counts the more the further it is. Without, it is the median pace of
    the last minute, of two the slower: what comes before the work, and a resumed job's leap to where it was, is none.
    """

    def __init__(self, rate: Rate | None = None, units: float | None = None) -> None:
        self._rate = rate
        self._expected = rate.seconds * units if rate and units else None
        self._rises: deque[tuple[float, float]] = deque()
        self.whole: list[tuple[float, float]] = []  # all of this attempt, a point for each hundredth

    def seconds_left(self, now: float, fraction: float) -> float | None:
        """Seconds to fraction 1, None while there is too little to go by. `now` is a monotonic time in seconds."""
        if not self.whole or fraction - self.whole[-1][1] >= 0.01 or fraction == 1.0:
            self.whole.append((now, fraction))
        rises = self._rises
        if rises and fraction < rises[-1][1]:
            rises.clear()
        if not rises or (fraction > rises[-1][1] and now > rises[-1][0]):
            rises.append((now, fraction))
        while now - rises[0][0] > WINDOW_SECONDS and len(rises) > 3:
            rises.popleft()
        if self._rate:
            return self._by_rate(self._rate, now, fraction)
        if len(rises) < 3:
            return None
        paces = [(f1 - f0) / (t1 - t0) for (t0, f0), (t1, f1) in pairwise(rises)]
        pace = median(paces) if len(paces) > 2 else min(paces)
        return max(0.0, (1.0 - rises[-1][1]) / pace - (now - rises[-1][0]))

    def _by_rate(self, rate: Rate, now: float, fraction: float) -> float | None:
        begun, first = self.whole[min(1, len(self.whole) - 1)]  # a resumed job is where it was by then
        used, elapsed = rate.share(fraction) - rate.share(first), now - begun
        whole = self._expected
        if used > 0 and elapsed > 0 and len(self.whole) > 3:
            trust = 1.0 if whole is None else min(used / EARLY_SHARE, 1.0)
            whole = trust * elapsed / used + (1 - trust) * (whole or 0.0)
        return None if whole is None else max(0.0, (1 - rate.share(fraction)) * whole)


class Recorder:
    """The worker's `reporter.Reporter`. Any thread of the stage may call it."""

    def __init__(self, folder: Path, log: EventLog) -> None:
        self._folder, self._log = folder, log
        self._pending: dict[EventKind, dict[str, Any]] = {}
        self.estimate = Estimate()
        self._lock = threading.Lock()
        self._moved = True
        self._failure: OSError | None = None
        self._closed = threading.Event()
        self.paused = False
        self.cancelled = False
        (folder / rundir.HEARTBEAT).write_text(str(os.getpid()), encoding="ascii")
        self._beat()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def progress(self, fraction: float, message: str) -> None:
        """Note how far the job is; the last note of each quarter second becomes an event."""
        self._moved = True
        fraction = float(fraction)
        if math.isfinite(fraction):
            fraction = min(max(fraction, 0.0), 1.0)
            with self._lock:
                self._pending["progress"] = {"fraction": fraction, "message": message[:MAX_TEXT_LENGTH]}

    def loss(self, step: int, values: dict[str, float]) -> None:
        """Note the losses of a step, thinned like progress. Values that are no finite numbers are left out."""
        self._moved = True
        finite = {name: number for name, value in values.items() if math.isfinite(number := float(value))}
        with self._lock:
            self._pending["loss"] = {"step": int(step), "values": finite}

    def log(self, text: str, level: str = "info") -> None:
        """Write a line, after what was noted before it."""
        self._write("log", {"level": level, "text": text[:MAX_TEXT_LENGTH]})

    def preview(self, path: Path, caption: str) -> None:
        """Tell of a finished picture."""
        self._write("preview", {"path": str(path.absolute()), "caption": caption[:MAX_TEXT_LENGTH]})

    def verdict(self, verdict: Verdict, text: str, seconds_left: float | None) -> None:
        """Write how training stands."""
        left = seconds_left if seconds_left is not None and math.isfinite(seconds_left) else None
        self._write("verdict", {"verdict": verdict, "text": text[:MAX_TEXT_LENGTH], "seconds_left": left})

    def check(self) -> None:
        """Raise Stopped once the job is to stop, UnderstudyError once its events cannot be written."""
        self._moved = True
        if self._failure:
            raise UnderstudyError(
                f"The job stopped because {self._folder} cannot be written ({self._failure.strerror}). "
                "Make room on that disk, then start the job again."
            )
        if self.cancelled or self.paused:
            held = (self._folder / rundir.HOLD).exists()
            wish: Literal["cancel", "pause", "leave"] = "cancel" if self.cancelled else "pause" if held else "leave"
            raise Stopped("The job was stopped; what it had done so far is kept.", wish)

    def heed(self) -> None:
        """Say that the job is stopping and may take its time over it: there are results to bring home."""
        raise_flag(self._folder / rundir.HEEDED)

    def pause(self) -> None:
        """Stop at the next safe point, to go on another time."""
        self.paused = True

    def close(self) -> None:
        """Write what is still noted and end the thread; reports that come later are lost."""
        self._closed.set()
        self._thread.join()
        self._beat()

    def _run(self) -> None:
        while not self._closed.wait(REPORT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        try:
            with self._lock:
                self._flush()
            if self._moved:
                self._moved = False
                os.utime(self._folder / rundir.HEARTBEAT)
        except OSError as error:
            self._failure = error
        self.cancelled = self.cancelled or (self._folder / rundir.CANCEL).exists()
        flags = (self._folder / rundir.PAUSE, self._folder / rundir.HOLD)
        self.paused = self.paused or any(flag.exists() for flag in flags)

    def _write(self, kind: EventKind, data: dict[str, Any]) -> None:
        self._moved = True
        try:
            with self._lock:
                self._flush()
                self._log.append(kind, data)
        except OSError as error:
            self._failure = error

    def _flush(self) -> None:
        for kind, data in self._pending.items():
            if kind == "progress":
                data["seconds_left"] = self.estimate.seconds_left(time.monotonic(), data["fraction"])
            self._log.append(kind, data)
        self._pending.clear()
