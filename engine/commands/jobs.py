"""`understudy jobs`."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from ..errors import UnderstudyError
from ..printing import say
from ..protocol import FINAL_STATES, Job, from_json, parse_json
from ..reading import read_text
from .arguments import Json, NotUnderstood

if TYPE_CHECKING:
    from ..client import Engine

Action = Literal[
    "list", "show", "add", "pause", "resume", "cancel", "retry", "priority", "wait", "prune", "disk", "open"
]
WISHES = ("pause", "resume", "cancel", "retry")
LONG_POLL = 20  # seconds


@dataclass(kw_only=True)
class Jobs:
    """See to the queue of the engine that runs."""

    action: Annotated[tyro.conf.Positional[Action], tyro.conf.arg(metavar="ACTION")]
    """list, show, add, pause, resume, cancel, retry, priority, wait, prune, disk or open."""
    names: tyro.conf.Positional[list[str]] = field(default_factory=list)
    """Jobs by their ids, or by the first letters of them. add: KIND and SPEC.json. disk: a project folder."""
    after: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="ID")] = field(default_factory=list)
    """add: a job that must be done before. Once for each."""
    priority: int = 0
    """add, priority: the higher runs first; 0 without it."""
    keep: int = 20
    """prune: how many jobs that have ended to keep."""
    json: Json = False

    manual: ClassVar[str] = """\
  Pausing keeps what was done and frees the memory; resuming goes on from there. A job that failed
  or was cancelled can be retried. wait returns when all the jobs named have ended, and fails when
  one of them did. open prints the address of a page for your browser: the queue, loss curves and
  previews, to look at only. UNDERSTUDY_ENGINE=http://127.0.0.1:PORT#TOKEN means another engine than this
  machine's own.

Examples
  understudy jobs list
  understudy jobs pause 3f2a
  understudy jobs priority 3f2a 77b1 --priority 5
  understudy jobs add convert spec.json --after 3f2a
  understudy jobs prune --keep 5
"""

    def run(self) -> dict[str, Any]:
        """Do it, and show the jobs as they are then."""
        from .. import client

        engine = client.find()
        if self.action == "list":
            return _shown(_jobs(engine))
        if self.action == "prune":
            removed = engine.call("POST", "/v1/prune", {"keep": self.keep})
            say(f"{len(removed['removed'])} jobs cleared away")
            return removed
        if self.action == "add":
            return _shown([self._add(engine)])
        if self.action == "open":
            told = engine.call("POST", "/v1/key")
            say(f"For two minutes, and for one browser: {told['url']}")
            return told
        if self.action == "disk":
            return _disk(engine, self.names)
        if not self.names:
            raise NotUnderstood(f"Name a job: understudy jobs {self.action} ID. understudy jobs list shows them.")
        chosen = [_find(name, _jobs(engine)) for name in self.names]
        if self.action in WISHES:
            return _shown([_job(engine, "POST", f"{job.id}/{self.action}") for job in chosen])
        if self.action == "priority":
            body = {"priority": self.priority}
            return _shown([_job(engine, "POST", f"{job.id}/priority", body) for job in chosen])
        if self.action == "wait":
            return _wait(engine, chosen)
        return _shown(chosen, whole=True)

    def _add(self, engine: Engine) -> Job:
        if len(self.names) != 2:
            raise NotUnderstood("understudy jobs add takes a kind and a file: understudy jobs add scan spec.json.")
        kind, file = self.names
        try:
            spec = parse_json(read_text(Path(file)))
        except (OSError, ValueError) as error:
            raise UnderstudyError(
                f"{file} is not a spec ({error}). docs/dev/file-formats.md says what one holds."
            ) from None
        known = _jobs(engine)
        body = {
            "id": uuid.uuid4().hex,
            "kind": kind,
            "spec": spec,
            "priority": self.priority,
            "after": [_find(name, known).id for name in self.after],
        }
        return from_json(Job, engine.call("POST", "/v1/jobs", body))


def _jobs(engine: Engine) -> list[Job]:
    return [from_json(Job, job) for job in engine.call("GET", "/v1/jobs")["jobs"]]


def _job(engine: Engine, method: str, path: str, body: dict[str, Any] | None = None) -> Job:
    return from_json(Job, engine.call(method, f"/v1/jobs/{path}", body))


def _find(name: str, jobs: list[Job]) -> Job:
    found = [job for job in jobs if job.id == name] or [job for job in jobs if job.id.startswith(name)]
    if len(found) != 1:
        what = f"{len(found)} jobs begin with {name}: give more of the id" if found else f"There is no job {name}"
        raise UnderstudyError(f"{what}. understudy jobs list shows them.")
    return found[0]


def _wait(engine: Engine, jobs: list[Job]) -> dict[str, Any]:
    for position, job in enumerate(jobs):
        while jobs[position].state not in FINAL_STATES:
            last = jobs[position].last_event
            told = engine.call("GET", f"/v1/jobs/{job.id}/events?after={last}&wait={LONG_POLL}")
            jobs[position] = from_json(Job, told["job"])
    result = _shown(jobs)
    return {**result, "exit_code": 0 if all(job.state == "done" for job in jobs) else 1}


def _disk(engine: Engine, names: list[str]) -> dict[str, Any]:
    from urllib.parse import quote

    query = f"?project={quote(str(Path(names[0]).resolve()))}" if names else ""
    told = engine.call("GET", f"/v1/disk{query}")
    for item in told["items"]:
        say(f"{item['bytes'] / 1e6:10.1f} MB  {item['kind']:9} {item['path']}")
    return told


def _shown(jobs: list[Job], whole: bool = False) -> dict[str, Any]:
    """Print the jobs, a line each (or all there is to say); returns what --json prints."""
    from ..console import duration

    for job in jobs:
        left = f", about {duration(job.seconds_left)} left" if job.seconds_left is not None else ""
        what = job.error or job.message
        percent = f" {job.progress:4.0%}" if job.state in ("running", "paused") else ""
        rank = f"  priority {job.priority}" if job.priority else ""
        say(f"{job.id[:12]:12}  {job.kind:10} {job.state}{percent}{left}{rank}  {what}".rstrip())
        if whole:
            began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.created))
            say(f"id {job.id}")
            say(f"accepted {began}")
            say(f"after {', '.join(job.after) or 'nothing'}")
            for line in json.dumps({"spec": job.spec, "result": job.result}, indent=1).splitlines():
                say(line)
    return {"jobs": [vars(job) for job in jobs]}
