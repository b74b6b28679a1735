"""Where the files of a recast are, and which of them are surely its own, as it was made.

A record is a file that may come from anybody, and so may the path in it. In the project a file counts that is what was
recorded (SHA-256). Outside it must also say itself which recast it is: its content credentials carry the record's id,
and fit. There only what has the very name is looked at; the folder around it is listed, and a folder of pictures
entered, only where something there proves that the recast was made there: itself, changed or not, or the settings
beside it; where nothing does, that is told. What was changed since stays, and is told.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..media.partial_output import matte_path, settings_file
from ..protocol import ConvertSpec, from_json
from .credentials import FORMATS, recasts_in, sidecar
from .erase import entries, is_file, is_folder, read_json, settled
from .outputs import hash_of, outputs_of

RECASTS = "recasts"
UNPROVEN = (
    "It is that recast to the last bit, but outside the project, and without the credentials that would prove it. "
    "Its record is kept. Remove it yourself."
)


CHANGED = (
    "It has the name of that recast, but is not, or not surely, it as it was made: it may have been changed since. Its "
    "record is kept. Remove it yourself."
)
UNSEEN = (
    " Nothing there proves that it was made there, so its folder was not searched for copies under other names. Look "
    "yourself."
)
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
    own = {place: _own(project, place, recorded, others) for place in places}
    listed: set[Path] = set()
    for place in places:
        if own[place] or project in place.parents or _was_made_there(place, recorded):
            listed.add(place)
            for other in _alike(project, place, recorded):
                own.setdefault(other, _own(project, other, recorded, others))
    names = [place for place, found in own.items() if found]
    theirs = [output] if output not in others else []
    if not names:
        if output in others and (is_file(output) or is_folder(output)):
            return Found()  # a later recast took its place
        names = places[1:]
    found = _with_companions(project, [*names, *theirs], recorded, [path for paths in own.values() for path in paths])
    told = [Left(str(path), UNPROVEN) for path, files in own.items() if path not in places and not files]
    if own[output]:
        there = outputs_of(output) if is_folder(output) and output not in own[output] else []
        mixed = [Left(str(output), MIXED)] if set(there) - set(own[output]) else []
        return replace(found, left=[*told, *mixed, *found.left], whole=not told)
    if is_file(output) or is_folder(output):
        told += [Left(str(output), CHANGED + ("" if output in listed else UNSEEN))] if theirs else []
    elif not any(own.values()) and not told:
        told.append(_not_found(output, recorded, output in listed))
    return replace(found, left=[*told, *found.left], whole=not told)


def _own(project: Path, place: Path, recorded: Recorded, others: Collection[Path]) -> list[Path]:
    """What of a file or folder is surely the recast's: itself, or of a folder with other things in it its pictures."""
    inside = project in place.parents
    if is_file(place):
        parts = [place]
    elif is_folder(place) and (inside or _made(settings_file(place), recorded)):
        parts = [path for path in outputs_of(place) if is_file(path)]
    else:
        return []
    known = recorded.output_sha256 and (inside or recorded.output_bytes)
    whole = bool(known) and _same(place, recorded)
    if inside and (whole or (not known and project / RECASTS in place.parents and place not in others)):
        own = set(parts)
    elif is_file(place) and known and not whole:
        own = set()
    else:
        own = _saying(parts, recorded)
    return _with_credentials(place, own)


def _saying(parts: list[Path], recorded: Recorded) -> set[Path]:
    """Those of the files that say themselves that they are this recast, and are as they were made."""
    return {path for path, found in zip(parts, recasts_in(parts, whole=True), strict=True) if found == recorded.id}


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
        matte, settings = matte_path(name), settings_file(name)
        made = _made(settings, recorded)
        parts = [matte] if is_file(matte) else []
        if is_folder(matte) and (project in matte.parents or made):
            parts = [path for path in outputs_of(matte) if is_file(path)]
        mattes = _with_credentials(matte, _saying(parts, recorded)) if parts else []
        if own and not mattes and (is_file(matte) or is_folder(matte)):
            left.append(Left(str(matte), "It may be the recast's matte, but does not say so, or was changed since."))
        paths += [*mattes, *([settings] if made and (own or project / RECASTS in settings.parents) else [])]
    return Found(list(dict.fromkeys(paths)), left)


def _made(settings: Path, recorded: Recorded) -> bool:
    """Whether a file of settings, no link, says that it made this recast's output."""
    try:
        return settled(from_json(ConvertSpec, read_json(settings).get("convert")).output) == settled(recorded.output)
    except ValueError:
        return False


def _was_made_there(place: Path, recorded: Recorded) -> bool:
    """Whether a file under that very name, or the settings beside it, prove that the recast was made there, whatever
    became of it since: it is as recorded, or still says which recast it is."""
    if _made(settings_file(place), recorded):
        return True
    known = recorded.output_sha256 and recorded.output_bytes
    return is_file(place) and (bool(known and _same(place, recorded)) or recasts_in([place]) == [recorded.id])


def _not_found(output: Path, recorded: Recorded, listed: bool) -> Left:
    beside = ", nor under another there" if recorded.output_sha256 and listed else ""
    return Left(
        str(output),
        f"It was not found under this name{beside}. Its record is kept. If the recast is still somewhere, remove it "
        f"yourself.{'' if listed else UNSEEN}",
    )
