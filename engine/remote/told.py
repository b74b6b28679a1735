"""What happens in a job on another engine, told here. Each kind of event is read as a message of its own; whatever is
none ends in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

from ..errors import UnderstudyError
from ..protocol import Event, Verdict
from ..reporter import Reporter
from .file_sync import Exchange
from .link import LONGEST_TEXT, NOT_OURS, read

LARGEST_NUMBER = 1 << 53
"""Above any step or event that is counted: JSON has no whole numbers beyond."""
MOST_VALUES = 100
"""Losses of one step: each identity has a few."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """See `Event`."""

    fraction: float
    message: str


@dataclass(frozen=True, kw_only=True)
class Log:
    """See `Event`."""

    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Loss:
    """See `Event`."""

    step: int
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Number:
    """One of `Loss.values`."""

    value: float


@dataclass(frozen=True, kw_only=True)
class Preview:
    """See `Event`."""

    path: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Said:
    """A verdict, see `Event`."""

    verdict: Verdict
    text: str
    seconds_left: float | None = None


class Here(Protocol):
    """The job of this computer that is done there."""

    reporter: Reporter
    exchange: Exchange

    def advance(self, fraction: float, message: str) -> None:
        """Tell how far it is, 0..1."""

    def show(self, place: str, caption: str) -> None:
        """Show a picture by its place in the mirror."""


def teller_of(event: Event, here: Here) -> Callable[[], None]:
    """What tells here what is told there. Raises UnderstudyError."""
    data, report, places = event.data, here.reporter, here.exchange.places
    match event.kind:
        case "progress":
            progress = read(Progress, data)
            return partial(here.advance, min(max(progress.fraction, 0.0), 1.0), _short(progress.message))
        case "loss":
            loss = read(Loss, data)
            if not 0 <= loss.step < LARGEST_NUMBER or len(loss.values) > MOST_VALUES:
                raise UnderstudyError(NOT_OURS)
            values = {_short(name): read(Number, {"value": value}).value for name, value in loss.values.items()}
            return partial(report.loss, loss.step, values)
        case "log":
            log = read(Log, data)
            return partial(report.log, places.in_text(_short(log.text)), log.level)
        case "verdict":
            said = read(Said, data)
            return partial(report.verdict, said.verdict, _short(said.text), said.seconds_left)
        case "preview":
            preview = read(Preview, data)
            return partial(here.show, places.inside(preview.path), _short(preview.caption))
        case _:
            return _nothing


def _nothing() -> None:
    """Of its states a job is told otherwise."""


def _short(text: str) -> str:
    return text[:LONGEST_TEXT]
