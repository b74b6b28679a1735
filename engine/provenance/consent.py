"""Consent: who agreed to be recast or to lend a face, on what basis, kept in the project. Standard library only."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ..durable import hash_file, lock, make_folders, write_json, writing
from ..errors import ConsentError, DataError, UnderstudyError
from ..project_links import require_closed
from ..protocol import (
    Basis,
    ConsentRecord,
    ConvertSpec,
    PreviewSpec,
    ScanSpec,
    Subject,
    TrainSpec,
    VoiceSpec,
    VoiceTrainSpec,
    consent_file,
    from_json,
    parse_json,
    project_of,
    to_json,
)
from ..reading import open_regular, read_text

BASES: tuple[Basis, ...] = typing.get_args(Basis)
SUBJECTS: tuple[Subject, ...] = typing.get_args(Subject)
LARGEST_COPY = 32 << 20
"""Bytes up to which the document that proves a consent is copied into the project; larger ones stay where they are."""
EMBEDDINGS = {"face": 128, "voice": 256}
"""Numbers of an embedding: of faces in dlib's metric space, of voices of unit length."""
MOST_FACES = 64
"""Mean embeddings that one consent keeps; the latest stay."""
PATIENCE = 20.0
"""Seconds to wait for another process that writes consents of the project."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Whom a consent was used for; it stands in its file beside the record, and goes when they are forgotten.

    faces    mean embeddings of their faces, or of their voice where it is its consent (EMBEDDINGS)
    open     whether the faces it is used for next are taken for theirs: so it is from its recording to its first use
    footage  what was shown when they were named; empty where nobody says
    """

    faces: list[list[float]]
    open: bool = True
    footage: str = ""


NOBODY = Seen(faces=[])


def read_consent(project: Path, identity: str, subject: Subject = "face") -> ConsentRecord | None:
    """The record that stands for an identity's face or voice; None where there is none, or it was withdrawn.

    Raises DataError when its file is damaged.
    """
    found = _read(_file(project, identity, subject))
    if "forgotten" in found or not found:
        return None
    return from_json(ConsentRecord, found)


def all_consents(project: Path) -> list[dict[str, Any]]:
    """Every consent record of a project as JSON with its history, and the notes of forgotten identities, by file name;
    voices last. Raises UnderstudyError when one is damaged, or a link that leads out of the project."""
    require_closed(project / "consent", project)
    found, unread = readable_consents(project)
    if unread:
        raise unread[0]
    return found


def readable_consents(project: Path) -> tuple[list[dict[str, Any]], list[UnderstudyError]]:
    """The consents of a project that can be read, as `all_consents` gives them, and what is wrong with each of the
    others, by name: what cannot be read is no consent."""
    folder = project / "consent"
    for inner in (folder, folder / "voices"):
        require_closed(inner / "-", project)  # whatever is in it
    found: list[dict[str, Any]] = []
    unread: list[UnderstudyError] = []
    for path in [*sorted(folder.glob("*.json")), *sorted(folder.glob("voices/*.json"))]:
        try:
            require_closed(path, project)
            record = {"history": [], **_read(path)}
        except UnderstudyError as error:
            unread.append(error)
            continue
        if "forgotten" not in record and len(record) > 1:
            record = {**to_json(from_json(ConsentRecord, record)), "history": record["history"]}
        found += [record] if len(record) > 1 else []
    return found, unread


def record_consent(project: Path, record: ConsentRecord, footage: str = "", open_again: bool = True) -> Path:
    """Put a record into the project; the one it replaces becomes part of its history. Returns its file.

    A document (`record.file`) is hashed, and copied to `consent/files/` unless it is large; the record then names
    the copy, relative to the consent folder. The consent is open again: the faces it is used for next are taken for
    that person's, beside those it was used for before, unless it is another person's now. Without `open_again` one that
    was used for somebody stays theirs alone, as long as it is the same person's. `footage` says what they were seen in
    when they were named. Raises UnderstudyError with what is wrong with the record.
    """
    _check(record)
    path = _file(project, record.identity, record.subject)
    make_folders(path.parent)
    if record.file:
        record = _with_document(record, Path(project) / "consent")
    with _alone(path):
        old = _read(path)
        history, seen = old.pop("history", []), _seen(old.pop("seen", None))
        new = to_json(record)
        same = str(old.get("person", "")).strip().casefold() == record.person.strip().casefold()
        if open_again or seen.open or not same:
            seen = Seen(faces=seen.faces if same else [], footage=footage)
        history = [*history, *([old] if old and old != new else [])]
        write_json(path, {**new, "history": history, "seen": asdict(seen)}, 0o600)
    return path


