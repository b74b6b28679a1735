"""A job of this computer done by another machine's engine: what it reads is sent, what it makes is fetched.

It is a job's body like any other (`engine.job_bodies.run`): killed at any point it is run again, finds the job that it
began over there, and goes on with it. A connection that is lost is waited for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..durable import write_bytes
from ..errors import DataError, MediaError, Stopped, UnderstudyError
from ..own_files import is_place
from ..protocol import (
    FINAL_STATES,
    ConvertSpec,
    Event,
    Job,
    JobKind,
    PreviewResult,
    PreviewSpec,
    ScanSpec,
    TrainSpec,
    parse_json,
    project_of,
    to_json,
)
from ..protocol.http_client import Address
from ..provenance.outputs import require_output
from ..reading import read_text
from ..reporter import Reporter
from .fetched import NotAsAsked, require_model_of, require_scan_of
from .file_sync import Busy, Exchange, Wanted, came_from_there
from .link import (
    LONGEST_TEXT,
    NOT_OURS,
    Link,
    Refused,
    Unreachable,
    raise_unreachable,
    remember_cancel,
    send_remembered_cancels,
)
from .path_map import covers, walk
from .told import LARGEST_NUMBER, teller_of

SENT, DONE = 0.05, 0.95
MOST_DIGITS = 18  # of an event's number
"""The shares of a job's progress at which it is sent, and done over there."""
LONG_POLL_SECONDS = 2  # seconds that the other engine may think about whether there is something new
FETCH_SECONDS = 600.0  # seconds between two looks at what a training has learned so far
EXCHANGE_SECONDS = 600.0  # seconds to wait for another job that exchanges files of the project
LARGEST_PREVIEW = 512 << 20  # bytes of a picture in the footage's size
PNG = b"\x89PNG\r\n\x1a\n"  # how a picture of that kind begins
MADE_HERE = re.compile(r"edits\.json|masks/.*|\.lock")
"""Of a scan: who was corrected to be who, and masks. They are the user's, and made on this computer alone."""

Work = ScanSpec | TrainSpec | ConvertSpec


def run(remote: Address, kind: JobKind, spec: Work, reporter: Reporter) -> dict[str, Any]:
    """Have a scan, training or conversion done over there; the result as if it had been done here.

    Raises UnderstudyError with the other engine's sentence, Stopped when `reporter.check` did.
    """
    job = _RemoteJob(remote, kind, spec, reporter)
    try:
        return job.run()
    finally:
        job.link.close()


@dataclass(frozen=True, kw_only=True)
class News:
    """A job as it is there, and what has happened in it."""

    job: Job
    events: list[Event]


