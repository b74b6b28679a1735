"""The entry point of `understudy …`, which `python -m understudy.engine …` is the same as."""

from __future__ import annotations

import os
import sys

LOADER = ("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES")
"""Variables by which a shell has programs load other libraries than their own."""


def main() -> None:
    """Run the command line; where a library of Python's or the engine's cannot be loaded, say so and exit with 1."""
    try:
        from .cli import main as command_line
    except ImportError as error:
        told = [name for name in LOADER if os.environ.get(name)]
        mend = f"Unset {' and '.join(told)} and try again" if told else "Install the engine again"
        sys.exit(f"A library cannot be loaded ({error}). {mend}.")
    command_line()


if __name__ == "__main__":
    main()
