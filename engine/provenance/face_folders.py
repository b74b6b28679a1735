"""Where in a project scans, models and voices lie, at whatever depth; links are told, and never followed. Standard
library only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from ..project_links import ENDING
from .erase import is_file, is_folder

Card = Literal["scan.json", "model.json", "voice.json"]
CARDS: tuple[Card, ...] = ("scan.json", "model.json", "voice.json")
"""What a folder holds that is a scan, a model or a voice."""
PASSED_OVER = {".observed", ".incoming", ".outside", ".git"}
UNFINISHED = (".part", ".old", ".people")
"""Hidden folders that are no finished scans, models or voices, by their names and endings."""
LEADS_OUT = (
    "It is a link that leads out of the project, to {}, and is not looked into. If their face or voice is there, "
    "remove it yourself."
)


def holding(project: Path, name: str) -> list[Path]:
    """The folders of a project that hold a file of this name: one of `CARDS`, or the known people. No link is followed,
    and no other project in this one is entered."""
    return [folder for folder, files in _walk(project) if name in files and is_file(folder / name)]


def files_like(project: Path, is_meant: Callable[[str], bool]) -> list[Path]:
    """The files of a project, no links, whose names are meant; no other project in this one is entered."""
    found = [folder / name for folder, files in _walk(project) for name in sorted(files) if is_meant(name)]
    return [path for path in found if is_file(path)]


def links_out(project: Path, folders: list[Path]) -> Iterator[tuple[Path, Path]]:
    """The links that lead out of a project to what may be a scan, a model or a voice, or to a file of one, and where
    to; `folders` are scans, models and voices."""
    for folder, _ in _walk(project):
        inside = any(folder == one or one in folder.parents for one in folders)
        with os.scandir(folder) as found:
            for entry in sorted(found, key=lambda one: one.name):
                if entry.is_symlink() and (inside or entry.name in CARDS or _leads_to_folder(entry)):
                    target = Path(os.path.realpath(entry.path))
                    if not target.is_relative_to(project):
                        yield Path(entry.path), target


def every_folder(project: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder of a project, hidden ones too, with the names of its files; no link is followed, and no other
    project in this one is entered."""
    for folder, names, files in os.walk(project):
        names[:] = sorted(name for name in names if not name.endswith(ENDING) or _is_entered(Path(folder, name)))
        yield Path(folder), sorted(files)


def passed_over(project: Path) -> list[Path]:
    """The folders of a project, in hidden ones that are passed over, which hold files called as faces or voices are."""
    looked = {folder for folder, _ in _walk(project)}
    return [
        folder
        for folder, files in every_folder(project)
        if folder not in looked and any(name in CARDS or name.endswith((".faceset", ".safetensors")) for name in files)
    ]


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _walk(project: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder of a project with the names of its files, but for what is passed over by name and other projects. A
    scan of footage with a hidden name is hidden, and whatever its name, what holds a card is no project."""
    if not is_folder(project):
        return
    for folder, names, files in os.walk(project):
        names[:] = sorted(name for name in names if _is_entered(Path(folder, name)))
        yield Path(folder), files


def _is_entered(folder: Path) -> bool:
    if folder.name.endswith(ENDING):
        return any(is_file(folder / card) for card in CARDS)
    hidden = folder.name.startswith(".")
    return not hidden or (folder.name not in PASSED_OVER and folder.suffix not in UNFINISHED)