def seen_with(project: Path, identity: str, subject: Subject = "face") -> Seen | None:
    """Whom an identity's consent was used for; None where none stands. Raises DataError when its file is damaged."""
    found = _read(_file(project, identity, subject))
    return None if "forgotten" in found or not found else _seen(found.get("seen"))


def bind(project: Path, identity: str, faces: Sequence[Sequence[float]], subject: Subject = "face") -> None:
    """Tie an open consent to the person it is used for, by the mean embeddings of their faces, or of their voice."""
    path = _file(project, identity, subject)
    with _alone(path):
        found = _read(path)
        seen = _seen(found.get("seen"))
        if found and "forgotten" not in found and seen.open:
            rows = [[round(float(number), 5) for number in face] for face in faces]
            seen = replace(seen, faces=[*seen.faces, *rows][-MOST_FACES:], open=False)
            write_json(path, {**found, "seen": asdict(seen)}, 0o600)


def withdraw(project: Path, identity: str, date: str) -> None:
    """Make an identity's consent stand no longer; what was recorded is kept as its history, and that it was withdrawn.

    Nothing happens where there is none.
    """
    for subject in SUBJECTS:
        path = _file(project, identity, subject)
        if not path.is_file():
            continue
        with _alone(path):
            old = _read(path)
            if old and "forgotten" not in old:
                history = old.pop("history", [])
                old.pop("seen", None)  # what they look like is erased with their faces
                note = {"identity": old["identity"], "forgotten": date, "history": [*history, old]}
                write_json(path, note, 0o600)


def plays(role: str, name: str) -> bool:
    """Whether a name is a role's, or that of another person who plays it, as `consented_people.name_of` makes them:
    role-2, role-3 …."""
    number = name.removeprefix(f"{role}-")
    return name == role or (number != name and re.fullmatch(r"[1-9][0-9]{0,5}", number) is not None and number != "1")


def missing(project: Path, identities: Iterable[str], subject: Subject = "face") -> list[str]:
    """Those of the identities for whose face or voice no consent stands, each once."""
    return [name for name in dict.fromkeys(identities) if read_consent(project, name, subject) is None]


def require_consent(project: Path, identities: Iterable[str], subject: Subject = "face") -> None:
    """Raise ConsentError, saying how to record it, unless consent stands for all of the identities."""
    lacking = missing(project, identities, subject)
    if lacking:
        raise ConsentError(sentence(project, lacking, subject))


def sentence(project: Path, lacking: list[str], subject: Subject = "face") -> str:
    """What somebody reads whose job cannot start because consent is not on record for these identities."""
    names = f"{', '.join(lacking[:-1])} and {lacking[-1]}" if len(lacking) > 1 else lacking[0]
    return (
        f"Nobody's permission is on record for {names}{' to be heard or replaced' if subject == 'voice' else ''}. "
        f"Record whose {subject} it is and why it may be used: {how_to_record(project, lacking[0], subject)}"
    )


def how_to_record(project: Path, identity: str, subject: Subject = "face") -> str:
    """How to put the consent to an identity on record, as part of a sentence."""
    return (
        "press Consent "
        f"beside the name in Blender's panel, or run: understudy identity consent {_quoted(identity)} "
        f'--project {_quoted(str(project))} --person "Full Name" --basis "written permission"'
        f"{' --voice' if subject == 'voice' else ''}"
    )


def voices_of(spec: VoiceTrainSpec | VoiceSpec) -> list[str]:
    """Whose consent to the use of their voice a job needs."""
    return [spec.identity] if isinstance(spec, VoiceTrainSpec) else [spec.identity, spec.target]


def people_of(spec: TrainSpec | ConvertSpec | PreviewSpec) -> list[str]:
    """Whose consent a job needs: every identity trained, or the one that appears and the one replaced of every swap.

    A preview that shows nobody's new face needs nobody's.

    Raises UnderstudyError when a swap does not say whom it replaces and its scan does not know their name.
    """
    if isinstance(spec, TrainSpec):
        return [identity.name for identity in spec.identities]
    if isinstance(spec, PreviewSpec) and spec.view != "recast":
        return []
    return [name for swap in spec.swaps for name in (swap.identity, swap.target or replaced(spec.scan, swap.person))]


