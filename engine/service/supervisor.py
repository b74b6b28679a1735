"""The queue, and the process that keeps it: starts workers, watches them, starts them again.

No torch, numpy or cv2 in this process: it must start in a blink and survive what a job does.
One worker runs at a time, first come first served. Workers outlive this process; the next one
finds them by the lock that each holds on its run directory.

Threads: the API's threads call `submit` and `cancel`, one thread of the supervisor ticks; a lock
keeps them apart.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import uvicorn

from .. import protocol
from ..errors import UnderstudyError
from ..media.partial import remove_partial
from ..protocol import FINAL_STATES, EngineInfo, Job, JobKind, JobSpec
from . import rundir
from .durable import lock, raise_flag, write_json
from .events import EventLog
from .server import create_app
from .store import Store
from .worker import RUNNER

WORKER = f"{__package__}.worker"
DEATHS = 3  # workers that may die over a job that gets no further
TICK = 0.2  # seconds between two looks at a running job
IDLE = 5.0  # seconds between two looks when nothing runs; a new job does not wait for them
FAREWELL = 10.0  # seconds that workers get to pause when the engine stops

logger = logging.getLogger(__name__)


class Supervisor:
    """Sees every job of a store through to its end. `runner` is what workers call (see `worker`)."""

    def __init__(self, store: Store, runner: str = RUNNER) -> None:
        self.store = store
        self.stopping = threading.Event()
        self._runner = runner
        self._lock = threading.RLock()
        self._active: dict[str, subprocess.Popen[bytes] | None] = {}  # None: a worker that an earlier engine started
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Take over what an earlier engine left, then work the queue in a thread."""
        for job in self.store.unfinished():
            self._active[job.id] = None  # the first tick sees which of them have a worker
        self._thread.start()

    def stop(self) -> None:
        """Ask the workers to pause, give them a few seconds, and leave the queue; slow ones end on their own."""
        self.stopping.set()
        with self._lock:
            for job_id in self._active:
                (self.store.run_folder(job_id) / rundir.PAUSE).touch()
        deadline = time.monotonic() + FAREWELL
        while self._active and time.monotonic() < deadline:
            time.sleep(0.05)
        self._closed.set()
        self._wake.set()
        self._thread.join()

    def submit(self, job_id: str, kind: JobKind, spec: JobSpec) -> Job:
        """Accept a job and see to it at once; raises as `Store.submit`."""
        job = self.store.submit(job_id, kind, spec)
        self._wake.set()
        return job

    def cancel(self, job_id: str) -> Job:
        """End a queued job now, a running one at its next safe point; one that has ended stays as it is."""
        with self._lock:
            job = self.store.follow(job_id)
            if job.state not in FINAL_STATES:
                raise_flag(self.store.run_folder(job_id) / rundir.CANCEL)
                if job_id not in self._active:
                    job = self._settle(job_id, None)
            return job

    def tick(self) -> None:
        """Look at every worker, settle what ended, start what is next."""
        with self._lock:
            for job_id, child in list(self._active.items()):
                try:
                    alive = child.poll() is None if child else self._locked(job_id)
                    self.store.follow(job_id)
                    if not alive:
                        del self._active[job_id]
                        self._settle(job_id, child.returncode if child else None)
                except Exception as error:
                    self._give_up(job_id, error)
            for job in self.store.unfinished():
                if self._active or self.stopping.is_set():
                    break
                self._start(job)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                self.tick()
            except Exception:
                logger.exception("a look at the queue failed")
            self._wake.wait(TICK if self._active else IDLE)

    def _locked(self, job_id: str) -> bool:
        with lock(self.store.run_folder(job_id) / rundir.LOCK) as free:
            return not free

    def _start(self, job: Job) -> None:
        folder = self.store.run_folder(job.id)
        try:
            (folder / rundir.PAUSE).unlink(missing_ok=True)
            self._active[job.id] = child = spawn(folder, self._runner)
            logger.info("job %s (%s): worker %d", job.id, job.kind, child.pid)
        except OSError as error:
            self._give_up(job.id, error)

    def _settle(self, job_id: str, code: int | None) -> Job:
        """Decide what becomes of a job that has no worker (any more); `code` is how that worker exited, if known."""
        folder = self.store.run_folder(job_id)
        with lock(folder / rundir.LOCK) as held:
            if not held:  # a worker of an earlier engine has it after all
                self._active[job_id] = None
                return self.store.follow(job_id)
            with EventLog(folder / rundir.EVENTS) as log:
                if rundir.outcome(folder):
                    rundir.conclude(folder, log)
                elif (folder / rundir.CANCEL).exists():
                    rundir.finish(folder, log, "cancelled")
                elif log.history.state == "running" or code:
                    self._bury(folder, log, _cause(code))
                begun = log.history.attempts > 0
            job = self.store.follow(job_id)
            if begun and job.kind == "convert" and job.state in ("failed", "cancelled"):
                # workers clean up after themselves, killed ones cannot; what a failed one finished serves the next try
                remove_partial(Path(job.spec["output"]), keep_finished=job.state == "failed")
        logger.info("job %s: %s %s", job_id, job.state, job.error or "")
        return job

    def _bury(self, folder: Path, log: EventLog, cause: str) -> None:
        """Put the job of a dead worker back into the queue, or fail it when workers keep dying over it."""
        log.append("state", {"state": "queued", "death": cause}, durable=True)
        if log.history.deaths < DEATHS:
            log.append("log", {"level": "warning", "text": f"The worker died ({cause}); the job is started again."})
            return
        sentence = (
            f"The job's worker died {DEATHS} times without getting any further (the last time: {cause}). Close other "
            f"programs that need memory, look into {folder / rundir.LOG}, then start the job again."
        )
        rundir.finish(folder, log, "failed", error=sentence)

    def _give_up(self, job_id: str, error: Exception) -> None:
        """The run directory or the machine does not let us work on this job: fail it rather than block the queue."""
        logger.error("job %s given up", job_id, exc_info=error)
        self._active.pop(job_id, None)
        self.store.give_up(
            job_id,
            f"The engine cannot work in {self.store.run_folder(job_id)} ({error}). "
            "Make room there or make it writable, then start the job again.",
        )


