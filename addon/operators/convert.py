"""Recast the marked frames; the strip is placed when that is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty

from ...engine import protocol
from .. import compat
from ..constants import STRIP_RECORD
from ..i18n import tr
from ..jobs import jobs
from ..sequencer import placing, recasts, strip_fit, strip_media, timeline
from ..state import consent_records, people_store, project, project_files, settings_group, steps
from .common import Outside
from .train import train_spec

PICTURES = {"png", "tiff", "exr"}


def format_of(state: bpy.types.PropertyGroup, order: str) -> protocol.OutputFormat:
    """How the recast is stored: frames that repeat or are skipped are pictures, which can be laid in any order; a
    layer needs alpha."""
    if order == "mapped" and state.format not in PICTURES and not _is_sequence(state):
        return "png"
    if state.layer and state.format not in PICTURES | {"prores-4444", "ffv1"}:
        return "png"
    return state.format


def _is_sequence(state: bpy.types.PropertyGroup) -> bool:
    """Whether As Source means a sequence of pictures, as the shot is one."""
    return state.format == "same" and project_files.is_folder(state.shot.source)


def ending(about: dict[str, Any]) -> str:
    """The file name's ending that a format asks for; none for a folder of pictures."""
    if about["format"] == "same":
        if about.get("sequence"):
            return ""
        own = Path(about["source"]).suffix.lower()
        return own if own in {".mp4", ".mov", ".mkv"} else ".mp4"
    if about["format"] in PICTURES:
        return ""
    return {"h264": ".mp4", "h265": ".mp4", "ffv1": ".mkv"}.get(about["format"], ".mov")


def convert_spec(scene: bpy.types.Scene, model: str, about: dict[str, Any]) -> protocol.ConvertSpec:
    """What to convert, from what the strip will say of itself, into a file or folder of a name that is free."""
    state = scene.understudy
    folder = project.folder(state)
    promised = {job.output for job in steps.unfinished(state)}
    name = f"{Path(about['source']).stem}-{about['identity']}-{about['preset']}"
    return protocol.ConvertSpec(
        scan=str(folder / "scans" / about["scan"]),
        model=model,
        swaps=[protocol.Swap(**swap) for swap in json.loads(about["swaps"])],
        output=str(project.new_recast(state, name, promised, ending(about))),
        use_refiner=about["preset"] != "draft",
        start=about["source_start"],  # more may have been scanned
        end=about["source_end"],
        format=about["format"],
        layer=about["layer"],
        settings=protocol.from_json(protocol.ConvertSettings, json.loads(about["fit"])),
        curves=json.loads(about.get("curves", "{}")),
        project=str(folder),
    )


def made_of(scene: bpy.types.Scene, model: str, preset: str, order: dict[str, Any]) -> dict[str, Any]:
    """Where the strip goes and what is written on it: ids, names and frames, plain values only."""
    state, shot = scene.understudy, scene.understudy.shot
    swaps = steps.cast(state)[1]
    faces = [steps.identity_named(state, swap.identity) for swap in swaps]
    shown = [people_store.person_of(shot.scan, swap.person) for swap in swaps]
    asked = dict.fromkeys(key for swap in swaps for key in (swap.identity, swap.target))
    agreed = [consent_records.record(project.folder(state), key) for key in asked]
    return {
        "strip_id": shot.strip_id,
        "strip_name": shot.strip_name,
        "channel": shot.channel,
        "start": shot.start,
        "end": shot.end,
        "source": Path(shot.source).name,
        "sequence": _is_sequence(state),
        "source_start": shot.source_start,
        "source_end": shot.source_end,
        "stored_frames": shot.stored_frames,
        "existing_frames": shot.existing_frames,
        "scan": Path(shot.scan.folder).name,
        "person": swaps[0].person,
        "person_name": ", ".join(people_store.called(person) for person in shown),
        "identity": swaps[0].identity,
        "identity_name": ", ".join(dict.fromkeys(face.name for face in faces)),
        "swaps": json.dumps([protocol.to_json(swap) for swap in swaps]),
        "model": Path(model).name,
        "preset": preset,
        "format": format_of(state, order["order"]),
        "layer": state.layer,
        "fit": json.dumps(protocol.to_json(settings_group.read(state.fit, protocol.ConvertSettings))),
        "consent": "; ".join(f"{one.person}: {one.basis}, {one.date}" for one in agreed if one is not None),
        **order,
    }


