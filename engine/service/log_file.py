"""The engine's log on disk: a few rotated files, which no flood of one message washes away."""

from __future__ import annotations

import logging
import logging.handlers
import time
from io import TextIOWrapper
from pathlib import Path

from ..durable import make_private_file

BYTES, KEPT = 2_000_000, 3  # of engine.log, and how many older ones are kept
WINDOW_SECONDS = 60.0  # seconds
MAX_REPEATS = 5  # times that one message is written within a window
LIBRARY_LOGGERS = {
    "asyncio",
    "uvicorn",
}  # loggers that tell of whoever connects, with addresses and numbers in their texts
MAX_COUNTED = 1000  # messages that are counted at once


class RateLimit(logging.Filter):
    """Lets a message through `MAX_REPEATS` times a window, and says in the next one how many were left out.

    Messages are told apart by their text; those of `LIBRARY_LOGGERS` by the place that writes them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[tuple[str, int, str], tuple[float, int]] = {}  # when the window began, how many since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        text = "" if record.name.partition(".")[0] in LIBRARY_LOGGERS else record.getMessage()
        what, now = (record.pathname, record.lineno, text), time.monotonic()
        began, count = self._counts.get(what, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, left_out, count = now, max(count - MAX_REPEATS, 0), 0
            if left_out:
                record.msg, record.args = f"{record.getMessage()} (and {left_out} times more, not written)", None
        if what not in self._counts and len(self._counts) >= MAX_COUNTED:
            self._counts = {key: seen for key, seen in self._counts.items() if now - seen[0] < WINDOW_SECONDS}
            while len(self._counts) >= MAX_COUNTED:
                self._counts.pop(next(iter(self._counts)))
        self._counts[what] = began, count + 1
        return count < MAX_REPEATS


class PrivateFileHandler(logging.handlers.RotatingFileHandler):
    """Rotated files that nobody else on this computer reads: names of files and people are in them."""

    def _open(self) -> TextIOWrapper:
        make_private_file(Path(self.baseFilename))
        return super()._open()


def log_to(path: Path) -> None:
    """Everything the process logs goes to `path`; no request line does, so no token can."""
    handler = PrivateFileHandler(path, maxBytes=BYTES, backupCount=KEPT, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(RateLimit())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
