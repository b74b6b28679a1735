"""A project's files between this computer and its mirror on another: what either lacks is sent, once, resumably.

`.remote.json` of the project folder is what both sides agreed on last: for each file what it was here, and its
contents there. So only what changed here is sent, and what a job has changed there is never taken for old.
What is fetched grows in `.incoming/`, by the name of its contents, until it is whole.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import stat
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..durable import (
    PRIVATE,
    Allow,
    Seen,
    finished_files,
    hash_file,
    lock,
    look,
    make_folders,
    put,
    write_json,
    writing,
)
from ..errors import UnderstudyError
from ..media.partial_output import require_unchanged
from ..project_links import require_closed
from ..protocol import parse_json
from ..reading import open_regular, read_text
from .link import HASHING_SECONDS, NOT_OURS, TOO_MUCH, Link, Refused, Unreachable, chosen_remote, raise_unreachable
from .listing import FETCHING, LARGEST_PIECE, MOST_LISTED, MOST_MADE, Listed, Told, listed_in, require_room
from .path_map import Places, covers, rewrite

LEDGER, LOCK, INCOMING = ".remote.json", ".remote.lock", ".incoming"
ASIDE = "whole-"  # begins the names of folders in the last
SCHEMA = 1
PIECE_BYTES = 1_000_000  # bytes of a file in one request
TRIES = 3  # how often a file is fetched whose bytes are not what was listed: a disk may lose some of them
MAX_LISTED_FILES = 1000  # files in one request
COMPLETION_FILES = ("scan.json", "model.json")  # what says that a folder is whole
OF_FACES = ("scans/", "models/", "voices/", "provenance/", "people.safetensors")
"""Places of a project whose files are their user's alone."""
ID = re.compile(r"[0-9a-f]{8,64}")

Accept = Callable[[str, Path | None], bool]
"""Whether a file of this place may be written here: asked before it is fetched (None), and with the whole file."""


class Busy(UnderstudyError):
    """Another program is at the project's files just now."""


@dataclass(frozen=True)
class Wanted:
    """A file that a job over there reads. `shared`: footage, which nobody writes."""

    path: Path
    shared: bool = False


@dataclass(frozen=True, kw_only=True)
class Greeting:
    """A mirror: its own id, its folder there, and the digests that it lacks of what it was offered."""

    id: str
    root: str
    lacking: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Held:
    """How many bytes of a file are there, and whether that is all of it."""

    bytes: int
    complete: bool


