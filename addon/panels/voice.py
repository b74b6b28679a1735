"""Step 7: the voice. Folded away until sound is marked."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import compat
from ..constants import VOICE_RECORD
from ..i18n import tr
from ..layout import StepPanel, beside, failure, fields, frames_in_words, missing, sentence, step, takes_row
from ..operators.voice import missing_for_sound, there_are_voices
from ..operators.voice_recast import last_recast
from ..sequencer import voice_placing
from ..state import consent_records, people_store, project, steps, voice_steps
from . import progress
from .convert import consents_in_short
from .range import draw_bounds


class UNDERSTUDY_MT_add_voice(bpy.types.Menu):
    """Where a voice may come from."""

    bl_label = "Add Voice"
    bl_description = "Add a person whose voice may be heard"

    def draw(self, context: bpy.types.Context) -> None:
        _draw_sources(self.layout, "")


class UNDERSTUDY_MT_add_recording(bpy.types.Menu):
    """Where more of the chosen voice may come from."""

    bl_label = "Add Recording"
    bl_description = "Add a recording of this voice"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        _draw_sources(self.layout, state.speech.voice if state else "")


def _draw_sources(layout: bpy.types.UILayout, voice: str) -> None:
    """The ways to add a recording, to a voice or (without one) to a new one."""
    layout.operator("understudy.add_voice_file", icon="FILEBROWSER").voice = voice
    layout.operator("understudy.add_voice", icon="SEQ_SEQUENCER").voice = voice
    marked = layout.operator("understudy.add_voice", text="Add Voice from Range of Active Strip", icon="PREVIEW_RANGE")
    marked.voice, marked.marked = voice, True


class UNDERSTUDY_PT_voice(StepPanel, bpy.types.Panel):
    """Which sound, whose voice, draft or train, before and after."""

    bl_label = "7  Voice"

    def draw(self, context: bpy.types.Context) -> None:
        state = steps.state_of(context)
        strip = voice_placing.meant(compat.sequencer_scene(context)) if state is not None else None
        layout = step(self.layout, context, "7  Voice", strip.name if strip is not None else "", done=strip is not None,
                      running=progress.in_line(state, "voice"))  # fmt: skip
        if layout is None:
            return
        if state is None:
            missing(layout, context, steps.no_scene())
            return
        _draw_sound(layout, context, state)
        _draw_voice(layout, context, state)
        _draw_consents(layout, context, state)
        _draw_recasting(layout, context, state)
        failure(layout, context, state, "voice")
        if strip is not None:
            _draw_placed(layout.box(), context, strip)
        elif last_recast(context):
            layout.operator("understudy.place_voice", icon="ADD")
        _draw_fit(layout, state)


def _draw_sound(layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup) -> None:
    row = beside(layout, context)
    row.operator("understudy.mark_sound", icon="SPEAKER")
    draw_bounds(layout, row, context, state)
    speech = state.speech
    if not speech.strip_id:
        missing(layout, context, missing_for_sound(context))
        return
    said = tr("{name}: {frames}, {first} to {last}", name=speech.strip_name,
              frames=frames_in_words(speech.end - speech.start), first=speech.start, last=speech.end - 1)  # fmt: skip
    sentence(layout, context, said, icon="CHECKMARK")
    fields(layout).prop(speech, "speaker")


def _draw_voice(layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup) -> None:
    """Whose voice is heard, and its recordings."""
    voice = voice_steps.chosen(state)
    row = layout.row(align=True)
    if there_are_voices(state):
        name = voice.name if voice is not None else tr("Choose Voice")
        row.operator_menu_enum("understudy.choose_voice", "voice", text=name, icon="OUTLINER_OB_SPEAKER",
                               translate=False)  # fmt: skip
    if voice is None:
        row.menu("UNDERSTUDY_MT_add_voice", text="" if there_are_voices(state) else "Add Voice", icon="ADD")
        return
    box = layout.box()
    row = box.row(align=True)
    row.prop(voice, "name", text="")
    row.menu("UNDERSTUDY_MT_add_voice", text="", icon="ADD")
    row.operator("understudy.remove_voice", text="", icon="X").voice = voice.key
    for number, one in enumerate(voice.recordings):
        row = box.row(align=True)
        row.label(text=_called(one), icon="SOUND", translate=False)
        button = row.operator("understudy.remove_voice", text="", icon="X")
        button.voice, button.recording = voice.key, number
    box.menu("UNDERSTUDY_MT_add_recording", icon="ADD")
    if voice.described:
        sentence(box, context, voice.described, "INFO")


def _called(recording: bpy.types.PropertyGroup) -> str:
    name = Path(recording.path).name
    return f"{name}  {recording.start:.1f}–{recording.end:.1f} s" if recording.end else name


def _draw_consents(layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup) -> None:
    if voice_steps.missing_for_voice(state):
        return
    folder, voice = project.folder_if_named(state), voice_steps.chosen(state)
    for key in dict.fromkeys((voice.key, voice_steps.speaker_key(state))):
        if known := consent_records.record(folder, key, "voice") if folder else None:
            row = layout.row(align=True)
            row.label(text=known.person, icon="CHECKMARK", translate=False)
            row.operator("understudy.voice_consents", text="", icon="GREASEPENCIL").everybody = True
    if voice_steps.lacking_consent(state):
        layout.operator("understudy.voice_consents", icon="ERROR")


def _draw_recasting(layout: bpy.types.UILayout, context: bpy.types.Context, state: bpy.types.PropertyGroup) -> None:
    running = progress.of_step(state, "voice")
    if running:
        progress.draw(layout, context, running[0])
    else:
        layout.operator("understudy.voice_draft", icon="SHADERFX")
    voice = voice_steps.chosen(state)
    there = voice is not None and voice_steps.made(state, voice, trained=True)
    row = beside(layout, context)
    row.operator(
        "understudy.voice_train", text=tr("Recast with Trained Voice") if there else tr("Train Voice"), icon="PLAY",
        translate=False,
    )  # fmt: skip
    row.prop(state.speech, "minutes")
    if not running:
        missing(layout, context, voice_steps.missing_for_recast(state))
    shown = next((job for job in reversed(state.jobs) if job.kind == "voice" and job.preview), None)
    if shown is not None and (icon := people_store.picture(shown.preview)):
        layout.label(text="Before, and after below it")
        layout.template_icon(icon_value=icon, scale=9.0)


def _draw_placed(layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip) -> None:
    scene, record = compat.sequencer_scene(context), strip[VOICE_RECORD]
    sentence(layout, context, strip.name, "SOUND")
    if found := voice_placing.ranges_in_words(scene, strip):
        sentence(layout, context, tr("Recast in the frames {frames}", frames=found))
    if said := record.get("consent"):
        sentence(layout, context, tr("Consent: {records}", records=consents_in_short(said)))
    before = strip.mute
    layout.operator("understudy.hear_voice", icon="PLAY_SOUND", depress=not before)
    takes_row(layout, "understudy.next_voice_take", voice_placing.takes(scene, strip))
    layout.operator("understudy.remove_voice_recast", icon="X")


def _draw_fit(layout: bpy.types.UILayout, state: bpy.types.PropertyGroup) -> None:
    """How the voice is recast."""
    header, body = layout.panel("UNDERSTUDY_voice_fit", default_closed=True)
    header.label(text="Voice Settings")
    if body is None:
        return
    fit = state.speech.fit
    column = fields(body)
    column.prop(fit, "pitch")
    moved = column.column()
    moved.active = fit.pitch == "MOVED"
    moved.prop(fit, "octave")
    moved.prop(fit, "semitones")
    column.prop(fit, "excitation")
    column.prop(fit, "keep_room")
