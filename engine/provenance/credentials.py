"""Content credentials (C2PA): what a file is made of and who says so, signed, inside it or beside it.

The library that signs and reads them is native code and parses what strangers send: it runs in a process of its own
(`signing`), so that nothing it does can take a job along. Standard library only.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import child_process
from ..errors import MediaError, UnderstudyError
from ..plain_words import of_child

FORMATS = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
}
"""Files that carry their credentials; all others have a sidecar."""
PATIENCE, BYTES_A_SECOND = 120.0, 2_000_000
"""Seconds to wait for the signing process, and how many bytes of a file it is given a second more for."""


@dataclass(frozen=True)
class Ingredient:
    """Something a file was made from. `path` is opened for credentials of its own; relationship is C2PA's: parentOf,
    componentOf (placed in it) or inputTo (learned from). `sha256` is of the whole file, `title` names it."""

    title: str
    relationship: str
    sha256: str = ""
    path: Path | None = None


@dataclass(frozen=True)
class Claim:
    """What is said of a file: its title, ingredients, and the facts of our own assertion, plain JSON.

    project: the folder that makes it, resolved. The file says it as a number that nobody else can make or read.
    """

    title: str
    description: str
    ingredients: list[Ingredient]
    facts: dict[str, Any] = field(default_factory=dict)
    project: str = ""


@dataclass(frozen=True)
class Credentials:
    """What a reader found. `state` is Trusted, Valid (whole, but of a signer nobody vouches for) or Invalid;
    `problems` are C2PA's codes of what does not fit."""

    id: str
    state: str
    signer: str
    problems: list[str]
    facts: dict[str, Any]
    ingredients: list[dict[str, str]]
    actions: list[dict[str, str]]
    sidecar: bool

    @property
    def tampered(self) -> bool:
        """Whether file and credentials do not belong together, or one of them was changed."""
        return self.state == "Invalid"


def sidecar(path: Path) -> Path:
    """Where the credentials of a file lie that cannot carry them."""
    return path.with_suffix(".c2pa")


def release() -> str:
    """This Understudy's version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("understudy")
    except PackageNotFoundError:
        return "development"


def sign(path: Path, claim: Claim) -> str:
    """Give one file its credentials (and XMP); returns their id.

    The signed file takes the place of the other in one step. Raises MediaError or UnderstudyError and leaves the file
    as it was.
    """
    return sign_all([path], claim)


def sign_all(paths: list[Path], claim: Claim) -> str:
    """The same claim for every picture of a sequence; returns the first one's id."""
    ingredients = [{**asdict(i), "path": str(i.path.absolute()) if i.path else None} for i in claim.ingredients]
    order = {"sign": [str(path.absolute()) for path in paths], "claim": {**asdict(claim), "ingredients": ingredients}}
    read = [path for path in (*paths, *(i.path for i in claim.ingredients)) if path]
    return str(_apart(order, read)["id"])


def read_credentials(path: Path) -> Credentials | None:
    """The credentials in a file, or beside it; None where there are none.

    Raises MediaError when the file cannot be read.
    """
    if path.suffix.lower() not in FORMATS and not sidecar(path).is_file():
        return None
    found = _apart({"read": str(path.absolute())}, [path])["found"]
    return Credentials(**found) if found else None


def recasts_in(paths: list[Path], whole: bool = False, project: Path | None = None) -> list[str]:
    """Of each file the id of the recast that its content credentials say it is, empty where they say nothing of that.

    Those beside a file count only where they fit it; those in it, too, when it is asked for as it was made, `whole`.
    With `project`, resolved, only those count that say that this folder, where it lies now, made them.
    """
    asked = [path for path in paths if path.suffix.lower() in FORMATS or sidecar(path).is_file()]
    if not asked:
        return [""] * len(paths)
    order = {"recasts": [str(path.absolute()) for path in asked], "whole": whole, "project": str(project or "")}
    answer = _apart(order, asked)["ids"]
    found = dict(zip(asked, answer, strict=True))
    return [str(found.get(path, "")) for path in paths]


def are_recasts(paths: list[Path]) -> bool:
    """Whether all of the files are recasts as Understudy made them: by their intact credentials, in or beside them.

    A sidecar counts by what it says alone, whatever it lies beside.
    """
    return bool(_apart({"intact": [str(path.absolute()) for path in paths]}, paths)["intact"])


def _apart(order: dict[str, Any], files: list[Path]) -> dict[str, Any]:
    """What the signing process answers. Raises the error that it met."""
    size = sum(path.stat().st_size for path in files if path.is_file())
    command = child_process.module(f"{__package__}.signing")
    said = ""
    try:
        done = child_process.run(
            command, input=json.dumps(order), capture_output=True, text=True, encoding="utf-8",
            timeout=PATIENCE + size / BYTES_A_SECOND,
        )  # fmt: skip
        said = done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        if sentence := of_child(said):
            raise UnderstudyError(sentence) from None
        raise MediaError(
            f"The content credentials of {files[0].name} could not be made or read: the process that does it ended. "
            "Try again; if it comes back, the file is damaged."
        ) from None
    if "error" in answer:
        raise (MediaError if answer["media"] else UnderstudyError)(answer["error"])
    return dict(answer)
