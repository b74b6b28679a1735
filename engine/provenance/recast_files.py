"""Where the files of a recast are, and which of them are surely its own.

A record is a file that may come from anybody, and so may the path in it. In the project's `recasts/` a name is
enough. Elsewhere in the project a file counts that is what was recorded (SHA-256), or that says itself which recast it
is: its content credentials carry the record's id. Outside the project only the credentials count.
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


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a record says of a recast's file or folder of pictures: SHA-256 ("": unknown), bytes (0: unknown)."""

    id: str
    output: str
    output_sha256: str = ""
    output_bytes: int = 0


@dataclass(frozen=True)
class Left:
    """What stays although it was meant, and the sentence that says why."""

    path: str
    why: str


@dataclass(frozen=True)
class Found:
    """Files and folders that are surely a recast's, and what is told of the rest; `whole`: the recast was found."""

    paths: list[Path] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    whole: bool = True


def find_recast(project: Path, recorded: Recorded, others: Collection[Path] = ()) -> Found:
    """What there is of a recast, under its name or another one in the same folder, or in the project's `recasts/`.

    `project` is resolved; `others` are the outputs of recasts that stay, which may have taken this one's name.
    """
    output = settled(recorded.output)
    if output is None:
        return Found(left=[Left(recorded.output, "Its record names no place on this computer.")], whole=False)
    moved = settled(project / RECASTS / output.name)  # a project that was moved has them elsewhere than recorded
    places = list(dict.fromkeys([output, moved or output]))
    theirs = [output] if output not in others else []
    for place in places:
        if own := _own(project, place, recorded, others):
            return _with_companions(project, [place, *theirs], recorded, own)
    alike = [other for place in places for other in _alike(project, place, recorded)]
    for other in alike:
        if own := _own(project, other, recorded, others):
            return _with_companions(project, [other, *theirs], recorded, own)
    if output in others and (is_file(output) or is_folder(output)):
        return Found()  # a later recast took its place
    found = _with_companions(project, [*theirs, *places[1:]], recorded, [])
    told = [Left(str(other), UNPROVEN) for other in alike] or [_not_found(output, recorded)]
    return replace(found, left=[*told, *found.left], whole=False)


def _own(project: Path, place: Path, recorded: Recorded, others: Collection[Path]) -> list[Path]:
    """What of a file or folder is surely the recast's: itself, or of a folder with other things in it its pictures."""
    if is_file(place):
        parts = [place]
    elif is_folder(place):
        parts = [path for path in outputs_of(place) if is_file(path)]
    else:
        return []
    inside = project in place.parents
    if inside and (_same(place, recorded) or (_by_name(project, place) and place not in others)):
        own = set(parts)
    else:
        own = {path for path, found in zip(parts, recasts_in(parts), strict=True) if found == recorded.id}
    own |= {beside for path in own if is_file(beside := sidecar(path)) and path.suffix.lower() not in FORMATS}
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

    Outside the project nothing is opened whose size is not the recorded one.
    """
    if not recorded.output_sha256 or (project not in place.parents and not recorded.output_bytes):
        return []
    named = [path for path in entries(place.parent) if path.suffix.lower() == place.suffix.lower()]
    kinds = [path for path in named if is_file(path) or is_folder(path)]
    return [path for path in kinds if not path.name.startswith(".") and _same(path, recorded)]


def _by_name(project: Path, place: Path) -> bool:
    return project / RECASTS in place.parents


def _with_companions(project: Path, names: list[Path], recorded: Recorded, own: list[Path]) -> Found:
    """`own`, and what was written beside the recast under its names: a layer's matte, the settings that made it."""
    paths, left = own.copy(), []
    alone = Recorded(id=recorded.id, output=recorded.output)
    for name in dict.fromkeys(names):
        matte, settings = matte_path(name), settings_file(name)
        mattes = _own(project, matte, alone, ())
        if own and not mattes and (is_file(matte) or is_folder(matte)):
            left.append(Left(str(matte), "It may be the recast's matte, but does not say so."))
        ours = is_file(settings) and (_by_name(project, settings) or (own and _made(settings, recorded)))
        paths += [*mattes, *([settings] if ours else [])]
    return Found(list(dict.fromkeys(paths)), left)


def _made(settings: Path, recorded: Recorded) -> bool:
    """Whether a file of settings says that it made this recast's output."""
    try:
        return settled(from_json(ConvertSpec, read_json(settings).get("convert")).output) == settled(recorded.output)
    except ValueError:
        return False


def _not_found(output: Path, recorded: Recorded) -> Left:
    if is_file(output) or is_folder(output):
        why = "What has this name is not, or not surely, that recast"
    else:
        why = "It was not found under this name" + (", nor under another there" if recorded.output_sha256 else "")
    return Left(str(output), f"{why}. Its record is kept. If the recast is still somewhere, remove it yourself.")
