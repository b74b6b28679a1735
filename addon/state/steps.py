"""The way from Range to Recast: what is chosen, and what is missing before a step can run.

Every `missing_for_…` answers one sentence for the panel and for a disabled button's tooltip, or "" when
the step can run. They only read, so that panels may call them while drawing.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from ...engine import protocol
from .. import compat
from ..i18n import tr
from . import consent_records, kept_json, people_store, project, project_files
from .properties import SCHEMA

if TYPE_CHECKING:
    from .properties import UnderstudyIdentity, UnderstudyJob, UnderstudyPerson, UnderstudyState, UnderstudySwap

_ALONE = r"(?<![\w./\\-]){}(?!\.?[\w/\\-])"
"""A key that is no part of a path or another name."""
_NAMELESS = r"[\w.-]+-[0-9a-f]{8}-person-(\d{1,4})"
"""The keys that `_nameless` makes."""
SHOT = "shot"
"""The target of a scan of the shot; a scan of an identity's clip has its material's key."""


def state_of(context: bpy.types.Context) -> UnderstudyState | None:
    """Understudy's state of the scene in the sequencer, or None when there is no scene."""
    scene = compat.sequencer_scene(context)
    return scene.understudy if scene else None


# -- what is chosen


def swap_of(state: UnderstudyState, person: int) -> UnderstudySwap | None:
    """The swap of a person of the shot."""
    return next((swap for swap in state.swaps if swap.person == person), None)


def chosen(state: UnderstudyState) -> list[UnderstudySwap]:
    """The swaps that are complete: a person of the shot and an identity of the list. In the order of the people, so
    that one cast is one model, whoever of it was added first."""
    there = [
        swap
        for swap in state.swaps
        if people_store.person_of(state.shot.scan, swap.person) is not None and identity_named(state, swap.identity)
    ]
    return sorted(there, key=lambda swap: swap.person)


def identity_named(state: UnderstudyState, key: str) -> UnderstudyIdentity | None:
    """The identity of that key."""
    return next((i for i in state.identities if i.key == key), None)


def named(state: UnderstudyState, text: str) -> str:
    """What the engine says, with the names of the panel in place of its own keys; those in the names of files stay."""
    scan = state.shot.scan
    called = {target_of(state, person): people_store.called(person) for person in scan.people}
    for swap in state.swaps:
        if swap.target and (person := people_store.person_of(scan, swap.person)) is not None:
            called[swap.target] = people_store.called(person)
    called |= {one.key: one.name for one in (*state.identities, *state.voices)}
    for key, name in called.items():
        text = re.sub(_ALONE.format(re.escape(key)), lambda _, name=name: name, text)
    # of a range that is not marked any more
    return re.sub(_ALONE.format(_NAMELESS), lambda found: tr("Person {number}", number=int(found[1]) + 1), text)


def target_key(state: UnderstudyState, swap: UnderstudySwap) -> str:
    """The replaced person's name in models and consent files."""
    if swap.target:
        return swap.target
    person = people_store.person_of(state.shot.scan, swap.person)
    return target_of(state, person) if person is not None else _nameless(state, swap.person)


def target_of(state: UnderstudyState, person: UnderstudyPerson) -> str:
    """The same of a person of the shot: of somebody known by name it is the project's, whichever range shows them."""
    if not (person.known and person.name):
        return _nameless(state, person.person)
    folder, faces = project.folder_if_named(state), {identity.key for identity in state.identities}
    for key, record in (consent_records.records(folder) if folder else {}).items():
        if key not in faces and record.person.casefold() == person.name.casefold():
            return key
    return project.slug(person.name)


def _nameless(state: UnderstudyState, number: int) -> str:
    # the scan's key tells the frames: the same number in others of a strip's may be somebody else, who was not asked
    frames = Path(state.shot.scan.folder).name.rpartition("-")[2]
    return f"{project.slug(state.shot.strip_name)[:24]}-{frames}-person-{number}"


def cast(state: UnderstudyState) -> tuple[list[protocol.Identity], list[protocol.Swap]]:
    """Everybody that a model is trained of (the replaced ones too, under names of their own), and the swaps."""
    identities: dict[str, protocol.Identity] = {}
    swaps = []
    for swap in chosen(state):
        target, face = target_key(state, swap), identity_named(state, swap.identity)
        shown = [protocol.Material(scan=state.shot.scan.folder, person=swap.person)]
        identities.setdefault(target, protocol.Identity(name=target, material=shown))
        identities.setdefault(face.key, protocol.Identity(name=face.key, material=people_store.material(face)))
        swaps.append(protocol.Swap(person=swap.person, identity=face.key, target=target))
    return list(identities.values()), swaps


