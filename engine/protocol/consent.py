"""Who agreed to what, and the jobs that keep the record of it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .paths import absolute_path

Subject = Literal["face", "voice"]
Basis = Literal[
    "own face", "written permission", "licensed performer", "public domain or rights cleared", "test footage"
]


@dataclass(frozen=True, kw_only=True)
class ConsentRecord:
    """Somebody's agreement to be recast, or to lend a face or a voice; one JSON file in the project's `consent/`.

    Face and voice are agreed to apart: `subject` says which, and each has a file of its own (`consent_file`).

    `person` is the human being's full name, `identity` the project's name for them. `date` is ISO 8601.
    `file` is a document that proves it, empty where there is none; `file_sha256` is filled by the engine.
    """

    identity: str
    person: str
    basis: Basis
    scope: str
    date: str
    file: str = absolute_path("")
    file_sha256: str = ""
    subject: Subject = "face"


@dataclass(frozen=True, kw_only=True)
class ConsentSpec:
    """Put a consent record into the project; an earlier one of the same identity is kept as its history."""

    project: str = absolute_path()
    record: ConsentRecord


@dataclass(frozen=True, kw_only=True)
class ForgetSpec:
    """Erase an identity's faces and all that was derived from them; `dry_run` only lists them."""

    project: str = absolute_path()
    identity: str
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class ReportSpec:
    """Write the report of who was recast where, and with whose permission, to `output` (.html).

    `overwrite` lets it take the place of a page that is no report, or a changed one.
    """

    project: str = absolute_path()
    output: str = absolute_path()
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class CredentialSpec:
    """Give a finished `file` (a render of the timeline) content credentials; `ingredients` are the recasts in it."""

    file: str = absolute_path()
    ingredients: list[str]
    project: str = absolute_path()


def consent_file(project: str | Path, identity: str, subject: Subject = "face") -> Path:
    """Where the consent record of an identity lies, or would lie, in a project folder. Case does not matter.

    Those for voices lie in a folder `voices` of their own.

    The file is a `ConsentRecord` with an additional `history`, a list of the records it replaced; the identity's
    consent stands when `from_json(ConsentRecord, …)` reads it. Of a forgotten identity only a note remains there
    (`forgotten`: the date), which does not.
    """
    name = identity.strip().casefold()
    plain = re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:48]
    mark = "" if plain == name else "-" + hashlib.sha256(name.encode()).hexdigest()[:6]
    folder = Path(project) / "consent"
    return (folder / "voices" if subject == "voice" else folder) / f"{plain}{mark}.json"
