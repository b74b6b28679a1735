"""What several commands take, and how they watch their work."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_type_hints

import tyro

from ..errors import ConsentError, DataError, Stopped
from ..errors import NotUnderstood as NotUnderstood
from ..printing import complain
from ..protocol import (
    ConsentRecord,
    Curves,
    Identity,
    Material,
    Preset,
    Setting,
    Subject,
    Swap,
    TrainSpec,
    VoiceSettings,
    from_json,
    limits_of,
    parse_json,
    settings_of,
    to_json,
)
from ..reading import read_text
from ..settings import check_settings
from .path_arguments import examine_path

if TYPE_CHECKING:
    from ..console import Watched

Settings = TypeVar("Settings")

MINUTES: dict[Preset, float] = {"draft": 1.0, "quick": 10.0, "standard": 120.0, "fine": 600.0}
CONSENT = "Understudy is for people who agreed: train on and recast faces only with the permission of everyone shown."
LARGEST_CURVES = 100_000_000
"""Bytes of a file of curves: every setting keyed in every frame of an hour."""
THIS_PROJECT = "this project"


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
Consents = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(
        metavar="NAME=PERSON:BASIS",
        help="Record that PERSON (full name) agreed to be NAME here. BASIS is own face, written permission, licensed "
        "performer, public domain or rights cleared, or test footage. In a terminal you are asked once otherwise.",
        help_behavior_hint="",
    ),
]
Project = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="DIR",
        help="Whose consent records count; without it, the project that holds the model.",
        help_behavior_hint="",
    ),
]
Overwrite = Annotated[
    bool,
    tyro.conf.arg(
        help="Write also over what Understudy made and somebody changed since, or over another file of the same kind; "
        "never over footage that is no recast of Understudy's, a consent or other files of a project.",
        help_behavior_hint="",
    ),
]
Json = Annotated[
    bool, tyro.conf.arg(help="Print one JSON object as the last line of the output.", help_behavior_hint="")
]


def settings_manual(kind: type[Any]) -> str:
    """The settings of a dataclass, each with its limits, what it is unless named, and its choices."""
    lines: list[str] = []
    values = to_json(kind())
    for one in settings_of(kind):
        value = values[one.name]
        usual = ",".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value).lower()
        usual = f"{one.limits.words()}; {usual}" if one.limits else usual
        described = [_help(one) + (f" [{usual}]" if usual else "")]
        described += [f"  {choice:12}{words}" for choice, (_, words) in one.choices.items()]
        names = [one.name, *[""] * len(described)]
        lines += [f"  {name:18}{text}" for name, text in zip(names, described, strict=False)]
    return "\n".join(lines)


def _help(one: Setting) -> str:
    return one.help.format(part=", ".join(one.limits.parts)) if one.limits else one.help


OPTIONS = tyro.constructors.ConstructorRegistry()
"""How tyro reads a dataclass of the protocol whose fields are settings: one option for each."""


@OPTIONS.struct_rule
def _options(of: tyro.constructors.StructTypeInfo) -> tyro.constructors.StructConstructorSpec | None:
    if of.type is not VoiceSettings:
        return None
    hints, usual = get_type_hints(VoiceSettings), VoiceSettings()
    options = []
    for one in settings_of(VoiceSettings):
        value = getattr(usual, one.name)
        choices = "; ".join(f"{choice}: {words}" for choice, (_, words) in one.choices.items())
        told = f"{_help(one)}. {choices}".strip()
        hint = hints[one.name]
        if value is None:  # shown as a number, which "None" is not
            hint = Annotated[hint, tyro.conf.arg(metavar=get_args(hint)[0].__name__.upper(), help_behavior_hint="")]
        options.append(tyro.constructors.StructFieldSpec(one.name, hint, value, told))
    return tyro.constructors.StructConstructorSpec(VoiceSettings, tuple(options))


def read_settings(texts: Sequence[str], base: Settings) -> Settings:
    """`base`, a dataclass of settings, with each NAME=VALUE in its place. Raises NotUnderstood."""
    values = to_json(base)
    for text in texts:
        name, found, told = text.partition("=")
        if not found or name not in values:
            raise NotUnderstood(f"--set {text} is not NAME=VALUE with one of {', '.join(values)}.")
        old = values[name]
        try:
            if isinstance(old, bool):
                values[name] = {"true": True, "false": False}[told.lower()]
            elif isinstance(old, list):
                values[name] = [float(part) for part in told.split(",")]
            else:
                values[name] = float(told) if isinstance(old, float) else told
        except (ValueError, KeyError):
            kind = {bool: "true or false", list: "numbers with commas between them"}.get(type(old), "a number")
            raise NotUnderstood(f"--set {text}: {name} wants {kind}.") from None
    try:
        return from_json(type(base), values)
    except ValueError as error:
        raise NotUnderstood(f"--set: {error}") from None


def read_curves(path: Path) -> Curves:
    """The settings over time of a JSON file. Raises NotUnderstood where it is none."""
    try:
        found = parse_json(read_text(path, largest=LARGEST_CURVES))
    except (OSError, ValueError) as error:
        raise NotUnderstood(f"--curves {path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise NotUnderstood(f'--curves {path} holds no settings. Write it as {{"amount": [[0, 1], [48, 0]]}}.')
    return found


def require_usable(settings: VoiceSettings) -> None:
    """Raise NotUnderstood for the first setting that cannot be used."""
    try:
        check_settings(settings)
    except DataError as error:
        raise NotUnderstood(f"{error}") from None


@contextlib.contextmanager
def watching(resume: str) -> Iterator[Watched]:
    """A reporter that Ctrl-C stops; then `resume` says how to go on."""
    from ..console import Watched

    reporter = Watched()
    try:
        with reporter.stoppable():
            yield reporter
    except (Stopped, KeyboardInterrupt):
        raise Stopped(f"Stopped. {resume}") from None


def obtain_consent(
    project: Path,
    roles: dict[str, str],
    given: Sequence[str],
    subject: Subject = "face",
    footage: Mapping[str, str] | None = None,
) -> None:
    """Have everybody's consent on record: given on the command line, recorded before, or asked for in the terminal.

    It is for the use of their faces or their voices, by `subject`. roles: each identity and where they are seen or
    heard, as a question names them; footage: what that is. A consent that was given for other footage and used for
    nobody yet is asked for again. One that was used for somebody is theirs alone: the same name, said again, does not
    make it anybody else's. Raises ConsentError when consent is missing and nobody is there to be asked, NotUnderstood
    when `given` is not NAME=PERSON:BASIS.
    """
    from ..provenance.consent import missing, record_consent, seen_with, sentence

    footage = footage or {}

    def stale(identity: str) -> bool:
        seen = seen_with(project, identity, subject)
        return seen is not None and seen.open and seen.footage not in ("", footage.get(identity, seen.footage))

    for record in read_consents(given, roles, subject):
        record_consent(project, record, footage.get(record.identity, ""), open_again=False)
    lacking = list(dict.fromkeys([*missing(project, roles, subject), *filter(stale, roles)]))
    if lacking and sys.stdin.isatty() and sys.stderr.isatty():
        complain(CONSENT)
        for identity in lacking:
            record_consent(project, _asked(identity, roles[identity], subject), footage.get(identity, ""))
    elif lacking:
        raise ConsentError(sentence(project, lacking, subject))


def read_consents(given: Sequence[str], roles: Collection[str], subject: Subject = "face") -> list[ConsentRecord]:
    """What `--consent` says, each about one of the roles. Raises NotUnderstood when it is not NAME=PERSON:BASIS."""
    from ..provenance.consent import basis_of, today

    records = []
    for text in given:
        identity, named, rest = text.partition("=")
        person, _, basis = rest.rpartition(":")
        if not (named and person.strip()):
            raise NotUnderstood(f'--consent {text} is not NAME=PERSON:BASIS, as in "Ann=Ann Lee: written permission".')
        if identity not in roles:
            raise NotUnderstood(f"--consent names {identity}, but this is about {', '.join(roles)}.")
        records.append(
            ConsentRecord(
                identity=identity,
                person=person.strip(),
                basis=basis_of(basis),
                scope=THIS_PROJECT,
                date=today(),
                subject=subject,
            )
        )
    return records


def _asked(identity: str, seen: str, subject: Subject) -> ConsentRecord:
    """Three plain questions about one person, once. Raises ConsentError when the first is left open."""
    from ..provenance.consent import BASES, today

    def answer(question: str) -> str:
        complain(question, end=" ")
        return sys.stdin.readline().strip()

    person = answer(f"Who is {identity}, {seen}? Full name:")
    choices = ", ".join(f"{n} {basis}" for n, basis in enumerate(BASES, 1))
    number = answer(f"Why may their {subject} be used? {choices}. Number:") if person else ""
    chosen = whole_number(number)
    if chosen is None or not 1 <= chosen <= len(BASES):
        raise ConsentError(f"Without their consent {identity} is neither trained nor recast. Run it again to answer.")
    scope = answer(f"For what did they agree? (Enter: {THIS_PROJECT})")
    return ConsentRecord(
        identity=identity,
        person=person,
        basis=BASES[chosen - 1],
        scope=scope or THIS_PROJECT,
        date=today(),
        subject=subject,
    )


def whole_number(text: str) -> int | None:
    """A number of at most nine digits, None where the text is none."""
    return int(text) if text.strip().isdecimal() and len(text.strip()) < 10 else None


def minutes_of(preset: Preset, minutes: float | None) -> float:
    """The training time that was asked for, or the preset's. Raises NotUnderstood when it cannot be one."""
    wanted, limits = MINUTES[preset] if minutes is None else minutes, limits_of(TrainSpec)["minutes"]
    if not limits.allow(wanted):
        raise NotUnderstood(f"--minutes is {wanted:g}; give {limits.unit}, {limits.words()}.")
    return wanted