# -- jobs


def about(job: UnderstudyJob) -> dict:
    """What a job's result is for."""
    return kept_json.mapping(job.about)


def newest_done(state: UnderstudyState | None, kind: str) -> UnderstudyJob | None:
    """The newest finished job of a kind, or None."""
    jobs = reversed(state.jobs) if state else ()
    return next((job for job in jobs if job.kind == kind and job.state == "done"), None)


def unfinished(state: UnderstudyState) -> list[UnderstudyJob]:
    """The jobs that still run or wait."""
    return [job for job in state.jobs if job.state not in protocol.FINAL_STATES]


def may_have_faces(state: UnderstudyState, identity: UnderstudyIdentity) -> bool:
    """Whether an identity has faces, or footage in which they may yet be found or chosen."""
    return bool(people_store.material(identity)) or any(
        people_store.there(one.scan) if one.scan.folder else not failed_scan(state, one.key)
        for one in identity.materials
    )


def scanning(state: UnderstudyState, whose: str) -> bool:
    """Whether the shot (SHOT) or a material's clip (its key) is being scanned."""
    return any(
        job.kind == "scan" and whose in (about(job).get("target"), *about(job).get("also", ()))
        for job in unfinished(state)
    )


def failed_scan(state: UnderstudyState, whose: str) -> str:
    """Why the last scan of a material's clip (its key) or of the shot (SHOT) failed; "" where it did not."""
    for job in reversed(state.jobs):
        if job.kind == "scan" and whose in (about(job).get("target"), *about(job).get("also", ())):
            return str(job.error) if job.state == "failed" else ""
    return ""


def in_turn(state: UnderstudyState) -> list[UnderstudyJob]:
    """The jobs that still run or wait, in the order in which the engine takes them."""
    return sorted(unfinished(state), key=lambda job: (job.state != "running", -job.priority))


def recasting(state: UnderstudyState) -> bool:
    """Whether a training or conversion runs or waits; a paused one waits for the user."""
    return any(job.kind in {"train", "convert"} for job in unfinished(state))


# -- models


def made_from(state: UnderstudyState, preset: str) -> dict:
    """What the swaps' model is made from, as the job that makes it keeps it: preset, network, and of everybody their
    key and material."""
    identities, _ = cast(state)
    people = [[one.name, *(f"{Path(m.scan).name}:{m.person}" for m in one.material)] for one in identities]
    return {"preset": preset, "network": "" if preset == "draft" else state.network, "people": people}


def model_name(state: UnderstudyState, preset: str) -> str:
    """The model's folder name: the same people from the same scans, preset and network are the same model."""
    # names of folders, not paths: a moved project keeps its models
    facts = "|".join(fact for one in made_from(state, preset)["people"] for fact in one[1:])
    name = "-".join(dict.fromkeys(swap.identity[:24] for swap in chosen(state)))[:60]
    network = "-shared" if state.network == "shared" and preset != "draft" else ""
    return f"{name}-{hashlib.sha1(facts.encode()).hexdigest()[:8]}-{preset}{network}"


def known_model(state: UnderstudyState, preset: str) -> str:
    """The folder of the swaps' model if it was trained at all (for a draft: gathered), else "". A model of a larger
    cast serves a smaller one."""
    name = model_name(state, preset)
    usable = [job for job in reversed(state.jobs) if job.kind == "train" and (job.state == "done" or job.step > 0)]
    for job in usable:
        if Path(job.model).name == name:
            return str(job.model)
    wanted = made_from(state, preset)
    for job in usable:
        made = about(job)
        same = all(made.get(fact) == wanted[fact] for fact in ("preset", "network"))
        there = project_files.is_folder(job.model)  # forgetting somebody erases the models that know them
        if same and there and wanted["people"] and all(one in made.get("people", ()) for one in wanted["people"]):
            return str(job.model)
    return ""


def training_of(state: UnderstudyState, preset: str) -> UnderstudyJob | None:
    """The training of the swaps' model that runs or waits, or None."""
    name = model_name(state, preset)
    return next((job for job in unfinished(state) if job.kind == "train" and Path(job.model).name == name), None)


def model_folder(state: UnderstudyState, preset: str) -> str:
    """Where the swaps' model is, or will be when it is trained first."""
    name = model_name(state, preset)
    for job in state.jobs:
        if job.kind == "train" and Path(job.model).name == name:
            return job.model
    return str(project.folder(state) / "models" / name)


# -- what is missing


def no_scene() -> str:
    """Said where the sequencer shows no scene."""
    return tr("Choose a scene in the sequencer's header first.")


