"""Two runs never write to one place at a time. Standard library only."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from .durable import lock, make_private
from .errors import UnderstudyError
from .protocol import make_home

FOLDER = "outputs"  # of the home folder: a lock for each place that is written to; nothing is left beside the output


@contextlib.contextmanager
def alone(output: Path) -> Iterator[None]:
    """Hold a file or folder for this process alone, until it is left or the process ends.

    Raises UnderstudyError at once when another run of this user's on this computer holds it.
    """
    folder = make_private(make_home() / FOLDER)
    place = folder / f"{hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:32]}.lock"
    with lock(place) as held:
        if not held:
            raise UnderstudyError(f"Another run is writing {output}. Wait until it has ended, or choose another place.")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows keeps what is open
                place.unlink()