def read_identities(texts: Sequence[str]) -> list[Identity]:
    """NAME=SCAN_DIR[:PERSON] …; the same name again adds material."""
    material: dict[str, list[Material]] = {}
    for text in texts:
        name, found, place = text.partition("=")
        scan, colon, person = place.rpartition(":")
        if not colon or whole_number(person) is None:  # a colon may belong to the folder, as in C:\scans
            scan, person = place, "0"
        if not (found and name and scan):
            raise NotUnderstood(f"--identity {text} is not NAME=SCAN_DIR or NAME=SCAN_DIR:PERSON.")
        examine_path(Path(scan))
        material.setdefault(name, []).append(Material(scan=str(Path(scan).resolve()), person=int(person)))
    if not material:
        raise NotUnderstood("Name at least one person to train: --identity NAME=SCAN_DIR.")
    return [Identity(name=name, material=parts) for name, parts in material.items()]


def read_swap(text: str) -> Swap:
    """PERSON=NAME or PERSON:TARGET=NAME as a swap."""
    who, _, name = text.partition("=")
    person, _, target = who.partition(":")
    if whole_number(person) is None or not name:
        raise NotUnderstood(f"--swap {text} is not PERSON=NAME, as in 0=Ann, or PERSON:TARGET=NAME, as in 0:Bob=Ann.")
    return Swap(person=int(person), identity=name, target=target)
