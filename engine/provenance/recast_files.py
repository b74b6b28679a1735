"""Where the files of a recast are, and which of them are surely its own, as it was made.

A record is a file that may come from anybody, and so may the path in it. In the project a file counts that is what was
recorded (SHA-256), or says itself which recast it is: its content credentials carry the record's id, and fit. Outside
it must say so itself; and the credentials, or the settings beside it, say that this very project folder made it. A
copied or moved one is another: its records still name what the first one's recasts are, or were. Outside only what has
the very name is looked at; the folder around it is listed, and a folder of pictures entered, only where something there
proves that the recast was made there by this project: itself, changed or not, or the settings beside it; where nothing
does, that is told. What was changed since stays, and is told, and so are copies elsewhere in the project.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import UnderstudyError
from ..media.partial_output import faces_file, matte_path, settings_file
from ..protocol import ConvertSpec, from_json, project_of
from .credentials import FORMATS, recasts_in, sidecar
from .erase import entries, is_file, is_folder, read_json, settled, size_of
from .face_folders import CARDS, every_folder
from .outputs import hash_of, outputs_of
from .overwriting import is_faces

RECASTS = "recasts"
UNPROVEN = (
    "It is that recast to the last bit, but outside the project, and without the credentials that would prove that it "
    "was made here. Its record is kept. Remove it yourself."
)
CHANGED = (
    "It has the name of that recast, but is not, or not surely, it as it was made: it may have been changed since. Its "
    "record is kept. Remove it yourself."
)
UNSEEN = (
    " Nothing there proves that it was made there, so its folder was not searched for copies under other names. Look "
    "yourself."
)
ELSEWHERE = (
    "It was made by another project folder, or by this one where it lay before. It stays, and so does its record here. "
    "Forget them there too, or remove it yourself."
)
COPIED = "It is that recast to the last bit, under another name in the project. Its record is kept. Remove it yourself."
SAYING = "It says that it is that recast, though it was changed since. Its record is kept. Remove it yourself."
MIXED = "Not all of its pictures are surely that recast's as they were made; the others stay. Remove them yourself."


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a record says of a recast's file or folder of pictures: SHA-256 ("": unknown), bytes (0: unknown)."""

    id: str
    output: str
    output_sha256: str = ""
    output_bytes: int = 0


@dataclass(frozen=True)
class Left:
    """What stays although it was meant, and the sentence that says why; `may_hold`: it may hold their face or voice."""

    path: str
    why: str
    may_hold: bool = True


@dataclass(frozen=True)
class Found:
    """Files and folders that are surely a recast's, and what is told of the rest; `whole`: the recast was found."""

    paths: list[Path] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    whole: bool = True


def find_recast(project: Path, recorded: Recorded, others: Collection[Path] = ()) -> Found:
    """What there is of a recast: under its name, in the project's `recasts/`, and its copies and itself renamed in the
    same folder.

    `project` is resolved; `others` are the outputs of recasts that stay, which may have taken this one's name.
    """
    output = settled(recorded.output)
    if output is None:
        return Found(left=[Left(recorded.output, "Its record names no place on this computer.")], whole=False)
    moved = settled(project / RECASTS / output.name)  # a project that was moved has them elsewhere than recorded
    places = list(dict.fromkeys([output, moved or output]))
    own = {place: _own(project, place, recorded) for place in places}
    listed: set[Path] = set()
    for place in places:
        if own[place] or project in place.parents or _was_made_there(project, place, recorded):
            listed.add(place)
            for other in _alike(project, place, recorded):
                own.setdefault(other, _own(project, other, recorded))
    names = [place for place, found in own.items() if found]
    theirs = [output] if output not in others else []
    if not names:
        if output in others and (is_file(output) or is_folder(output)):
            return Found()  # a later recast took its place
        names = places[1:]
    found = _with_companions(project, [*names, *theirs], recorded, [path for paths in own.values() for path in paths])
    told = [Left(str(path), UNPROVEN) for path, files in own.items() if path not in places and not files]
    beside = settled(project.parent / output.name)  # where a film's folder was moved or copied with all that is in it
    if beside and beside not in own and is_file(beside) and _same(beside, recorded):
        told.append(Left(str(beside), ELSEWHERE))
    if own[output]:
        there = outputs_of(output) if is_folder(output) and output not in own[output] else []
        mixed = [Left(str(output), MIXED)] if set(there) - set(own[output]) else []
        return replace(found, left=[*told, *mixed, *found.left], whole=not told)
    if is_file(output) or is_folder(output):
        why = ELSEWHERE if _is_others(project, output, recorded) else CHANGED + ("" if output in listed else UNSEEN)
        told += [Left(str(output), why)] if theirs else []
    elif not any(own.values()) and not told:
        told.append(_not_found(output, recorded, output in listed))
    return replace(found, left=[*told, *found.left], whole=not told)