class Exchange:
    """The two sides of one project folder, as `link` reaches the other."""

    def __init__(self, project: Path, link: Link) -> None:
        self.project, self._link = project, link
        self._incoming = project / INCOMING
        self._ledger = self._read()
        self.places = Places(project, self._ledger["folders"])
        self.places.root = self._ledger["root"]

    @property
    def path(self) -> str:
        """The mirror's path in the API."""
        return f"/v1/mirrors/{self._ledger['key']}"

    @property
    def mirror(self) -> str:
        """The id of the mirror that was exchanged with last, empty for none."""
        return str(self._ledger["id"])

    @contextmanager
    def alone(self, patience: float) -> Iterator[None]:
        """Nobody else exchanges files of the project inside. Raises Busy after `patience` seconds."""
        make_folders(self.project)
        with lock(self.project / LOCK, patience) as held:
            if not held:
                raise Busy("Files of this project are being exchanged with the remote engine. Try again in a moment.")
            self._ledger.update(self._read())
            self.places.folders, self.places.root = self._ledger["folders"], self._ledger["root"]
            yield

    # -- which of the other engine's jobs does what

    def job(self, name: str) -> str | None:
        """The id of the job there that was begun under this name, None where there is none."""
        return self._ledger["jobs"].get(name)

    def remember(self, name: str, job_id: str | None) -> None:
        """Keep the id of a job there, or forget it; on disk when this returns."""
        with self.alone(60.0):
            self._ledger["jobs"].pop(name, None)
            if job_id:
                self._ledger["jobs"][name] = job_id
            self._write()

    # -- sending

    def send(self, wanted: Iterable[Wanted], trees: Iterable[Path], told: Told) -> None:
        """Have the mirror hold these files, and what is finished in these folders, as they are here.

        Raises UnderstudyError when a file cannot be read or the other side does not take it.
        """
        trees = list(trees)
        files = {self.places.of(one.path): one for one in wanted}
        for tree in trees:
            require_closed(tree, self.project)
        for tree in trees:  # pictures of how a training came along stay here
            files |= {self.places.of(path): Wanted(path) for path in finished_files(tree, left_out="timelapse")}
        self.greet()
        while not self._send(files, [self.places.of(tree) for tree in trees], told):
            self._ledger["files"] = {}  # what both agreed on is no longer there: begin anew

    def greet(self) -> None:
        """Learn where the mirror is. One that is new, or was cleared, holds nothing of what was agreed on."""
        answer = self._link.answer(Greeting, "POST", self.path, {})
        if (answer.id, answer.root) != (self._ledger["id"], self._ledger["root"]):
            self._ledger.update(id=answer.id, root=answer.root, files={})
        self.places.root = self._ledger["root"]

    def _send(self, files: dict[str, Wanted], trees: list[str], told: Told) -> bool:
        """One try; False when the other side lacks something that has changed here since it was agreed on."""
        agreed: dict[str, Any] = self._ledger["files"]
        gone = [p for p in agreed if p not in files and any(p.startswith(f"{tree}/") for tree in trees)]
        gone = [p for p in gone if (here := self.places.here(p)) and not here.exists()]
        asked, sources = [], {}
        for n, (place, one) in enumerate(files.items()):
            told(0.0, f"Looking at what to send ({n + 1} of {len(files)})")
            stamp, known = _stamp(one.path), agreed.get(place)
            if known and known["stamp"] == stamp:
                asked.append({"path": place, "sha256": known["sha256"], "shared": one.shared})
                continue
            source = self._as_there(one.path)
            digest = _digest(source)
            sources[digest] = source
            fresh = not known or known["sha256"] != digest
            agreed[place] = {"stamp": stamp, "sha256": digest}
            asked.append({"path": place, "sha256": digest, "fresh": fresh, "shared": one.shared})
        paths = {entry["sha256"]: files[entry["path"]].path for entry in asked}
        for start in range(0, max(len(asked), 1), MAX_LISTED_FILES):
            body = {"files": asked[start : start + MAX_LISTED_FILES], "gone": gone}
            sent: Counter[str] = Counter()
            while lacking := self._link.answer(Greeting, "POST", self.path, body, timeout=HASHING_SECONDS).lacking:
                told(0.0, f"Looking at what to send ({len(files)} of {len(files)})")
                sent.update(set(lacking))
                # it asks for what nobody offered, or again and again for what it has got
                if not set(lacking) <= paths.keys() or max(sent.values()) > TRIES:
                    raise UnderstudyError(NOT_OURS)
                for digest in lacking:
                    source = sources.get(digest) or self._as_there(paths[digest])
                    if digest not in sources and _digest(source) != digest:
                        return False
                    self._put(source, digest, paths[digest].name, told)
        for place in gone:
            del agreed[place]
        self._write()
        if not self._incoming.is_symlink():  # somebody may have laid it there, and nothing was to be sent
            shutil.rmtree(self._incoming / "out", ignore_errors=True)
        return True

    def _as_there(self, path: Path) -> Path:
        """The file with the other side's paths in it, where it names any."""
        made = self._incoming / "out" / f"{secrets.token_hex(8)}{path.suffix}"
        self._make_incoming(made.parent)
        return made if rewrite(path, made, self.places.there) else path

    def _make_incoming(self, folder: Path) -> None:
        """Make the folder for what is exchanged, or one in it; links and pipes that somebody planted are removed.

        Raises UnderstudyError where a file lies in its place.
        """
        for path in dict.fromkeys((self._incoming, folder)):
            if path.is_file() and not path.is_symlink():
                raise UnderstudyError(f"{path} is a file, and its place is needed. Move it elsewhere, then try again.")
            if not path.is_dir() or path.is_symlink():
                path.unlink(missing_ok=True)
            make_folders(path)

    def _put(self, source: Path, digest: str, name: str, told: Told) -> None:
        size = source.stat().st_size
        while True:
            answer = self._link.answer(Held, "GET", f"/v1/media/{digest}")
            with open_regular(source) as file:
                while not answer.complete:
                    if not 0 <= (at := answer.bytes) < max(size, 1):
                        raise UnderstudyError(NOT_OURS)
                    told(
                        at / max(size, 1), f"Sending {name} to the remote engine: {at / 1e6:.0f} of {size / 1e6:.0f} MB"
                    )
                    file.seek(at)
                    query = f"offset={at}&size={size}"
                    try:
                        answer = self._link.answer(Held, "PUT", f"/v1/media/{digest}?{query}", file.read(PIECE_BYTES))
                    except Refused as error:
                        if error.status != 409:
                            raise
                        break  # another client sends it as well, or an answer was lost: ask how much is there
                else:
                    return

    # -- fetching

    def fetch(self, asked: Iterable[str], told: Told, accept: Accept = lambda place, whole: True) -> None:
        """Have here, whole and under their names, the files of the mirror that are asked for: by their very places, or
        all of a folder, whose place ends in /. Whatever else the other side lists is left there.

        Files that came from the other side, and that it has removed since, go too, as long as it has others in their
        place; what was sent there stays here whatever it lists. Only what `accept` takes is written, or goes. Raises
        Refused (409) when a job there writes one of them just now, UnderstudyError for more than the disk, or a job of
        ours, has room for.
        """
        agreed: dict[str, Any] = self._ledger["files"]
        asked = list(asked)
        listed = listed_in(self._link, self.path, asked, MOST_LISTED, told)
        wanted = {place: one for place, one in listed.items() if self._is_due(one) and accept(place, None)}
        if len(wanted) > MOST_MADE:
            raise UnderstudyError(TOO_MUCH)
        require_room(self.project, {self._part(one): one for one in wanted.values()})
        due: list[tuple[Path, str, Path, Seen]] = []
        done, all_bytes = 0, max(sum(one.bytes for one in wanted.values()), 1)
        for place, one in wanted.items():
            if (here := self.places.here(place)) is not None:
                seen = look(here)
                part = self._get(one, partial(_share, told, done, all_bytes), here)
                due.append((here, place, part, seen))
            done += one.bytes
        ready: list[tuple[Path, str, Path, Seen, Path]] = []  # all is looked at before anything gets its name
        for here, place, part, seen in sorted(due, key=lambda one: one[0].name in COMPLETION_FILES):
            made = part.with_name(f"made-{part.name}")
            _make_way(made)
            source = made if rewrite(part, made, self.places.back) else part
            if accept(place, source):
                ready.append((here, place, source, seen, part))
                continue
            source.unlink()
            part.unlink(missing_ok=True)
        for here, place, source, seen, part in ready:
            if here.is_relative_to(self.project):
                make_folders(here.parent)
            here.parent.mkdir(parents=True, exist_ok=True)
            if place.startswith(OF_FACES):
                source.chmod(PRIVATE)
            _move(source, here, partial(require_unchanged, seen))
            part.unlink(missing_ok=True)
            agreed[place] = {"stamp": _stamp(here), "sha256": listed[place].sha256, "made_there": True}
        for place in [p for p in agreed if p not in listed and any(covers(one, p) for one in asked)]:
            known, here = agreed.pop(place), self.places.here(place)
            # another side that lost its mirror lists nothing: that is no reason to lose what is here
            kept = not any(covers(one, place) and any(covers(one, p) for p in listed) for one in asked)
            made_there = known.get("made_there") and not kept and accept(place, None)
            if made_there and here and here.is_file() and known["stamp"] == _stamp(here):
                here.unlink()
        self._write()
        self.clear_incoming()

    def set_aside(self, asked: Iterable[str], told: Told, accept: Accept, most: int) -> dict[str, Path]:
        """Fetch as `fetch` does, but give nothing its name: what has come whole and `accept` takes, by its place. It
        lies in a folder of its own under that place, until `clear_aside` or `clear_incoming` removes it. `most` files
        are listed at most."""
        aside = self._incoming / f"{ASIDE}{secrets.token_hex(8)}"  # nobody has planted a link there
        every = listed_in(self._link, self.path, asked, most, told)
        listed = {place: one for place, one in every.items() if accept(place, None)}
        require_room(self.project, {self._part(one): one for one in listed.values()})
        done, all_bytes = 0, max(sum(one.bytes for one in listed.values()), 1)
        whole: dict[str, Path] = {}
        for place, one in listed.items():
            here = aside / place
            part = self._get(one, partial(_share, told, done, all_bytes), here)
            make_folders(here.parent)
            if rewrite(part, here, self.places.back):
                part.unlink()
            else:
                part.replace(here)
            done += one.bytes
            if accept(place, here):
                whole[place] = here
            else:
                here.unlink()
        return whole

    def clear_aside(self) -> None:
        """Remove what was set aside and has no name here; what is not whole yet stays."""
        for folder in [] if self._incoming.is_symlink() else self._incoming.glob(f"{ASIDE}*"):
            if not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)

    def clear_incoming(self) -> None:
        """Remove what was fetched and has no name here."""
        if not self._incoming.is_symlink():
            shutil.rmtree(self._incoming, ignore_errors=True)

    def _is_due(self, one: Listed) -> bool:
        """Whether a listed file has a place here, and is not there already as both sides agreed on it."""
        here, known = self.places.here(one.path), self._ledger["files"].get(one.path)
        if here is None or known is None or known["sha256"] != one.sha256:
            return here is not None
        return not (here.is_file() and known["stamp"] == _stamp(here))

    def _part(self, one: Listed) -> Path:
        """Where a file of the mirror grows."""
        name = hashlib.sha256(f"{one.path}/{one.sha256}".encode()).hexdigest()[:32]
        return self._incoming / f"{name}{Path(one.path).suffix}"

    def _get(self, one: Listed, told: Callable[[int], None], here: Path) -> Path:
        digest, size, part = one.sha256, one.bytes, self._part(one)
        told(0)  # an empty file, too, is a moment to stop
        self._make_incoming(part.parent)
        _make_way(part)
        for _ in range(TRIES):
            try:
                with part.open("ab") as file:
                    while (at := file.tell()) < size:
                        told(at)
                        query = urllib.parse.urlencode({"path": one.path, "sha256": digest, "offset": at})
                        piece = self._link.get(f"{self.path}/file?{query}", LARGEST_PIECE)
                        if not piece:
                            break
                        file.write(piece[: size - at])
            except OSError as error:
                raise UnderstudyError(
                    f"{here} cannot be fetched from the remote engine ({error.strerror}). Make room on the disk, then "
                    "start the job again: it goes on from there."
                ) from None
            if _digest(part) == digest:
                return part
            part.unlink()
        raise UnderstudyError(NOT_OURS)

    # -- what is kept

    def _read(self) -> dict[str, Any]:
        fresh: dict[str, Any] = {
            "schema": SCHEMA, "project": str(self.project), "key": secrets.token_hex(16), "id": "", "root": "",
            "folders": {}, "files": {}, "jobs": {},
        }  # fmt: skip
        try:
            return _kept_ledger(self.project, fresh) or fresh
        except (OSError, ValueError, KeyError, TypeError):
            return getattr(self, "_ledger", fresh)

    def _write(self) -> None:
        write_json(self.project / LEDGER, self._ledger)


