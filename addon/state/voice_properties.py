"""What a scene remembers of its voices: the marked sound, who may be heard, and how. Part of `Scene.understudy`.

Data only, as in `properties`. Frames as in `timeline`; seconds count from a track's first sample.
"""

from __future__ import annotations

import bpy
from bpy.props import CollectionProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ...engine import protocol
from . import settings_group

PITCHES = (
    ("PROPOSED", "As Proposed", "Speech moves to the voice's own pitch, a song by whole octaves at most"),
    ("MOVED", "Moved by", "The pitch moves by the octaves and semitones below; 0 keeps the melody as it is"),
)
VOICE_BASES = (
    ("own face", "Own Voice", "It is my own voice"),
    ("written permission", "Written Permission", "They agreed in writing"),
    ("licensed performer", "Licensed Performer", "Their contract allows it"),
    ("public domain or rights cleared", "Rights Cleared", "Public domain, or the rights were cleared"),
    ("test footage", "Test Footage", "Footage made for tests; the result is shown to nobody else"),
)


class UnderstudyRecording(bpy.types.PropertyGroup):
    """Sound in which somebody speaks or sings: a sound file, or a movie's sound."""

    path: StringProperty()
    start: FloatProperty(description="Seconds from its first sample")
    end: FloatProperty(description="Seconds; 0: to its end")


class UnderstudyVoice(bpy.types.PropertyGroup):
    """A human being whose voice may be heard, and the recordings that it is made of."""

    key: StringProperty(description="Name in voices and consent files, an identity's own where it is theirs: never "
                                    "changes")  # fmt: skip
    name: StringProperty(name="Name", description="Whose voice this is")
    recordings: CollectionProperty(type=UnderstudyRecording)
    described: StringProperty(description="What the engine found in the recordings, in words")


class UnderstudyVoiceFit(bpy.types.PropertyGroup):
    """How a voice is recast: `protocol.VoiceSettings`."""

    __annotations__ = {
        "pitch": EnumProperty(name="Pitch", description="Where the new voice's pitch lies", items=PITCHES),
        **settings_group.properties_of(protocol.VoiceSettings),
    }


class UnderstudySpeech(bpy.types.PropertyGroup):
    """The marked sound whose voice is recast; nothing is marked while `strip_id` is empty."""

    strip_id: StringProperty(description="Custom property that the strip is found by")
    strip_name: StringProperty()
    channel: IntProperty()
    start: IntProperty()
    end: IntProperty()
    source: StringProperty(description="The sound file, or the movie that the sound is in")
    source_start: FloatProperty(description="Seconds")
    source_end: FloatProperty(description="Seconds")
    speaker: StringProperty(
        name="Replaced Voice", description="Who speaks or sings here in the original, and is not heard any more"
    )
    voice: StringProperty(description="Key of the voice that is to be heard")
    minutes: FloatProperty(
        name="Minutes", description="How long Train Voice trains; more recordings want more of them",
        default=2.0, min=0.1, soft_max=30.0, max=9999.0, precision=1,
    )  # fmt: skip
    fit: bpy.props.PointerProperty(type=UnderstudyVoiceFit)


class UnderstudyVoiceConsentRow(bpy.types.PropertyGroup):
    """One of the two people in the dialog that asks for the consents to use their voices."""

    identity: StringProperty(description="Whose consent, as the project knows them")
    called: StringProperty(description="Their name in the panel")
    person: StringProperty(name="Full Name", description="The human being's full name")
    basis: EnumProperty(
        name="Basis", description="Why their voice may be used", items=VOICE_BASES, default="written permission"
    )
    file: StringProperty(name="Document", description="A file that proves it; may stay empty", subtype="FILE_PATH")
    role: StringProperty(description="HEARD: their voice is heard; REPLACED: it is replaced")


CLASSES = (UnderstudyRecording, UnderstudyVoice, UnderstudyVoiceFit, UnderstudySpeech, UnderstudyVoiceConsentRow)


def settings(fit: UnderstudyVoiceFit) -> protocol.VoiceSettings:
    """What the engine is told about recasting the voice."""
    proposed = ("octave", "semitones") if fit.pitch == "PROPOSED" else ()
    return settings_group.read(fit, protocol.VoiceSettings, without=proposed)