def _own(project: Path, place: Path, recorded: Recorded) -> list[Path]:
    """What of a file or folder is surely the recast's: itself, or of a folder with other things in it its pictures."""
    inside = project in place.parents
    if is_file(place):
        parts = [place]
    elif is_folder(place) and (inside or _made(settings_file(place), recorded, project)):
        parts = [path for path in outputs_of(place) if is_file(path)]
    else:
        return []
    known = recorded.output_sha256 and (inside or recorded.output_bytes)
    whole = bool(known) and _same(place, recorded)
    if inside and whole:
        own = set(parts)
    elif is_file(place) and known and not whole:
        own = set()
    else:
        own = _saying(project, parts, recorded)
    return _with_credentials(place, own)


def _saying(project: Path, parts: list[Path], recorded: Recorded) -> set[Path]:
    """Those of the files, which are in one folder, that say themselves that they are this recast, and are as they were
    made; outside the project those that this project made."""
    output = settled(recorded.output)
    known = any(project in path.parents for path in parts)
    known = known or (output is not None and _made(settings_file(output), recorded, project))
    said = recasts_in(parts, whole=True, project=None if known else project)
    return {path for path, found in zip(parts, said, strict=True) if found == recorded.id}


def _with_credentials(place: Path, own: set[Path]) -> list[Path]:
    """The files with the credentials beside them; the folder `place` itself where it holds nothing else."""
    own = own | {beside for path in own if is_file(beside := sidecar(path)) and path.suffix.lower() not in FORMATS}
    if place not in own and own.issuperset(entries(place)):
        return [place] if own else []
    return sorted(own)


def _same(place: Path, recorded: Recorded) -> bool:
    """Whether a file or folder is what was recorded, to the last bit."""
    parts = outputs_of(place)
    if not recorded.output_sha256 or not parts or not all(is_file(path) for path in parts):
        return False
    if recorded.output_bytes and sum(path.lstat().st_size for path in parts) != recorded.output_bytes:
        return False
    return hash_of(place) == recorded.output_sha256


def _alike(project: Path, place: Path, recorded: Recorded) -> list[Path]:
    """What is in the folder of `place` to the last bit what was recorded, under whatever name with the same ending.

    Outside the project nothing is opened whose size is not the recorded one, and no folder.
    """
    inside = project in place.parents
    if not recorded.output_sha256 or not (inside or recorded.output_bytes):
        return []
    named = [path for path in entries(place.parent) if path.suffix.lower() == place.suffix.lower()]
    kinds = [path for path in named if is_file(path) or (inside and is_folder(path))]
    return [path for path in kinds if _same(path, recorded)]


def _with_companions(project: Path, names: list[Path], recorded: Recorded, own: list[Path]) -> Found:
    """`own`, and what was written beside the recast under its names: a layer's matte, the settings that made it."""
    paths, left = own.copy(), []
    for name in dict.fromkeys(names):
        matte, settings, faces = matte_path(name), settings_file(name), faces_file(name)
        made = _made(settings, recorded, None if project in settings.parents else project)
        parts = [matte] if is_file(matte) else []
        if is_folder(matte) and (project in matte.parents or made):
            parts = [path for path in outputs_of(matte) if is_file(path)]
        mattes = _with_credentials(matte, _saying(project, parts, recorded)) if parts else []
        if own and not mattes and (is_file(matte) or is_folder(matte)):
            left.append(Left(str(matte), "It may be the recast's matte, but does not say so, or was changed since."))
        paths += [
            *mattes,
            *([faces] if made and is_faces(faces) else []),
            *([settings] if made and (own or project / RECASTS in settings.parents) else []),
        ]
    return Found(list(dict.fromkeys(paths)), left)


