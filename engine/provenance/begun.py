"""Recasts that have begun: what a killed one leaves unfinished holds faces or a voice, and forgetting must know whose.

`<project>/provenance/begun/<id>.json` is written before anything of the recast is, and removed when it is recorded or
nothing of it is left. The working folder beside the output says itself which recasts it is of, and which project folder
makes them (`RECASTS_FILE`), since a project's word does not count outside it. Standard library only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..durable import make_folders, write_json
from ..errors import DataError
from ..media.partial_output import RECASTS_FILE, partial_folder
from ..own_files import contents
from ..protocol import from_json
from .erase import entries, is_file, is_folder, read_json

FOLDER = "begun"


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A recast by the id that its record will have, and the identities whose face or voice its working folder holds."""

    id: str
    date: str
    output: str
    identities: list[str]


@contextmanager
def begun(project: Path, recast: Begun) -> Iterator[None]:
    """Keep on record that a recast was begun while it is made, and for as long as something unfinished of it is left.

    Raises OSError when the project cannot be written.
    """
    output = Path(recast.output)
    file, folder = project / "provenance" / FOLDER / f"{recast.id}.json", partial_folder(output)
    made = [parent for parent in output.parents if not parent.exists()]
    make_folders(file.parent)
    write_json(file, asdict(recast))
    _say_whose(folder, recast.id, project)
    try:
        yield
    finally:
        if not any(path.name != RECASTS_FILE for path in entries(folder)):
            with contextlib.suppress(OSError):
                if is_folder(folder):
                    (folder / RECASTS_FILE).unlink(missing_ok=True)
                    folder.rmdir()
                for parent in made:
                    parent.rmdir()  # not where something else is in it
            with contextlib.suppress(OSError):
                file.unlink()
                file.parent.rmdir()
                file.parent.parent.rmdir()


def all_begun(project: Path) -> list[tuple[Path, Begun]]:
    """Every recast that was begun and not recorded, each with its file. Raises DataError when one is damaged."""
    folder = project / "provenance"
    found = []
    for path in entries(folder / FOLDER) if is_folder(folder) else []:
        if path.suffix == ".json" and is_file(path):
            try:
                found.append((path, from_json(Begun, read_json(path))))
            except ValueError as error:
                raise DataError(f"{path} is damaged ({error}). Move it away to go on.") from None
    return found


def recasts_of(folder: Path) -> dict[str, str]:
    """The ids of the recasts that a working folder says it is of, each with the project folder that makes it."""
    known = read_json(folder / RECASTS_FILE).get("recasts") if is_folder(folder) else None
    return {one: str(project) for one, project in known.items()} if isinstance(known, dict) else {}


def _say_whose(folder: Path, identifier: str, project: Path) -> None:
    """Write into a working folder that it is of this recast, too; whoever cannot be written to, says so later."""
    with contextlib.suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)  # of the recast: as the user's mask lets
        make_folders(folder)
        if not contents(folder, "recast").foreign:
            known = {**recasts_of(folder), identifier: str(project.resolve())}
            write_json(folder / RECASTS_FILE, {"recasts": known})
