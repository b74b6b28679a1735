"""Voices: what they are made from, and how one is recast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .paths import absolute_path
from .settings import Limits, setting

Excitation = Literal["auto", "filter", "synth"]


@dataclass(frozen=True, kw_only=True)
class SoundClip:
    """A range of one track of sound of a movie or a sound file, in seconds from its first sample.

    `end` None means to its end.
    """

    path: str = absolute_path()
    start: float = 0.0
    end: float | None = None
    track: int = 0


@dataclass(frozen=True, kw_only=True)
class VoiceTrainSpec:
    """Make the voice of an identity from recordings; `output` is the voice folder, one in it is made anew or goes on.

    `minutes` is the time that its network is adapted for; 0 makes the draft voice only, which is ready at once. `fetch`
    allows it to download the voice networks where they are missing (some 160 MB, once).
    """

    identity: str
    material: list[SoundClip]
    output: str = absolute_path()
    minutes: float = setting(2.0, limits=Limits(unit="a number of minutes", high=10_000.0))
    project: str = absolute_path("")
    fetch: bool = False


@dataclass(frozen=True, kw_only=True)
class VoiceSettings:
    """How a voice is recast."""

    octave: int | None = setting(
        None,
        "Octaves",
        "Whole octaves up (negative: down); without it, a song moves by those that bring it into the voice's range",
        limits=Limits(unit="a number of octaves", low=-3, high=3),
    )
    semitones: float | None = setting(
        None,
        "Semitones",
        "Semitones up (negative: down), on top; without it, speech moves to the voice's own pitch",
        limits=Limits(unit="a number of semitones", low=-12, high=12),
    )
    excitation: Excitation = setting(
        "auto",
        "Sound",
        "What the new voice is made of",
        choices={
            "auto": ("Automatic", "The waveform where there is a room, music or song, else harmonics"),
            "filter": ("Their Waveform", "The actor's own waveform is reshaped: best in rooms and over music"),
            "synth": ("Harmonics", "Harmonics and noise are made anew: closest to the new voice in clean speech"),
        },
    )
    keep_room: bool = setting(True, "Keep Room", "The room's reverberation after the words stays")
    stem: bool = setting(False, help="Write the new voice alone, without what else sounds")
    mark: bool = setting(True, help="Put an inaudible mark into the new voice; without it, a reason is needed")
    mark_reason: str = setting("", help="Why there is no mark; kept in the project's record")


@dataclass(frozen=True, kw_only=True)
class VoiceSpec:
    """Recast the voice of a clip of sound with the one in the folder `voice`; `output` is a sound file or a movie.

    The output is as long as the whole track, and differs within the clip only where the voice speaks. `target` is the
    identity whose voice is replaced, `identity` whose voice is heard: both consented. `draft` leaves a trained network
    aside. `overwrite` lets it take the place of a changed recast, or of a file that is no footage.
    """

    clip: SoundClip
    voice: str = absolute_path()
    output: str = absolute_path()
    target: str
    identity: str
    draft: bool = False
    settings: VoiceSettings = field(default_factory=VoiceSettings)
    project: str = absolute_path("")
    overwrite: bool = False