def came_from_there(project: Path) -> Callable[[Path], bool]:
    """Whether a file of a project was fetched from another engine and is as it came, by what is kept of that."""
    try:
        ledger = _kept_ledger(project, {"files": {}, "folders": {}, "jobs": {}}) or {}
    except (OSError, ValueError, KeyError, TypeError):
        ledger = {}
    files, places = ledger.get("files", {}), Places(project, dict(ledger.get("folders", {})))

    def came(path: Path) -> bool:
        known = files.get(places.of(path))
        return bool(known and known.get("made_there")) and path.is_file() and known["stamp"] == _stamp(path)

    return came


def _kept_ledger(project: Path, like: dict[str, Any]) -> dict[str, Any] | None:
    """What is kept in a project of its exchange with another engine, with what `like` has; None where it is damaged, or
    a copy of another project's, whose mirror is not ours. Raises OSError, ValueError, KeyError, TypeError."""
    found = parse_json(read_text(project / LEDGER, "ascii"))
    kinds = all(isinstance(found[name], type(value)) for name, value in like.items())
    moved = found["project"] != str(project)
    if not kinds or found["schema"] != SCHEMA or (moved and Path(found["project"]).exists()):
        return None
    return {**found, "project": str(project)} if _is_sound(found) else None


def _is_sound(ledger: dict[str, Any]) -> bool:
    """Whether what is kept, which comes with a project from anybody, is of the kinds that are written."""
    texts = [*ledger["folders"], *ledger["folders"].values(), *ledger["jobs"], *ledger["files"]]
    stamps = [(one["stamp"], one["sha256"]) for one in ledger["files"].values()]
    return (
        all(ID.fullmatch(one) for one in (ledger["key"], *ledger["jobs"].values()))
        and all(isinstance(one, str) and "\0" not in one for one in texts)
        and all(isinstance(stamp, list) and re.fullmatch(r"[0-9a-f]{64}", digest) for stamp, digest in stamps)
    )


