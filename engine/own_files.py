"""Which files in a folder are provably Understudy's, by what the folder holds; nothing else is ever removed.

A file is ours when its place in the folder is one that we write to and it does not say that it is something else: JSON
and tensors of ours name their schema, a damaged or unfinished one says nothing, and a person's picture must be of
somebody whom the scan lists. Links are never followed; one in the place of a file of ours is removed itself. Standard
library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import UnderstudyError
from .protocol import parse_json
from .reading import open_regular, read_text

Kind = Literal["scan", "model", "voice", "observed", "recast", "previews"]
"""What a folder is, also an unfinished one: `observed` is what the networks saw, `recast` a recast that still grows,
`previews` the home's."""
PICTURES = r"(png|tiff?|exr|dpx|c2pa)"
SEGMENT = r"segments/\d{8}(-matte)?\.(json|nut|mkv|mp4|m4v|mov)"
PLACES: dict[Kind, str] = {
    "scan": r"(alignments\.safetensors|(scan|boxes|edits|source)\.json|person-\d+\.jpg|masks/\d{6,}\.png|\.lock)",
    "model": r"(model\.json|weights\.safetensors|checkpoint(-\d)?\.safetensors|checkpoint\.new|preview\.jpg|"
    r"facesets/\d+\.faceset|timelapse/\d+\.jpg|\.lock)",
    "voice": r"(voice\.json|(recordings|network)\.safetensors|\.lock)",
    "observed": r"[0-9a-f]+/(media\.json|\d{8,}-\d{8,}\.safetensors)",
    "recast": r"((recasts|clip)\.json|\.?(joined|made|sound)(-matte)?(\.[0-9a-f]{16}\.part)?\.\w+|"
    rf"voice-\d+\.safetensors|segments/conversion\.json|{SEGMENT}|"
    rf"(segments|pictures(-matte)?(-replaced)?)/[^/]+\.{PICTURES})",
    "previews": r"([0-9a-f]{16}\.png|[^/]+-\d+\.jpg)",
}
"""Where in a folder files of ours lie; each may be unfinished, too."""
PROVEN: dict[Kind, re.Pattern[str]] = {
    "scan": re.compile(r"masks/"),
    "model": re.compile(r"(preview\.jpg|timelapse/)"),
    "recast": re.compile(rf"(?!{SEGMENT}$)(segments|pictures|\.?joined|\.?made|\.?sound|voice-)"),
}
"""Places whose names anybody may use: there another file in the folder must say that it is ours (`_is_witness`)."""
UNFINISHED = re.compile(r"(\.[0-9a-f]{16})?\.part$")
SAYS = {
    "scan.json": "people",
    "edits.json": "people",
    "source.json": "digest",
    "model.json": "identities",
    "voice.json": "identity",
    "media.json": "detectors",
    "recasts.json": "recasts",
    "conversion.json": "facts",
}
"""What JSON of ours says that somebody else's of the same name does not."""
PROOF = (*SAYS, "clip.json")
TENSORS = (".safetensors", ".faceset", ".new")
LARGEST_JSON = 64 << 20
"""Bytes above which no JSON of ours in `SAYS` is."""
LARGEST_HEADER = 100 << 20
"""Bytes above which nothing is the header of tensors (as in the safetensors library)."""
SHOWN = 3
"""Foreign files that a sentence names."""


@dataclass(frozen=True)
class Contents:
    """Files and links in a folder, each path whole; `foreign` also has folders that cannot be listed."""

    ours: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)


def contents(folder: Path, kind: Kind) -> Contents:
    """What in a folder of this kind is provably ours, and what is foreign; of a link, or of no folder, it is that."""
    found, people = Contents(), None
    files = _files(folder, found.foreign)
    witnessed = kind not in PROVEN or any(_is_witness(path, folder, kind) for path in files)
    for path in files:
        place = UNFINISHED.sub("", path.relative_to(folder).as_posix())
        ours = is_place(place, kind)
        if ours and not path.is_symlink():
            if kind == "scan" and place.startswith("person-"):
                people = _people(folder) if people is None else people
                ours = int(place[7:-4]) in people
            else:
                ours = not _says_otherwise(path, Path(place).name)
                ours = ours and (witnessed or not PROVEN[kind].match(place))
        (found.ours if ours else found.foreign).append(path)
    return found


