"""Links in a project, which may come from anybody: none leads what is read or written there out of it.

Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .errors import UnderstudyError
from .protocol import (
    ConsentSpec,
    ConvertSpec,
    ForgetSpec,
    JobSpec,
    PeopleSpec,
    PreviewSpec,
    ReviewSpec,
    ScanSpec,
    TrainSpec,
    VoiceSpec,
    VoiceTrainSpec,
    project_of,
)
from .protocol.paths import INSIDE_A_PROJECT

ENDING = ".understudy"
FOLDERS = (
    *("consent", "consent/files", "consent/voices", "provenance", "provenance/voices", "provenance/begun"),
    *("scans", "models", "recasts", "voices", "intermediates"),
)
"""Of a project: what holds files of ours. Footage beside them may lie anywhere."""

READ = ("consent", "provenance", "people.safetensors")
"""Of a project: what any job may read."""


def require_inside(spec: JobSpec | PreviewSpec) -> None:
    """Raise UnderstudyError when what a job reads of its project, or writes into it, leads out of it by a link."""
    named = getattr(spec, "project", "")
    read = list(_read(spec))
    place = getattr(spec, "output", "") or (read[0] if read else "")
    for path in filter(None, (named, place, *read)):
        require_real_project(Path(path))
    if not named and not place:
        return
    project = Path(named) if named else project_of(place)
    if named or project.suffix == ENDING:  # a folder that outputs lie in otherwise is the user's, with their own links
        for name in FOLDERS:
            _require(project / name, project)
    if place and Path(place).is_relative_to(project):
        _require(Path(place), project)
    if isinstance(spec, ForgetSpec):
        return  # which looks at each file itself, and removes a link as such
    if isinstance(spec, ConsentSpec):  # which looks at its own file, whatever lies beside it
        for name in ("consent/.lock", "consent/voices/.lock"):
            _require(project / name, project)
        return
    for path in (*read, *(str(project / name) for name in READ)):
        require_closed(Path(path), project)


def require_inside_project(path: Path) -> None:
    """Raise UnderstudyError when a place that is named in a project's own folders, or a link in it, leads out of the
    project, also of a folder that is called otherwise; or when the project is a link itself."""
    path = path.absolute()
    require_real_project(path)
    project = next((parent for parent in path.parents if parent.suffix == ENDING), None)
    if project is not None and path.relative_to(project).parts[0] in FOLDERS:
        require_closed(path, project)
    elif project is None and path.parent.name in INSIDE_A_PROJECT and path.parent.is_symlink():
        _require(path.parent, path.parent.parent)


def require_real_project(path: Path) -> None:
    """Raise UnderstudyError when a path is a project folder, or lies in one, that is a link: whoever sends a .blend
    could have laid it beside, to any other project of the user's."""
    for one in (path, *path.parents):
        if one.suffix == ENDING and one.is_symlink():
            raise UnderstudyError(
                f"The project {one} is a link, to {os.path.realpath(one)}. If that is the project that is meant, name "
                "it itself, or move it here in place of the link."
            )


def require_closed(place: Path, project: Path) -> None:
    """Raise UnderstudyError when a file or folder of `project`, or a link in that folder, leads out of the project; of
    a place elsewhere, when a link in it leads out of its own project or, where it is in none, of itself."""
    if not place.is_relative_to(project):
        project = next((parent for parent in place.parents if parent.suffix == ENDING), place)
    _require(place, project)
    for folder, names, files in os.walk(place):
        for name in (*names, *(n for n in files if not n.endswith(".part"))):  # those are written anew, never read
            if (found := Path(folder, name)).is_symlink():
                _require(found, project)


def _read(spec: JobSpec | PreviewSpec) -> Iterator[str]:
    """The folders of ours that a job reads, the one that it is about first."""
    match spec:
        case ConvertSpec():
            yield from (spec.scan, spec.model)
        case ReviewSpec():
            yield spec.scan
        case PreviewSpec():
            yield from (spec.scan, *([spec.model] if spec.model else []))
        case PeopleSpec():  # who is known from the other scans of the project
            yield from (spec.scan, str(Path(spec.project or project_of(spec.scan), "scans")))
        case VoiceSpec():
            yield spec.voice
        case ScanSpec():
            yield from (spec.output, str(Path(spec.project or project_of(spec.output), "scans")))
        case VoiceTrainSpec():
            yield spec.output
        case TrainSpec():
            yield from (spec.output, *([spec.warm_start] if spec.warm_start else []))
    if isinstance(spec, TrainSpec | PreviewSpec):
        yield from (material.scan for identity in spec.identities for material in identity.material)


def _require(path: Path, project: Path) -> None:
    try:
        inside = path.resolve().is_relative_to(project.resolve())
    except (OSError, RuntimeError) as error:  # a loop of links
        raise UnderstudyError(f"{path} cannot be used ({error}). Choose another folder.") from None
    if not inside:
        raise UnderstudyError(
            f"{path} is a link that leads out of the project, so nothing is read or written there. Remove the link, "
            "or put the file or folder itself in its place."
        )
