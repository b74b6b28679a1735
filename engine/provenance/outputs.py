"""What may be written under a name of the user's: a new file, or one in place of a recast of ours; never over material.

A recast is ours when it carries intact content credentials of a recast, or when the project records it with the very
contents it has. So what somebody graded, cut or drew over under the same name is theirs. What `--overwrite` replaces
beside that, and what not even it does: `overwriting`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..durable import hash_file
from ..errors import UnderstudyError
from ..media.partial_output import (
    FACES_SUFFIX,
    SETTINGS_SUFFIX,
    faces_file,
    matte_path,
    require_own_partial,
    settings_file,
)
from ..own_files import Kind as FolderKind
from ..own_files import named, require_scan, unproven
from ..project_links import ENDING
from ..protocol import ConvertSpec, JobSpec, ReportSpec, ScanSpec, TrainSpec, VoiceSpec, VoiceTrainSpec, project_of
from .credentials import FORMATS, are_recasts, recasts_in, sidecar
from .erase import folders, read_json
from .overwriting import Kind, is_faces, is_settings, require_replaceable

RECORDS = ("consent", "provenance")
KEPT = (*RECORDS, "scans", "models", "voices")
"""Folders of a project in which nothing lies but what they are called after."""
PICTURES = {".png", ".tif", ".tiff", ".jpg", ".jpeg", ".exr", ".dpx", ".webp", ".bmp"}
OF_THE_SYSTEM = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in a folder of pictures."""


def outputs_of(path: Path) -> list[Path]:
    """A file, or the pictures of a folder."""
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    return [path]


def hash_of(path: Path) -> str:
    """SHA-256 of a file; of a folder of pictures that of their hashes in order."""
    if not path.is_dir():
        return hash_file(path)
    return hashlib.sha256("".join(hash_file(p) for p in outputs_of(path)).encode()).hexdigest()


def require_output(spec: JobSpec, is_known: Callable[[Path], bool] = lambda path: False) -> None:
    """Raise UnderstudyError where a conversion, recast voice, scan, model, voice or report would be written over what
    is not ours to replace. Asked when the job starts, and again just before its output gets its name.

    `is_known` tells the files of a scan or model that another engine made: pictures of how it comes along are here
    before it is whole."""
    if isinstance(spec, ReportSpec):
        from .report import is_report  # which is made of the project's recasts, and so of this module

        require_writable(Path(spec.output), _kept(Path(spec.project)), spec.overwrite, is_report, "page")
        _require_outside(Path(spec.output), Path(spec.project))
    if isinstance(spec, ScanSpec):
        require_scan(Path(spec.output), Path(spec.output), is_known)
    if isinstance(spec, TrainSpec | VoiceTrainSpec):
        require_own_folder(Path(spec.output), "model" if isinstance(spec, TrainSpec) else "voice", is_known)
    if not isinstance(spec, ConvertSpec | VoiceSpec):
        return
    output, project = Path(spec.output), Path(spec.project) if spec.project else project_of(spec.output)
    require_own_partial(output)
    if isinstance(spec, VoiceSpec):
        inputs = [Path(spec.clip.path), *_kept(project), *_recordings(output, Path(spec.voice))]
        require_places([output], inputs, spec.overwrite, project)
    else:
        inputs = [*_footage_of(Path(spec.scan)), *_kept(project), *_kept(project_of(spec.model))]
        require_places(places_of(output, spec.layer, spec.format == "passes"), inputs, spec.overwrite, project)


def _require_outside(output: Path, project: Path | None = None, kept: tuple[str, ...] = KEPT) -> None:
    """Raise UnderstudyError when an output lies in a folder of those names, of this project or any that is told as
    one."""
    place = output.parent.resolve()
    for parent in (place, *place.parents):
        around = parent.parent
        if parent.name not in kept:
            continue
        own = project is not None and around == project.resolve()
        if own or around.suffix == ENDING or any((around / "consent").glob("*.json")):
            raise UnderstudyError(
                f"{output} lies in {parent}, where the project keeps its {parent.name}. Choose another folder, such as "
                f"{parent.with_name('recasts')}."
            )


def require_own_folder(folder: Path, kind: FolderKind, is_known: Callable[[Path], bool]) -> None:
    """Raise UnderstudyError where a model or voice would be written over files that are not surely Understudy's, nor
    known. Other files in the folder stay where they are."""
    if others := [path for path in unproven(folder, kind) if not is_known(path)]:
        raise UnderstudyError(
            f"{folder} holds files that Understudy did not make where the {kind} would be written "
            f"({named(others, folder)}). Move them away, or choose another folder."
        )


