"""Erase an identity: their faces, their voice and all that was derived from them, for good."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..durable import hash_file
from ..errors import DataError, UnderstudyError
from ..faces.alignments import FILE_NAME
from ..faces.people import gallery
from ..media.partial_output import RECASTS_FILE, partial_folder
from ..own_files import Kind, contents, may_be_ours, named, remove_ours, tensor_facts
from ..protocol import consent_file, home
from . import shown
from .begun import all_begun, recasts_of
from .consent import SUBJECTS, read_consent, today, withdraw
from .erase import entries, erase, is_file, is_folder, read_json, require_unlinked, settled, size_of
from .face_folders import LEADS_OUT, holding, links_out, passed_over
from .recast_files import ELSEWHERE, RECASTS, Found, Left, Recorded, copies_in, find_recast
from .recasts import Recast, recorded
from .shown import plain
from .voices import VoiceRecast, recorded_voices

MIXED = "It holds other files, too, which Understudy did not make: {}. They stay with the folder. Look yourself."
OTHERS = "It has a name that Understudy uses, but holds nothing that Understudy made, only {}. It stays. Look yourself."
ALIKE = (
    "The face in it looks like theirs, though it is called that of {}. It stays. If it is theirs, forget that name, "
    "too, or remove it yourself."
)
UNTOLD = (
    "It holds faces, and does not say whose; they could not be compared with theirs, either. It stays. Look yourself."
)
LOOSE = "It is a faceset of theirs by its name or its pictures, outside of any model. It stays. Remove it yourself."
HIDDEN = "It is hidden, holds what is called as faces or voices are, and is not looked into. It stays. Look yourself."
DAMAGED = (
    "It is damaged, and may hold their embeddings. Remove it; who is known by name in scans is known again once they "
    "are named there."
)


@dataclass(frozen=True)
class Item:
    """Something that goes: what it is, in a user's words."""

    path: Path
    what: str
    bytes: int


@dataclass
class Holdings:
    """What goes, and what stays although it was meant; `folders` are those of which only what is ours goes."""

    items: list[Item] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    folders: dict[Path, Kind] = field(default_factory=dict)

    def add(self, path: Path, what: str) -> None:
        """List a path once."""
        if all(item.path != path for item in self.items):
            self.items.append(Item(path, what, size_of(path)))

    def add_folder(self, folder: Path, kind: Kind, what: str, theirs: bool = True) -> None:
        """List a folder once: whole, or where foreign files are in it those of ours, and that the others stay.

        Unless it is `theirs` by what it says, foreign files in it only have fallen among what has names of ours.
        """
        if folder in self.folders:
            return
        found = contents(folder, kind)
        if found.foreign:
            others = named(found.foreign, folder)
            why = MIXED.format(others) if found.ours else OTHERS.format(others)
            may_hold = theirs or any(may_be_ours(path, folder, kind) for path in found.foreign)
            self.left.append(Left(str(folder), why, may_hold))
        for path in found.ours if found.foreign else [folder]:
            self.add(path, what)
        if found.ours or not found.foreign:
            self.folders[folder] = kind


def holdings(project: Path, identity: str) -> Holdings:
    """All that a project holds of an identity, the consent record aside. Nothing outside is opened but recasts' files.

    Models that know them, scans that show them (whole: other people's corrections in them go, too), what the networks
    saw on any frame, recasts in which their face appears or their voice is heard and what was made from those, and
    unfinished ones, also those that do not say whose face they hold; previews; their voice. Recasts in which they
    were replaced show another's face or voice and stay. Raises DataError when a record is damaged.
    """
    project, name, found = project.resolve(), plain(identity), Holdings()
    _add_recasts(found, project, name)
    _add_faces(found, project, name)
    for folder, names in shown.voices(project):
        if name in names:
            found.add_folder(folder, "voice", "voice: recordings and network")
    if found.items or any(consent_file(project, identity, subject).is_file() for subject in SUBJECTS):
        going = list(dict.fromkeys([*found.folders, *(item.path for item in found.items if is_folder(item.path))]))
        found.left += [Left(str(link), LEADS_OUT.format(to)) for link, to in links_out(project, going)]
        known = {*(item.path for item in found.items), *(Path(one.path) for one in found.left)}
        hidden = [folder for folder in passed_over(project) if known.isdisjoint((folder, *folder.parents))]
        found.left += [
            Left(str(folder), HIDDEN) for folder in hidden if all(folder not in one.parents for one in known)
        ]
    return found