class _RemoteJob:
    """One attempt."""

    def __init__(self, remote: Address, kind: JobKind, spec: Work, reporter: Reporter) -> None:
        self.kind, self.spec, self.reporter = kind, spec, reporter
        self.job_id = ""
        self.fraction = 0.0
        self.said = (0.0, "")
        self.stopping = False
        self.link = Link(remote, self.waits)
        self.exchange = Exchange(Path(spec.project) if spec.project else project_of(spec.output), self.link)
        text = json.dumps([kind, to_json(spec)], sort_keys=True)
        self.name = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.seen = self.exchange.project / f".remote-{self.name}"  # the number of the last event told here

    def waits(self, sentence: str) -> None:
        """The connection is lost: say so, and go on waiting unless the job is to stop."""
        if self.stopping:
            raise Unreachable(sentence)
        self.told(0.0, sentence)

    def told(self, share: float, sentence: str) -> None:
        """A sign of life while files are exchanged."""
        if not self.stopping:
            self.reporter.check()
        if self.stopping or (self.fraction, sentence) != self.said:
            self.said = (self.fraction, sentence)
            self.reporter.progress(*self.said)

    def run(self) -> dict[str, Any]:
        try:
            job = self.follow(self.begin())
            self.fraction = DONE
            result = self.fetch(job.state == "done")
        except NotAsAsked:
            self.end()  # the same again is a new job there
            self.exchange.clear_incoming()
            raise
        except Stopped as stop:
            self.stop(stop)
            raise
        self.end()
        if job.state != "done":
            error = (job.error or "It was cancelled there")[:LONGEST_TEXT]
            raise UnderstudyError(f"On the remote engine: {self.exchange.places.in_text(error).rstrip('.')}.")
        return result

    def begin(self) -> Job:
        """The job over there: the one that an earlier attempt began, else a new one."""
        send_remembered_cancels(self.link)
        job_id = self.exchange.job(self.name)
        job = self.ask("GET", job_id) if job_id else None
        if job and job_id and job.state == "paused":
            job = self.ask("POST", job_id, "resume")
        if job and job_id:
            self.job_id = job_id
            return job
        self.link.info()
        with self.exchange.alone(EXCHANGE_SECONDS):
            self.exchange.send(*inputs_of(self.spec, self.exchange.places.of), self.sending)
        self.job_id = job_id or uuid.uuid4().hex
        self.exchange.remember(self.name, self.job_id)
        self.seen.unlink(missing_ok=True)
        spec = walk(to_json(self.spec), self.exchange.places.there)
        return self.link.answer(Job, "POST", "/v1/jobs", {"id": self.job_id, "kind": self.kind, "spec": spec})

    def end(self) -> None:
        """The job is settled: the same spec again is a new one."""
        self.exchange.remember(self.name, None)
        self.seen.unlink(missing_ok=True)

    def sending(self, share: float, sentence: str) -> None:
        self.fraction = max(self.fraction, SENT * share)
        self.told(share, sentence)

    def fetching(self, share: float, sentence: str) -> None:
        if self.fraction >= DONE:
            self.fraction = max(self.fraction, DONE + (1 - DONE) * share)
        self.told(share, sentence)

    def ask(self, method: str, job_id: str, wish: str = "") -> Job | None:
        """The job over there, None where that engine does not know it."""
        try:
            return self.link.answer(Job, method, f"/v1/jobs/{job_id}/{wish}".rstrip("/"))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def follow(self, job: Job) -> Job:
        """Tell here what is told there, until the job there has ended."""
        fetched = time.monotonic()
        while True:
            self.reporter.check()
            job, silent = self.news(LONG_POLL_SECONDS)
            if silent and job.state in FINAL_STATES:
                return job
            if job.state in ("queued", "paused"):
                self.told(0.0, "Waiting for its turn on the remote engine")
            if self.kind == "train" and time.monotonic() - fetched > FETCH_SECONDS:
                fetched = time.monotonic()
                with suppress(Refused):  # it is being written just now
                    self.fetch()

    def news(self, wait: int) -> tuple[Job, bool]:
        """Tell here, once, what happened there since the last time; the job as it is there, and whether nothing did."""
        seen = self._seen_last()
        news = self.link.answer(News, "GET", f"/v1/jobs/{self.job_id}/events?after={seen}&wait={wait}")
        numbers = [seen, *(event.seq for event in news.events)]
        if not all(before < after < LARGEST_NUMBER for before, after in itertools.pairwise(numbers)):
            raise UnderstudyError(NOT_OURS)  # the same, told again and again
        tellers = [teller_of(event, self) for event in news.events]
        for tell in tellers:
            tell()
        if news.events:
            write_bytes(self.seen, str(numbers[-1]).encode())
        return news.job, not news.events

    def _seen_last(self) -> int:
        """The number of the last event that was told here; 0 where what is kept of that is none."""
        try:
            text = read_text(self.seen, "ascii")
        except (OSError, ValueError):
            return 0
        return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else 0

    def advance(self, fraction: float, message: str) -> None:
        self.fraction = SENT + (DONE - SENT) * fraction
        self.reporter.progress(self.fraction, message)

    def show(self, place: str, caption: str) -> None:
        """Fetch and show a picture of what this job makes, and nothing else."""
        path = self.exchange.places.here(place) if any(covers(one, place) for one in self.makes()) else None
        if path is None or path.suffix not in (".jpg", ".png") or not self.is_made(place):
            return
        require_output(self.spec, came_from_there(self.exchange.project))
        with suppress(Refused):  # a newer one has taken its place
            with self.exchange.alone(EXCHANGE_SECONDS):
                self.exchange.fetch([place], self.told)
            self.reporter.preview(path, caption)

    def is_made(self, place: str, whole: Path | None = None) -> bool:
        """Whether a place is one that a scan or a training writes to.

        Raises NotAsAsked where what has come (`whole`) is of other footage or people than it was asked for.
        """
        name = place.removeprefix(self.makes()[0])
        if isinstance(self.spec, ScanSpec):
            if whole is not None:
                require_scan_of(self.spec, name, whole)
            return is_place(name, "scan") and not MADE_HERE.fullmatch(name)
        if whole is not None and isinstance(self.spec, TrainSpec):
            require_model_of(self.spec, name, whole)
        return is_place(name, "model")

    def makes(self) -> list[str]:
        """The folder that a scan or a training makes, as `Exchange.fetch` is asked for it; none of a conversion."""
        return [] if isinstance(self.spec, ConvertSpec) else [f"{self.exchange.places.of(self.spec.output)}/"]

    def fetch(self, done: bool = False) -> dict[str, Any]:
        """Bring back all that the job has made so far; a recast only when it is `done`. The result, by what is here."""
        # somebody may have put a file there meanwhile
        require_output(self.spec, came_from_there(self.exchange.project))
        with self.exchange.alone(EXCHANGE_SECONDS):
            if isinstance(self.spec, ConvertSpec):
                if not done:
                    return {}
                from .fetched_recast import take_recast  # which reads movies: the supervisor asks for previews only

                exchange = self.exchange
                try:
                    result = take_recast(
                        self.spec, exchange.project, exchange.places.of,
                        lambda asked, accept, most: exchange.set_aside(asked, self.fetching, accept, most),
                    )  # fmt: skip
                finally:
                    exchange.clear_aside()
                exchange.clear_incoming()
                return result
            if isinstance(self.spec, ScanSpec) and not done:
                return {}
            self.exchange.fetch(self.makes(), self.fetching, accept=self.is_made)
        if isinstance(self.spec, ScanSpec):
            self.settle_people(self.spec)
        return result_of(self.spec)

    def settle_people(self, spec: ScanSpec) -> None:
        """Say here who is who in a scan that was made there: who is known by what name, and what was corrected, is
        known on this computer."""
        from ..faces.people.edits import settle_people  # which reads movies: the supervisor asks for previews only

        if all(Path(spec.output, name).is_file() for name in ("alignments.safetensors", "scan.json")):
            settle_people(Path(spec.output), self.exchange.project, self.reporter)

    def stop(self, stop: Stopped) -> None:
        """Tell the other engine what the user wants; what a cancelled training has learned is fetched.

        An engine that is only closed here goes on there.
        """
        self.stopping = True
        job_id = self.exchange.job(self.name)
        if job_id is None or stop.wish == "leave":
            return
        self.job_id = job_id
        with suppress(Unreachable, UnderstudyError):  # whoever stops is stopped, whatever is answered
            if stop.wish == "pause":
                self.ask("POST", job_id, "pause")
                return
            job = self.ask("POST", job_id, "cancel")
            if heed := getattr(self.reporter, "heed", None):
                heed()
            silent = False
            while job and not (silent and job.state in FINAL_STATES):
                self.reporter.progress(self.fraction, "Stopping on the remote engine")
                job, silent = self.news(1)
            self.fetch()
            self.end()
            return
        if stop.wish == "cancel":
            remember_cancel(job_id)
            self.end()
            self.reporter.log(
                "The remote engine does not answer, so it could not be told that the job is cancelled. It will be as "
                "soon as it answers again; what was learned there comes with the next job of this model.",
                "warning",
            )


