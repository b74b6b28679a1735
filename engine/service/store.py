"""Every job the engine was given: a row in SQLite each, and a run directory.

The row says that the job exists and what state it was last seen in; its events say the rest.
A row is written when a state changes; progress lives in the events and in memory. Any thread
may call.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

from ..errors import DataError, UnderstudyError
from ..protocol import FINAL_STATES, Event, Job, JobKind, JobSpec, from_json, to_json
from . import rundir
from .events import EventReader, fold

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SCHEMA = 1
READERS = 32  # as many finished jobs keep their index of events in memory
BATCH = 1000  # events in one answer


class Store:
    """The jobs of one home folder. One process at a time opens it (`supervisor.serve` sees to that)."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "jobs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = _open(home / "jobs.sqlite")
        rows = self._database.execute("SELECT job FROM jobs ORDER BY number")
        self._jobs = {job.id: job for job in (from_json(Job, json.loads(text)) for (text,) in rows)}
        self._readers: dict[str, EventReader] = {}

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def run_folder(self, job_id: str) -> Path:
        """The run directory of a job that was accepted."""
        return self.folder / job_id

    def submit(self, job_id: str, kind: JobKind, spec: JobSpec) -> Job:
        """Accept a job: it is on disk when this returns. The same job again changes nothing.

        Raises ValueError when the id is not one, or stands for another job; UnderstudyError when the
        disk does not take it.
        """
        if not ID.fullmatch(job_id):
            raise ValueError("A job's id is 1 to 64 letters, digits, - and _.")
        with self._lock:
            known = self._jobs.get(job_id)
            if known and (known.kind, known.spec) == (kind, to_json(spec)):
                return known
            # two names that differ in case alone are one folder on some systems
            if known or any(job_id.casefold() == other.casefold() for other in self._jobs):
                raise ValueError(f"The id {job_id} is taken by another job; choose a new one.")
            job = Job(id=job_id, kind=kind, spec=to_json(spec), state="queued", created=time.time(), last_event=1)
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

    def unfinished(self) -> list[Job]:
        """The jobs still to do or being done, in the order in which they came."""
        return [job for job in self._jobs.values() if job.state not in FINAL_STATES]

    def follow(self, job_id: str) -> Job:
        """Take in what was written to the job's events since the last time. Raises OSError."""
        with self._lock:
            before = job = self._jobs[job_id]
            if before.state in FINAL_STATES:
                return before
            for event in self._reader(job_id).refresh():
                job = fold(job, event)
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
                return reader.read(after, BATCH)
        try:
            for _ in reader.refresh():  # nobody follows a finished job: index it here, once
                pass
            return reader.read(after, BATCH)
        except FileNotFoundError:
            return []

    def _reader(self, job_id: str) -> EventReader:
        reader = self._readers.get(job_id)
        if reader is None:
            idle = [i for i in self._readers if self._jobs[i].state in FINAL_STATES]
            for old in idle[: max(0, len(idle) + 1 - READERS)]:
                del self._readers[old]
            reader = self._readers[job_id] = EventReader(self.run_folder(job_id) / rundir.EVENTS)
        return reader

    def _write(self, job: Job) -> None:
        with self._database:
            self._database.execute(
                "INSERT INTO jobs (id, state, job) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET state = excluded.state, job = excluded.job",
                (job.id, job.state, json.dumps(to_json(job))),
            )


def _open(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        if schema > SCHEMA:
            raise DataError(f"{path} was written by a newer Understudy. Update this engine.")
        database.execute(
            "CREATE TABLE IF NOT EXISTS jobs"
            " (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, job TEXT NOT NULL)"
        )
        database.execute(f"PRAGMA user_version = {SCHEMA}")
        database.commit()
    except sqlite3.Error as error:
        raise DataError(f"The list of jobs {path} cannot be used ({error}). Move it away to begin a new one.") from None
    return database
