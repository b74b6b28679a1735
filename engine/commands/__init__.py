"""The commands of the command line, a file each: what each takes, how its manual reads, what it does.

Heavy modules are imported by the commands that need them, so that help is quick. Every `run`
returns what `--json` prints, and raises UnderstudyError with a sentence for the user.
"""

from __future__ import annotations

from typing import Any

from .alignments import AlignmentsCommand
from .arguments import NotUnderstood
from .convert import Convert
from .doctor import Doctor
from .export import Export
from .identity import Identity
from .jobs import Jobs
from .models import Models
from .otio import OtioCommand
from .people import People
from .remote import RemoteCommand
from .review import Review
from .scan import Scan
from .serve import Serve
from .swap import SwapAll
from .train import Train
from .verify import Verify
from .voice import Voice

__all__ = ["COMMANDS", "NotUnderstood"]

COMMANDS: dict[str, Any] = {
    "swap": SwapAll,
    "scan": Scan,
    "people": People,
    "alignments": AlignmentsCommand,
    "train": Train,
    "convert": Convert,
    "review": Review,
    "otio": OtioCommand,
    "export": Export,
    "voice": Voice,
    "identity": Identity,
    "verify": Verify,
    "models": Models,
    "serve": Serve,
    "jobs": Jobs,
    "remote": RemoteCommand,
    "doctor": Doctor,
}