def result_of(spec: ScanSpec | TrainSpec) -> dict[str, Any]:
    """What a scan or training came to, by its folder here; only its name where there is nothing finished in it."""
    try:
        if isinstance(spec, ScanSpec):
            from ..faces.people.summary import read_summary

            summary = read_summary(Path(spec.output))
            return {"scan": spec.output, "people": len(summary.people), "frames": summary.frames}
        from ..model.model_folder import read_card

        card = read_card(Path(spec.output))
        return {"model": spec.output, "steps": card.steps, "minutes": card.minutes}
    except DataError:
        return {"scan" if isinstance(spec, ScanSpec) else "model": spec.output}


def inputs_of(spec: Work | PreviewSpec, place: Callable[[str | Path], str]) -> tuple[list[Wanted], list[Path]]:
    """The files that a job reads, and the folders of ours that it reads or goes on with. Raises UnderstudyError."""
    output = "" if isinstance(spec, PreviewSpec) else spec.output
    project = Path(spec.project) if spec.project else project_of(output or getattr(spec, "scan", ""))
    wanted = [Wanted(path) for path in [*sorted(project.glob("consent/*.json")), project / "people.safetensors"]]
    scans: list[str] = []
    trees: list[str] = []
    if isinstance(spec, ScanSpec):
        media = {spec.clip.path}
        place(Path(output))
        # what was corrected in other scans of the footage counts in this one
        trees += [str(p.parent) for p in project.glob("scans/*/scan.json") if media_of(p.parent) == spec.clip.path]
        trees += [str(p.parent) for p in project.glob("*/scan.json") if media_of(p.parent) == spec.clip.path]
        trees += [output]
    elif isinstance(spec, TrainSpec):
        scans = [material.scan for identity in spec.identities for material in identity.material]
        trees = [output, spec.warm_start]
    elif isinstance(spec, ConvertSpec):
        scans, trees = [spec.scan], [spec.model]
        place(Path(output))
    else:
        scans, trees = [spec.scan], [spec.model]
        scans += [material.scan for identity in spec.identities for material in identity.material]
    if not isinstance(spec, ScanSpec):
        media = {media_of(Path(scan)) for scan in scans}
    for path in sorted(Path(one) for one in media if one):
        place(path)
        files = [path] if isinstance(spec, ScanSpec) and not path.is_dir() else _footage(path)  # the user named that
        wanted += [Wanted(file, shared=True) for file in files]
    folders = [Path(one) for one in dict.fromkeys([*scans, *trees]) if one]
    for folder in folders:
        place(folder)
    return [one for one in wanted if one.shared or one.path.is_file()], [f for f in folders if f.is_dir()]