def is_place(place: str, kind: Kind) -> bool:
    """Whether a file of ours may lie there in a folder of this kind, relative and with slashes."""
    return bool(re.fullmatch(PLACES[kind], place))


def holds_only_ours(folder: Path, kind: Kind) -> bool:
    """Whether something is in a folder, and all of it is ours."""
    found = contents(folder, kind)
    return bool(found.ours) and not found.foreign


def remove_ours(folder: Path, kind: Kind, keep: str = "") -> list[Path]:
    """Remove what is ours in a folder file by file, but for `keep` in it, and each folder that is empty then; gives
    what is foreign and stays. Raises OSError where something cannot be removed."""
    found = contents(folder, kind)
    for path in sorted(found.ours, key=lambda one: one.name.startswith(PROOF) or one.suffix in TENSORS):  # last
        if path != folder / keep:
            path.unlink(missing_ok=True)
    if stat.S_ISDIR(_mode(folder)):
        for inner, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):  # a foreign file is in it
                Path(inner).rmdir()
    return found.foreign


def vacant(place: Path, kind: Kind) -> Path:
    """A name for a new folder that nobody has: `place`, where nothing is or only a leftover of ours, which goes; else
    another beside it. Raises OSError."""
    if os.path.lexists(place) and stat.S_ISDIR(_mode(place)) and not contents(place, kind).foreign:
        remove_ours(place, kind)
    if not os.path.lexists(place):
        return place
    return place.with_name(f"{place.stem}-{secrets.token_hex(8)}{place.suffix}")


CARD_OF: dict[Kind, str] = {"model": "model.json", "voice": "voice.json"}


def unproven(folder: Path, kind: Kind) -> list[Path]:
    """The files of a model's or voice's folder that would be written over and are not provably ours: those that say
    that they are something else, and where no card of ours says what the folder is, all but whole tensors of ours and
    pictures beside them. Unfinished ones are never written over."""
    found, card = contents(folder, kind), folder / CARD_OF[kind]
    carded = card in found.ours and (kind == "model" or _json(card) is not None)  # whoever reads a damaged one says so
    doubtful: list[Path] = []
    if not carded:
        proven = {path for path in found.ours if _is_ours_tensors(path)}
        doubtful = [path for path in found.ours if path not in proven and path.name != ".lock"]
        if proven:  # what another engine made comes card last, and pictures after faces
            doubtful = [path for path in doubtful if path.suffix != ".jpg"]
    written = [path for path in (*found.foreign, *doubtful) if path != folder]
    return [path for path in written if is_place(path.relative_to(folder).as_posix(), kind)]


def require_scan(folder: Path, output: Path, is_known: Callable[[Path], bool] = lambda path: False) -> None:
    """Raise UnderstudyError where a folder that a scan is to replace, or to be written into, holds anything but a scan,
    masks (which are drawn by hand) and what `is_known`; `output` is what the folder is called in the sentence."""
    foreign = [path for path in contents(folder, "scan").foreign if folder / "masks" not in path.parents]
    if _is_ours_tensors(folder / "alignments.safetensors") and not (folder / "scan.json").exists():
        foreign = [path for path in foreign if path.suffix != ".jpg"]  # of another engine's scan, whose list comes last
    if foreign := [path for path in foreign if not is_known(path)]:
        what = "" if foreign == [folder] else f" ({named(foreign, folder)})"
        raise UnderstudyError(f"{output} holds something other than a scan{what}. Choose another folder for the scan.")


def may_be_ours(path: Path, folder: Path, kind: Kind) -> bool:
    """Whether what `contents` calls foreign may be ours for all that: it lies where a file of ours would, or cannot be
    looked into."""
    if path == folder or not (path.is_file() or path.is_symlink()):
        return True
    return is_place(UNFINISHED.sub("", path.relative_to(folder).as_posix()), kind)