def forget(project: Path, identity: str, dry_run: bool = False) -> Holdings:
    """Remove what `holdings` lists, the name from the known people, and the consent but for a note that it was.

    Returns what went (or would) and what was left. Raises UnderstudyError when the project knows nobody of that name.
    """
    project = project.resolve()
    found = holdings(project, identity)
    known = _known_in(found, project, plain(identity))
    files = [folder / gallery.FILE_NAME for folder in known]
    found.items += [Item(file, f"{identity} among the known people", 0) for file in files]
    consents = [consent_file(project, identity, subject) for subject in SUBJECTS]
    if not (found.items or found.left or any(path.is_file() for path in consents)):
        raise UnderstudyError(f"The project {project} knows nobody called {identity}. understudy identity list tells.")
    if dry_run:
        return found
    for item in found.items:
        if item.path not in files and found.folders.keys().isdisjoint((item.path, *item.path.parents)):
            erase(item.path)
    for folder, kind in found.folders.items():
        _erase_ours(found, folder, kind)
    for folder, names in known.items():
        for one in names:
            gallery.forget(folder, one)
    withdraw(project, identity, today())
    return found


def _erase_ours(found: Holdings, folder: Path, kind: Kind) -> None:
    """Remove what is ours in a folder; what somebody put there since it was listed stays, and is told."""
    require_unlinked(folder)
    foreign = remove_ours(folder, kind)
    if foreign and all(one.path != str(folder) for one in found.left):
        found.left.append(Left(str(folder), MIXED.format(named(foreign, folder))))


def _add_begun(found: Holdings, project: Path, name: str) -> set[str]:
    """What killed and stopped recasts left that hold the face or the voice; gives the ids of those that go."""
    going = set()
    working = {folder: recasts_of(folder) for folder in holding(project, RECASTS_FILE)}
    for record, recast in all_begun(project):
        output = settled(recast.output)
        if name not in {plain(one) for one in recast.identities} or output is None:
            continue
        folder = partial_folder(output)
        inside, of = project in folder.parents, recasts_of(folder).get(recast.id)
        is_own = project / RECASTS in folder.parents or (of is not None and (inside or of == str(project)))
        theirs = [path for path, ids in working.items() if recast.id in ids]  # whatever they are called
        for path in dict.fromkeys([*theirs, *([folder] if is_own and is_folder(folder) else [])]):
            found.add_folder(path, "recast", "unfinished recast")
        if is_folder(folder) and not is_own:
            why = "It has the name of an unfinished recast, but does not say so itself." if of is None else ELSEWHERE
            found.left.append(Left(str(folder), why))
            continue
        if theirs or is_folder(folder):
            going.add(recast.id)
        found.add(record, "record that it was begun")
    return going


def _add_recasts(found: Holdings, project: Path, name: str) -> None:
    """Recasts that show the face or let the voice be heard, and whatever was made from them again."""
    records: list[tuple[Path, Recast | VoiceRecast]] = [*recorded(project), *recorded_voices(project)]
    going = [one for one in records if name in _appear_in(one[1])]
    for _, recast in going:  # grows as it is gone through
        made_of_it = [o for o in records if o not in going and o[1].source_sha256 == recast.output_sha256]
        going += made_of_it if recast.output_sha256 else []
    others = {settled(recast.output) for record, recast in records if (record, recast) not in going}
    unnamed = _add_begun(found, project, name)  # recorded, and killed before they had their names
    results: list[tuple[Path, Recorded, Found]] = []
    for record, recast in going:
        meant = Recorded(
            id=recast.id,
            output=recast.output,
            output_sha256=recast.output_sha256,
            output_bytes=recast.output_bytes,
        )
        files = find_recast(project, meant, {path for path in others if path})
        voice = isinstance(recast, VoiceRecast)
        for path in files.paths:
            found.add(path, "recast in which their voice is heard" if voice else "recast that shows their face")
        results.append((record, meant, files))
    goes = {str(item.path) for item in found.items}
    told = {Path(one.path) for _, _, files in results for one in files.left}
    copies = list(copies_in(project, [meant for _, meant, _ in results], {item.path for item in found.items}, told))
    for record, meant, files in results:
        left = [one for one in files.left if one.path not in goes]  # another recast of theirs took its place
        copied = [one for identifier, one in copies if identifier == meant.id]
        if not copied and (files.whole or (files.left and not left) or meant.id in unnamed):
            found.add(record, "record of that recast")
        if files.whole or meant.id not in unnamed:
            found.left += left
        found.left += copied


def _appear_in(recast: Recast | VoiceRecast) -> set[str]:
    names = [recast.identity] if isinstance(recast, VoiceRecast) else [cast.identity for cast in recast.cast]
    return {plain(name) for name in names}


def _add_faces(found: Holdings, project: Path, name: str) -> None:
    """Models and scans of the face, by their names and by what they show; where there are any, all that shows faces
    and does not say whose."""
    before = len(found.items) + len(found.left)
    looks = shown.looks_of(project, name)
    material = _add_models(found, project, name, looks)
    scans = shown.scans(project)
    for folder, listed in scans.items():
        _add_scan(found, folder, listed, name, looks, material)
    for path in shown.loose_facesets(project):
        whose = plain(tensor_facts(path).get("name", ""))
        if whose == name or shown.shows(path, looks):
            found.left.append(Left(str(path), LOOSE))
    for folder in shown.galleries(project):
        for other, look in shown.known_looks(folder):
            if plain(other) != name and shown.alike(look, looks):
                found.left.append(Left(str(folder / gallery.FILE_NAME), ALIKE.format(other)))
    if len(found.items) + len(found.left) > before or before or looks or _has_consent(project, name):
        _add_anybodys(found, project, {folder.parent for folder in scans})


