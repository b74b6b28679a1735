"""Mark the sound whose voice is recast, and say whose voice is to be heard."""

from __future__ import annotations

import uuid
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from .. import compat
from ..i18n import tr
from ..layout import frames_in_words
from ..sequencer import copies, sound_strips, timeline, voice_placing
from ..state import people_store, project, steps, voice_steps
from ..state.properties import MARKS, SCHEMA
from ..state.voice_properties import UnderstudyVoice
from .common import Undoable
from .mark import limits

_items: list[tuple[str, str, str, int]] = []  # Blender keeps no reference of its own to dynamic items


def missing_for_sound(context: bpy.types.Context) -> str:
    """Before the active strip's sound can be marked or added as a recording."""
    if missing := steps.locked(steps.state_of(context)):
        return missing
    try:
        sound_strips.active(compat.sequencer_scene(context))
    except timeline.RangeError as error:
        return tr(error.template, **error.facts)
    return ""


class UNDERSTUDY_OT_mark_sound(Undoable, bpy.types.Operator):
    """Mark the sound to recast: what the active strip plays, bounded as chosen. Undoable."""

    bl_idname = "understudy.mark_sound"
    bl_label = "Mark Sound"
    bl_description = (
        "Mark the sound whose voice is recast: what the active sound strip, or the sound of the active movie, plays "
        "inside the bounds chosen below"
    )

    by: EnumProperty(
        name="By", description="What bounds the range; unset: what the panel says", items=(*MARKS, ("PANEL", "", "")),
        default="PANEL", options={"SKIP_SAVE", "HIDDEN"},
    )  # fmt: skip

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return missing_for_sound(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        state, speech = scene.understudy, scene.understudy.speech
        copies.own_sources(scene)
        try:
            strip = sound_strips.active(scene)
            source = voice_placing.source_of(scene, strip)
            if source is None:
                return self.refuse(voice_placing.no_source(strip))
            path = sound_strips.path_of(source)
            marked = sound_strips.mark(
                scene, source, limits(scene, state.mark_by if self.by == "PANEL" else self.by, source)
            )
        except timeline.RangeError as error:
            return self.refuse(tr(error.template, **error.facts))
        project.folder(state)  # an unsaved .blend gets its folder's name here, where writing is allowed
        if path != speech.source or not speech.speaker:
            speech.speaker = voice_steps.known_speaker(state)
        sound_strips.remember(state, source, path, marked)
        state.error, state.schema = "", SCHEMA
        self.report(
            {"INFO"},
            tr("Marked {frames} of “{name}”", frames=frames_in_words(marked.end - marked.start), name=source.name),
        )
        return {"FINISHED"}


def new_voice(state: bpy.types.PropertyGroup, key: str, name: str) -> UnderstudyVoice:
    """A new voice, which is chosen."""
    project.folder(state)  # an unsaved .blend gets its folder's name here
    voice = state.voices.add()
    voice.key, voice.name = key, name
    state.speech.voice = key
    return voice


def add_recording(state: bpy.types.PropertyGroup, voice: str, path: str, start: float = 0.0, end: float = 0.0) -> None:
    """Add a recording to the voice of that key ("": to a new one), in seconds; `end` 0 is to its end."""
    stem = Path(path).stem
    to = voice_steps.voice_named(state, voice) or new_voice(
        state, f"{project.slug(stem)[:24]}-{uuid.uuid4().hex[:6]}", people_store.name_from_file(stem)
    )
    one = to.recordings.add()
    one.path, one.start, one.end = path, start, end
    state.speech.voice, state.schema = to.key, SCHEMA


class _Adding(Undoable):
    bl_options = {"UNDO"}


class UNDERSTUDY_OT_add_voice_file(_Adding, bpy.types.Operator):
    """Add a sound file or a movie as recordings of a voice. Undoable."""

    bl_idname = "understudy.add_voice_file"
    bl_label = "Add Voice from File"
    bl_description = "Add a sound file, or a movie's sound, in which one person speaks or sings; a minute is enough"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_sound: BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    voice: StringProperty(
        description="Key of the voice that gets one more recording; empty: a new one", options={"SKIP_SAVE", "HIDDEN"}
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        path = Path(project.absolute(self.filepath))
        if not self.filepath or not path.is_file():
            return self.refuse(tr("There is no file at {path}.", path=path))
        if path.suffix.lower() not in voice_steps.SOUNDS:
            return self.refuse(tr("{name} is no sound and no movie that Understudy reads.", name=path.name))
        add_recording(state, self.voice, str(path))
        return {"FINISHED"}


class UNDERSTUDY_OT_add_voice(_Adding, bpy.types.Operator):
    """Add what the active strip plays as a recording of a voice. Undoable."""

    bl_idname = "understudy.add_voice"
    bl_label = "Add Voice from Active Strip"
    bl_description = "Add the person who speaks or sings in the active sound strip, or in the active movie's sound"

    voice: StringProperty(
        description="Key of the voice that gets one more recording; empty: a new one", options={"SKIP_SAVE", "HIDDEN"}
    )
    marked: BoolProperty(
        name="Marked Range", description="Only the range bounded above, not all that the strip plays",
        options={"SKIP_SAVE"},
    )  # fmt: skip

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return missing_for_sound(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        state = scene.understudy
        try:
            strip = sound_strips.active(scene)
            path = sound_strips.path_of(strip)
            bounds = limits(scene, state.mark_by, strip) if self.marked else None
            found = sound_strips.mark(scene, strip, bounds)
        except timeline.RangeError as error:
            return self.refuse(tr(error.template, **error.facts))
        add_recording(state, self.voice, path, found.source_start, found.source_end)
        return {"FINISHED"}


def _voices(_: object, context: bpy.types.Context) -> list[tuple[str, str, str, int]]:
    state, found = steps.state_of(context), {}
    if state is not None:
        for one in state.voices:
            found[one.key] = (one.name, tr("{name} is heard in place of the original voice", name=one.name))
        for one in state.identities:
            if one.key not in found and voice_steps.footage_of(one):
                found[one.key] = (one.name, tr("The voice of {name}, from the sound of their footage", name=one.name))
    _items[:] = [(key, *words, number) for number, (key, words) in enumerate(found.items())]
    return _items


def there_are_voices(state: bpy.types.PropertyGroup) -> bool:
    """Whether there is any voice to choose: one that was added, or an identity with footage that may sound."""
    return bool(len(state.voices)) or any(voice_steps.footage_of(one) for one in state.identities)


class UNDERSTUDY_OT_choose_voice(Undoable, bpy.types.Operator):
    """Choose whose voice is heard: one that was added, or an identity's, from the sound of their footage. Undoable."""

    bl_idname = "understudy.choose_voice"
    bl_label = "Choose Voice"
    bl_description = "Whose voice is heard in place of the original one; identities lend the sound of their footage"

    voice: EnumProperty(name="Voice", description="Whose voice is heard", items=_voices)

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        state = steps.state_of(context)
        if missing := steps.locked(state):
            return missing
        return "" if there_are_voices(state) else tr("Add a voice first.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        if voice_steps.voice_named(state, self.voice) is not None:
            state.speech.voice = self.voice
            return {"FINISHED"}
        identity = steps.identity_named(state, self.voice)
        if identity is None:
            return self.refuse(tr("That voice is not in this scene any more."))
        voice = new_voice(state, identity.key, identity.name)
        for path in dict.fromkeys(voice_steps.footage_of(identity)):
            voice.recordings.add().path = path
        return {"FINISHED"}


class UNDERSTUDY_OT_remove_voice(Undoable, bpy.types.Operator):
    """Take a voice, or one of its recordings, out of the scene; files stay. Undoable."""

    bl_idname = "understudy.remove_voice"
    bl_label = "Remove Voice"
    bl_description = "Take this out of the scene; the files stay where they are"

    voice: StringProperty(description="Key of the voice", options={"HIDDEN"})
    recording: IntProperty(description="Which of its recordings; -1: all of the voice", default=-1,
                           options={"HIDDEN", "SKIP_SAVE"})  # fmt: skip

    def execute(self, context: bpy.types.Context) -> set[str]:
        state = steps.state_of(context)
        index = next((i for i, one in enumerate(state.voices) if one.key == self.voice), None)
        if index is None:
            return self.refuse(tr("That voice is not in this scene any more."))
        recordings = state.voices[index].recordings
        if 0 <= self.recording < len(recordings):
            recordings.remove(self.recording)
            return {"FINISHED"}
        state.voices.remove(index)
        if state.speech.voice == self.voice:
            state.speech.voice = state.voices[0].key if len(state.voices) else ""
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_mark_sound,
    UNDERSTUDY_OT_add_voice_file,
    UNDERSTUDY_OT_add_voice,
    UNDERSTUDY_OT_choose_voice,
    UNDERSTUDY_OT_remove_voice,
)
