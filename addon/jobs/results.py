"""What a finished job brings into the scene: people into the panel, a strip onto the timeline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import bpy

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..sequencer import marking, placing, recasts, voice_placing
from ..state import cast, consent_records, doubts, hooks, people_store, project, steps, voice_steps
from ..state.properties import NOBODY
from ..viewport import preview
from . import follow

if TYPE_CHECKING:
    from ..state.properties import UnderstudyJob, UnderstudyMaterial, UnderstudyScan, UnderstudyState


NO_FACE = "No face was found"
"""How the engine begins to say that."""


class Unusable(Exception):
    """A job is done but its result cannot be used; the message is one sentence."""


def take_in(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    """Use the result of a job that is done. Answers the name of the undo step it makes, "" for none."""
    brought = _BRINGS.get(job.kind)
    return brought(scene, job, result) if brought else ""


def _scan_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    about = steps.about(job)
    clip = protocol.from_json(protocol.Clip, about["clip"])
    folder = str(result.get("scan") or job.output)
    people_store.forget_pictures()
    preview.forget_faces()
    found = [_fill(scene, target, clip, folder) for target in (about["target"], *about.get("also", ()))]
    if not any(found):
        return ""  # another range was marked, or the identity removed, meanwhile
    if all(people_store.main_person(scan) == NOBODY for scan in found if scan):
        raise Unusable(tr("No face was found in the marked footage: choose frames that show one."))
    return tr("Find People")


def scan_failed(scene: bpy.types.Scene, job: UnderstudyJob) -> None:
    """An identity in whose footage no face was found is nobody's face: who got it when it was added has their own."""
    state, about = scene.understudy, steps.about(job)
    if job.kind != "scan" or NO_FACE not in job.error:
        return
    scanned = {about["target"], *about.get("also", ())}
    for identity in state.identities:
        if scanned & {one.key for one in identity.materials} and not people_store.material(identity):
            for person in [swap.person for swap in state.swaps if swap.identity == identity.key]:
                cast.assign(state, person, "")


def _fill(scene: bpy.types.Scene, target: str, clip: protocol.Clip, folder: str) -> UnderstudyScan | None:
    """Put a scan where it was asked for; None when that is not there any more."""
    state = scene.understudy
    try:
        if target == steps.SHOT:
            shot = state.shot
            if project.shot_clip(shot) != clip:
                return None
            people_store.fill(shot.scan, clip, folder)
            if marking.cut_to_scan(scene):
                hooks.say(tr("Only {n} frames of “{name}” have a picture: the range is shorter now",
                             n=shot.existing_frames, name=shot.strip_name))  # fmt: skip
            cast.settle(state)
            return shot.scan
        material = material_named(state, target)
        if material is None:
            return None
        people_store.fill(material.scan, clip, folder)
        material.person = _likely(state, material)
        return material.scan
    except people_store.ScanUnreadable as error:
        raise Unusable(str(error)) from None


def material_named(state: UnderstudyState, key: str) -> UnderstudyMaterial | None:
    """The material of that key, whoever's it is."""
    return next((one for identity in state.identities for one in identity.materials if one.key == key), None)


def _likely(state: UnderstudyState, material: UnderstudyMaterial) -> int:
    """Who of a material's people is its identity: the one the project knows by its name, else the most prominent."""
    identity = next(i for i in state.identities if any(one.key == material.key for one in i.materials))
    known = [p for p in people_store.there(material.scan) if p.known and p.name.casefold() == identity.name.casefold()]
    return known[0].person if known else people_store.main_person(material.scan)


def _people_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    """Every scan of the scene that lies in the corrected folder is read again."""
    state, folder = scene.understudy, str(result.get("scan") or job.output)
    people_store.forget_pictures()
    preview.forget_faces()
    for scan in _scans(state):
        if scan.folder == folder:
            clip = project.clip(scan.clip_path, scan.clip_start, scan.clip_end, scan.clip_stream)
            try:
                people_store.fill(scan, clip, folder)
            except people_store.ScanUnreadable as error:
                raise Unusable(str(error)) from None
    follow_merges(state, folder, steps.about(job).get("edits", []))
    if state.shot.scan.folder == folder:
        cast.settle(state)
    return ""


