"""The paths and numbers of a command line, looked at before anything is begun."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from .. import protocol
from ..errors import MediaError, NotUnderstood, UnderstudyError
from ..plain_words import of_file
from ..printing import complain
from ..project_links import require_inside_project
from ..reading import NO_FILE, is_readable_kind

LONGEST = 255  # bytes of a name that file systems take
ADDED = 40  # bytes that the names of what is made beside an output have more than its own
FOOTAGE = {"shot", "face", "footage", "file", "sound", "voice", "recordings", "rest"}
"""Arguments that name a movie, pictures or sound."""
DOCUMENTS = {"", ".html", ".json"}
"""Endings of outputs that are none (a folder without one)."""
LATER = {errno.ENOENT, errno.EACCES, errno.EPERM}
"""Refusals that mean nothing for an output, and that whoever reads an input has a better sentence for."""


def examine(command: Any) -> None:
    """Raise UnderstudyError for the first path of a command that cannot be one, NotUnderstood for a number that is not
    finite or a text that is none."""
    for name, value in _values(command, ""):
        if isinstance(value, Path):
            examine_path(value, name)
        elif isinstance(value, float) and not math.isfinite(value):
            raise NotUnderstood(f"--{name.replace('_', '-')} {value:g} is no number to work with. Give a finite one.")
        elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise NotUnderstood(f"{value} is no text in UTF-8. Type it again, or give another name.")


def _values(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _values(getattr(value, field.name), field.name)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _values(part, name)
    else:
        yield name, value


def examine_path(path: Path, argument: str = "") -> None:
    """Raise MediaError or UnderstudyError when nothing can be read or written under a path."""
    footage = argument in FOOTAGE or (argument == "output" and path.suffix not in DOCUMENTS)
    kind = MediaError if footage else UnderstudyError
    try:
        os.fsencode(path.absolute()).decode("utf-8")  # the current folder's name goes into files, too
    except UnicodeDecodeError:
        whole = path.absolute()
        raise kind(f"The name {whole} is not in UTF-8. Rename it, or its folder, and name it again.") from None
    if argument == "output" and len(os.fsencode(path.name)) > LONGEST - ADDED:
        raise kind(f"The name {path.name[:100]}… is too long. Choose one of at most {LONGEST - ADDED} bytes.")
    try:
        status = path.stat()
    except OSError as error:
        if argument == "output" and error.errno == errno.ENOENT and path.is_symlink():
            raise kind(f"{path} is a link that leads to nothing. Remove it, or choose another name.") from None
        if error.errno in LATER:
            require_inside_project(path)
            return
        raise kind(of_file(error)) from None
    if not (is_readable_kind(status) or stat.S_ISDIR(status.st_mode)):
        raise kind(f"{path} is {NO_FILE}. Choose a file.")
    require_inside_project(path)


def examine_home() -> None:
    """Raise UnderstudyError when Understudy's home folder is none and cannot become one."""
    home = protocol.home()
    try:
        os.fsencode(home).decode("utf-8")
    except UnicodeDecodeError:
        raise UnderstudyError(f"The name of {home} is not in UTF-8. Set UNDERSTUDY_HOME to another folder.") from None
    try:
        place = home
        while not os.path.lexists(place) and place != place.parent:
            place = place.parent
        folder = stat.S_ISDIR(place.stat().st_mode)
        reason = "a file is in its place"
    except OSError as error:
        folder, reason = False, error.strerror or "it cannot be reached"
    if not folder:
        raise UnderstudyError(
            f"Understudy's home folder {home} cannot be used ({reason}). Set UNDERSTUDY_HOME to a folder."
        )


def close_home() -> None:
    """Close Understudy's home folder to others on this computer, where they may look into it, with a word."""
    home = protocol.home()
    with contextlib.suppress(OSError):  # whoever writes there says what cannot be
        if protocol.is_open_home():
            protocol.make_home()
            complain(f"Others on this computer could look into {home}, Understudy's home folder. They cannot any more.")
