"""The errors a user sees: each one is a sentence that says what is wrong and what to do."""

from __future__ import annotations

from typing import Literal


class UnderstudyError(Exception):
    """Anything that is the input's or the machine's fault, not the code's.

    The message is shown as it stands, in the panel and on the command line; it ends
    with what to do. `exit_code` is what the command line returns.
    """

    exit_code = 1


class NotUnderstood(UnderstudyError):
    """The command line itself is wrong."""

    exit_code = 2


class MediaError(UnderstudyError):
    """A file cannot be read or written as footage."""

    exit_code = 3


class NoFaceError(UnderstudyError):
    """The footage holds no face, or not the person asked for."""

    exit_code = 4


class NoVoiceError(UnderstudyError):
    """The sound holds no voice, or none that can be used."""

    exit_code = 4


class ModelsMissingError(UnderstudyError):
    """The networks that find faces are not installed; `understudy models fetch` gets them."""

    exit_code = 5


class DataError(UnderstudyError):
    """A file of ours (alignments, faceset, model) is missing, damaged or of another version."""

    exit_code = 6


class ConsentError(UnderstudyError):
    """Nobody's permission is on record for somebody who is to be recast or to lend a face."""

    exit_code = 7


class Stopped(UnderstudyError):
    """The user asked to stop; what is done so far is kept and can be taken up again.

    `wish`: stop for good, stop until it is taken up again, or (`leave`) only this program ends.
    """

    exit_code = 130

    def __init__(self, sentence: str, wish: Literal["cancel", "pause", "leave"] = "pause") -> None:
        super().__init__(sentence)
        self.wish = wish