def places_of(output: Path, layer: bool = False, passes: bool = False) -> list[Path]:
    """What a conversion writes beside credentials: the recast, of a layer its matte, of passes what faces they show,
    and what made it."""
    beside = [matte_path(output)] if layer else [faces_file(output)] if passes else []
    return [output, *beside, settings_file(output)]


def require_places(places: Iterable[Path], inputs: Iterable[Path], overwrite: bool, project: Path) -> None:
    """Raise UnderstudyError, as `require_writable` does, for the first of `places_of` that a job may not write, or for
    credentials of something else that is called alike."""
    is_ours, inputs, places = ours(project), list(inputs), list(places)
    for path in places:
        if path.name.endswith(SETTINGS_SUFFIX):
            require_writable(path, inputs, overwrite, is_settings, "settings")
            continue
        if path.name.endswith(FACES_SUFFIX):
            require_writable(path, inputs, overwrite, is_faces, "settings")
            continue
        require_writable(path, inputs, overwrite, is_ours)
        if path.suffix and path.suffix.lower() not in FORMATS:
            require_writable(sidecar(path), inputs, overwrite, is_ours)
    for path in places:
        _require_outside(path, project)


def require_writable(
    output: Path,
    inputs: Iterable[Path],
    overwrite: bool,
    is_ours: Callable[[Path], bool] = lambda path: False,
    kind: Kind = "media",
) -> None:
    """Raise UnderstudyError when `output` is one of the files it is made of, even with `overwrite`; without it, when
    something is there that is not ours, and with it, when that is not `overwriting.require_replaceable`. A new one may
    not lie among a project's records."""
    if not os.path.lexists(output):
        _require_outside(output, kept=RECORDS)
        return
    for path in inputs:
        with contextlib.suppress(OSError):
            if output.samefile(path):
                raise UnderstudyError(f"{output} is one of the files that this is made from. Choose another name.")
    if is_ours(output):
        return
    if not overwrite:
        what = (
            " exists" if kind == "faces" else " exists, and is nothing that Understudy made and that is as it was made"
        )
        raise UnderstudyError(
            f"{output}{what}. Choose another name, move it away, or, on the command line, say --overwrite."
        )
    require_replaceable(output, kind, _says_recast)


def ours(project: Path) -> Callable[[Path], bool]:
    """A function that tells whether a file, or a folder of pictures, is a recast of ours as it was made."""

    def is_ours(path: Path) -> bool:
        files = outputs_of(path)
        if not files:
            return path.is_dir() and not any(path.iterdir())
        return not _beside(path, files) and (_is_recorded(project, path) or are_recasts(files))

    return is_ours


def _says_recast(path: Path) -> bool:
    """Whether a file, or a folder of pictures and nothing else, says of itself that it is a recast, changed or not."""
    files = outputs_of(path)
    return bool(files) and not _beside(path, files) and all(recasts_in(files))


def _beside(path: Path, files: list[Path]) -> set[Path]:
    """What else is in a folder than pictures and their credentials: it would go when the folder is replaced."""
    inside = set(path.iterdir()) if path.is_dir() else set()
    return {one for one in inside - {*files, *map(sidecar, files)} if one.name not in OF_THE_SYSTEM}


def footage(project: Path) -> Iterator[Path]:
    """The footage of all scans of a project."""
    for scan in folders(project, "scans"):
        yield from _footage_of(scan)


def _footage_of(scan: Path) -> Iterator[Path]:
    with contextlib.suppress(KeyError, TypeError):
        yield Path(read_json(scan / "scan.json")["clip"]["path"])


def _kept(project: Path) -> list[Path]:
    """Footage, consent and records of a project: what a job reads, and nothing writes but who keeps it."""
    folders = [project / "consent", project / "provenance"]
    return [*footage(project), *(path for folder in folders for path in folder.rglob("*") if path.is_file())]


def _recordings(output: Path, voice: Path) -> list[Path]:
    """The output where it is a recording that the voice was made of: its card knows their contents alone."""
    with contextlib.suppress(OSError, TypeError):
        sources = read_json(voice / "voice.json").get("sources", [])
        return [output] if output.is_file() and hash_file(output) in sources else []
    return []


def _is_recorded(project: Path, path: Path) -> bool:
    digests = [
        record.get("output_sha256")
        for record in _records(project)
        if record.get("output") and Path(str(record["output"])) == path
    ]
    return bool(digests) and hash_of(path) in digests


def _records(project: Path) -> Iterator[dict[str, Any]]:
    for path in (project / "provenance").rglob("*.json"):
        if found := read_json(path):
            yield found
