"""Who gets whose face: the cast of the shot, kept for every range that was ever marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..i18n import tr
from . import kept_json, people_store, steps

if TYPE_CHECKING:
    from .properties import UnderstudyPerson, UnderstudyState

_NO_NAMES = {"the", "an", "mr", "mrs", "ms", "miss", "dr", "prof", "sir", "lady", "young", "old", "person"}
ROWS = 8
"""So many people of a shot have a row in the panel unless more of them get a face."""


def assign(state: UnderstudyState, number: int, identity: str) -> None:
    """Give a person of the shot an identity's face; "" gives them their own again. Nobody else's face changes."""
    swap = steps.swap_of(state, number)
    if not identity:
        if swap is not None:
            state.swaps.remove([one.person for one in state.swaps].index(number))
    else:
        if swap is None:
            swap = state.swaps.add()
            swap.person = number
            swap.target = steps.target_key(state, swap)
        swap.identity = identity
    remember(state)


def remember(state: UnderstudyState) -> None:
    """Keep the cast of the marked range for when it is marked again."""
    folder = Path(state.shot.scan.folder).name
    if not folder:
        return
    kept = next((one for one in state.casts if one.scan == folder), None) or state.casts.add()
    kept.scan = folder
    kept.swaps = json.dumps([[swap.person, swap.identity, swap.target] for swap in state.swaps if swap.identity])


def recall(state: UnderstudyState) -> None:
    """Put back the cast that was kept of the marked range, as far as its people and identities are there."""
    folder = Path(state.shot.scan.folder).name
    kept = next((one for one in state.casts if one.scan == folder), None)
    if kept is not None:
        use(state, [{"person": p, "identity": i, "target": t} for p, i, t in kept_json.rows(kept.swaps, int, str, str)])


def use(state: UnderstudyState, swaps: list[dict[str, Any]]) -> None:
    """Make these swaps (`protocol.Swap` as dictionaries) the cast."""
    state.swaps.clear()
    for one in swaps:
        known = people_store.person_of(state.shot.scan, one["person"]) is not None
        if known and people_store.identity_here(state, one["identity"]):
            swap = state.swaps.add()
            swap.person, swap.identity, swap.target = one["person"], one["identity"], one["target"]


def settle(state: UnderstudyState) -> None:
    """After the people of the shot became others: nobody keeps a face who is not there. A single person gets the
    single identity; of several nobody is chosen for the user, but the most prominent one is selected."""
    scan, seen = state.shot.scan, set()
    for number in range(len(state.swaps) - 1, -1, -1):
        if people_store.person_of(scan, state.swaps[number].person) is None or not state.swaps[number].identity:
            state.swaps.remove(number)
    for number in range(len(state.swaps) - 1, -1, -1):  # two people became one: the first keeps the face
        if state.swaps[number].person in [swap.person for swap in list(state.swaps)[:number]]:
            seen.add(number)
    for number in sorted(seen, reverse=True):
        state.swaps.remove(number)
    if not len(state.swaps):
        recall(state)
    if people_store.person_of(scan, state.person) is None:
        state.person = people_store.main_person(scan)
    there = people_store.there(scan)
    kept = any(one.scan == Path(scan.folder).name for one in state.casts)
    if not len(state.swaps) and not kept and len(there) == 1 and len(state.identities) == 1:
        assign(state, there[0].person, state.identities[0].key)


def rows(state: UnderstudyState) -> list[UnderstudyPerson]:
    """The people who have a row in the panel, in the scan's order: everybody who gets a face, and the first of the
    others by the chosen order of a crowd, ROWS in all."""
    scan = state.shot.scan
    there = people_store.there(scan)
    if len(there) <= ROWS:
        return there
    cast = {swap.person for swap in state.swaps} | {state.person}
    if state.crowd == "NAMED":
        there = [p for p in there if p.known or p.person in cast]
    if state.crowd == "LONGEST":
        ranked = sorted(there, key=lambda p: (p.person not in cast, -p.frames))
    else:
        ranked = sorted(there, key=lambda p: (p.person not in cast, -(p.box[3] - p.box[1])))
    first = {p.person for p in ranked[: max(ROWS, len(cast))]}
    return [p for p in there if p.person in first]


def proposed(state: UnderstudyState, person: UnderstudyPerson) -> str:
    """The key of the identity that a person known by name got where they were recast last; "" for none."""
    if not (person.known and person.name) or steps.swap_of(state, person.person) is not None:
        return ""
    target = steps.target_of(state, person)
    for kept in reversed(state.casts):
        for _, identity, known in reversed(kept_json.rows(kept.swaps, int, str, str)):
            face = steps.identity_named(state, identity)
            if known == target and face is not None and steps.may_have_faces(state, face):
                return str(identity)
    return ""


def all_proposed(state: UnderstudyState) -> dict[int, str]:
    """The people who may get the face they got before, with the key of its identity."""
    found = {person.person: proposed(state, person) for person in people_store.there(state.shot.scan)}
    return {person: key for person, key in found.items() if key}


def in_first_names(state: UnderstudyState) -> str:
    """The cast as "Cary → Bart" without family names, where that tells everybody apart; else with all names."""
    scan = state.shot.scan
    shown = [people_store.person_of(scan, swap.person) for swap in steps.chosen(state)]
    faces = [steps.identity_named(state, swap.identity) for swap in steps.chosen(state)]
    replaced = [_first_name(people_store.called(person)) for person in shown]
    given = [_first_name(face.name) for face in faces]
    if len(set(replaced)) < len(shown) or len(set(given)) < len({face.key for face in faces}):
        return in_words(state, [])
    return ", ".join(f"{who} → {whose}" for who, whose in zip(replaced, given, strict=True))


def _first_name(name: str) -> str:
    """Of a first and a family name the first; anything else ("The Man", "Person 1", "Mr Smith") whole."""
    first, _, rest = name.partition(" ")
    told = rest.isalpha() and len(first) > 1 and first.lower().rstrip(".") not in _NO_NAMES
    return first if told else name


def in_words(state: UnderstudyState, before: list[dict[str, Any]]) -> str:
    """The cast as "Cary → Bart", and how it differs from the swaps of a recast that is there; "" for no cast."""
    scan = state.shot.scan

    def called(number: int) -> str:
        person = people_store.person_of(scan, number)
        return people_store.called(person) if person is not None else tr("Person {number}", number=number + 1)

    def pair(number: int, key: str) -> str:
        identity = steps.identity_named(state, key)
        return f"{called(number)} → {identity.name}" if identity is not None else called(number)

    now = {swap.person: swap.identity for swap in steps.chosen(state)}
    was = {one["person"]: one["identity"] for one in before}
    kept = [pair(p, key) for p, key in now.items() if not was or was.get(p) == key]
    said = [", ".join(kept)] if kept else []
    if was:
        for template, some in (
            (tr("adds {names}"), [pair(p, key) for p, key in now.items() if p not in was]),
            (tr("changes {names}"), [pair(p, key) for p, key in now.items() if p in was and was[p] != key]),
            (tr("removes {names}"), [called(p) for p in was if p not in now]),
        ):
            if some:
                said.append(template.format(names=", ".join(some)))
    return "; ".join(said)
