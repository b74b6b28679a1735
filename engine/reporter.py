"""How a running stage tells the world what it does, and hears that it should stop."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .protocol import Verdict


class Reporter(Protocol):
    """What the long-running functions of every stage are given.

    The worker writes these as events, the command line draws them, tests record them.
    Calls are cheap and may come thousands of times a second: implementations thin them out.
    """

    def progress(self, fraction: float, message: str) -> None:
        """How far the whole job is, 0..1, and what it is doing now, in an editor's words."""

    def log(self, text: str, level: str = "info") -> None:
        """A line worth keeping; level is info, warning or error."""

    def loss(self, step: int, values: dict[str, float]) -> None:
        """Losses at a training step."""

    def preview(self, path: Path, caption: str) -> None:
        """A finished JPEG to look at."""

    def verdict(self, verdict: Verdict, text: str, seconds_left: float | None) -> None:
        """How training stands, in a sentence, and how long until it has converged (None: unknown)."""

    def check(self) -> None:
        """Raise `errors.Stopped` when the user asked to stop. Called at safe points, often."""


class Silent:
    """A Reporter for callers that do not watch."""

    def progress(self, fraction: float, message: str) -> None: ...

    def log(self, text: str, level: str = "info") -> None: ...

    def loss(self, step: int, values: dict[str, float]) -> None: ...

    def preview(self, path: Path, caption: str) -> None: ...

    def verdict(self, verdict: Verdict, text: str, seconds_left: float | None) -> None: ...

    def check(self) -> None: ...


class Part:
    """A slice of another reporter's progress: 0..1 here is `start`..`end` there."""

    def __init__(self, whole: Reporter, start: float, end: float) -> None:
        self._whole, self._start, self._end = whole, start, end
        self.log, self.loss, self.preview, self.check = whole.log, whole.loss, whole.preview, whole.check
        self.verdict = whole.verdict

    def progress(self, fraction: float, message: str) -> None:
        self._whole.progress(self._start + fraction * (self._end - self._start), message)
