"""The queue: starts workers, watches them, starts them again.

No torch, numpy or cv2 in this process: it must start in a blink and survive what a job does.
`schedule` says who is next. Workers outlive this process; the next one finds them by the lock that
each holds on its run directory.

What the user wants of a job (cancel, hold, retry) is a flag in its run directory, on disk before the
call returns; `_settle` makes its events follow, at once where no worker is at it, else when that ends.

Threads: the API's threads call, one thread of the supervisor ticks; a lock keeps them apart.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..durable import lock, raise_flag
from ..errors import UnderstudyError
from ..media.partial_output import remove_partial
from ..protocol import FINAL_STATES, Job, JobKind, JobSpec
from . import rundir
from .events import EventLog
from .launch import RUNNER, Attempt, adopt, spawn
from .schedule import HEAVY_KINDS, LIGHT, Refuse, plan
from .store import Store

MAX_DEATHS = 3  # workers that may die over a job that gets no further
TICK_SECONDS = 0.2  # seconds between two looks at a running job
IDLE_SECONDS = 5.0  # seconds between two looks when nothing runs; a new job does not wait for them
PAUSE_SECONDS = 10.0  # seconds that workers get to pause when the engine stops
CANCEL_SECONDS = (
    20.0  # seconds that a cancelled job gets to reach a safe point before it is told to end where it stands
)
EXIT_SECONDS = 5.0  # seconds that a worker whose job has ended may take to be gone
KILL_SECONDS = 10.0  # seconds it gets for that before it is killed
HANG_SECONDS = 900.0  # seconds without any sign of life after which a worker is taken for hung

logger = logging.getLogger(__name__)


class Supervisor:
    """Sees every job of a store through to its end.

    `runner` is what workers call (see `worker`), `devices` tells how many there are to lease, `chore` is
    called with every look at the queue.
    """

    def __init__(
        self,
        store: Store,
        runner: str = RUNNER,
        devices: Callable[[], int] = lambda: 1,
        chore: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.stopping = threading.Event()
        self._runner = runner
        self._devices = devices
        self._chore = chore
        self._lock = threading.RLock()
        self._active: dict[str, Attempt] = {}
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Take over what an earlier engine left, then work the queue in a thread."""
        for job in self.store.jobs():
            folder = self.store.run_folder(job.id)
            if job.state not in FINAL_STATES or (folder / rundir.RETRY).exists():
                self._active[job.id] = self._adopt(job)  # the first tick sees which of them have a worker
        self._thread.start()

    def stop(self) -> None:
        """Ask the workers to pause, give them a few seconds, and leave the queue; slow ones end on their own."""
        self.stopping.set()
        with self._lock:
            for attempt in self._active.values():
                with contextlib.suppress(OSError):
                    (attempt.folder / rundir.PAUSE).touch()
        deadline = time.monotonic() + PAUSE_SECONDS
        while self._active and time.monotonic() < deadline:
            time.sleep(0.05)
        self._closed.set()
        self._wake.set()
        self._thread.join()

    def working(self) -> bool:
        """Whether a job runs or may still begin by itself."""
        return bool(self._active) or any(job.state == "queued" for job in self.store.unfinished())

    def submit(
        self, job_id: str, kind: JobKind, spec: JobSpec, priority: int = 0, after: list[str] | None = None
    ) -> Job:
        """Accept a job and see to it at once; raises as `Store.submit`."""
        job = self.store.submit(job_id, kind, spec, priority, after or [])
        self._wake.set()
        return job

    def cancel(self, job_id: str) -> Job:
        """End a queued job now, a running one at its next safe point; one that has ended stays as it is."""
        return self._wish(job_id, rundir.CANCEL, lambda job: job.state not in FINAL_STATES)

    def pause(self, job_id: str) -> Job:
        """Take a job out of the queue, a running one at its next safe point; its worker ends."""
        return self._wish(job_id, rundir.HOLD, lambda job: job.state not in FINAL_STATES)

    def resume(self, job_id: str) -> Job:
        """Put a paused job back into the queue; others stay as they are."""
        with self._lock:
            if self._flag(job_id, rundir.HOLD):
                rundir.drop_flag(self.store.run_folder(job_id), rundir.HOLD)
            return self._settled(job_id)

    def retry(self, job_id: str) -> Job:
        """Put a failed or cancelled job into the queue again; others stay as they are.

        Raises UnderstudyError when its run directory was cleared away.
        """
        if not self.store.run_folder(job_id).is_dir():
            raise UnderstudyError(
                f"What is needed to retry job {job_id} was cleared away. Submit it again as a new job."
            )
        self._let_end(job_id)
        return self._wish(job_id, rundir.RETRY, lambda job: job.state in ("failed", "cancelled"))

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Move a job in the queue: the higher runs first."""
        with self._lock:
            job = self.store.set_priority(job_id, priority)
        self._wake.set()
        return job

    def _let_end(self, job_id: str) -> None:
        """Wait a moment for the worker of a job that has ended: it may not be gone yet."""
        deadline = time.monotonic() + EXIT_SECONDS
        while self.store.follow(job_id).state in FINAL_STATES and job_id in self._active:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)

    def _wish(self, job_id: str, flag: str, fits: Callable[[Job], bool]) -> Job:
        with self._lock:
            job = self.store.follow(job_id)
            if not fits(job):
                return job
            raise_flag(self.store.run_folder(job_id) / flag)
            return self._settled(job_id)

    def _settled(self, job_id: str) -> Job:
        """The job once its flags had their effect; where a worker is at it, that comes later."""
        self._wake.set()
        job = self.store.follow(job_id)
        if job_id in self._active or (job.state in FINAL_STATES and not self._flag(job_id, rundir.RETRY)):
            return job
        return self._settle(job_id, None)

    def _flag(self, job_id: str, name: str) -> bool:
        return (self.store.run_folder(job_id) / name).exists()

    def tick(self) -> None:
        """Look at every worker, settle what ended, start what is next."""
        with self._lock:
            for job_id, attempt in list(self._active.items()):
                try:
                    alive = attempt.alive()
                    self.store.follow(job_id)
                    if alive:
                        self._watch(job_id, attempt)
                    else:
                        del self._active[job_id]
                        self._settle(job_id, attempt)
                except Exception as error:
                    if _is_temporary(error):
                        self._active[job_id] = attempt  # looked at again next time
                    else:
                        self._give_up(job_id, error)
            if self.stopping.is_set():
                return
            busy = {job_id: attempt.lease for job_id, attempt in self._active.items()}
            devices = self._devices()
            for step in plan(self.store.unfinished(), self.store.by_id(), busy, devices):
                try:
                    if isinstance(step, Refuse):
                        self._refuse(step)
                    else:
                        self._start(step.job, step.lease, devices)
                except Exception as error:
                    if not _is_temporary(error):
                        self._give_up(step.job.id, error)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                self.tick()
                self._chore()
            except Exception:
                logger.exception("a look at the queue failed")
            self._wake.wait(TICK_SECONDS if self._active else IDLE_SECONDS)

    def _start(self, job: Job, lease: int, devices: int) -> None:
        folder = self.store.run_folder(job.id)
        (folder / rundir.PAUSE).unlink(missing_ok=True)
        self._active[job.id] = attempt = spawn(folder, self._runner, lease, devices)
        logger.info("job %s (%s): worker %d", job.id, job.kind, attempt.child.pid if attempt.child else 0)

    def _adopt(self, job: Job) -> Attempt:
        return adopt(self.store.run_folder(job.id), 0 if job.kind in HEAVY_KINDS else LIGHT)

    def _watch(self, job_id: str, attempt: Attempt) -> None:
        """Press a worker that does not heed a cancel, and end one that hangs."""
        now = time.monotonic()
        if attempt.cancelled is None and self._flag(job_id, rundir.CANCEL):
            attempt.cancelled = now
        pressed = attempt.cancelled is not None and not self._flag(job_id, rundir.HEEDED)
        if pressed and attempt.cancelled is not None and now - attempt.cancelled > CANCEL_SECONDS:
            if not attempt.told:
                attempt.told = True
                logger.warning("job %s does not stop: its worker is told to end", job_id)
                attempt.signal(signal.SIGTERM)
            elif now - attempt.cancelled > CANCEL_SECONDS + KILL_SECONDS:
                logger.warning("job %s does not stop: its worker is killed", job_id)
                attempt.kill("killed because it did not stop")
        elif attempt.still() > HANG_SECONDS:
            logger.warning("job %s hangs: its worker is killed", job_id)
            attempt.kill(f"no sign of life for {HANG_SECONDS:.0f} s")

    def _settle(self, job_id: str, ended: Attempt | None) -> Job:
        """Decide what becomes of a job that has no worker (any more); `ended` is the worker that was at it."""
        folder = self.store.run_folder(job_id)
        with lock(folder / rundir.LOCK) as held:
            if not held:  # a worker of an earlier engine has it after all
                job = self.store.follow(job_id)
                self._active[job_id] = self._adopt(job)
                return job
            with EventLog(folder / rundir.EVENTS) as log:
                if (folder / rundir.RETRY).exists():
                    rundir.reopen(folder, log)
                    self.store.reopen(job_id)
                    rundir.drop_flag(folder, rundir.RETRY)
                elif rundir.outcome(folder):
                    rundir.conclude(folder, log)
                elif (folder / rundir.CANCEL).exists():
                    rundir.finish(folder, log, "cancelled")
                elif log.history.state == "running" or (ended and ended.child and ended.child.returncode):
                    self._bury(folder, log, ended.death() if ended else "while the engine was away")
                self._hold_or_queue(folder, log)
                begun = log.history.attempts > 0
            job = self.store.follow(job_id)
            if begun and job.kind == "convert" and job.state in ("failed", "cancelled"):
                # workers clean up after themselves, killed ones cannot; what a failed one finished serves the next try
                remove_partial(Path(job.spec["output"]), keep_finished=job.state == "failed")
        logger.info("job %s: %s %s", job_id, job.state, job.error or "")
        return job

    def _hold_or_queue(self, folder: Path, log: EventLog) -> None:
        """Tell of a pause, or of its end."""
        held = (folder / rundir.HOLD).exists()
        if held and log.history.state == "queued":
            log.append("state", {"state": "paused"}, durable=True)
        elif not held and log.history.state == "paused":
            log.append("state", {"state": "queued"}, durable=True)

    def _bury(self, folder: Path, log: EventLog, cause: str) -> None:
        """Put the job of a dead worker back into the queue, or fail it when workers keep dying over it."""
        log.append("state", {"state": "queued", "death": cause}, durable=True)
        if log.history.deaths < MAX_DEATHS:
            log.append("log", {"level": "warning", "text": f"The worker died ({cause}); the job is started again."})
            return
        sentence = (
            f"The job's worker died {MAX_DEATHS} times without getting any further (the last time: {cause}). Close "
            f"other programs that need memory, look into {folder / rundir.LOG}, then start the job again."
        )
        rundir.finish(folder, log, "failed", error=sentence)

    def _refuse(self, step: Refuse) -> None:
        """Fail a job that waits for something that will not come."""
        folder = self.store.run_folder(step.job.id)
        with lock(folder / rundir.LOCK) as held:
            if held:
                with EventLog(folder / rundir.EVENTS) as log:
                    rundir.finish(folder, log, "failed", error=step.error)
        self.store.follow(step.job.id)
        logger.info("job %s: %s", step.job.id, step.error)

    def _give_up(self, job_id: str, error: Exception) -> None:
        """The run directory or the machine does not let us work on this job: fail it rather than block the queue."""
        logger.error("job %s given up", job_id, exc_info=error)
        self._active.pop(job_id, None)
        self._wake.set()  # the next one need not wait
        self.store.give_up(
            job_id,
            f"The engine cannot work in {self.store.run_folder(job_id)} ({error}). "
            "Make room there or make it writable, then start the job again.",
        )


def _is_temporary(error: Exception) -> bool:
    """Whether what is in the way is a lack of this moment: the job waits for the next look at the queue."""
    if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE, errno.EAGAIN):
        return False
    logger.warning("the queue waits: %s", error.strerror)
    return True
