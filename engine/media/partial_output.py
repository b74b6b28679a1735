"""Where a recast grows until it is complete, how it gets its name, and what lies beside it. Standard library
only: the supervisor asks for it, too."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..durable import Seen, look, put
from ..errors import UnderstudyError
from ..own_files import contents, named, remove_ours

SETTINGS_SUFFIX = ".understudy.json"
FACES_SUFFIX = "-faces.json"
SEGMENT_PATTERN = "[0-9]*.json"  # what a finished segment leaves in its folder
RECASTS_FILE = "recasts.json"  # in a working folder: which recasts it is of, as `provenance.begun` writes it


def settings_file(output: Path) -> Path:
    """Where what made a result is kept: `recast.mov.understudy.json` beside `recast.mov`."""
    return output.with_name(f"{output.name}{SETTINGS_SUFFIX}")


def faces_file(output: Path) -> Path:
    """Where it is kept what faces the passes in the folder `output` show: `passes-faces.json` beside `passes`."""
    return output.with_name(f"{output.name}{FACES_SUFFIX}")


def matte_path(output: Path) -> Path:
    """Where the matte of the layer `output` lies."""
    return output.with_name(f"{output.stem}-matte{output.suffix}")


def partial_folder(output: Path) -> Path:
    """The folder beside `output` that holds its finished segments, and the movie while they are joined."""
    return output.with_name(f"{output.name}.part")


Certify = Callable[[Mapping[Path, Path]], Mapping[Path, Path]]
"""Signs and records what is made, before it gets its name: takes final name → where it lies made, gives the same of
what was made to lie beside it."""


def publish(made: Mapping[Path, Path], certify: Certify | None = None) -> None:
    """Give what is made its names (final name → where it lies, on the same file system), signed and recorded first.

    A file takes the place of an earlier one in one step, a folder in two; only what lay there when `certify` looked
    is replaced. When `certify` fails nothing has changed. Raises OSError, UnderstudyError where something came or was
    changed meanwhile, and whatever `certify` does.
    """
    before = {final: look(final) for final in made}
    beside = certify(made) if certify else {}
    before |= {final: look(final) for final in beside}
    for final, whole in {**made, **beside}.items():
        allow = partial(require_unchanged, before[final])
        if whole.is_dir():
            _move_folder(whole, final, allow)
        else:
            put(whole, final, allow)


def require_unchanged(before: Seen, path: Path, where: Path | None = None) -> None:
    """Raise UnderstudyError where something else lies under a name (or has gone on to `where`) than `look` saw."""
    if before is None or look(where or path) != before:
        raise UnderstudyError(
            f"{path} was put there or changed while it was being made, and stays as it is. Move it away, or choose "
            "another name, and start again."
        )


def _move_folder(made: Path, final: Path, allow: Callable[..., None]) -> None:
    replaced = made.with_name(f"{made.name}-replaced")  # where nobody else keeps anything
    if os.path.lexists(final):
        final.rename(replaced)
    try:
        if os.path.lexists(replaced):
            allow(final, replaced)  # nobody finds it under this name
        put(made, final)
    except BaseException:
        if os.path.lexists(replaced):
            replaced.rename(final)
        raise
    if replaced.is_dir():
        shutil.rmtree(replaced, ignore_errors=True)


def empty_partial(output: Path) -> None:
    """Remove what is unfinished of `output`, but for what says whose it is. Raises OSError."""
    remove_ours(partial_folder(output), "recast", keep=RECASTS_FILE)


def require_own_partial(output: Path) -> None:
    """Raise UnderstudyError when what has the name of `partial_folder` is no folder, or holds foreign files."""
    folder = partial_folder(output)
    foreign = contents(folder, "recast").foreign
    if foreign:
        what = "" if foreign == [folder] else f" ({named(foreign, folder)})"
        raise UnderstudyError(
            f"{folder} is in the way: it was not made by Understudy{what}. Move it away, or choose another name."
        )


def remove_partial(output: Path, *, keep_finished: bool = False) -> None:
    """Remove what is unfinished of `output`; with `keep_finished` only when no segment of it is finished.

    Raises nothing: what cannot be removed stays.
    """
    folder = partial_folder(output)
    with contextlib.suppress(OSError, UnderstudyError):
        finished = keep_finished and any((folder / "segments").glob(SEGMENT_PATTERN))
        require_own_partial(output)
        if not finished:
            remove_ours(folder, "recast")
