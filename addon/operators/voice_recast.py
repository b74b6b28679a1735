"""Recast the voice of the marked sound; the strip is placed when that is done. Hear before and after; takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import IntProperty

from ...engine import protocol
from .. import compat
from ..i18n import tr
from ..jobs import jobs
from ..sequencer import copies, sound_strips, voice_placing
from ..sequencer.placing import CannotPlace
from ..state import consent_records, project, steps, voice_properties, voice_steps
from .common import Outside, Undoable
from .place import go_on_with, next_take


def made_of(scene: bpy.types.Scene, folder: Path, quality: str) -> dict[str, Any]:
    """Where the strip goes and what is written on it: ids, names and frames, plain values only."""
    state, speech = scene.understudy, scene.understudy.speech
    voice, target = voice_steps.chosen(state), voice_steps.speaker_key(state)
    source = sound_strips.find(scene, speech.strip_id, speech.strip_name, speech.source_start)
    base = voice_placing.base_of(scene, source, speech.source_start, speech.source_end) if source is not None else None
    lies = (
        voice_placing.place_of(source)
        if source is not None
        else {"left": speech.start, "right": speech.end, "trim_start": 0, "trim_end": 0,
              "content_start": _content_start(scene)}
    )  # fmt: skip
    agreed = [consent_records.record(project.folder(state), key, "voice") for key in (voice.key, target)]
    return {
        "strip_id": speech.strip_id,
        "strip_name": speech.strip_name,
        "channel": speech.channel,
        "start": speech.start,
        "end": speech.end,
        **lies,
        "source": Path(speech.source).name,
        "source_start": speech.source_start,
        "source_end": speech.source_end,
        "base": voice_placing.file_of(base) if base is not None else "",
        "ranges": voice_placing.with_range(base, speech.source_start, speech.source_end),
        "identity": voice.key,
        "identity_name": voice.name,
        "target": target,
        "target_name": voice_steps.speaker_called(state),
        "voice": folder.name,
        "quality": quality,
        "consent": "; ".join(f"{one.person}: {one.basis}, {one.date}" for one in agreed if one is not None),
    }


def _content_start(scene: bpy.types.Scene) -> float:
    """Where the content of a strip began that is not there any more."""
    speech, render = scene.understudy.speech, scene.render
    return float(speech.start - speech.source_start * render.fps / render.fps_base)


def train_spec(scene: bpy.types.Scene, folder: Path, minutes: float) -> protocol.VoiceTrainSpec:
    """The chosen voice, as a draft (0 minutes) or trained."""
    state = scene.understudy
    voice = voice_steps.chosen(state)
    return protocol.VoiceTrainSpec(
        identity=voice.key,
        material=voice_steps.clips(voice),
        output=str(folder),
        minutes=round(minutes, 2),
        project=str(project.folder(state)),
        fetch=bpy.app.online_access,
    )


def recast_spec(scene: bpy.types.Scene, folder: Path, about: dict[str, Any], trained: bool) -> protocol.VoiceSpec:
    """The marked sound with the voice in `folder`, into a file of a name that is free."""
    state, speech = scene.understudy, scene.understudy.speech
    promised = {job.output for job in steps.unfinished(state)}
    name = f"{Path(speech.source).stem}-{about['identity']}-voice-{about['quality']}"
    return protocol.VoiceSpec(
        clip=protocol.SoundClip(
            path=about["base"] or speech.source, start=round(speech.source_start, 4), end=round(speech.source_end, 4)
        ),
        voice=str(folder),
        output=str(project.new_recast(state, name, promised, ".wav")),
        target=about["target"],
        identity=about["identity"],
        draft=not trained,
        settings=voice_properties.settings(speech.fit),
        project=str(project.folder(state)),
    )


def queue(scene: bpy.types.Scene, *, trained: bool) -> None:
    """Queue the recast of the marked sound, behind the job that makes its voice where that is not there yet."""
    state = scene.understudy
    voice = voice_steps.chosen(state)
    folder = voice_steps.voice_folder(state, voice, trained=trained)
    about = made_of(scene, folder, "trained" if trained else "draft")
    spec, before = recast_spec(scene, folder, about, trained), ""
    if not voice_steps.made(state, voice, trained=trained):
        first = train_spec(scene, folder, state.speech.minutes if trained else 0.0)
        making = {"identity": voice.key, "trained": trained}
        before = jobs.start(scene, "voice-train", first, about=making, output=first.output).id
    jobs.start(scene, "voice", spec, about=about, output=spec.output, after=before)


class _Recast(Outside):
    trained = False

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return voice_steps.missing_for_recast(steps.state_of(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        copies.own_sources(scene)
        queue(scene, trained=self.trained)
        return {"FINISHED"}


class UNDERSTUDY_OT_voice_draft(_Recast, bpy.types.Operator):
    """Recast the voice without training. Not undoable: cancel stops it. Placing is an undo step of its own."""

    bl_idname = "understudy.voice_draft"
    bl_label = "Draft Voice"
    bl_description = (
        "Recast the marked sound at once, without training, and place it in sync with its strip, which is muted"
    )


class UNDERSTUDY_OT_voice_train(_Recast, bpy.types.Operator):
    """Train the voice if need be, then recast. Not undoable: cancel stops it. Placing is an undo step of its own."""

    bl_idname = "understudy.voice_train"
    bl_label = "Train Voice"
    bl_description = (
        "Train the voice on its recordings, then recast the marked sound with it and place it: better words and "
        "closer to the voice than the draft. Goes on when Blender is closed"
    )
    trained = True


def last_recast(context: bpy.types.Context) -> bpy.types.PropertyGroup | None:
    """The newest finished recast of a voice, or None."""
    return steps.newest_done(steps.state_of(context), "voice")


class UNDERSTUDY_OT_place_voice(Undoable, bpy.types.Operator):
    """Place the newest recast voice again. Undoable."""

    bl_idname = "understudy.place_voice"
    bl_label = "Place Voice Again"
    bl_description = "Place the newest recast voice on a free channel, in sync with its source, which is muted"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := steps.locked(steps.state_of(context)):
            return missing
        return "" if last_recast(context) else tr("Recast a voice first.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        job = last_recast(context)
        try:
            voice_placing.place(compat.sequencer_scene(context), job.output, {**steps.about(job), "job": job.id})
        except CannotPlace as error:
            return self.refuse(str(error))
        return {"FINISHED"}


class _Placed(Undoable):
    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := steps.locked(steps.state_of(context)):
            return missing
        if voice_placing.meant(compat.sequencer_scene(context)) is not None:
            return ""
        return tr("Select a recast voice or its source, or move the playhead to one.")


class UNDERSTUDY_OT_hear_voice(_Placed, bpy.types.Operator):
    """Hear the original voice in place of the recast one, or the recast one again. Undoable."""

    bl_idname = "understudy.hear_voice"
    bl_label = "Hear Before/After"
    bl_description = (
        "Let the original be heard in place of the recast voice at the playhead, or the recast voice again; works "
        "while the timeline plays"
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        copies.own_sources(scene)
        strip = voice_placing.meant(scene)
        source = voice_placing.source_of(scene, strip)
        if source is None:
            return self.refuse(voice_placing.no_source(strip))
        recast = voice_placing.heard(scene, source) or strip
        if recast.mute:
            voice_placing.hear(scene, recast)
            self.report({"INFO"}, tr("After: “{name}”", name=recast.name))
        else:
            voice_placing.hear_source(scene, recast)
            self.report({"INFO"}, tr("Before: “{name}”", name=source.name))
        return {"FINISHED"}


class UNDERSTUDY_OT_next_voice_take(_Placed, bpy.types.Operator):
    """Hear the next of several recasts of the same sound. Undoable."""

    bl_idname = "understudy.next_voice_take"
    bl_label = "Hear Next Take"
    bl_description = "Hear the next recast voice of this sound; the others and the original are muted"

    step: IntProperty(name="Step", description="1 is the next take, -1 the one before", default=1, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        copies.own_sources(scene)
        return next_take(self, scene, voice_placing.takes(scene, voice_placing.meant(scene)), voice_placing.hear)


class UNDERSTUDY_OT_remove_voice_recast(_Placed, bpy.types.Operator):
    """Take a recast voice off the timeline; what it hid is heard again. Undoable."""

    bl_idname = "understudy.remove_voice_recast"
    bl_label = "Remove Recast Voice"
    bl_description = "Take this recast voice off the timeline; its source is heard again, the recast's file is kept"

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        copies.own_sources(scene)
        go_on_with(scene, voice_placing.remove(scene, voice_placing.meant(scene)))
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_voice_draft,
    UNDERSTUDY_OT_voice_train,
    UNDERSTUDY_OT_place_voice,
    UNDERSTUDY_OT_hear_voice,
    UNDERSTUDY_OT_next_voice_take,
    UNDERSTUDY_OT_remove_voice_recast,
)
