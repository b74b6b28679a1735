"""A job's run directory: what lies in it, and how a job is begun and ended there.

spec.json      {"id", "kind", "spec"}, written once
events.jsonl   what happened (see `events`)
result.json    {"state", "error", "result"}, written once, when the job has ended
worker.log     all that the workers printed, tracebacks too
lock           held by whoever may append events: the worker while there is one
heartbeat      the worker's pid; touched while the job's stage is moving
cancel, pause  flags: stop for good; stop and go on another time
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ..protocol import FINAL_STATES, JobKind, JobSpec, JobState, to_json
from .durable import sync_folder, write_json
from .events import EventLog

SPEC = "spec.json"
EVENTS = "events.jsonl"
RESULT = "result.json"
LOG = "worker.log"
LOCK = "lock"
HEARTBEAT = "heartbeat"
CANCEL = "cancel"
PAUSE = "pause"


def create(folder: Path, job_id: str, kind: JobKind, spec: JobSpec) -> None:
    """Make the directory with its first event; on disk when this returns. Raises OSError.

    What stands there already is the rest of a submission that was never accepted, and goes.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
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


def outcome(folder: Path) -> dict[str, Any] | None:
    """What `result.json` holds, None while the job has not ended."""
    try:
        return json.loads((folder / RESULT).read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
