"""`understudy swap`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro

from ..alone import alone
from ..errors import ConsentError
from ..project_links import require_inside_project
from ..protocol import ConvertSettings, Preset, SoundClip, VoiceSpec
from ..settings import check_settings
from . import voice
from .arguments import (
    Consents,
    End,
    Json,
    Minutes,
    Output,
    Overwrite,
    minutes_of,
    obtain_consent,
    read_consents,
    read_settings,
    watching,
)
from .first_use import Fetch, obtain_networks

if TYPE_CHECKING:
    from ..media.reader import MediaInfo
    from ..swap import Request


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
    set: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="NAME=VALUE", help_behavior_hint="")] = (
        field(default_factory=list)
    )
    """One of the settings that `understudy convert --help` lists, such as spectacles=remove. Once for each."""
    work: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where scans and the model are kept; without it, a folder OUT.understudy beside the output."""
    consent: Consents = field(default_factory=list)
    overwrite: Overwrite = False
    fetch: Fetch = False
    json: Json = False

    manual: ClassVar[str] = """\
  Scans both, trains a model of the two people, and writes the recast movie. What an earlier run
  finished is used again: the same footage is not scanned twice, and training goes on where it
  stopped, so more --minutes make a better face. Both people's consent is asked for once: in the
  terminal, or with --consent for face (who appears) and target (who is recast). Other footage may
  go into the same work folder: whoever is somebody else there is face-2 or target-2, and asked for, too.
  With --voice the movie's voice is recast, too (voice: who is heard, whose consent is asked for
  beside the face's).
  The first swap needs the face networks (about 145 MB, with --voice 160 MB more): the terminal
  asks before they are downloaded, and --fetch says yes beforehand.

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
        from ..swap import Request, examine

        settings = read_settings(self.set, ConvertSettings())
        check_settings(settings)
        output = self.output.resolve()
        request = Request(
            shot=self.shot,
            face=self.face,
            output=output,
            work=_work_folder(self.work or output.with_name(f"{output.stem}.understudy")),
            person=self.person,
            face_person=self.face_person,
            start=self.start,
            end=self.end,
            preset=self.preset,
            minutes=minutes_of(self.preset, self.minutes),
            settings=settings,
            overwrite=self.overwrite,
        )
        clips = [] if self.voice is None else voice.recordings_of([self.voice])
        shot, face = examine(request, [Path(clip.path) for clip in clips])
        with alone(request.work):
            return self._recast(request, shot, face, clips)

    def _recast(self, request: Request, shot: MediaInfo, face: MediaInfo, clips: list[SoundClip]) -> dict[str, Any]:
        """The recast of a request that can be done; `clips` are the recordings of who is heard."""
        from ..swap import FACE, TARGET, scan_both, swap

        output = request.output
        self._ask_early(request)
        obtain_networks(self.fetch, voice=self.voice is not None)
        again = "Run the same command again: finished scans are kept, and training goes on."
        with watching(again) as reporter:
            scans = scan_both(request, shot, face, reporter)
        names = self._ask_about(request, FACE, scans[1]), self._ask_about(request, TARGET, scans[0])
        if self.voice is None:
            with watching(again) as reporter:
                return swap(request, scans, names, reporter)
        replaced = {names[1]: f"who is replaced in {self.shot.name}"}
        obtain_consent(request.work, replaced, self._said(TARGET, names[1]), "voice")
        seen = request.work / f"picture{output.suffix}"
        with watching(again) as reporter:
            made = swap(replace(request, output=seen), scans, names, reporter)
        folder = request.work / "voices" / voice.VOICE
        minutes = 0.0 if self.preset == "draft" else 2.0
        made |= voice.train(voice.VOICE, clips, folder, minutes, request.work)
        spec = VoiceSpec(
            clip=voice.clip_of(seen, None, 0),
            voice=str(folder),
            output=str(output),
            target=names[1],
            identity=voice.VOICE,
            project=str(request.work),
            overwrite=self.overwrite,
        )
        return {**made, **voice.recast(spec), "movie": str(output)}

    def _ask_early(self, request: Request) -> None:
        """Have all consents on record that can be asked for before anybody knows who is to be seen: so that nobody
        waits for a scan to be asked, or to hear that a consent is missing."""
        from ..provenance.consent import plays, seen_with
        from ..swap import FACE, TARGET

        heard = {voice.VOICE: f"who is heard, in {self.voice.name}"} if self.voice else {}
        named = [text.partition("=")[0] for text in self.consent]
        others = [name for name in named if plays(FACE, name) or plays(TARGET, name)]
        read_consents(self.consent, [FACE, TARGET, *heard, *others])
        if heard:
            obtain_consent(request.work, heard, self._said(voice.VOICE, voice.VOICE), "voice")
        people = {role: seen_with(request.work, role) for role in (FACE, TARGET)}
        unused = [role for role, seen in people.items() if seen is None or seen.open]
        said = [text for role in unused for text in self._said(role, role)]
        footage = {role: str(self._clip(role).resolve()) for role in unused}
        obtain_consent(request.work, {role: self._told(role) for role in unused}, said, footage=footage)

    def _ask_about(self, request: Request, role: str, scan: Path) -> str:
        """Have the consent on record of who a scan shows in a role; the name that they have in the work folder.

        Raises ConsentError when they are somebody else than those before, and nobody says who.
        """
        from ..faces.people.appearance import of_person
        from ..provenance.consent import read_consent
        from ..provenance.consented_people import name_of
        from ..swap import FACE

        person = request.face_person if role == FACE else request.person
        look = of_person(scan, person)
        name = name_of(request.work, role, look)
        clip, other = self._clip(role), read_consent(request.work, role)
        told = f"{self._told(role)}, and is not {other.person}" if other and name != role else self._told(role)
        said = self._said(role, name)
        if look is not None:
            said = [text for text in said if self._is_about(request.work, role, name, text)]
        try:
            obtain_consent(request.work, {name: told}, said, footage={name: str(clip.resolve())})
        except ConsentError as error:
            if name == role:
                raise
            raise ConsentError(
                f"Somebody else is seen in {clip.name} than {role} was before in {request.work}, who is called {name} "
                f'here. Say who it is with --consent "{name}=Full Name: written permission". {error}'
            ) from None
        return name

    def _is_about(self, project: Path, role: str, name: str, text: str) -> bool:
        """Whether what --consent says may be of the one who is called `name`, and not of others who played the role
        before. Raises ConsentError when they are on record as somebody else."""
        from ..provenance.consent import how_to_record, read_consent, seen_with
        from ..provenance.consented_people import names_before

        (said,) = read_consents([text], [name])
        before = [read_consent(project, one) for one in names_before(role, name)]
        those = {one.person.strip().casefold() for one in before if one}
        if text not in self.consent and said.person.casefold() in those:
            return False  # it names the role, and so whoever played it
        known, seen = read_consent(project, name), seen_with(project, name)
        if known and seen and not seen.open and known.person.strip().casefold() != said.person.casefold():
            raise ConsentError(
                f"The face in {self._clip(role).name} is on record as {known.person}'s, and --consent says that it is "
                f"{said.person}'s. Leave that out; or, if {known.person} was "
                f"wrong, record it again: {how_to_record(project, name)}"
            )
        return True

    def _clip(self, role: str) -> Path:
        from ..swap import FACE

        return self.face if role == FACE else self.shot

    def _told(self, role: str) -> str:
        from ..swap import FACE

        return f"who {'appears' if role == FACE else 'is recast'}, in {self._clip(role).name}"

    def _said(self, role: str, name: str) -> list[str]:
        """What --consent says about the name that whoever plays a role has: by that name, or else by the role."""
        by_name = [text for text in self.consent if text.partition("=")[0] == name]
        by_role = [f"{name}={text.partition('=')[2]}" for text in self.consent if text.partition("=")[0] == role]
        return by_name or by_role


def _work_folder(path: Path) -> Path:
    """The work folder without links. Raises UnderstudyError where it is one, which may lead to any other project."""
    require_inside_project(path)
    return path.resolve()
