"""What several commands take, and how they watch their work."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import Stopped, UnderstudyError
from ..protocol import Identity, Material, Preset, Swap

if TYPE_CHECKING:
    from ..console import Watched

MINUTES: dict[Preset, float] = {"draft": 1.0, "quick": 10.0, "standard": 120.0, "fine": 600.0}
CONSENT = "Understudy is for people who agreed: train on and recast faces only with the permission of everyone shown."


class NotUnderstood(UnderstudyError):
    """The command line itself is wrong."""

    exit_code = 2


Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]
End = Annotated[
    int | None,
    tyro.conf.arg(metavar="INT", help="Frame to stop before; without it, to the last.", help_behavior_hint=""),
]
Minutes = Annotated[
    float | None,
    tyro.conf.arg(
        metavar="FLOAT",
        help="Training time, over all runs together; without it 10 (quick) or 120 (standard).",
        help_behavior_hint="",
    ),
]
Json = Annotated[
    bool, tyro.conf.arg(help="Print one JSON object as the last line of the output.", help_behavior_hint="")
]


@contextlib.contextmanager
def watching(resume: str) -> Iterator[Watched]:
    """A reporter that Ctrl-C stops; then `resume` says how to go on."""
    from ..console import Watched

    reporter = Watched()
    try:
        with reporter.stoppable():
            yield reporter
    except (Stopped, KeyboardInterrupt):
        raise Stopped(f"Stopped. {resume}") from None


def ask_consent() -> None:
    """Say what the work that follows is for."""
    print(CONSENT, file=sys.stderr)


def read_identities(texts: Sequence[str]) -> list[Identity]:
    """NAME=SCAN_DIR[:PERSON] …; the same name again adds material."""
    material: dict[str, list[Material]] = {}
    for text in texts:
        name, found, place = text.partition("=")
        scan, colon, person = place.rpartition(":")
        if not colon or not person.isdigit():  # a colon may belong to the folder, as in C:\scans
            scan, person = place, "0"
        if not (found and name and scan):
            raise NotUnderstood(f"--identity {text} is not NAME=SCAN_DIR or NAME=SCAN_DIR:PERSON.")
        material.setdefault(name, []).append(Material(scan=str(Path(scan).resolve()), person=int(person)))
    if not material:
        raise NotUnderstood("Name at least one person to train: --identity NAME=SCAN_DIR.")
    return [Identity(name=name, material=parts) for name, parts in material.items()]


def read_swap(text: str) -> Swap:
    """PERSON=NAME as a swap."""
    person, _, name = text.partition("=")
    if not (person.isdigit() and name):
        raise NotUnderstood(f"--swap {text} is not PERSON=NAME, as in 0=Ann.")
    return Swap(person=int(person), identity=name)
