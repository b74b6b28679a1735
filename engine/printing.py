"""The one way in which the command line prints: names of files and people may come from anybody.

A name may hold what a terminal obeys (escape codes), what turns the text around it (marks of writing direction), a line
break that fakes a line of ours, or bytes that are no text. All of it is shown, and none of it has an effect.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
import unicodedata

from .errors import UnderstudyError

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control and format characters, lone surrogates, and line and paragraph separators."""
JOINERS = "\u200c\u200d"
"""Format characters that Persian, Indic scripts and emoji are written with; they turn and hide nothing."""


def shown(text: str) -> str:
    r"""`text` as one line that any terminal shows as it is: what it would obey becomes \n, \x1b, \u202e.

    Bytes of a file name that are no UTF-8 (lone surrogates, as `os.fsdecode` makes them) become \xff and their like.
    """
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in JOINERS or unicodedata.category(character) not in OBEYED:
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def say(*columns: str) -> None:
    """Print one line to the output, tabs between its columns.

    Raises UnderstudyError when it cannot be written, BrokenPipeError as it is.
    """
    try:
        print(*(shown(column) for column in columns), sep="\t", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnderstudyError(unwritten(error)) from None


def complain(line: str, end: str = "\n") -> None:
    """Print one line to the errors' output; where that cannot be written there is nobody to be told."""
    with contextlib.suppress(OSError):
        print(shown(line), end=end, file=sys.stderr, flush=True)


def complain_of_fault() -> None:
    """Print the traceback of the exception that is being handled."""
    for line in traceback.format_exc().splitlines():
        complain(line)


def unwritten(error: OSError) -> str:
    """The sentence for an output that takes nothing."""
    return (
        f"What the command says cannot be written ({error.strerror}). Send its output to another place, or make room."
    )
