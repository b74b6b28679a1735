"""How the command line shows a running job, and how Ctrl-C stops it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .errors import Stopped
from .printing import complain, say, shown
from .protocol import PersonSummary, Verdict

EVERY = 5.0  # seconds between plain lines


class Watched:
    """A Reporter that draws on stderr: a bar in a terminal, a plain line now and then elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._stop = threading.Event()
        self._stage = ""
        self._began = self._told = 0.0
        self._first: float | None = None
        self._losses = ""
        self._verdict: Verdict | None = None
        self._bar: Progress | None = None

    @contextlib.contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Everything reported inside belongs to this part of the work; progress starts at 0."""
        self._stage, self._first, self._losses = title, None, ""
        self._began = self._told = time.monotonic()
        if not self._console.is_terminal:
            self._tell(f"{title} …")
            yield
            self._tell(f"{title}: done in {duration(time.monotonic() - self._began)}")
            return
        columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
        with Progress(*columns, TextColumn("{task.fields[detail]}", markup=False), console=self._console) as bar:
            bar.add_task(shown(title), total=1.0, detail="")
            self._bar = bar
            try:
                yield
            finally:
                self._bar = None
                bar.update(bar.task_ids[0], detail="")

    def progress(self, fraction: float, message: str) -> None:
        """Show the fraction of the stage, what it does, and about how long it will take."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = fraction, now  # what an earlier run did took no time now
        left = ""
        if fraction - self._first > 0.01 and now - self._began > 2:
            seconds = (now - self._began) * (1 - fraction) / (fraction - self._first)
            left = f", about {duration(seconds)} left"
        text = f"{message}{self._losses}{left}"
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=fraction, detail=shown(text))
        elif now - self._told >= EVERY:
            self._told = now
            self._tell(f"{fraction:4.0%}  {text}")

    def log(self, text: str, level: str = "info") -> None:
        """Print a line; warnings and errors say so."""
        self._tell(text if level == "info" else f"{level.capitalize()}: {text}")

    def loss(self, step: int, values: dict[str, float]) -> None:
        """Show the losses beside the progress."""
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        self._losses = f" (step {step}: {numbers})"

    def preview(self, path: Path, caption: str) -> None:
        """Say where the picture is."""
        self._tell(f"Preview: {path}")

    def verdict(self, verdict: Verdict, text: str, seconds_left: float | None) -> None:
        """Print how training stands, when it stands otherwise than before."""
        if verdict != self._verdict:
            self._verdict = verdict
            self._tell(text)

    def _tell(self, line: str) -> None:
        self._console.print(shown(line), markup=False, emoji=False)

    def check(self) -> None:
        """Raise Stopped after Ctrl-C."""
        if self._stop.is_set():
            raise Stopped("Stopped as you asked.")

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Inside, the first Ctrl-C (or TERM) stops at the next safe point, the second at once."""

        def stop(number: int, _frame: FrameType | None) -> None:
            if self._stop.is_set():
                raise KeyboardInterrupt
            self._stop.set()
            complain("")
            complain("Stopping at the next safe point; Ctrl-C again stops at once.")

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def show_people(folder: Path, people: Sequence[PersonSummary]) -> None:
    """Print whom a scan found: a table in a terminal, else a line each with tabs."""
    if not sys.stdout.isatty():
        for person in people:
            tracks = f"tracks {','.join(map(str, person.track_ids))}"
            facts = [f"person {person.id}", f"{person.frames} frames", f"from {person.first_frame}"]
            say(*facts, str(folder / person.thumbnail), tracks, *([called] if (called := _called(person)) else []))
        return
    table = Table("person", "name", "frames", "tracks", "first seen", "picture", title=f"{len(people)} found")
    for person in people:
        tracks = ", ".join(map(str, person.track_ids))
        row = (person.id, _called(person), person.frames, tracks, person.first_frame, folder / person.thumbnail)
        table.add_row(*(Text(shown(str(cell))) for cell in row))
    Console(emoji=False).print(table)


def say_who_look_alike(people: Sequence[PersonSummary]) -> None:
    """Say on standard error which people of a scan look the same, and how they are made one."""
    there = {person.id for person in people if not person.rejected}
    pairs = {tuple(sorted((p.id, p.looks_like))) for p in people if {p.id, p.looks_like} <= there}
    for one, other in sorted(pairs):
        complain(
            f"Persons {one} and {other} look alike: a mirror, a picture, or the same person? "
            f"`understudy people` makes them one with --merge {one}+{other}."
        )


def _called(person: PersonSummary) -> str:
    return (person.name if person.known else "") + " (rejected)" * person.rejected


def duration(seconds: float) -> str:
    """A time in an editor's words: 40 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
