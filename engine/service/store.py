"""Every job the engine was given: a row in SQLite each, and a run directory.

The row says that the job exists and what state it was last seen in; its events say the rest.
A row is written when a state changes; progress lives in the events and in memory. Any thread
may call.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..durable import make_private, make_private_file, sync_folder
from ..errors import DataError, UnderstudyError
from ..protocol import FINAL_STATES, Event, Job, JobKind, JobSpec, from_json, to_json
from . import rundir
from .events import EventReader, apply_event

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MIGRATIONS = (
    "CREATE TABLE IF NOT EXISTS jobs"
    " (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, job TEXT NOT NULL)",
    "",  # 2: jobs may be paused, have a priority and wait for others, which an engine of version 1 cannot read
)
SCHEMA = len(MIGRATIONS)
MAX_IDLE_READERS = 32  # as many finished jobs keep their index of events in memory
MAX_EVENTS = 1000  # events in one answer

logger = logging.getLogger(__name__)


class JobConflict(ValueError):
    """The submission does not fit the jobs there are."""


class Store:
    """The jobs of one home folder. One process at a time opens it (`supervisor.serve` sees to that)."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = make_private(home / "jobs")
        self._lock = threading.RLock()
        self._database = _open(home / "jobs.sqlite")
        sync_folder(home)  # a new home's folder of jobs must be there after a power cut as the jobs in it are
        self._jobs = dict(self._rows())
        self._readers: dict[str, EventReader] = {}

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def run_folder(self, job_id: str) -> Path:
        """The run directory of a job that was accepted."""
        return self.folder / job_id

    def submit(self, job_id: str, kind: JobKind, spec: JobSpec, priority: int = 0, after: Sequence[str] = ()) -> Job:
        """Accept a job: it is on disk when this returns. The same job again changes nothing.

        Raises ValueError when the id is not one, JobConflict when it stands for another job or a job in `after` is
        not known; UnderstudyError when the disk does not take it.
        """
        if not ID.fullmatch(job_id):
            raise ValueError("A job's id is 1 to 64 letters, digits, - and _.")
        with self._lock:
            known = self._jobs.get(job_id)
            if known and (known.kind, known.spec) == (kind, to_json(spec)):
                return known
            # two names that differ in case alone are one folder on some systems
            if known or any(job_id.casefold() == other.casefold() for other in self._jobs):
                raise JobConflict(f"The id {job_id} is taken by another job; choose a new one.")
            if unknown := next((name for name in after if name not in self._jobs), None):
                raise JobConflict(
                    f"There is no job {unknown[:64]} that {job_id} could wait for. Submit that one first."
                )
            job = Job(
                id=job_id,
                kind=kind,
                spec=to_json(spec),
                state="queued",
                created=time.time(),
                last_event=1,
                priority=priority,
                after=list(after),
            )
            try:
                rundir.create(self.run_folder(job_id), job_id, kind, spec)
                self._write(job)
            except (OSError, sqlite3.Error) as error:
                raise UnderstudyError(
                    f"The engine cannot keep the job in {self.folder} ({error}). Make room there, or make it writable."
                ) from None
            self._jobs[job_id] = job
            return job

    def jobs(self) -> list[Job]:
        """Every job, newest first."""
        return list(self._jobs.values())[::-1]

    def job(self, job_id: str) -> Job | None:
        """A job as it was last followed."""
        return self._jobs.get(job_id)

    def by_id(self) -> Mapping[str, Job]:
        """Every job by its id, oldest first."""
        return self._jobs

    def unfinished(self) -> list[Job]:
        """The jobs still to do or being done, in the order of their turn."""
        jobs = [job for job in list(self._jobs.values()) if job.state not in FINAL_STATES]
        return sorted(jobs, key=lambda job: -job.priority)  # a stable sort: the older of two equals goes first

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Move a job in the queue; on disk when this returns."""
        with self._lock:
            job = replace(self._jobs[job_id], priority=priority)
            self._write(job)
            self._jobs[job_id] = job
            return job

    def reopen(self, job_id: str) -> Job:
        """Take in that a job which had ended was begun anew."""
        with self._lock:
            self._readers.pop(job_id, None)  # it may have read on without telling `follow`
            self._jobs[job_id] = replace(self._jobs[job_id], state="queued", error=None, result={})
            job = self.follow(job_id)
            self._write(job)
            return job

    def prune(self, keep: int) -> list[str]:
        """Forget all but the newest `keep` jobs that have ended, and remove their run directories.

        Jobs that an unfinished one waits for stay. Directories that belong to no job go too.
        """
        with self._lock:
            needed = {name for job in self.unfinished() for name in job.after}
            ended = [job.id for job in self._jobs.values() if job.state in FINAL_STATES and job.id not in needed]
            gone = ended[: max(0, len(ended) - max(keep, 0))]
            with self._database:
                self._database.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in gone])
            for job_id in gone:
                del self._jobs[job_id]
                self._readers.pop(job_id, None)
            known = {job_id for (job_id,) in self._database.execute("SELECT id FROM jobs")}
            for folder in self.folder.iterdir():
                if folder.name not in known:
                    shutil.rmtree(folder, ignore_errors=True)
            return gone

    def follow(self, job_id: str) -> Job:
        """Take in what was written to the job's events since the last time. Raises OSError."""
        with self._lock:
            before = job = self._jobs[job_id]
            if before.state in FINAL_STATES:
                return before
            for event in self._reader(job_id).refresh():
                job = apply_event(job, event)
            if job.state == "done":
                ended = rundir.outcome(self.run_folder(job_id))
                job = replace(job, result=ended["result"] if ended else {})
            if job.state != before.state:
                self._write(job)
            self._jobs[job_id] = job
            return job

    def give_up(self, job_id: str, error: str) -> Job:
        """Fail a job whose run directory can no longer be used."""
        with self._lock:
            job = replace(self._jobs[job_id], state="failed", error=error, seconds_left=None, message="")
            self._jobs[job_id] = job
            self._write(job)
            return job

    def events(self, job_id: str, after: int) -> list[Event]:
        """Up to 1000 events numbered above `after`; none where the run directory was cleared away."""
        with self._lock:
            reader = self._reader(job_id)
            if self._jobs[job_id].state not in FINAL_STATES:
                return reader.read(after, MAX_EVENTS)
        try:
            for _ in reader.refresh():  # nobody follows a finished job: index it here, once
                pass
            return reader.read(after, MAX_EVENTS)
        except FileNotFoundError:
            return []

    def _reader(self, job_id: str) -> EventReader:
        reader = self._readers.get(job_id)
        if reader is None:
            idle = [i for i in self._readers if self._jobs[i].state in FINAL_STATES]
            for old in idle[: max(0, len(idle) + 1 - MAX_IDLE_READERS)]:
                del self._readers[old]
            reader = self._readers[job_id] = EventReader(self.run_folder(job_id) / rundir.EVENTS)
        return reader

    def _rows(self) -> Iterator[tuple[str, Job]]:
        for job_id, text in self._database.execute("SELECT id, job FROM jobs ORDER BY number"):
            try:
                yield job_id, from_json(Job, json.loads(text))
            except ValueError as error:
                logger.error("the row of job %s cannot be read (%s); it is left alone", job_id, error)

    def _write(self, job: Job) -> None:
        with self._database:
            self._database.execute(
                "INSERT INTO jobs (id, state, job) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET state = excluded.state, job = excluded.job",
                (job.id, job.state, json.dumps(to_json(job))),
            )


def _open(path: Path) -> sqlite3.Connection:
    make_private_file(path)  # what SQLite keeps beside it has the same mode
    try:
        database = sqlite3.connect(path, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        if schema > SCHEMA:
            raise DataError(f"{path} was written by a newer Understudy. Update this engine.")
        for version, statement in enumerate(MIGRATIONS[schema:], schema + 1):
            database.execute("BEGIN")
            database.execute(statement)
            database.execute(f"PRAGMA user_version = {version}")
            database.commit()
    except sqlite3.Error as error:
        raise DataError(f"The list of jobs {path} cannot be used ({error}). Move it away to begin a new one.") from None
    return database
