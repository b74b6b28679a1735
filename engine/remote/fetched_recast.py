"""A recast that another engine made gets its name as one that is made here does: signed, recorded, renamed.

It comes aside. Only where all of it is there, its content credentials hold, and a record says the very same of it, does
it take the place of an earlier one; its settings are written here.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..durable import make_folders
from ..errors import MediaError
from ..media.partial_output import matte_path, partial_folder, publish, settings_file
from ..media.pictures import DEEP_CODECS, MAGIC_BYTES
from ..own_files import remove_ours
from ..protocol import ConvertSpec, from_json, parse_json
from ..provenance.begun import Begun, begun
from ..provenance.consent import today
from ..provenance.credentials import FORMATS, recasts_in, sidecar
from ..provenance.outputs import hash_of, require_output
from ..provenance.outputs import outputs_of as files_of
from ..provenance.recasts import FOLDER, Recast, cast_of
from ..provenance.records import keep_record
from ..reading import open_regular, read_text
from .fetched import NotAsAsked
from .file_sync import Accept

Place = Callable[[str | Path], str]
"""The place in the mirror of a path of this computer (see `path_map.Places.of`)."""
Fetch = Callable[[list[str], Accept, int], dict[str, Path]]
"""Fetches aside what it is asked for by its places, of so many listed ones at most (see `Exchange.set_aside`)."""
SPARE = 10_000
"""Files that may lie beside the pictures of a recast on the other engine, of an earlier or longer take."""
STAYS = "What was here stays. Look at the engine on the other machine, then recast again."


@dataclass(frozen=True)
class Asked:
    """What a conversion makes of frames `start` to `end` of `source`: `files` are the recast, and of a layer its matte,
    `beside` what else is asked for by name; `pictures` are the names in each file that is a folder of pictures."""

    files: list[Path]
    beside: list[Path]
    pictures: dict[Path, set[str]]
    source: str
    start: int
    end: int


def asked_of(spec: ConvertSpec) -> Asked:
    """What a conversion is to make, by its scan here. Raises DataError and MediaError as the conversion does."""
    from ..faces.people.summary import read_summary
    from ..media.footage import footage_of
    from ..media.formats import recipe_for
    from ..media.reader import probe
    from ..media.writer import PictureNames

    clip, output = read_summary(Path(spec.scan)).clip, Path(spec.output)
    info = probe(footage_of(clip))
    start = clip.start if spec.start is None else spec.start
    last = info.frames if clip.end is None else clip.end
    end = last if spec.end is None else spec.end
    files = [output, *([matte_path(output)] if spec.layer else [])]
    picture = recipe_for(spec.format, info, spec.layer, output.suffix).picture
    pictures: dict[Path, set[str]] = {}
    for file in files if picture else []:
        named = PictureNames(file, info, picture)
        names = {named.of(number) for number in range(start, end)}
        pictures[file] = names | {sidecar(Path(name)).name for name in names if picture not in FORMATS}
    beside = [sidecar(file) for file in files if not picture and file.suffix.lower() not in FORMATS]
    return Asked(files, beside, pictures, clip.path, start, end)


def take_recast(spec: ConvertSpec, project: Path, place: Place, fetch: Fetch) -> dict[str, Any]:
    """Fetch what a conversion made on the other engine, and give it its name here; the job's result, by what has come.

    Raises NotAsAsked where it is not all there, not signed, or not recorded, and UnderstudyError as a conversion here
    does where its name is taken; then what was here stays.
    """
    asked, output = asked_of(spec), Path(spec.output)
    settings = place(settings_file(output))
    wanted = {place(one) for one in (*(() if asked.pictures else asked.files), *asked.beside)}
    folders = {f"{place(folder)}/": names for folder, names in asked.pictures.items()}
    wanted |= {f"{folder}{name}" for folder, names in folders.items() for name in names}

    def accept(where: str, whole: Path | None) -> bool:
        if whole is not None and whole.suffix in DEEP_CODECS and where in wanted:
            return not asked.pictures or is_of_kind(whole)
        return where in wanted or where == settings

    names = [one for one in (settings, *wanted) if not one.startswith(tuple(folders))]
    whole = fetch([*names, *folders], accept, 2 * len(wanted) + SPARE)
    if lacking := sorted(wanted - whole.keys()):
        raise NotAsAsked(
            f"The remote engine did not send all of {output.name}, {Path(lacking[0]).name} for one. {STAYS}"
        )
    made = {file: _root(whole, place(file)) for file in asked.files}
    frames = _count(made, output)
    record = _record(spec, project, asked, made, partial(_fetch_one, fetch))
    _publish(spec, project, record, made)
    _keep_settings(spec, whole.get(settings))
    return {
        "movie": spec.output, "frames": frames, "recast": min(record.recast, frames), "credentials": record.credentials,
    }  # fmt: skip


def is_of_kind(picture: Path) -> bool:
    """Whether a file begins as a picture of the kind that its name says."""
    with open_regular(picture) as file:
        return MAGIC_BYTES.get(file.read(4)) == DEEP_CODECS[picture.suffix]


def _root(whole: Mapping[str, Path], place: str) -> Path:
    """Where what has this place lies aside: a file, or the folder that its pictures lie in."""
    return (
        whole[place]
        if place in whole
        else next(path for one, path in whole.items() if one.startswith(f"{place}/")).parent
    )


def _count(made: Mapping[Path, Path], output: Path) -> int:
    """The frames of the recast that has come. Raises NotAsAsked where that, or its matte, is nothing to be seen."""
    from ..media.reader import probe

    try:
        return {final: probe(whole).frames for final, whole in made.items()}[output]
    except MediaError:
        raise NotAsAsked(
            f"What the remote engine sent as {output.name} is no movie, and was not taken. {STAYS}"
        ) from None


def _record(
    spec: ConvertSpec, project: Path, asked: Asked, made: Mapping[Path, Path], fetch: Callable[[str], Path | None]
) -> Recast:
    """The record of the recast that has come, by the id that its content credentials say. Raises NotAsAsked."""
    output = Path(spec.output)
    signed = {*recasts_in([file for whole in made.values() for file in files_of(whole)], whole=True)}
    identifier = signed.pop() if len(signed) == 1 else ""
    if not re.fullmatch(r"[0-9a-f]{16}", identifier):
        raise NotAsAsked(
            f"What the remote engine sent as {output.name} carries no content credentials that hold, and was not "
            f"taken. {STAYS}"
        )
    name = f"{FOLDER}/{identifier}.json"
    found, known = _read(fetch(name)), _read(project / name)
    taken = (project / name).exists() and (known is None or Path(known.output) != output)
    if found is None or taken or not _says(found, identifier, spec, asked, made[output]):
        raise NotAsAsked(f"The remote engine sent no record of {output.name}, which was not taken. {STAYS}")
    size = sum(path.stat().st_size for path in files_of(made[output]))
    cast = [cast_of(project, spec, number) for number in range(len(spec.swaps))]
    return replace(found, output=spec.output, output_bytes=size, cast=cast)


def _says(found: Recast, identifier: str, spec: ConvertSpec, asked: Asked, made: Path) -> bool:
    """Whether a record is of this conversion, and of the very recast that has come."""
    return (
        (found.id, Path(found.output), found.output_sha256) == (identifier, Path(spec.output), hash_of(made))
        and (Path(found.source), Path(found.model)) == (Path(asked.source), Path(spec.model))
        and (found.start, found.end, found.frames) == (asked.start, asked.end, asked.end - asked.start)
        and 0 <= found.recast <= found.frames
        and (found.mark is not None) == spec.settings.mark
        and [(one.person, one.identity) for one in found.cast] == [(one.person, one.identity) for one in spec.swaps]
    )


def _read(path: Path | None) -> Recast | None:
    try:
        return from_json(Recast, parse_json(read_text(path))) if path else None
    except (OSError, ValueError):
        return None


def _fetch_one(fetch: Fetch, place: str) -> Path | None:
    return fetch([place], lambda where, whole: where == place, SPARE).get(place)


def _publish(spec: ConvertSpec, project: Path, record: Recast, made: dict[Path, Path]) -> None:
    """Record what has come, and give it its name, from the working folder beside it: it may be another disk's."""
    output = Path(spec.output)
    folder = partial_folder(output)

    def certify(moved: Mapping[Path, Path]) -> dict[Path, Path]:
        require_output(spec)  # somebody may have put a file there meanwhile
        keep_record(project / FOLDER, record)
        return {sidecar(final): sidecar(whole) for final, whole in moved.items() if sidecar(whole).is_file()}

    shown = [swap.identity for swap in spec.swaps]
    with begun(project, Begun(id=record.id, date=today(), output=spec.output, identities=shown)):
        require_output(spec)
        make_folders(folder)
        moved: dict[Path, Path] = {}
        try:
            for final, whole in reversed(made.items()):  # the recast itself last
                mark = "" if final == output else "-matte"
                moved[final] = folder / (f"pictures{mark}" if whole.is_dir() else f"joined{mark}{final.suffix}")
                for source, target in ((whole, moved[final]), (sidecar(whole), sidecar(moved[final]))):
                    _remove(target)
                    if source.exists():
                        shutil.move(source, target)
            publish(moved, certify)
        finally:
            for target in moved.values():
                _remove(target)
                _remove(sidecar(target))
    with contextlib.suppress(OSError):
        remove_ours(folder, "recast")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _keep_settings(spec: ConvertSpec, told: Path | None) -> None:
    """Keep what made the recast: as it was asked for here, with nothing from there but how doubtful its frames are."""
    from ..convert.convert_settings import doubt_of, save_settings
    from ..convert.face_passes import save_faces

    doubt: dict[int, float] = {}
    with contextlib.suppress(OSError, ValueError):
        doubt = doubt_of(parse_json(read_text(told))) if told else {}
    if spec.format == "passes":
        with contextlib.suppress(ValueError):  # pictures that tell nothing
            save_faces(spec)
    save_settings(spec, None, doubt)