def order_of(scene: bpy.types.Scene) -> dict[str, Any]:
    """In what order the marked frames show, as the strip is now. Raises RangeError when they are not there any more."""
    shot = scene.understudy.shot
    strip = strip_media.find_shot(scene, shot)
    if strip is None:
        return {"order": "plain", "content_start": 0}
    timing = compat.strip_timing(scene, strip, stored_frames=shot.stored_frames)
    if timing.plain or timing.still:
        return {"order": "plain", "content_start": timing.content_start}
    marked = timeline.mark(timing, (shot.start, shot.end), shot.existing_frames)
    if (marked.source_start, marked.source_end) != (shot.source_start, shot.source_end):
        raise timeline.RangeError(
            "“{name}” shows other frames than were marked: mark the range again.", name=strip.name
        )
    return {"order": marked.order, "frames": list(marked.frames), "content_start": timing.content_start}


def queue(scene: bpy.types.Scene, preset: protocol.Preset) -> str:
    """Queue the recast of the marked range: at once where its model is there, else behind the training that makes it,
    which is queued too if it does not run yet. Answers why not, "" when it is queued."""
    state = scene.understudy
    training = steps.training_of(state, preset)
    known = "" if training else steps.known_model(state, preset)
    model = known or steps.model_folder(state, preset)
    try:
        about = made_of(scene, model, preset, order_of(scene))
    except timeline.RangeError as error:
        return tr(error.template, **error.facts)
    spec, before = convert_spec(scene, model, about), ""
    if not known:
        if training is None:
            first = train_spec(scene, preset)
            made = steps.made_from(state, preset)
            training = jobs.start(scene, "train", first, about=made, output=first.output, model=first.output)
        before = training.id
    jobs.start(scene, "convert", spec, about=about, output=spec.output, model=spec.model, after=before)
    return ""


class UNDERSTUDY_OT_convert(Outside, bpy.types.Operator):
    """Recast the marked range. Not undoable: cancel stops it. Placing the strip is an undo step of its own."""

    bl_idname = "understudy.convert"
    bl_label = "Recast"
    bl_description = (
        "Recast the marked range with the trained face and place it above its strip; what has to be trained first "
        "is trained first"
    )

    draft: BoolProperty(
        name="Draft",
        description="Without training: the face warped into place, in seconds, rough where it was never seen so",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        if properties.draft:
            return tr("Recast the marked range at once, without training: rough, but it shows where it goes")
        return tr(cls.bl_description)

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return steps.missing_for_convert(steps.state_of(context), draft=False)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        if missing := steps.missing_for_convert(scene.understudy, self.draft):
            return self.refuse(missing)
        why = queue(scene, "draft" if self.draft else scene.understudy.preset)
        return self.refuse(why) if why else {"FINISHED"}


def active_recast(context: bpy.types.Context) -> bpy.types.Strip | None:
    """The recast that is meant (`recasts.meant`), or None."""
    scene = compat.sequencer_scene(context)
    strip = recasts.meant(scene) if scene else None
    return strip if strip is not None and strip.get(STRIP_RECORD) else None


def missing_recast(context: bpy.types.Context) -> str:
    """What there is to do before something can be done with a placed recast; "" where one is meant."""
    if missing := steps.locked(steps.state_of(context)):
        return missing
    there = active_recast(context) is not None
    return "" if there else tr("Select a recast, or its source with the playhead on it, first.")


class UNDERSTUDY_OT_update(Outside, bpy.types.Operator):
    """Recast again what the strip that is meant shows, with all that was learned since. Not undoable: cancel stops it.
    The new content of the strip is an undo step of its own."""

    bl_idname = "understudy.update"
    bl_label = "Update Recast"
    bl_description = "Recast this strip again, in place, with what training has learned since, and its own fit and keys"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := missing_recast(context):
            return missing
        return tr("A training or conversion is under way.") if steps.recasting(steps.state_of(context)) else ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        recasts.own_ids(scene)
        strip = active_recast(context)
        about = placing.about_of(strip)
        folder = project.folder(scene.understudy)
        model = folder / "models" / about["model"]
        for needed in (folder / "scans" / about["scan"], model):
            if not needed.is_dir():
                return self.refuse(tr("{path} is not there any more: recast the range anew.", path=needed))
        about |= strip_fit.asked(scene, strip, about)
        spec = convert_spec(scene, str(model), about)
        about["update"] = " ".join(recasts.id_of(piece) for piece in recasts.pieces(scene, strip))
        jobs.start(scene, "convert", spec, about=about, output=spec.output, model=spec.model)
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_convert, UNDERSTUDY_OT_update)