def spawn(folder: Path, runner: str) -> subprocess.Popen[bytes]:
    """Start a worker that no signal to this process's group or terminal reaches. Raises OSError."""
    flags = 0
    if sys.platform == "win32":
        flags = (
            subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        )
    with (folder / rundir.LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, str(folder), runner],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
            creationflags=flags,
        )


def _cause(code: int | None) -> str:
    if code is None:
        return "while the engine was away"
    if code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "killed, often for lack of memory"
    return f"signal {-code}"


def serve(port: int | None = None, runner: str = RUNNER) -> None:
    """Run the engine on 127.0.0.1 (a free port unless one is named) until it is told to stop.

    Running jobs pause when it stops and go on at its next start. `runner` is what workers call
    (see `worker`). Raises UnderstudyError when an engine runs already, or the port is taken.
    """
    home = protocol.home()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock(home / "engine.lock") as held:
        if not held:
            raise UnderstudyError(f"An engine is running already for {home}. Use that one, or stop it first.")
        _log_to(home / "engine.log")
        with _listen(port) as listening:
            _serve(home, listening, runner)


def _serve(home: Path, listening: socket.socket, runner: str) -> None:
    token = secrets.token_hex(32)
    info = EngineInfo(
        protocol=protocol.PROTOCOL,
        version=importlib.metadata.version("understudy"),
        pid=os.getpid(),
        device="",
        url=f"http://127.0.0.1:{listening.getsockname()[1]}",
    )
    store = Store(home)
    supervisor = Supervisor(store, runner)
    server = uvicorn.Server(uvicorn.Config("", log_config=None, access_log=False, lifespan="off", ws="none"))

    def stop() -> None:
        supervisor.stopping.set()  # lets the long polls go
        server.should_exit = True

    server.config.app = create_app(supervisor, token, info, stop)
    signal.signal(signal.SIGTERM, lambda *_: stop())  # uvicorn raises it again after it stopped: the rest must run
    supervisor.start()
    write_json(protocol.address_file(), {**protocol.to_json(info), "token": token}, mode=0o600)
    logger.info("engine %s listens on %s", info.version, info.url)
    print(f"The engine listens on {info.url}; Ctrl-C stops it, and its jobs go on at its next start.", flush=True)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # uvicorn has stopped in good order, and raises it again
    finally:
        protocol.address_file().unlink(missing_ok=True)
        supervisor.stop()
        store.close()
        logger.info("engine stopped")


def _listen(port: int | None) -> socket.socket:
    listening = socket.socket()
    try:
        if sys.platform != "win32":  # there it would let two programs share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port or 0))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        raise UnderstudyError(
            f"The engine cannot listen on port {port} of 127.0.0.1 ({error}). Name another, or none."
        ) from None
    return listening


def _log_to(path: Path) -> None:
    """Everything the process logs goes to `path`; no request line does, so no token can."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
