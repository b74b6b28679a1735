"""Voices: what they are made from, and how one is recast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Excitation = Literal["auto", "filter", "synth"]


@dataclass(frozen=True, kw_only=True)
class SoundClip:
    """A range of one track of sound of a movie or a sound file, in seconds from its first sample.

    `end` None means to its end.
    """

    path: str
    start: float = 0.0
    end: float | None = None
    track: int = 0


@dataclass(frozen=True, kw_only=True)
class VoiceTrainSpec:
    """Make the voice of an identity from recordings; `output` is the voice folder, one in it is made anew or goes on.

    `minutes` is the time that its network is adapted for; 0 makes the draft voice only, which is ready at once.
    """

    identity: str
    material: list[SoundClip]
    output: str
    minutes: float = 2.0
    project: str = ""


@dataclass(frozen=True, kw_only=True)
class VoiceSettings:
    """How a voice is recast.

    octave            whole octaves up (or down, negative); None proposes them for song
    semitones         semitones up (or down), on top; None proposes them for speech, 0 for song
    excitation        what is reshaped: filter (the actor's own waveform), synth (harmonics and noise), auto
    keep_room         the room's reverberation after the words stays
    stem              only the new voice is written, without what else sounds
    mark              an inaudible mark is put into the new voice; false needs `mark_reason`
    """

    octave: int | None = None
    semitones: float | None = None
    excitation: Excitation = "auto"
    keep_room: bool = True
    stem: bool = False
    mark: bool = True
    mark_reason: str = ""


@dataclass(frozen=True, kw_only=True)
class VoiceSpec:
    """Recast the voice of a clip of sound with the one in the folder `voice`; `output` is a sound file or a movie.

    The output is as long as the whole track, and differs within the clip only where the voice speaks. `target` is the
    identity whose voice is replaced, `identity` whose voice is heard: both consented. `draft` leaves a trained network
    aside. `overwrite` lets it take the place of a changed recast, or of a file that is no footage.
    """

    clip: SoundClip
    voice: str
    output: str
    target: str
    identity: str
    draft: bool = False
    settings: VoiceSettings = field(default_factory=VoiceSettings)
    project: str = ""
    overwrite: bool = False
