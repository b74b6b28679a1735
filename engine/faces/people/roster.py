"""Who is who in a scan: the grouping, the user's corrections of it, and the names the project knows.

`edits.json` of a scan folder holds every person with the tracks that are theirs, and of each track where it was
seen every few frames, so that corrections find their faces again when the clip is scanned anew or another range
of its file is: tracks are matched by frames and boxes, never by number. The person column of the alignments,
`scan.json`, `boxes.json` and the pictures follow from it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...durable import write_json
from ...errors import DataError
from ...protocol import parse_json
from ...reading import read_text
from ..alignments import MOST, Alignments
from ..geometry.boxes import overlap
from . import gallery
from .grouping import seen_together

SCHEMA = 1
EDITS = "edits.json"
PLACE_INTERVAL_FRAMES, PLACE_NUMBERS = 8, 5
"""A track's place is written down every so many frames, in so many numbers (`Places`)."""
MIN_PLACE_OVERLAP = 0.4
"""Boxes that overlap by this (shared area over the union) are the same face of the same frame."""

Places = list[list[float]]
"""[frame, x0, y0, x1, y1] of a track, every few frames."""
Key = tuple[int, int]
"""Which person (second) of which earlier scan (first, counted from the oldest)."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """One human being of a scan.

    `name` is empty while nobody named them; `given` when the user did (not the project's memory). `tracks` are
    theirs in this scan; `absent` are places of theirs that lie outside this scan's range, kept for another.
    """

    id: int
    name: str = ""
    given: bool = False
    rejected: bool = False
    tracks: tuple[int, ...] = ()
    absent: tuple[Places, ...] = field(default=())

    @property
    def label(self) -> str:
        """What to call them."""
        return self.name or f"Person {self.id}"


@dataclass(frozen=True, kw_only=True)
class Roster:
    """The people of a scan.

    `edited`: the user corrected something, so the grouping is to be kept as it stands. `highest` is the largest
    number that ever was somebody's here: none is given to another.
    """

    people: tuple[Person, ...]
    edited: bool = False
    highest: int = -1


def from_alignments(alignments: Alignments) -> Roster:
    """The people as they were grouped."""
    people = []
    for number in np.unique(alignments.person[alignments.person >= 0]).tolist():
        tracks = np.unique(alignments.track[alignments.person == number])
        people.append(Person(id=number, tracks=tuple(map(int, tracks))))
    return Roster(people=tuple(people), highest=max((p.id for p in people), default=-1))


def person_column(alignments: Alignments, roster: Roster) -> np.ndarray:
    """The person of every row, (N,) int32: -1 for the rejected and for those who are nobody's."""
    column = np.full(int(alignments.track.max(initial=-1)) + 1, -1, np.int32)
    for person in roster.people:
        if not person.rejected:
            column[list(person.tracks)] = person.id
    return column[alignments.track]


def rows_of(alignments: Alignments, person: Person) -> np.ndarray:
    """All rows of a person's tracks, in frame order, also when rejected."""
    return np.flatnonzero(np.isin(alignments.track, person.tracks))


def mean_embedding(alignments: Alignments, rows: np.ndarray) -> gallery.Seen:
    """Mean of the measured faces of some rows (all rows, where none was measured), and their number."""
    measured = rows[~alignments.carried[rows]]
    chosen = measured if len(measured) else rows
    return alignments.embedding[chosen].mean(0).astype(np.float32), len(chosen)


def follow_earlier(alignments: Alignments, others: list[dict[str, Any]], own: dict[str, Any] | None) -> Roster:
    """The grouping with earlier corrections applied: those of other scans of the same file, then this one's `own`.

    Tracks that were seen before stay with whom they were with; the rest join whom the grouping puts them
    with, the likest one where these are several.
    """
    roster = from_alignments(alignments)
    if not others and not own:
        return roster
    grouped = {track: person.id for person in roster.people for track in person.tracks}
    before: dict[Key, Person] = {}
    keeper: dict[int, Key] = {}
    for number, data in enumerate([*others, *([own] if own else [])]):
        places, owners = [], []
        for person, tracks in read_people(data):
            outside = _outside(alignments, tracks) if data is own else ()
            name = person.name if person.given else ""
            before[number, person.id] = replace(person, name=name, absent=outside)
            places += tracks
            owners += [person.id] * len(tracks)
        for track, which in _match(alignments, places).items():
            keeper[track] = number, owners[which]
    keeper = {track: _namesake(key, before) for track, key in keeper.items()}
    _adopt(alignments, grouped, keeper)
    return _rebuilt(alignments, grouped, keeper, before, int(own["highest"]) if own else -1)


def _outside(alignments: Alignments, tracks: list[Places]) -> tuple[Places, ...]:
    clip = alignments.clip
    return tuple(
        places for places in tracks if places[-1][0] < clip.start or (clip.end is not None and places[0][0] >= clip.end)
    )


def _namesake(key: Key, before: dict[Key, Person]) -> Key:
    """The same human being in the latest scan that has them by that name."""
    name = before[key].name
    return max((other for other, person in before.items() if name and person.name == name), default=key)


def _adopt(alignments: Alignments, grouped: dict[int, int], keeper: dict[int, Key]) -> None:
    """Give tracks that nobody had to the likest of those whom the grouping puts them with."""
    pinned = dict(keeper)
    frames = {t: alignments.frame[alignments.track == t] for t in set(grouped) | set(pinned)}
    means = {t: mean_embedding(alignments, np.flatnonzero(alignments.track == t))[0] for t in frames}
    for track, group in grouped.items():
        if track in pinned:
            continue
        near: dict[Key, list[int]] = {}
        for other, key in pinned.items():
            if grouped.get(other) == group:
                near.setdefault(key, []).append(other)
        apart = {k for k, members in near.items() if any(seen_together(frames[track], frames[m]) for m in members)}
        distances = {
            key: float(np.linalg.norm(means[track] - np.mean([means[m] for m in members], 0)))
            for key, members in near.items()
            if key not in apart
        }
        if distances:
            keeper[track] = min(distances, key=lambda key: distances[key])


def _rebuilt(
    alignments: Alignments, grouped: dict[int, int], keeper: dict[int, Key], before: dict[Key, Person], highest: int
) -> Roster:
    """People of the earlier scans with their tracks here, then those whom only the grouping knows."""
    members: dict[Key, list[int]] = {}
    for track, key in sorted(keeper.items()):
        members.setdefault(key, []).append(track)
    latest = max((key[0] for key in before), default=0)
    people: list[Person] = []
    for key in sorted(before, key=lambda key: (key[0] != latest, key)):  # the latest scan's people keep their numbers
        if key in members or before[key].absent:
            taken = {person.id for person in people}
            highest = max(highest, *taken, before[key].id)
            number = before[key].id if before[key].id not in taken else highest + 1
            people.append(replace(before[key], id=number, tracks=tuple(members.get(key, ()))))
    loose = {track: group for track, group in grouped.items() if track not in keeper}
    seen = Counter(loose[track] for track in alignments.track.tolist() if track in loose)
    number = max([highest, *(person.id for person in people)]) + 1
    for group, _ in seen.most_common():
        people.append(Person(id=number, tracks=tuple(t for t, g in loose.items() if g == group)))
        number += 1
    return Roster(people=tuple(people), edited=True, highest=number - 1)


def _match(alignments: Alignments, places: list[Places]) -> dict[int, int]:
    """Track → which of some earlier tracks it is: the one it shares most places with, where it shares most of
    those that both could have."""
    shared: Counter[tuple[int, int]] = Counter()
    chances: Counter[tuple[int, int]] = Counter()
    for which, earlier in enumerate(places):
        for frame, *box in earlier:
            low, high = np.searchsorted(alignments.frame, [frame, frame + 1])
            if low == high:
                continue
            common = overlap(np.array([box]), alignments.box[low:high])[0]
            for row, share in zip(range(low, high), common, strict=True):
                chances[int(alignments.track[row]), which] += 1
                shared[int(alignments.track[row]), which] += int(share >= MIN_PLACE_OVERLAP)
    found: dict[int, int] = {}
    for (track, which), count in shared.most_common():
        if track not in found and count > 0 and 2 * count > chances[track, which]:
            found[track] = which
    return found


def with_known_names(alignments: Alignments, roster: Roster, project: Path) -> Roster:
    """The names of the project for those who have none here, and whom their faces tell for sure."""
    asked = [p for p in roster.people if not p.name and not p.rejected and p.tracks]
    if not asked:
        return roster
    means = np.array([mean_embedding(alignments, rows_of(alignments, p))[0] for p in asked])
    names = gallery.recognise(project, means, {p.name for p in roster.people})
    found = dict(zip((p.id for p in asked), names, strict=True))
    return replace(roster, people=tuple(replace(p, name=found.get(p.id, p.name)) for p in roster.people))


def remember_names(alignments: Alignments, roster: Roster, project: Path, before: Roster | None = None) -> None:
    """Tell the project's memory who was named here, and which names were taken back since `before`."""
    given = {
        p.name: mean_embedding(alignments, rows_of(alignments, p))
        for p in roster.people
        if p.given and p.tracks and not p.rejected
    }
    old = {p.name for p in before.people if p.given} if before else set()
    gallery.remember(project, alignments.clip.path, given, old - set(given))


# --- edits.json


def earlier_edits(output: Path, project: Path, media: str) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The corrections of a file's other scans in a project, oldest first, and of an earlier scan in `output`."""
    others = sorted(
        (path for path in (project / "scans").glob(f"*/{EDITS}") if path.parent.resolve() != output.resolve()),
        key=lambda path: path.stat().st_mtime_ns,
    )

    def corrected(path: Path) -> list[dict[str, Any]]:
        data = read_edits(path) if path.is_file() else None
        return [data] if data and data["media"] == media and data["edited"] else []

    own = corrected(output / EDITS)
    return [data for path in others for data in corrected(path)], own[0] if own else None


def write_edits(
    folder: Path, alignments: Alignments, roster: Roster, *, request: str = "", pending: bool = False
) -> None:
    """Write `edits.json`. `request` tells the last edits from others; `pending`: the other files do not follow yet."""
    people = [
        {
            "id": person.id,
            "name": person.name,
            "given": person.given,
            "rejected": person.rejected,
            "tracks": [{"track": track, "places": _places(alignments, track)} for track in person.tracks]
            + [{"track": -1, "places": places} for places in person.absent],
        }
        for person in roster.people
    ]
    data = {
        "schema": SCHEMA,
        "media": alignments.clip.path,
        "edited": roster.edited,
        "highest": roster.highest,
        "pending": pending,
        "request": request,
        "people": people,
    }
    write_json(folder / EDITS, data, indent=None)


def _places(alignments: Alignments, track: int) -> Places:
    rows = np.flatnonzero(alignments.track == track)
    return [
        [int(alignments.frame[row]), *(round(float(v), 1) for v in alignments.box[row])]
        for row in sorted({*rows[::PLACE_INTERVAL_FRAMES].tolist(), int(rows[-1])})
    ]


def read_edits(path: Path) -> dict[str, Any]:
    """An `edits.json` as it stands. Raises DataError when it is damaged."""
    try:
        data = parse_json(read_text(path))
        if data["schema"] != SCHEMA or not isinstance(data["media"], str):
            raise ValueError(f"version {data['schema']}")
        data["edited"], data["pending"], data["request"]
        if type(data["highest"]) is not int:
            raise ValueError("its highest number is none")
        read_people(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}). Move it away and correct the people again.") from None
    return dict(data)


def read_people(data: dict[str, Any]) -> list[tuple[Person, list[Places]]]:
    """The people of an `edits.json`, each with the places of all their tracks; `absent` are those places."""
    people = []
    for entry in data["people"]:
        places = [[list(map(float, place)) for place in track["places"]] for track in entry["tracks"]]
        if not all(some and all(len(place) == PLACE_NUMBERS for place in some) for some in places):
            raise ValueError("some places of a face are none")
        if not all(type(track["track"]) is int and -1 <= track["track"] < MOST for track in entry["tracks"]):
            raise ValueError("some tracks are none")
        person = Person(
            id=int(entry["id"]),
            name=str(entry["name"]),
            given=bool(entry["given"]),
            rejected=bool(entry["rejected"]),
            tracks=tuple(int(t["track"]) for t in entry["tracks"] if t["track"] >= 0),
            absent=tuple(p for t, p in zip(entry["tracks"], places, strict=True) if t["track"] < 0),
        )
        people.append((person, places))
    return people
