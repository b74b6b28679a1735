"""What `--overwrite` may replace: what still says that Understudy made it, or a file of the output's own kind that is
no footage; never footage of others, consents or another file of a project. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ..errors import UnderstudyError
from ..project_links import ENDING, FOLDERS
from ..protocol import ConsentRecord, ConvertSpec, from_json
from ..reading import open_regular
from .erase import is_file, read_json
from .face_folders import CARDS

Kind = Literal["media", "page", "faces", "settings", "edit"]
"""What an output is: a movie, pictures or sound; a report; exported faces; what tells how one was made; an edit."""
RECORDS = {"consent", "provenance"}
"""Folders of a project in which nothing is replaced, by whatever name the project goes."""
EXPORT = re.compile(
    rb'\s*\{\s*("format":\s*"understudy alignments"|"__(meta|data)__":|"[^"]*":\s*\[\s*\{\s*"(detected|landmarks))'
)
"""How exported faces begin (`faces.interchange.alignments_json`), or faceswap's: a frame and its faces."""
EDIT = re.compile(rb'\s*\{\s*"OTIO_SCHEMA":\s*"Timeline\.\d+".*?"understudy":\s*\{\s*"marked":', re.DOTALL)
"""How an edit begins that recasts were marked in (`conform.marks`)."""
LOOKED_AT = 1 << 16
"""Bytes by which a file is told to be text, and of which kind."""
LARGEST_RECORD = 16 << 20
"""Bytes above which JSON is no consent or record of ours: those are a few thousand."""


def require_replaceable(path: Path, kind: Kind, says_recast: Callable[[Path], bool]) -> None:
    """Raise UnderstudyError when not even `--overwrite` replaces a file or folder.

    says_recast tells whether it says of itself that it is a recast of ours, though it was changed since.
    """
    if kind == "media" and says_recast(path):
        return
    if not is_file(path):
        raise _refusal(path, "is no file")
    head = _head(path)
    if RECORDS & {parent.name for parent in path.parents} or (_is_kept(path) and not EXPORT.match(head)):
        raise _refusal(path, "belongs to a project")
    if kind == "settings" and head and not {"protocol", "convert"} <= set(read_json(path)) and not is_faces(path):
        raise _refusal(path, "does not tell how a recast was made")
    if not _is_of_kind(head, kind):
        what = {
            "media": "is footage, or something else that cannot be made again,",
            "page": "is no page of text",
            "edit": "is no edit that recasts were marked in",
        }
        raise _refusal(path, what.get(kind, "holds no exported faces"))


def _refusal(path: Path, what: str) -> UnderstudyError:
    return UnderstudyError(
        f"{path} exists, {what} and is nothing that Understudy made, so not even --overwrite replaces it. Choose "
        "another name, or move it away."
    )


def _head(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(LOOKED_AT)


def _is_of_kind(head: bytes, kind: Kind) -> bool:
    """Whether a file begins as an output of this kind that is nobody's footage; an empty one is of any kind."""
    if b"\0" in head:
        return False
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:  # the last character may go on behind
        if len(head) < LOOKED_AT or error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8-sig")
    begin = text.lstrip()[:5].lower()
    match kind:
        case "page":
            return not begin or (begin[0] == "<" and not begin.startswith(("<?xml", "<svg")))
        case "faces":
            return not begin or bool(EXPORT.match(head))
        case "edit":
            return not begin or bool(EDIT.match(head))
    return True  # text by the name of a movie is none


def _is_kept(path: Path) -> bool:
    """Whether a file is one that a project is made of: by where it lies, or by what it says."""
    path = path.absolute()
    if any((path.parent / card).is_file() for card in CARDS):
        return True
    for parent in path.parents:
        if parent.suffix == ENDING:
            inner = path.relative_to(parent).parts
            return len(inner) > 1 and inner[0] in FOLDERS and inner[0] != "recasts"
    return path.stat().st_size < LARGEST_RECORD and _is_record(read_json(path))


def _is_record(data: dict[str, Any]) -> bool:
    """Whether JSON is a consent, what is left of one, or the record of a recast face or voice."""
    if "forgotten" in data or {"output", "output_sha256", "credentials"} <= set(data):
        return True
    return _reads(ConsentRecord, data)


def is_faces(path: Path) -> bool:
    """Whether a file tells what faces passes show, as a conversion leaves it beside them."""
    return read_json(path).get("format") == "understudy passes"


def is_settings(path: Path) -> bool:
    """Whether a file tells how a recast was made, as a conversion leaves it beside its output."""
    return _reads(ConvertSpec, read_json(path).get("convert"))


def _reads(kind: type[Any], data: Any) -> bool:
    try:
        from_json(kind, data)
    except ValueError:
        return False
    return True