def clear_mirror(project: Path) -> None:
    """Remove what of a project lies on the remote engine that is used; nothing where none of it does.

    Raises UnderstudyError when it does not answer, or another machine may still hold a copy.
    """
    if not (project / LEDGER).is_file():
        return
    remote = chosen_remote()
    if remote is None:
        raise UnderstudyError(
            "A remote engine holds a copy of this project, and none is in use now. Use it once more (understudy remote "
            f"use …) and try again; or, where it is no more, remove {project / LEDGER}."
        )
    link = Link(remote, raise_unreachable)
    try:
        exchange = Exchange(project, link)
        with exchange.alone(60.0):
            known, there = exchange.mirror, link.answer(Greeting, "POST", exchange.path, {}).id
            link.tell("DELETE", exchange.path, timeout=HASHING_SECONDS)
            if known not in ("", there):
                raise UnderstudyError(
                    "The copy of this project lies on another remote engine than the one in use, or was removed there "
                    f"already. Use that one and try again; or, where it is no more, remove {project / LEDGER}."
                )
            (project / LEDGER).unlink()
            shutil.rmtree(project / INCOMING, ignore_errors=True)
    except Unreachable as error:
        raise UnderstudyError(
            f"The remote engine holds a copy of this project, which is to go as well. {error}"
        ) from None
    finally:
        link.close()


def _make_way(path: Path) -> None:
    """Remove what somebody planted where a file is to grow: anything but a plain file of this one name."""
    try:
        status = path.lstat()
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(path, ignore_errors=True)
    elif not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        path.unlink()


def _share(told: Told, before: int, of: int, more: int) -> None:
    told((before + more) / of, FETCHING)


def _move(source: Path, target: Path, allow: Allow) -> None:
    try:
        put(source, target, allow)
    except OSError:  # another disk
        with writing(target, stat.S_IMODE(source.stat().st_mode), allow) as grown:
            shutil.copyfile(source, grown)
        source.unlink(missing_ok=True)


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError as error:
        raise UnderstudyError(f"{path} cannot be read ({error.strerror}). Put it back, or scan again.") from None
    return [status.st_size, status.st_mtime_ns]


def _digest(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise UnderstudyError(f"{path} cannot be read ({error.strerror}). Make it readable, then try again.") from None