def named(paths: list[Path], folder: Path) -> str:
    """The first few of files in a folder, for a sentence."""
    names = [os.fsencode(path.relative_to(folder)).decode("utf-8", "replace") for path in paths[:SHOWN]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _files(folder: Path, unread: list[Path]) -> list[Path]:
    """All that is no folder, at any depth; what cannot be listed is added to `unread`."""
    if not stat.S_ISDIR(_mode(folder)):
        if os.path.lexists(folder):
            unread.append(folder)
        return []
    found = []
    for inner, names, files in os.walk(folder, onerror=lambda error: unread.append(Path(error.filename))):
        links = [name for name in names if Path(inner, name).is_symlink()]
        names.sort()
        found += [Path(inner, name) for name in sorted([*links, *files])]
    return found


def _is_witness(path: Path, folder: Path, kind: Kind) -> bool:
    """Whether a file in a folder says that this is ours: JSON that only we write, or tensors."""
    place = UNFINISHED.sub("", path.relative_to(folder).as_posix())
    name = Path(place).name
    if not is_place(place, kind):
        return False
    if name in PROOF:
        data = _json(path)
        return isinstance(data, str) if name == "clip.json" else isinstance(data, dict) and SAYS[name] in data
    return Path(name).suffix in TENSORS and _is_ours_tensors(path)


def _says_otherwise(path: Path, name: str) -> bool:
    """Whether a file says itself that it is none of ours; what is no regular file always does."""
    if not stat.S_ISREG(_mode(path)):
        return True
    if name in SAYS:
        data = _json(path)
        return data is not None and not (isinstance(data, dict) and SAYS[name] in data)
    if name == "boxes.json":  # a row for each face
        data = _json(path)
        return data is not None and not (isinstance(data, list) and all(isinstance(row, list) for row in data))
    return Path(name).suffix in TENSORS and _is_others_tensors(path)


def _has_facts(header: dict[str, Any]) -> bool:
    facts = header.get("__metadata__")
    return isinstance(facts, dict) and "understudy" in facts


def _header(path: Path) -> Any:
    """The header of tensors; None where a file does not begin with a whole one."""
    try:
        with open_regular(path) as file:
            size = int.from_bytes(file.read(8), "little")
            return json.loads(file.read(size)) if 0 < size <= LARGEST_HEADER else None
    except (OSError, ValueError, RecursionError):
        return None


def tensor_facts(path: Path) -> dict[str, Any]:
    """What tensors of ours say of themselves; empty where a file is damaged, or none of ours."""
    header = _header(path)
    if not isinstance(header, dict) or not _has_facts(header):
        return {}
    try:
        found = parse_json(header["__metadata__"]["understudy"])
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_ours_tensors(path: Path) -> bool:
    """Whether a file begins as tensors of ours."""
    header = _header(path)
    return isinstance(header, dict) and _has_facts(header)


def _is_others_tensors(path: Path) -> bool:
    """Whether a file begins as whole tensors that do not carry our facts."""
    header = _header(path)
    return isinstance(header, dict) and not _has_facts(header)


def _people(scan: Path) -> set[int]:
    """The numbers of everybody whose picture a scan has, or had before its people were corrected."""
    numbers: set[int] = set()
    for name in ("scan.json", "edits.json"):
        data = _json(scan / name)
        data = data if isinstance(data, dict) else {}
        people = data.get("people")
        found = [one.get("id") for one in people if isinstance(one, dict)] if isinstance(people, list) else []
        numbers.update(one for one in found if isinstance(one, int))
        if isinstance(highest := data.get("highest"), int) and name == "edits.json":
            numbers.update(range(min(highest, 1 << 16) + 1))
    return numbers


def _json(path: Path) -> Any:
    """What a JSON file says; None where it is damaged, or not there."""
    try:
        if not stat.S_ISREG(_mode(path)) or path.stat().st_size > LARGEST_JSON:
            return None
        return parse_json(read_text(path))
    except (OSError, ValueError, RecursionError):
        return None


def _mode(path: Path) -> int:
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return 0
