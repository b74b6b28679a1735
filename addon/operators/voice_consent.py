"""Consent to the use of a voice: a record of its own beside the face's, of who is heard and of who is replaced."""

from __future__ import annotations

import datetime

import bpy
from bpy.props import BoolProperty, CollectionProperty, StringProperty

from .. import compat
from ..i18n import tr
from ..state import consent_records, project, steps, voice_steps
from ..state.properties import USUAL_BASIS
from ..state.voice_properties import UnderstudyVoiceConsentRow
from .consent_dialog import ConsentDialog, Incomplete, record_of, start_consent, usual_scope


class UNDERSTUDY_OT_voice_consents(ConsentDialog, bpy.types.Operator):
    """Put the consents of the two voices on record. Not undoable: a later record replaces it, its history is kept."""

    bl_idname = "understudy.voice_consents"
    bl_label = "Record Voice Consents…"
    bl_description = "Say whose voices these are and why they may be used; without it no voice is made or recast"

    subject = "voice"
    rows: CollectionProperty(type=UnderstudyVoiceConsentRow, options={"SKIP_SAVE", "HIDDEN"})
    everybody: BoolProperty(
        name="Everybody", description="Those who are on record, too, to change that", options={"SKIP_SAVE", "HIDDEN"}
    )
    scope: StringProperty(
        name="For", description="What they agreed to: the film, the shot, the length of time", options={"SKIP_SAVE"}
    )
    date: StringProperty(name="Date", description="When they agreed: year-month-day", options={"SKIP_SAVE"})

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return voice_steps.missing_for_voice(steps.state_of(context))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.rows.clear()
        state = steps.state_of(context)
        folder, voice = project.folder_if_named(state), voice_steps.chosen(state)
        people = voice_steps.lacking_consent(state)
        if self.everybody:
            people = [(voice.key, voice.name), (voice_steps.speaker_key(state), voice_steps.speaker_called(state))]
        self.scope, self.date = usual_scope(), datetime.date.today().isoformat()
        for key, name in people:
            row = self.rows.add()
            row.identity, row.called, row.role = key, name, "HEARD" if key == voice.key else "REPLACED"
            row.person, row.basis = _likely_name(state, key), USUAL_BASIS
            known = consent_records.record(folder, key, "voice") if folder else None
            if known is not None:
                row.person, row.basis, row.file = known.person, known.basis, known.file
                self.scope = known.scope
        return self.ask(context, tr("Voice Consents"))

    def draw(self, context: bpy.types.Context) -> None:
        def said(row: bpy.types.PropertyGroup) -> str:
            heard = tr("{name}, whose voice is heard", name=row.called)
            return heard if row.role == "HEARD" else tr("{name}, whose voice is replaced", name=row.called)

        self.draw_rows(context, said, "SPEAKER")

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        state = scene.understudy
        if not len(self.rows):
            return self.refuse(tr("Say whose consent it is: press Record Voice Consents in 7 Voice."))
        replaced = voice_steps.speaker_key(state)
        try:
            records = [record_of(row, self.scope, self.date, row.file, "voice") for row in self.rows]
        except Incomplete as error:
            return self.again(context, str(error), everybody=self.everybody)
        self.forget_typed()
        for record in records:
            start_consent(scene, record)
            if record.identity == replaced and not state.speech.speaker:
                state.speech.speaker = record.person
        return {"FINISHED"}


def _likely_name(state: bpy.types.PropertyGroup, key: str) -> str:
    """The full name that the consent to their face has, or the one that was typed."""
    folder = project.folder_if_named(state)
    known = consent_records.record(folder, key) if folder else None
    return known.person if known is not None else state.speech.speaker if key == voice_steps.speaker_key(state) else ""


CLASSES = (UNDERSTUDY_OT_voice_consents,)
