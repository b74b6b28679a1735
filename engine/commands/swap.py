"""`understudy swap`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..protocol import Preset, VoiceSpec
from . import voice
from .arguments import MINUTES, Consents, End, Json, Minutes, Output, obtain_consent, watching


@dataclass(kw_only=True)
class SwapAll:
    """Do it all: scan, train and recast in one go."""

    shot: tyro.conf.Positional[Path]
    """The movie in which somebody is recast."""
    face: Path
    """Footage of who appears instead: a movie, a picture, or a folder of pictures."""
    voice: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Recordings of whose voice is heard instead: a sound file, a movie or a folder; without it, the sound stays."""
    output: Output
    """The movie to write: .mp4, .mov or .mkv."""
    person: int = 0
    """Who is recast: the number of their picture in the shot's scan; 0 is seen in most frames."""
    face_person: int = 0
    """Who appears: the number of their picture in the face footage's scan."""
    start: int = 0
    """First frame of the shot."""
    end: End = None
    preset: Preset = "quick"
    """draft trains nothing; quick is for minutes on a CPU; standard is sharper and wants a GPU."""
    minutes: Minutes = None
    work: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where scans and the model are kept; without it, a folder OUT.understudy beside the output."""
    consent: Consents = field(default_factory=list)
    json: Json = False

    manual: ClassVar[str] = """\
  Scans both, trains a model of the two people, and writes the recast movie. What an earlier run
  finished is used again: the same footage is not scanned twice, and training goes on where it
  stopped, so more --minutes make a better face. Both people's consent is asked for once: in the
  terminal, or with --consent for face (who appears) and target (who is recast). With --voice the
  movie's voice is recast, too (voice: who is heard, whose consent is asked for beside the face's).

Examples
  understudy swap shot.mp4 --face actor.mp4 -o recast.mp4 --preset draft \\
    --consent "face=Ann Lee: written permission" --consent "target=Bob Orr: own face"
  understudy swap shot.mp4 --face portraits/ -o recast.mp4 --start 100 --end 340 --minutes 30

Writes
  recast.mp4             once it is complete
  recast.understudy/     scans/ and models/, to go on from, and consent/; delete it when you are done
"""

    def run(self) -> dict[str, Any]:
        """Scan, train, recast."""
        from ..swap import FACE, TARGET, Request, examine, swap

        output = self.output.resolve()
        request = Request(
            shot=self.shot,
            face=self.face,
            output=output,
            work=(self.work or output.with_name(f"{output.stem}.understudy")).resolve(),
            person=self.person,
            face_person=self.face_person,
            start=self.start,
            end=self.end,
            preset=self.preset,
            minutes=MINUTES[self.preset] if self.minutes is None else self.minutes,
        )
        shot, face = examine(request)
        roles = {FACE: f"who appears, in {self.face.name}", TARGET: f"who is recast, in {self.shot.name}"}
        obtain_consent(request.work, roles, [c for c in self.consent if not c.startswith(f"{voice.VOICE}=")])
        again = "Run the same command again: finished scans are kept, and training goes on."
        if self.voice is None:
            with watching(again) as reporter:
                return swap(request, shot, face, reporter)
        voice.fetch()
        clips = voice.recordings_of([self.voice])
        heard = {voice.VOICE: f"who is heard, in {self.voice.name}", TARGET: f"who is replaced in {self.shot.name}"}
        obtain_consent(request.work, heard, [c for c in self.consent if not c.startswith(f"{FACE}=")], "voice")
        seen = request.work / f"picture{output.suffix}"
        with watching(again) as reporter:
            made = swap(replace(request, output=seen), shot, face, reporter)
        folder = request.work / "voices" / voice.VOICE
        minutes = 0.0 if self.preset == "draft" else 2.0
        made |= voice.train(voice.VOICE, clips, folder, minutes, request.work)
        spec = VoiceSpec(
            clip=voice.clip_of(seen, None, 0),
            voice=str(folder),
            output=str(output),
            target=TARGET,
            identity=voice.VOICE,
            project=str(request.work),
        )
        return {**made, **voice.recast(spec), "movie": str(output)}
