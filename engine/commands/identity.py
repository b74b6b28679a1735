"""`understudy identity`: whose faces a project holds, and who agreed to what."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..errors import UnderstudyError
from ..printing import complain, say
from .arguments import THIS_PROJECT, Json, Output, Overwrite

Folder = Annotated[Path, tyro.conf.arg(metavar="DIR")]


@dataclass(kw_only=True)
class Consent:
    """Record that somebody agreed."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """The project's name for them."""
    person: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """Their full name."""
    basis: Annotated[str, tyro.conf.arg(metavar="BASIS")]
    """own face, written permission, licensed performer, public domain or rights cleared, or test footage."""
    scope: str = THIS_PROJECT
    """What they agreed to."""
    date: Annotated[str, tyro.conf.arg(metavar="YYYY-MM-DD", help_behavior_hint="")] = ""
    """When; without it, today."""
    file: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """A document that proves it; hashed, and copied into the project unless it is large."""
    voice: bool = False
    """They agreed to the use of their voice; without it, of their face."""
    project: Folder = field(default_factory=Path)
    """The project folder, the one that holds scans/ and models/."""
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Write the record."""
        from .. import job_bodies
        from ..protocol import ConsentRecord, ConsentSpec
        from ..provenance.consent import basis_of, today
        from ..reporter import Silent

        record = ConsentRecord(
            identity=self.name,
            person=self.person,
            basis=basis_of(self.basis),
            scope=self.scope,
            date=self.date or today(),
            file=str(self.file.resolve()) if self.file else "",
            subject="voice" if self.voice else "face",
        )
        result = job_bodies.run("consent", ConsentSpec(project=str(self.project.resolve()), record=record), Silent())
        say(f"{self.name} is {self.person}: {record.basis}, for {record.scope} ({result['record']})")
        return result


@dataclass(kw_only=True)
class List:
    """List who agreed to what."""

    project: Folder = field(default_factory=Path)
    """The project folder."""
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Show every record."""
        from ..provenance.consent import readable_consents

        found, unread = readable_consents(self.project)
        for error in unread:
            complain(f"{error} Until then it is no consent.")
        for record in found:
            if "forgotten" in record:
                say(f"{record['identity']}: forgotten on {record['forgotten']}")
                continue
            facts = [record["person"], record["basis"], record["scope"], record["date"]]
            facts += ["voice"] if record.get("subject") == "voice" else []
            if record["file"]:
                facts.append(f"{record['file']} (sha256 {record['file_sha256'][:12]}…)")
            say(f"{record['identity']}: {', '.join(facts)}")
        if not found:
            say(f"{self.project.resolve()} holds no consent records.")
        return {"identities": found}


@dataclass(kw_only=True)
class Forget:
    """Erase somebody's faces, and all that was derived from them."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """The project's name for them."""
    project: Folder = field(default_factory=Path)
    """The project folder."""
    dry_run: bool = False
    """Only list what would go."""
    yes: bool = False
    """Do not ask before it is erased."""
    json: Json = False

    def run(self) -> dict[str, Any]:
        """List, ask, and remove."""
        from .. import job_bodies
        from ..protocol import ForgetSpec
        from ..reporter import Silent

        spec = ForgetSpec(project=str(self.project.resolve()), identity=self.name, dry_run=True)
        listed = job_bodies.run("forget", spec, Silent())
        for item in listed["items"]:
            say(f"{item['bytes'] / 1e6:9.1f} MB  {item['path']}  ({item['what']})")
        _tell(listed)
        if self.dry_run:
            say(f"{_megabytes(listed)} would go.")
            return listed
        if not self.yes:
            _ask(f"Erase {self.name}, {_megabytes(listed).strip()}, for good?")
        result = job_bodies.run("forget", replace(spec, dry_run=False), Silent())
        say(f"{_megabytes(result)} gone for good; the consent is kept as a note.")
        held = sum(one["may_hold"] for one in result["left"])
        if held:
            say(f"Not all of {self.name} is gone: {held} listed above may hold their face or voice.")
        else:
            say(f"What Understudy found of {self.name} in this project, by name or by face, is gone.")
        say("Their footage, and what was exported, copied, renamed or backed up, here or elsewhere, is yours.")
        return {**result, "exit_code": 1} if held else result


def _megabytes(result: dict[str, Any]) -> str:
    return f"{sum(item['bytes'] for item in result['items']) / 1e6:9.1f} MB"


def _tell(result: dict[str, Any]) -> None:
    """What stays although it was meant; last what other projects made, and what cannot be theirs and only has a name
    that Understudy uses."""
    from ..provenance.recast_files import ELSEWHERE

    for one in result["left"]:
        if one["may_hold"] and one["why"] != ELSEWHERE:
            say(f"    stays     {one['path']}  ({one['why']})")
    elsewhere = [one["path"] for one in result["left"] if one["why"] == ELSEWHERE]
    if elsewhere:
        say(
            "These recasts show them, or let them be heard, and were made by another project folder, or by this one "
            f"where it lay before. They stay; forget them there, too: {', '.join(elsewhere)}"
        )
    others = [one["path"] for one in result["left"] if not one["may_hold"]]
    if others:
        say(f"Files that Understudy did not make stay, and are nothing of theirs by name or place: {', '.join(others)}")


def _ask(question: str) -> None:
    """Go on after a yes in the terminal. Raises UnderstudyError otherwise, and where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UnderstudyError("Nothing was erased. Add --yes to erase what is listed above.")
    complain(f"{question} (yes, or Enter to keep all):", end=" ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UnderstudyError("Nothing was erased.")


@dataclass(kw_only=True)
class Report:
    """Write who was recast where, and with whose permission, as a page to print."""

    output: Output
    """The page to write (.html)."""
    project: Folder = field(default_factory=Path)
    """The project folder."""
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> dict[str, Any]:
        """Write it."""
        from .. import job_bodies
        from ..protocol import ReportSpec
        from ..reporter import Silent

        project, output = self.project.resolve(), self.output.resolve()
        spec = ReportSpec(project=str(project), output=str(output), overwrite=self.overwrite)
        result = job_bodies.run("report", spec, Silent())
        say(result["report"])
        return result


@dataclass(kw_only=True)
class Identity:
    """Say who agreed to be recast or to lend a face; report it; forget them."""

    what: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Consent, tyro.conf.subcommand("consent")]
        | Annotated[List, tyro.conf.subcommand("list")]
        | Annotated[Report, tyro.conf.subcommand("report")]
        | Annotated[Forget, tyro.conf.subcommand("forget")]
    ]

    manual: ClassVar[str] = """\
  Nobody is trained or recast, and nobody's face appears, without a record of why that is allowed.
  The records lie in the project folder, consent/, and are kept when they are replaced.

Example
  understudy identity consent Ann --project film.understudy --person "Ann Lee" \\
    --basis "written permission" --scope "the film Winter" --file release.pdf
  understudy identity list --project film.understudy
  understudy identity report --project film.understudy -o report.html
  understudy identity forget Ann --project film.understudy --dry-run
"""

    def run(self) -> dict[str, Any]:
        """Do what was asked."""
        return self.what.run()
