"""`understudy voice …`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..protocol import SoundClip, VoiceSettings, VoiceSpec, VoiceTrainSpec, project_of
from .arguments import (
    Consents,
    Json,
    NotUnderstood,
    Output,
    Overwrite,
    Project,
    obtain_consent,
    require_usable,
    watching,
)

VOICE, TARGET = "voice", "target"
AGAIN = "Run the same command again: what was measured is kept."

Range = Annotated[
    tuple[float, float] | None,
    tyro.conf.arg(metavar="FROM TO", help="Seconds of the sound; without it, all of it.", help_behavior_hint=""),
]
Track = Annotated[int, tyro.conf.arg(metavar="INT", help="Which sound track, counted from 0.")]
Minutes = Annotated[
    float, tyro.conf.arg(metavar="FLOAT", help="How long its network is trained; 0 makes the draft voice, at once.")
]


@dataclass(kw_only=True)
class Separate:
    """Take the voice out of what else sounds."""

    sound: tyro.conf.Positional[Path]
    """A movie or a sound file."""
    output: Output
    """The voice, .wav or .flac."""
    overwrite: Overwrite = False
    rest: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """What is left without it, .wav or .flac; both sum to the sound, sample by sample."""
    range: Range = None
    track: Track = 0
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Separate."""
        from ..devices import pick_device
        from ..provenance.outputs import require_writable
        from ..voice.stems import separate_file

        if self.rest and self.rest.resolve() == self.output.resolve():
            raise NotUnderstood(f"The voice and the rest cannot both be {self.rest}. Give --rest another name.")

        def allow(output: Path) -> None:
            require_writable(output, [self.sound], self.overwrite)

        for output in filter(None, (self.output, self.rest)):
            allow(output)
        fetch()
        clip = clip_of(self.sound, self.range, self.track)
        with watching("Nothing was written.") as reporter, reporter.stage(f"Separating {self.sound.name}"):
            return separate_file(
                clip, self.output.resolve(), self.rest and self.rest.resolve(), reporter, pick_device(), allow
            )


@dataclass(kw_only=True)
class TrainVoice:
    """Make somebody's voice out of recordings."""

    identity: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Whose voice it is."""
    recordings: tyro.conf.Positional[list[Path]]
    """Sound files, movies or folders of them; a minute is enough, 8 s give something."""
    output: Output
    """The voice folder."""
    minutes: Minutes = 2.0
    consent: Consents = field(default_factory=list)
    project: Project = None
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Gather and train."""
        output = self.output.resolve()
        project = self.project.resolve() if self.project else project_of(output)
        clips = recordings_of(self.recordings)
        obtain_consent(project, {self.identity: f"who speaks in {clips[0].path}"}, self.consent, "voice")
        return train(self.identity, clips, output, self.minutes, project)


@dataclass(kw_only=True)
class ConvertVoice:
    """Recast the voice of a sound with one that was made."""

    sound: tyro.conf.Positional[Path]
    """A movie or a sound file."""
    voice: Annotated[Path, tyro.conf.arg(metavar="VOICE_DIR")]
    """The voice folder."""
    output: Output
    """.wav, .flac, .mp3 or .m4a; .mp4, .mov or .mkv puts it under the movie's picture."""
    target: str = TARGET
    """The name of whose voice is replaced, for the record of consent."""
    range: Range = None
    track: Track = 0
    settings: tyro.conf.OmitArgPrefixes[VoiceSettings] = field(default_factory=VoiceSettings)
    draft: bool = False
    """Leave a trained network aside."""
    consent: Consents = field(default_factory=list)
    project: Project = None
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Recast."""
        from ..voice.material import read_card

        require_usable(self.settings)
        identity, output = read_card(self.voice).identity, self.output.resolve()
        project = self.project.resolve() if self.project else project_of(self.voice.resolve())
        roles = {identity: "whose voice is heard", self.target: f"whose voice is replaced in {self.sound.name}"}
        obtain_consent(project, roles, self.consent, "voice")
        spec = VoiceSpec(
            clip=clip_of(self.sound, self.range, self.track),
            voice=str(self.voice.resolve()),
            output=str(output),
            target=self.target,
            identity=identity,
            draft=self.draft,
            settings=self.settings,
            project=str(project),
            overwrite=self.overwrite,
        )
        return recast(spec)


@dataclass(kw_only=True)
class SwapVoice:
    """Do it all: make the voice and recast the sound."""

    sound: tyro.conf.Positional[Path]
    """A movie or a sound file in which somebody's voice is replaced."""
    voice: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE …")]
    """Recordings of who is heard instead: sound files, movies or folders."""
    output: Output
    """.wav, .flac, .mp3 or .m4a; .mp4, .mov or .mkv puts it under the movie's picture."""
    minutes: Minutes = 2.0
    range: Range = None
    track: Track = 0
    settings: tyro.conf.OmitArgPrefixes[VoiceSettings] = field(default_factory=VoiceSettings)
    draft: bool = False
    """Leave a trained network aside."""
    work: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where the voice is kept; without it, a folder OUT.understudy beside the output."""
    consent: Consents = field(default_factory=list)
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Make the voice, recast the sound."""
        from ..media.waveform import check_sound_output, probe_sound
        from ..provenance.outputs import ours, require_writable

        output = self.output.resolve()
        work = (self.work or output.with_name(f"{output.stem}.understudy")).resolve()
        require_usable(self.settings)
        clip = clip_of(self.sound, self.range, self.track)
        clips = recordings_of(list(self.voice))
        check_sound_output(output, probe_sound(Path(clip.path), clip.track))
        require_writable(output, [self.sound, *(Path(one.path) for one in clips)], self.overwrite, ours(work))
        roles = {
            VOICE: f"who is heard, in {self.voice[0].name}",
            TARGET: f"whose voice is replaced in {Path(clip.path).name}",
        }
        obtain_consent(work, roles, self.consent, "voice")
        folder = work / "voices" / VOICE
        made = train(VOICE, clips, folder, 0.0 if self.draft else self.minutes, work)
        spec = VoiceSpec(
            clip=clip,
            voice=str(folder),
            output=str(output),
            target=TARGET,
            identity=VOICE,
            settings=self.settings,
            project=str(work),
            overwrite=self.overwrite,
        )
        return {**made, **recast(spec)}