def follow_merges(state: UnderstudyState, folder: str, edits: list[dict[str, Any]]) -> None:
    """Who was chosen and became somebody else's part is that somebody now."""
    for edit in edits:
        if edit["action"] != "merge":
            continue
        into, gone = edit["persons"][0], set(edit["persons"][1:])
        if state.shot.scan.folder == folder:
            state.person = into if state.person in gone else state.person
            for swap in state.swaps:
                swap.person = into if swap.person in gone else swap.person
        for one in (one for identity in state.identities for one in identity.materials):
            if one.scan.folder == folder and one.person in gone:
                one.person = into


def _scans(state: UnderstudyState) -> list[UnderstudyScan]:
    return [state.shot.scan, *(one.scan for identity in state.identities for one in identity.materials)]


def _review_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    found = result.get("doubtful")
    doubts.keep(scene.understudy, str(steps.about(job).get("of", "")), found if isinstance(found, list) else [])
    if not found:
        hooks.say(tr("No frame of “{name}” is doubtful", name=str(steps.about(job).get("strip_name", ""))))
    return tr("Find Doubtful Frames")


def _consent_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    consent_records.look_again()
    return ""


def _forget_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    """A dry run's list is shown; after the real thing nothing of the identity may stay in the .blend either."""
    state, about = scene.understudy, steps.about(job)
    consent_records.look_again()
    if about.get("dry_run"):
        paths, left = ([str(one["path"]) for one in result.get(kind, [])] for kind in ("items", "left"))
        job.about = json.dumps({**about, "paths": paths, "left": left})
        return ""
    people_store.forget_pictures()
    preview.forget()
    index = next((i for i, one in enumerate(state.identities) if one.key == about["identity"]), None)
    if index is not None:
        state.identities.remove(index)
    voice = next((i for i, one in enumerate(state.voices) if one.key == about["identity"]), None)
    if voice is not None:
        state.voices.remove(voice)
    for swap in state.swaps:
        swap.identity = "" if swap.identity == about["identity"] else swap.identity
    cast.settle(state)
    return tr("Forget Identity")


def _convert_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    about = {**steps.about(job), "job": job.id}
    about.pop("after", None)
    if result.get("credentials"):
        about["credentials"] = str(result["credentials"])
    made = str(result.get("movie") or job.output)
    wanted = str(about.get("update", "")).split()
    there = {recasts.id_of(strip): strip for strip in recasts.placed(scene)}
    updated = [there[one] for one in wanted if one in there]  # the one that was acted on first
    try:
        for strip in updated:
            placing.update(strip, made, about)
        if updated:
            recasts.own_ids(scene)
            hooks.say(tr("Updated “{name}”", name=updated[0].name))
            return tr("Update Recast")
        strip = placing.place(scene, made, about)
        follow.followed(scene, strip)
        hooks.say(tr("Placed “{name}” on channel {channel}", name=strip.name, channel=strip.channel))
        if scene == compat.sequencer_scene(bpy.context):
            compat.scroll_to(strip)
    except placing.CannotPlace as error:
        raise Unusable(str(error)) from None
    return tr("Place Recast")


def _voice_made(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    voice = voice_steps.voice_named(scene.understudy, str(steps.about(job).get("identity")))
    if voice is not None:
        voice.described = str(result.get("described", ""))
    return ""


def _voice_done(scene: bpy.types.Scene, job: UnderstudyJob, result: dict[str, Any]) -> str:
    about = {**steps.about(job), "job": job.id}
    about.pop("after", None)
    about.update({name: str(result[name]) for name in ("credentials", "range") if result.get(name)})
    try:
        strip = voice_placing.place(scene, str(result.get("sound") or job.output), about)
    except placing.CannotPlace as error:
        raise Unusable(str(error)) from None
    hooks.say(tr("Placed “{name}” on channel {channel}", name=strip.name, channel=strip.channel))
    if scene == compat.sequencer_scene(bpy.context):
        compat.scroll_to(strip)
    return tr("Place Recast Voice")


_BRINGS = {
    "scan": _scan_done,
    "people": _people_done,
    "review": _review_done,
    "consent": _consent_done,
    "forget": _forget_done,
    "convert": _convert_done,
    "voice-train": _voice_made,
    "voice": _voice_done,
}