def locked(state: UnderstudyState | None) -> str:
    """Why nothing of this scene may be changed: there is none, it is linked, or a newer add-on wrote it."""
    if state is None:
        return no_scene()
    if state.id_data.library:
        return tr("This scene is linked from another .blend: open that one to recast in it.")
    if state.schema > SCHEMA:
        return tr("A newer Understudy wrote this .blend: update the add-on to go on with it.")
    if written := project.not_utf8(bpy.data.filepath):
        return tr("The name {path} is not in UTF-8: rename the file or its folder.", path=written)
    return ""


def missing_for_mark(context: bpy.types.Context) -> str:
    """Before a range can be marked, or a strip added as a face."""
    if missing := locked(state_of(context)):
        return missing
    strip = compat.active_picture(compat.sequencer_scene(context))
    if strip is None or strip.type not in compat.PICTURES:
        return tr("Select a movie or image strip first.")
    return ""


def missing_for_scan(state: UnderstudyState | None) -> str:
    """Before the shot can be scanned."""
    if missing := locked(state):
        return missing
    if not state.shot.strip_id:
        return tr("Mark the range to recast first.")
    if scanning(state, SHOT):
        return tr("The shot is being scanned.")
    if not (project_files.is_file(state.shot.source) or project_files.is_folder(state.shot.source)):
        return tr("The marked footage is not at {path}: find it with File > External Data, then mark it again.",
                  path=state.shot.source)  # fmt: skip
    return ""


def missing_for_people(state: UnderstudyState | None) -> str:
    """Before people of the shot can be chosen or corrected."""
    if missing := locked(state):
        return missing
    return "" if len(state.shot.scan.people) else tr("Find the people of the shot first.")


def missing_for_faces(state: UnderstudyState | None) -> str:
    """Before it is clear who gets whose face."""
    if missing := locked(state):
        return missing
    if not state.shot.strip_id:
        return tr("Mark the range to recast first.")
    if not state.shot.scan.folder:
        return tr("Scan the shot first.")
    if not project_files.is_file(Path(state.shot.scan.folder, "scan.json")):
        return tr("The shot's scan is not at {path} any more: find the people again.", path=state.shot.scan.folder)
    if not people_store.there(state.shot.scan):
        return tr("The shot shows no face.")
    if not len(state.identities):
        return tr("Add an identity first.")
    if not chosen(state):
        return tr("Choose who gets whose face first.")
    for swap in chosen(state):
        face = identity_named(state, swap.identity)
        if not people_store.material(face):
            waiting = [one for one in face.materials if not one.scan.folder]
            if waiting:
                return tr("Scan the footage of {name} first.", name=face.name)
            if any(len(one.scan.people) for one in face.materials):
                return tr("Choose who of the people is {name}.", name=face.name)
            return tr("No face of {name} found: add other material.", name=face.name)
        for one in people_store.material(face):
            if not project_files.is_file(Path(one.scan, "scan.json")):
                return tr("The scan of {name} is not at {path} any more: find the faces again.", name=face.name,
                          path=one.scan)  # fmt: skip
    return ""


def lacking_consent(state: UnderstudyState) -> list[tuple[str, str]]:
    """(key, name) of everybody in the chosen swaps whose consent is not on record, each once."""
    folder, lacking = project.folder_if_named(state), {}
    for swap in chosen(state):
        face, person = identity_named(state, swap.identity), people_store.person_of(state.shot.scan, swap.person)
        for key, name in ((face.key, face.name), (target_key(state, swap), people_store.called(person))):
            if folder is None or consent_records.record(folder, key) is None:
                lacking[key] = name
    return list(lacking.items())


def missing_for_swap(state: UnderstudyState | None) -> str:
    """Before the chosen faces may be trained or recast."""
    if missing := missing_for_faces(state):
        return missing
    if lacking := lacking_consent(state):
        names = ", ".join(name for _, name in lacking)
        return tr("Record the consent of {names} first.", names=names)
    return ""


def missing_for_train(state: UnderstudyState | None) -> str:
    """Before a model can be trained."""
    if missing := missing_for_swap(state):
        return missing
    return tr("A training or conversion is under way.") if recasting(state) else ""


def missing_for_convert(state: UnderstudyState | None, draft: bool) -> str:
    """Before the shot can be converted. A recast may be queued behind the training of its model; a draft is wanted
    at once."""
    if draft:
        return missing_for_train(state)
    if missing := missing_for_swap(state):
        return missing
    ours = training_of(state, state.preset)
    others = [job for job in unfinished(state) if job.kind in {"train", "convert"} and job != ours]
    return tr("A training or conversion is under way.") if others else ""