def _made(settings: Path, recorded: Recorded, project: Path | None = None) -> bool:
    """Whether a file of settings, no link, says that it made this recast's output, and, where one is named, for this
    project."""
    try:
        spec = from_json(ConvertSpec, read_json(settings).get("convert"))
    except ValueError:
        return False
    of = settled(spec.project or project_of(spec.output))
    return settled(spec.output) == settled(recorded.output) and project in (None, of)


def _was_made_there(project: Path, place: Path, recorded: Recorded) -> bool:
    """Whether a file under that very name, or the settings beside it, prove that the recast was made there by this
    project, whatever became of it since: it is as recorded, or still says which recast it is."""
    if _made(settings_file(place), recorded, project):
        return True
    known = recorded.output_sha256 and recorded.output_bytes
    if not is_file(place) or _is_others(project, place, recorded):
        return False
    return bool(known and _same(place, recorded)) or recasts_in([place]) == [recorded.id]


def _is_others(project: Path, place: Path, recorded: Recorded) -> bool:
    """Whether a file or folder outside the project is that recast by what it, or the settings beside it, say, but this
    project folder, where it lies now, did not make it."""
    settings = settings_file(place)
    if project in place.parents or _made(settings, recorded, project):
        return False
    if is_folder(place):
        return _made(settings, recorded)
    return recasts_in([place]) == [recorded.id] != recasts_in([place], project=project)


def copies_in(project: Path, recasts: list[Recorded], going: set[Path], told: set[Path]) -> Iterator[tuple[str, Left]]:
    """What else in a project is one of these recasts, each with its id: to the last bit, wherever it lies and whatever
    it is called, or by what it says of itself. What is `going` is passed over with all in it, and so are files that are
    `told` of already, and those in such a folder."""
    sizes: dict[int, list[Path]] = {}
    saying: list[Path] = []
    for folder, names in every_folder(project):
        if folder in told or going.intersection((folder, *folder.parents)):
            continue
        files = [path for name in names if (path := folder / name) not in going | told and is_file(path)]
        pictures = [path for path in outputs_of(folder) if is_file(path)]
        for path in files:
            sizes.setdefault(size_of(path), []).append(path)
        sizes.setdefault(sum(map(size_of, pictures)), []).append(folder)
        of_ours = any((one / card).is_file() for one in (folder, *folder.parents) for card in CARDS)
        saying += [path for path in files if _may_say(path) and not (of_ours and path in pictures)]
    copies: set[Path] = set()
    for one in recasts:
        for path in sizes.get(one.output_bytes, []) if one.output_sha256 and one.output_bytes else []:
            if _same(path, one):
                copies.add(path)
                yield one.id, Left(str(path), COPIED)
    ids = {one.id for one in recasts}
    saying = [path for path in saying if copies.isdisjoint((path, path.parent))] if ids else []
    for path, found in zip(saying, _said(saying), strict=True):
        if found in ids:
            yield found, Left(str(path), SAYING)


def _may_say(path: Path) -> bool:
    """Whether a file may carry content credentials, or has some beside it."""
    beside = sidecar(path)
    return path.suffix.lower() in FORMATS or (path != beside and is_file(beside))


def _said(paths: list[Path]) -> list[str]:
    """Which recast each file says it is; a file that cannot be looked into says nothing."""
    try:
        return recasts_in(paths)
    except UnderstudyError:
        return [*_said(paths[: len(paths) // 2]), *_said(paths[len(paths) // 2 :])] if len(paths) > 1 else [""]


def _not_found(output: Path, recorded: Recorded, listed: bool) -> Left:
    beside = ", nor under another there" if recorded.output_sha256 and listed else ""
    return Left(
        str(output),
        f"It was not found under this name{beside}. Its record is kept. If the recast is still somewhere, remove it "
        f"yourself.{'' if listed else UNSEEN}",
    )