def train(identity: str, clips: list[SoundClip], output: Path, minutes: float, project: Path) -> dict[str, Any]:
    """Run the job `voice-train`."""
    from .. import job_bodies

    fetch()
    spec = VoiceTrainSpec(identity=identity, material=clips, output=str(output), minutes=minutes, project=str(project))
    with watching(AGAIN) as reporter, reporter.stage("Making the voice"):
        return job_bodies.run("voice-train", spec, reporter)


def recast(spec: VoiceSpec) -> dict[str, Any]:
    """Run the job `voice`."""
    from .. import job_bodies

    fetch()
    with watching(AGAIN) as reporter, reporter.stage("Recasting the voice"):
        return job_bodies.run("voice", spec, reporter)


def fetch() -> None:
    """Fetch the networks of the voice the first time that one is worked on."""
    from ..voice import networks

    if networks.missing():
        with watching("Run the same command again.") as reporter, reporter.stage("Fetching the voice networks"):
            networks.fetch(reporter)


def clip_of(sound: Path, span: tuple[float, float] | None, track: int) -> SoundClip:
    """A clip as the engine takes it."""
    start, end = span or (0.0, None)
    return SoundClip(path=str(sound.resolve()), start=start, end=end, track=track)


def recordings_of(paths: list[Path]) -> list[SoundClip]:
    """Files, and those of folders that are sound or movies by their names. Raises NotUnderstood without any."""
    from ..media.waveform import READABLE

    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in READABLE) if path.is_dir() else [path]
        found += inside
    if not found:
        raise NotUnderstood(f"{', '.join(map(str, paths)) or 'Nothing'} holds no sound. Name recordings of the voice.")
    return [SoundClip(path=str(path.resolve())) for path in found]


@dataclass(kw_only=True)
class Voice:
    """Recast a voice: make one from recordings, and let it speak or sing."""

    what: tyro.conf.OmitSubcommandPrefixes[
        Annotated[SwapVoice, tyro.conf.subcommand("swap")]
        | Annotated[TrainVoice, tyro.conf.subcommand("train")]
        | Annotated[ConvertVoice, tyro.conf.subcommand("convert")]
        | Annotated[Separate, tyro.conf.subcommand("separate")]
    ]

    manual: ClassVar[str] = """\
  Separates the voice from what else sounds, keeps its words, melody and timing, changes who it
  sounds like, and puts it back: the output has the same rate, channels and samples, and outside
  the range, or where nobody speaks, it is what it was. The networks of the voice (160 MB) are
  fetched the first time. Consent to the use of a voice is a record of its own, beside the face's:
  asked for once, or said with --consent for voice (who is heard) and target (who is replaced).

Examples
  understudy voice swap film.mp4 --voice actor.wav -o out.mp4 --range 12 48 \\
    --consent "voice=Ann Lee: written permission" --consent "target=Bob Orr: own face"
  understudy voice train Ann interviews/ -o film.understudy/voices/ann --minutes 10
  understudy voice convert film.mp4 --voice film.understudy/voices/ann -o out.wav --octave 1
  understudy voice separate film.mp4 -o voice.wav --rest music.wav
"""

    def run(self) -> dict[str, Any]:
        """Do what was asked."""
        return self.what.run()