def _add_models(found: Holdings, project: Path, name: str, looks: list[np.ndarray]) -> set[str]:
    """Models that hold the face; gives the alignments' hashes and persons that they say their faces are from."""
    faces: set[str] = set()
    for model in shown.models(project):
        if name in model.names:
            found.add_folder(model.folder, "model", "model, facesets and preview")
            card = read_json(model.folder / "model.json")
            people = [plain(person) for person in _list(card.get("identities"))]
            of_them = _list(card.get("material"))[people.index(name) :] if name in people else []
            faces |= {str(face) for face in _list(of_them[0] if of_them else [])}
            continue
        if not model.carded and model.folder.parent == project / "models":
            continue  # unfinished ones go whosever they are (`_add_anybodys`)
        for path in model.facesets:
            shows = shown.shows(path, looks)
            if shows:
                found.left.append(Left(str(path), ALIKE.format(", ".join(sorted(model.names)) or "nobody")))
            elif shows is None and (looks or path in model.silent):
                found.left.append(Left(str(path), UNTOLD))
    return faces


def _add_scan(
    found: Holdings, folder: Path, listed: bool, name: str, looks: list[np.ndarray], material: set[str]
) -> None:
    """A scan that shows the face: it goes, whole, unless the one who looks like them has another name there."""
    people = shown.people_of(folder)
    alignments = folder / FILE_NAME
    digest = hash_file(alignments) if material and is_file(alignments) else ""
    seen = shown.looks_in(folder)
    there = [number for number, look in (seen or {}).items() if shown.alike(look, looks)]
    others = [people[number] for number in there if people.get(number, name) != name]
    if name in people.values() or any(face.rpartition(":")[0] == digest for face in material if digest):
        found.add_folder(folder, "scan", "scan: faces, embeddings, thumbnails")
    elif others:
        found.left.append(Left(str(folder), ALIKE.format(", ".join(sorted(others)))))
    elif there:
        found.add_folder(folder, "scan", "scan: faces that look like theirs, embeddings, thumbnails")
    elif (looks and seen is None) or not (listed or looks):
        found.left.append(Left(str(folder), UNTOLD))


def _has_consent(project: Path, name: str) -> bool:
    try:
        return read_consent(project, name) is not None
    except UnderstudyError:  # which the whole of it says
        return True


def _add_anybodys(found: Holdings, project: Path, elsewhere: set[Path]) -> None:
    """What holds faces and does not say whose they are; `elsewhere` are the folders around scans."""
    scans = project / "scans"
    inner = [scans / "scans"] if is_folder(scans) else []  # of scans that were told no project
    for folder in dict.fromkeys([project, scans, *inner, *sorted(elsewhere)]):
        for path in entries(folder):
            if path.name == ".observed" and is_folder(path):
                found.add_folder(path, "observed", "what the networks saw of every face", theirs=False)
            elif path.name.startswith(".") and path.suffix in (".part", ".old", ".people") and is_folder(path):
                found.add_folder(path, "scan", "unfinished scan", theirs=False)
    if inner and is_file(stray := scans / gallery.FILE_NAME):
        found.add(stray, "embeddings of the people named in scans")
    for folder in entries(project / "models"):
        if is_folder(folder) and is_folder(folder / "facesets") and not is_file(folder / "model.json"):
            found.add_folder(folder, "model", "unfinished model", theirs=False)
    known = {recast.id for _, recast in all_begun(project)}  # those that hold the face are listed already
    named = [path for path in entries(project / RECASTS) if path.suffix == ".part" and is_folder(path)]
    saying = [path for path in holding(project, RECASTS_FILE) if recasts_of(path)]  # whatever they are called
    for path in dict.fromkeys([*named, *saying]):
        whose = recasts_of(path)
        if not (whose and known.issuperset(whose)):
            found.add_folder(path, "recast", "unfinished recast", theirs=False)
    if is_folder(previews := home().resolve() / "previews"):
        found.add_folder(previews, "previews", "previews", theirs=False)


def _known_in(found: Holdings, project: Path, name: str) -> dict[Path, list[str]]:
    """The folders of a project that keep embeddings of known people with this name, and how it is written there: its
    own, and those around scans elsewhere in it. What is damaged is told."""
    known: dict[Path, list[str]] = {}
    going = {item.path for item in found.items}
    for folder in shown.galleries(project):
        if folder / gallery.FILE_NAME in going or not going.isdisjoint(folder.parents):
            continue
        try:
            known[folder] = _known_as(folder, name)
        except DataError:
            found.left.append(Left(str(folder / gallery.FILE_NAME), DAMAGED))
    return {folder: names for folder, names in known.items() if names}


def _known_as(project: Path, name: str) -> list[str]:
    """The known people's names that are this one."""
    if not is_file(project / gallery.FILE_NAME):
        return []
    return [one for one in gallery.known_people(project) if plain(one) == name]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
