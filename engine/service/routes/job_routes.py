"""Jobs: submitted, listed, followed, changed."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...protocol import FINAL_STATES, SPECS, Job, check_paths, from_json, to_json
from ..auth import answer
from ..paths import Occupied, check_output
from ..store import JobConflict
from .messages import SUBMISSIONS, BodyRoute, JobEvents, Jobs, Priority, Prune, Removed, Submission, body_of, refusals
from .services import Engine, KnownJob

MAX_WAIT_SECONDS = 30.0  # seconds
POLL_SECONDS = 0.1  # seconds between two looks of a waiting reader
Verb = Literal["cancel", "pause", "resume", "retry"]

router = APIRouter(route_class=BodyRoute)


@router.post("/v1/jobs", response_model=Job, responses=refusals(409))
async def submit(asked: Annotated[Submission, body_of(Submission, SUBMISSIONS)], engine: Engine) -> Response:
    """Queue a job. The client chooses the id; the same id again is the same job."""
    try:
        spec: Any = from_json(SPECS[asked.kind], asked.spec)
        check_paths(spec)
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, str(error)) from None
    ours = {str(job.spec.get("output")) for job in engine.store.jobs()}
    try:
        await run_in_threadpool(check_output, to_json(spec), engine.store.home, ours)
    except Occupied:
        if engine.store.job(asked.id) is None:  # what was accepted already may have made its output by now
            raise
    try:
        accept = engine.supervisor.submit
        job = await run_in_threadpool(accept, asked.id, asked.kind, spec, asked.priority, asked.after)
    except JobConflict:
        raise
    except (ValueError, OverflowError) as error:  # no id, a number that SQLite does not take
        raise HTTPException(400, str(error)) from None
    return answer(to_json(job))


@router.get("/v1/jobs", response_model=Jobs)
async def jobs(engine: Engine) -> Response:
    """Every job, newest first."""
    return answer({"jobs": [to_json(job) for job in engine.store.jobs()]})


@router.get("/v1/jobs/{job_id}", response_model=Job)
async def job(found: KnownJob) -> Response:
    """A job as it is."""
    return answer(to_json(found))


@router.get("/v1/jobs/{job_id}/events", response_model=JobEvents)
async def events(found: KnownJob, engine: Engine, after: int = 0, wait: float = 0.0) -> Response:
    """What happened after the event `after`, up to 1000 at a time; waits up to `wait` (≤ 30) seconds for something."""
    deadline = time.monotonic() + (min(wait, MAX_WAIT_SECONDS) if wait > 0 else 0.0)
    while (
        found.last_event <= after
        and found.state not in FINAL_STATES
        and time.monotonic() < deadline
        and not engine.supervisor.stopping.is_set()
    ):
        await asyncio.sleep(POLL_SECONDS)
        found = engine.known_job(found.id)
    # after the job was looked at: an answer whose job has ended holds its last event too
    happened = await run_in_threadpool(engine.store.events, found.id, max(after, 0))
    return answer({"events": [to_json(event) for event in happened], "job": to_json(found)})


@router.post("/v1/jobs/{job_id}/priority", response_model=Job)
async def set_priority(found: KnownJob, asked: Annotated[Priority, body_of(Priority)], engine: Engine) -> Response:
    """Move a job in the queue: higher ones run first, then older ones."""
    return answer(to_json(await run_in_threadpool(engine.supervisor.set_priority, found.id, asked.priority)))


@router.post("/v1/jobs/{job_id}/{verb}", response_model=Job)
async def change(found: KnownJob, verb: Verb, engine: Engine) -> Response:
    """Cancel a job (a running one stops at its next safe point), pause it (checkpointed, its memory freed, out of the
    queue until it is resumed), resume it, or retry one that failed or was cancelled."""
    act = getattr(engine.supervisor, verb)
    return answer(to_json(await run_in_threadpool(act, found.id)))


@router.post("/v1/prune", response_model=Removed)
async def prune(asked: Annotated[Prune, body_of(Prune)], engine: Engine) -> Response:
    """Forget the oldest jobs that have ended, with their run directories."""
    await run_in_threadpool(engine.mirrors.prune)
    return answer({"removed": await run_in_threadpool(engine.store.prune, asked.keep)})
