"""Correct who is who in a scan, and bring all files of its folder in line with it. No torch here."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...durable import lock, make_folders, write_json, writing
from ...errors import DataError, MediaError, NoFaceError, UnderstudyError
from ...own_files import contents, remove_ours, vacant
from ...protocol import PeopleEdit, PersonSummary, project_of, to_json
from ...reporter import Reporter
from ..alignments import FILE_NAME, Alignments, load_alignments
from . import roster as who
from .gallery import SAME_PERSON
from .roster import Person, Roster
from .summary import BOXES, SUMMARY, boxes_of, coverage, portrait_quality, read_summary, write_thumbnail

LOCK_SECONDS = 30.0
"""Seconds to wait for other edits of the same scan."""


def write_people(
    alignments: Alignments, folder: Path, output: Path, project: Path | None = None
) -> tuple[Alignments, list[PersonSummary]]:
    """Who is who in a fresh scan: the grouping, earlier corrections of the same frames, the project's known names.

    `folder` is filled with `edits.json` and the pictures; `output` is where an earlier scan may lie that the
    folder will replace. Returns the alignments with their final person column, and the list for `scan.json`.
    """
    project = project or project_of(output)
    roster = who.follow_earlier(alignments, *who.earlier_edits(output, project, alignments.clip.path))
    return install_people(alignments, roster, folder, project)


def install_people(
    alignments: Alignments, roster: Roster, folder: Path, project: Path
) -> tuple[Alignments, list[PersonSummary]]:
    """Fill a fresh scan folder with `edits.json` and the pictures of a roster; answers as `write_people`."""
    roster = who.with_known_names(alignments, roster, project)
    alignments = replace(alignments, person=who.person_column(alignments, roster))
    who.write_edits(folder, alignments, roster)
    who.remember_names(alignments, roster, project)
    return alignments, summarise(alignments, roster, folder)


def edit_people(scan: Path, edits: list[PeopleEdit], reporter: Reporter, project: Path | None = None) -> int:
    """Apply corrections to a scan and to the project's memory; how many people it has then.

    All of them or none. What a crash interrupted is finished by the next call, and the same edits as the last
    ones change nothing: a job may be run again. Raises NoFaceError for people who are not there, DataError for
    damaged files, UnderstudyError for edits that make no sense.
    """
    project = project or project_of(scan)
    read_summary(scan)  # a sentence when it is no scan
    with lock(scan.with_name(f".{scan.name}.lock"), LOCK_SECONDS) as held:
        if not held:
            raise UnderstudyError(f"The people of {scan} are being corrected by another program. Try again.")
        alignments = load_alignments(scan)
        request = hashlib.sha256(json.dumps([to_json(edit) for edit in edits]).encode()).hexdigest()
        before = _current(scan, alignments)
        data = who.read_edits(scan / who.EDITS) if (scan / who.EDITS).is_file() else {"pending": False, "request": ""}
        roster = before
        if data["request"] != request or not edits:
            for edit in edits:
                roster = apply_edits(roster, edit)
            roster = replace(roster, edited=roster.edited or bool(edits))
        elif not data["pending"]:
            return _count(roster)
        roster = who.with_known_names(alignments, roster, project)
        reporter.progress(0.2, "Sorting the people anew")
        who.remember_names(alignments, roster, project, before)
        who.write_edits(scan, alignments, roster, request=request, pending=True)
        _write(scan, alignments, roster, reporter, all_of_it=bool(data["pending"]))
        who.write_edits(scan, alignments, roster, request=request)
    reporter.progress(1.0, "Corrected")
    return _count(roster)


def settle_people(scan: Path, project: Path, reporter: Reporter) -> None:
    """Say who is who in a scan that another engine made: its grouping, with the corrections and names that are known
    here, of this scan and of others. Its `edits.json` is written here; whatever that engine says of names goes.

    Raises DataError for damaged files, UnderstudyError as `edit_people`.
    """
    with lock(scan.with_name(f".{scan.name}.lock"), LOCK_SECONDS) as held:
        if not held:
            raise UnderstudyError(f"The people of {scan} are being corrected by another program. Try again.")
        alignments = load_alignments(scan)
        roster = who.follow_earlier(alignments, *who.earlier_edits(scan, project, alignments.clip.path))
        roster = who.with_known_names(alignments, roster, project)
        who.remember_names(alignments, roster, project)
        who.write_edits(scan, alignments, roster)
        _write(scan, alignments, roster, reporter, all_of_it=False)


def _count(roster: Roster) -> int:
    return sum(bool(person.tracks) and not person.rejected for person in roster.people)


def _current(scan: Path, alignments: Alignments) -> Roster:
    """The people of a scan folder; one that was made before there were corrections has only the grouping."""
    path = scan / who.EDITS
    if not path.is_file():
        return who.from_alignments(alignments)
    data = who.read_edits(path)
    people = tuple(person for person, _ in who.read_people(data))
    if not {track for person in people for track in person.tracks} <= set(alignments.track.tolist()):
        raise DataError(f"{path} names faces that are not in the scan. Move it away and correct the people again.")
    return Roster(people=people, edited=data["edited"], highest=data["highest"])


def _write(scan: Path, alignments: Alignments, roster: Roster, reporter: Reporter, all_of_it: bool) -> None:
    """Bring alignments, boxes, pictures and summary in line with the roster; prepared first, then put in place.

    `all_of_it`: after a crash that left some of them behind.
    """
    column = who.person_column(alignments, roster)
    moved = not np.array_equal(column, alignments.person)
    alignments = replace(alignments, person=column)
    staged = vacant(scan.with_name(f".{scan.name}.people"), "scan")
    make_folders(staged)
    try:
        shutil.copyfile(scan / who.EDITS, staged / who.EDITS)  # tells of what is left of it that it is ours
        summary = read_summary(scan)
        people = summarise(alignments, roster, staged, earlier=(scan, summary.people), reporter=reporter)
        if moved or all_of_it:
            reporter.progress(0.5, "Writing the alignments")
            alignments.save(staged)
            write_json(staged / BOXES, boxes_of(alignments), indent=None)
        write_json(staged / SUMMARY, to_json(replace(summary, people=people)))
        names = sorted(path.name for path in staged.iterdir())
        for name in sorted(names, key=lambda name: (name == SUMMARY, name != FILE_NAME)):
            (staged / name).replace(scan / name)
        kept = {person.thumbnail for person in people}
        for picture in contents(scan, "scan").ours:
            if picture.name.startswith("person-") and picture.name not in kept:
                picture.unlink()
    finally:
        with contextlib.suppress(OSError):
            remove_ours(staged, "scan")


def summarise(
    alignments: Alignments,
    roster: Roster,
    folder: Path,
    earlier: tuple[Path, list[PersonSummary]] | None = None,
    reporter: Reporter | None = None,
) -> list[PersonSummary]:
    """Everybody's facts, most frames first, the rejected last; their pictures are put into `folder`.

    `earlier` is a scan folder and what its `scan.json` lists: pictures that are there are not cut again.
    """
    pictures = {(p.best_frame, tuple(p.box)): p.thumbnail for p in earlier[1]} if earlier else {}
    found = []
    for person in roster.people:
        rows = who.rows_of(alignments, person)
        if not len(rows):
            continue
        best = int(rows[portrait_quality(alignments, rows).argmax()])
        box = [float(v) for v in alignments.box[best]]
        frame = int(alignments.frame[best])
        name = f"person-{person.id}.jpg"
        had = pictures.get((frame, tuple(box)))
        if earlier and had and (earlier[0] / had).is_file():
            with writing(folder / name) as partial:
                shutil.copyfile(earlier[0] / had, partial)
            with (folder / name).open("rb+") as file:
                os.fsync(file.fileno())
        else:
            try:
                write_thumbnail(folder / name, alignments, best)
            except MediaError as error:
                if not earlier or reporter is None:
                    raise
                reporter.log(f"There is no new picture of {person.label}: {error}", "warning")
                name = next((p.thumbnail for p in earlier[1] if set(p.track_ids) & set(person.tracks)), name)
        measured = rows[~alignments.carried[rows]]
        found.append(
            PersonSummary(
                id=person.id,
                name=person.label,
                frames=len(np.unique(alignments.frame[rows])),
                tracks=len(person.tracks),
                first_frame=int(alignments.frame[rows].min()),
                best_frame=frame,
                box=box,
                thumbnail=name,
                known=bool(person.name),
                rejected=person.rejected,
                sharpness=float(np.median(alignments.sharpness[measured])) if len(measured) else 0.0,
                track_ids=list(person.tracks),
                coverage=coverage(alignments.landmarks[measured]),
            )
        )
    return sorted(_alike(alignments, found), key=lambda p: (p.rejected, -p.frames, p.id))


def _alike(alignments: Alignments, people: list[PersonSummary]) -> list[PersonSummary]:
    """The people, with whom each of them looks like; the rejected look like nobody."""
    there = [p for p in people if not p.rejected]
    rows = [np.flatnonzero(np.isin(alignments.track, p.track_ids) & (alignments.person >= 0)) for p in there]
    there, rows = [p for p, r in zip(there, rows, strict=True) if len(r)], [r for r in rows if len(r)]
    if len(there) < 2:
        return people
    looks = np.stack([who.mean_embedding(alignments, r)[0] for r in rows])
    apart = np.linalg.norm(looks[:, None] - looks[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    nearest = {
        p.id: there[int(row.argmin())].id for p, row in zip(there, apart, strict=True) if row.min() < SAME_PERSON
    }
    return [replace(p, looks_like=nearest.get(p.id, -1)) for p in people]


def apply_edits(roster: Roster, edit: PeopleEdit) -> Roster:
    """The people after one correction (see `protocol.PeopleEdit`)."""
    people = {person.id: person for person in roster.people}
    if not edit.persons:
        raise UnderstudyError(f"Say whom to {edit.action}.")
    for number in edit.persons:
        if number not in people or not people[number].tracks:
            there = ", ".join(str(p.id) for p in roster.people if p.tracks)
            raise NoFaceError(f"Person {number} is not in this scan; there are {there}. Choose among them.")
    if edit.action in ("rename", "split") and len(edit.persons) != 1:
        raise UnderstudyError(f"One person at a time can be chosen to {edit.action}.")
    first = people[edit.persons[0]]
    if edit.action == "rename":
        people[first.id] = _rename(roster, first, edit.name)
    elif edit.action == "merge":
        people = _merge(people, edit.persons)
    elif edit.action == "split":
        mine, theirs = _split(first, edit.tracks)
        people[first.id] = replace(first, tracks=mine)
        number = roster.highest + 1
        roster = replace(roster, highest=number)
        people[number] = Person(id=number, name="", rejected=first.rejected, tracks=theirs)
    else:
        for number in edit.persons:
            people[number] = replace(people[number], rejected=edit.action == "reject")
    return replace(roster, people=tuple(people.values()))


def _rename(roster: Roster, person: Person, name: str) -> Person:
    name = " ".join(name.split())
    if not name:
        raise UnderstudyError(f"Give a name for {person.label}.")
    if any(other.name == name and other.id != person.id and other.given for other in roster.people):
        raise UnderstudyError(f"Somebody else is called {name} in this scan. Merge the two, or choose another name.")
    return replace(person, name=name, given=True)


def _merge(people: dict[int, Person], numbers: list[int]) -> dict[int, Person]:
    if len(set(numbers)) < 2:
        raise UnderstudyError("Choose two people or more to merge.")
    chosen = [people[number] for number in dict.fromkeys(numbers)]
    # the first one's name, else the surest of the others'
    naming = max(chosen, key=lambda p: (p is chosen[0] and bool(p.name), p.given, bool(p.name)))
    one = replace(
        chosen[0],
        name=naming.name,
        given=naming.given,
        tracks=tuple(sorted(track for person in chosen for track in person.tracks)),
        absent=tuple(places for person in chosen for places in person.absent),
    )
    rest = {number: person for number, person in people.items() if person not in chosen}
    return {number: one if number == one.id else rest[number] for number in people if number in {*rest, one.id}}


def _split(person: Person, tracks: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    strange = sorted(set(tracks) - set(person.tracks))
    if strange or not tracks:
        listed = ", ".join(map(str, person.tracks))
        raise UnderstudyError(f"{person.label} has the tracks {listed}. Choose among them those of somebody else.")
    rest = tuple(track for track in person.tracks if track not in tracks)
    if not rest:
        raise UnderstudyError(f"These are all tracks of {person.label}. Leave at least one, or rename the person.")
    return rest, tuple(sorted(set(tracks)))
