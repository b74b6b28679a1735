"""`understudy people`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..protocol import PeopleEdit, PeopleSpec, to_json
from .arguments import Json, NotUnderstood, watching, whole_number

Rename = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(metavar="PERSON=NAME", help="Give a person a name, in this project.", help_behavior_hint=""),
]
Merge = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(
        metavar="PERSON+PERSON",
        help="These are one; the first one's number and name stay.",
        help_behavior_hint="",
    ),
]
Split = Annotated[
    tyro.conf.UseAppendAction[list[str]],
    tyro.conf.arg(
        metavar="PERSON:TRACK,TRACK", help="These tracks of a person are somebody else.", help_behavior_hint=""
    ),
]
Reject = Annotated[
    tyro.conf.UseAppendAction[list[int]],
    tyro.conf.arg(metavar="PERSON", help="This is nobody: a poster, a false face.", help_behavior_hint=""),
]
Restore = Annotated[
    tyro.conf.UseAppendAction[list[int]],
    tyro.conf.arg(metavar="PERSON", help="Take a --reject back.", help_behavior_hint=""),
]
Project = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="DIR", help="Whose people are known; without it, the project of the scan.", help_behavior_hint=""
    ),
]


@dataclass(kw_only=True)
class People:
    """List and correct who is who in a scan."""

    scan: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCAN_DIR")]
    """The scan folder."""
    rename: Rename
    merge: Merge
    split: Split
    reject: Reject
    restore: Restore
    project: Project = None
    json: Json = False

    manual: ClassVar[str] = """\
  Lists the people of a scan. Corrections are made in the order merge, split, reject, restore,
  rename, all or none; they last when the clip is scanned again, or another range of it is.
  Somebody who is named is known by face in the project's other scans from then on.

Example
  understudy people work/shot --rename 0=Anna --merge 1+3 --split 2:7,9 --reject 4
"""

    def run(self) -> dict[str, Any]:
        """Correct, where anything is to be corrected, and list."""
        from .. import job_bodies
        from ..console import say_who_look_alike, show_people
        from ..faces.people.summary import read_summary

        edits = [
            *(PeopleEdit(action="merge", persons=_numbers(t, t.split("+"), "--merge 1+3")) for t in self.merge),
            *(_split(text) for text in self.split),
            *(PeopleEdit(action="reject", persons=[person]) for person in self.reject),
            *(PeopleEdit(action="restore", persons=[person]) for person in self.restore),
            *(_rename(text) for text in self.rename),
        ]
        result: dict[str, Any] = {"scan": str(self.scan.resolve())}
        if edits:
            project = str(self.project.resolve()) if self.project else ""
            spec = PeopleSpec(scan=str(self.scan.resolve()), edits=edits, project=project)
            with watching("Run the same command again.") as reporter:
                result = job_bodies.run("people", spec, reporter)
        people = read_summary(self.scan).people
        show_people(self.scan, people)
        say_who_look_alike(people)
        return {**result, "people": len([p for p in people if not p.rejected]), "found": [to_json(p) for p in people]}


def _rename(text: str) -> PeopleEdit:
    person, found, name = text.partition("=")
    if not (found and whole_number(person) is not None and name.strip()):
        raise NotUnderstood(f"{text} is not PERSON=NAME, as in --rename 0=Anna.")
    return PeopleEdit(action="rename", persons=[int(person)], name=name.strip())


def _split(text: str) -> PeopleEdit:
    person, _, tracks = text.partition(":")
    numbers = _numbers(text, [person, *re.split("[,+]", tracks)], "--split 2:7,9")
    return PeopleEdit(action="split", persons=numbers[:1], tracks=numbers[1:])


def _numbers(text: str, parts: list[str], example: str) -> list[int]:
    if not all(whole_number(part) is not None for part in parts):
        raise NotUnderstood(f"{text} is not understood; write it as in {example}.")
    return [int(part) for part in parts]
