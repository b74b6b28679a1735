"""A job's run directory: what lies in it, and how a job is begun and ended there.

spec.json      {"id", "kind", "spec"}, written once
events.jsonl   what happened (see `events`)
result.json    {"state", "error", "result"}, written once, when the job has ended
worker.log     all that the workers printed, tracebacks too
lock           held by whoever may append events: the worker while there is one
heartbeat      the worker's pid; touched while the job's stage is moving
lease          the number of the device that the worker has for itself

The flags by which the user's wish reaches the worker, and outlives a crash; events follow them:
cancel         stop for good
hold           stop, and stay out of the queue until it is taken away
retry          begin anew what failed or was cancelled
pause          stop and go on another time; the engine's own, when it ends
heeded         the worker's answer to cancel: it stops, and brings results home from another machine
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ..durable import make_folders, sync_folder, write_json
from ..protocol import FINAL_STATES, JobKind, JobSpec, JobState, to_json
from .events import EventLog

SPEC = "spec.json"
EVENTS = "events.jsonl"
RESULT = "result.json"
LOG = "worker.log"
LOCK = "lock"
HEARTBEAT = "heartbeat"
LEASE = "lease"
CANCEL = "cancel"
HOLD = "hold"
RETRY = "retry"
PAUSE = "pause"
HEEDED = "heeded"


def create(folder: Path, job_id: str, kind: JobKind, spec: JobSpec) -> None:
    """Make the directory with its first event; on disk when this returns. Raises OSError.

    What stands there already is the rest of a submission that was never accepted, and goes.
    """
    if folder.exists():
        shutil.rmtree(folder)
    make_folders(folder)
    write_json(folder / SPEC, {"id": job_id, "kind": kind, "spec": to_json(spec)})
    with EventLog(folder / EVENTS) as log:
        log.append("state", {"state": "queued"}, durable=True)
    sync_folder(folder)
    sync_folder(folder.parent)


def finish(
    folder: Path, log: EventLog, state: JobState, error: str | None = None, result: dict[str, Any] | None = None
) -> None:
    """End the job for good: the outcome first, then the event that tells of it."""
    write_json(folder / RESULT, {"state": state, "error": error, "result": result or {}})
    conclude(folder, log)


def conclude(folder: Path, log: EventLog) -> None:
    """Tell of the outcome that `result.json` holds, unless the crash came after that was done."""
    ended = outcome(folder)
    if ended and log.history.state not in FINAL_STATES:
        error = {"error": ended["error"]} if ended["error"] else {}
        log.append("state", {"state": ended["state"], **error}, durable=True)


def reopen(folder: Path, log: EventLog) -> None:
    """Begin anew a job that has ended and whose `retry` flag is up; repeated after a crash, it does the same."""
    for name in (CANCEL, HOLD, HEEDED, RESULT):
        (folder / name).unlink(missing_ok=True)
    sync_folder(folder)
    log.append("state", {"state": "queued", "retry": True}, durable=True)


def drop_flag(folder: Path, name: str) -> None:
    """Take a flag away; on disk when this returns."""
    (folder / name).unlink(missing_ok=True)
    sync_folder(folder)


def outcome(folder: Path) -> dict[str, Any] | None:
    """What `result.json` holds, None while the job has not ended."""
    try:
        return json.loads((folder / RESULT).read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