def replaced(scan: str, person: int) -> str:
    """The name that a scan gives a person. Raises UnderstudyError when nobody has named them yet."""
    try:
        people = parse_json(read_text(Path(scan) / "scan.json"))["people"]
        (found,) = [p for p in people if p["id"] == person]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"The scan {scan} does not know person {person}. Scan the footage again.") from None
    if not found.get("known"):
        raise ConsentError(
            f"Nobody knows who person {person} of {Path(scan).name} is, so their consent cannot be looked up. Name "
            f"them in Blender's panel, or on the command line: --swap {person}:NAME=IDENTITY"
        )
    return str(found["name"])


def project_folder(spec: ScanSpec | TrainSpec | ConvertSpec | PreviewSpec | VoiceTrainSpec | VoiceSpec) -> Path:
    """The project that a scan, training, conversion or preview belongs to."""
    if spec.project:
        return Path(spec.project)
    return project_of(spec.scan if isinstance(spec, PreviewSpec) else spec.output)


def basis_of(text: str) -> Basis:
    """A basis by its beginning, such as "written". Raises UnderstudyError that lists them."""
    found = [basis for basis in BASES if text.strip() and basis.startswith(text.strip().lower())]
    if len(found) != 1:
        raise UnderstudyError(f"{text or 'Nothing'} is no basis for a consent; it is one of: {', '.join(BASES)}.")
    return found[0]


def today() -> str:
    """The date here, ISO 8601."""
    return date.today().isoformat()


def _check(record: ConsentRecord) -> None:
    for name in ("identity", "person", "scope"):
        if not getattr(record, name).strip():
            raise UnderstudyError(f"The consent lacks its {name}. Say who it is, and what they agreed to.")
    try:
        date.fromisoformat(record.date[:10])
    except ValueError:
        raise UnderstudyError(f"{record.date or 'Nothing'} is no date; write it as {today()}.") from None


def _with_document(record: ConsentRecord, folder: Path) -> ConsentRecord:
    source = folder / record.file  # absolute, or that of a record read from here
    try:
        digest = hash_file(source)
        if source.stat().st_size > LARGEST_COPY:
            return replace(record, file=str(source.resolve()), file_sha256=digest)
        copy = folder / "files" / f"{digest[:16]}{source.suffix.lower()}"
        if not copy.exists():
            copy.parent.mkdir(mode=0o700, exist_ok=True)
            with writing(copy, 0o600) as partial, partial.open("wb") as kept, open_regular(source) as document:
                shutil.copyfileobj(document, kept)
    except OSError as error:
        raise UnderstudyError(
            f"The document {record.file} cannot be kept ({error.strerror}). Check that it is there and readable."
        ) from None
    return replace(record, file=f"files/{copy.name}", file_sha256=digest)


def _file(project: Path, identity: str, subject: Subject = "face") -> Path:
    """Where a consent lies. Raises UnderstudyError when a link leads that place out of the project."""
    path = consent_file(project, identity, subject)
    require_closed(path, project)
    return path


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = parse_json(read_text(path))
        if "forgotten" not in found:
            from_json(ConsentRecord, found)
        elif not all(isinstance(found.get(name), str) for name in ("identity", "forgotten")):
            raise ValueError("it does not say who was forgotten, and when")
        if not isinstance(found.get("history", []), list):
            raise ValueError("its history is no list")
        _seen(found.get("seen"), found.get("subject", "face"))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}). Move it away and record the consent again.") from None
    return found


def _seen(data: Any, subject: str = "") -> Seen:
    """What a consent's file says of whom it was used for. Raises ValueError."""
    if data is None:  # recorded before consents knew whom they were used for
        return NOBODY
    seen = from_json(Seen, data)
    widths = {EMBEDDINGS[subject]} if subject in EMBEDDINGS else set(EMBEDDINGS.values())
    if not all(len(face) in widths and all(map(math.isfinite, face)) for face in seen.faces):
        raise ValueError("its faces are no embeddings")
    return seen


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else writes consents beside `path` meanwhile. Raises UnderstudyError when somebody else does for long."""
    with lock(path.parent / ".lock", PATIENCE) as held:
        if not held:
            raise UnderstudyError(f"{path} is being written by another program. Try again in a moment.")
        yield


def _quoted(text: str) -> str:
    return text if text and all(c.isalnum() or c in "-_./:\\" for c in text) else f'"{text}"'