def _footage(path: Path) -> list[Path]:
    """The files of footage. What a scan calls so may be anything, and come from anybody: only what is a picture or a
    movie is sent. Raises MediaError for what is none, and for a folder with a file that is only called a picture:
    without it pictures would be counted otherwise there than here."""
    from ..media.open import open_movie
    from ..media.pictures import is_picture_file, is_pictures, picture_files

    if is_pictures(path):
        files = picture_files(path)
        if false := next((file for file in files if not is_picture_file(file)), None):
            raise MediaError(
                f"{false} is no picture, and another computer is sent only pictures: take it out of the folder."
            )
        return files
    open_movie(path).close()
    return [path]


def media_of(scan: Path) -> str:
    """The footage of a scan, empty where that is no scan: the other engine says so."""
    try:
        return str(parse_json(read_text(scan / "scan.json"))["clip"]["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def remote_preview(remote: Address, spec: PreviewSpec, folder: Path) -> PreviewResult:
    """One frame, recast over there, as a PNG in `folder`. Raises Unreachable, Busy, Refused or UnderstudyError."""
    project = Path(spec.project) if spec.project else project_of(spec.scan)
    link = Link(remote, raise_unreachable)
    try:
        exchange = Exchange(project, link)
        began = time.monotonic()

        def told(share: float, sentence: str) -> None:
            if time.monotonic() - began > 20:
                raise Busy(f"{sentence}. Ask for the preview again in a while.")

        with exchange.alone(0.0):
            exchange.send(*inputs_of(spec, exchange.places.of), told)
        body = walk(to_json(spec), exchange.places.there)
        answer = link.answer(PreviewResult, "POST", "/v1/preview", body, timeout=120.0)
        name = answer.path.replace("\\", "/").rpartition("/")[2]
        if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}\.png", name):
            raise UnderstudyError(NOT_OURS)
        picture = link.get(f"/v1/previews/{name}", LARGEST_PREVIEW)
        if not picture.startswith(PNG):
            raise UnderstudyError(NOT_OURS)
        made = folder / f"{secrets.token_hex(8)}.png"
        write_bytes(made, picture)
        return PreviewResult(path=str(made), steps=answer.steps, seconds=answer.seconds)
    finally:
        link.close()
