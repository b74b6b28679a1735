"""The one thread that talks to the engine, in the process beside Blender (`sidecar`), never in Blender itself.

Threading rules
- Requests go in through one queue, reports come out through one `queue.SimpleQueue`; nothing else is
  shared. What the thread needs to know of Blender (the preference naming Python) travels in the request.
- With nothing to watch the thread sleeps on its queue: an idle add-on costs nothing (but while it waits for a
  remote engine to answer again, a question every few seconds).
- An engine that dies under a watched job is started again, at most RESTARTS times in RESTART_WINDOW_SECONDS;
  after that the user is told and presses Start.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from ...engine import protocol
from ...engine.protocol import http_client
from ..engine_link.reports import EngineReport, FootageReport, JobReport
from ..engine_link.sidecar import RESTART_WINDOW_SECONDS, RESTARTS, Pace
from . import launcher

T = TypeVar("T")


class Poller:
    """Owns the thread, which puts what it learns into `reports`. All public methods return at once."""

    def __init__(self, reports: queue.SimpleQueue, pace: Pace) -> None:
        self.reports = reports
        self._pace = pace
        self._requests: queue.Queue[Callable[[], None]] = queue.Queue()
        self._watched: dict[str, int] = {}  # job id → last event seen
        self._python = ""
        self._engine: http_client.Address | None = None
        self._starts: list[float] = []
        self._told: dict[str, JobReport] = {}
        self._engine_told: EngineReport | None = None
        self._far: protocol.RemoteInfo | None = None  # the other machine's engine that works for this one
        self._asked = 0.0
        self._thread = threading.Thread(target=self._run, name="understudy poller", daemon=True)
        self._thread.start()

    # -- called by whoever reads Blender's requests

    def submit(self, python: str, job_id: str, kind: str, spec: dict[str, Any], after: Sequence[str] = ()) -> None:
        """Send a job to the engine (started if need be), to run once all of `after` are done, and watch it."""
        self._requests.put(lambda: self._submit(python, job_id, kind, spec, after))

    def watch(self, python: str, job_id: str, after: int) -> None:
        """Report on a job that was submitted earlier, from event `after` on."""
        self._requests.put(lambda: self._watch(python, job_id, after))

    def change(self, job_id: str, verb: str, body: dict[str, Any] | None = None) -> None:
        """Ask for a job to be changed (`http_client.change`); the answer comes as its state."""
        self._requests.put(lambda: self._change(job_id, verb, body))

    def forget(self) -> None:
        """Watch nothing any more: another file was opened."""
        self._requests.put(self._watched.clear)

    def start_engine(self, python: str) -> None:
        """Start the engine now, whatever went wrong before."""
        self._requests.put(lambda: self._start_engine(python))

    def look_at(self, python: str, clip: protocol.Clip) -> None:
        """Have the engine say what is to be known of a clip's footage."""
        self._requests.put(lambda: self._look_at(python, clip))

    def use_remote(self, python: str, url: str, token: str) -> None:
        """Have the engine at the other end of a tunnel do the work; with no `url`, this computer's own."""
        self._requests.put(lambda: self._use_remote(python, url, token))

    def stop_engine(self) -> None:
        """Shut the engine down; its jobs go on when it is started again."""
        self._requests.put(self._stop_engine)

    # -- on the thread

    def _run(self) -> None:
        pause: float | None = None
        while True:
            try:
                request = self._requests.get(timeout=pause)
            except queue.Empty:
                request = self._look
            try:
                request()
            except Exception as error:  # the thread must live on, and the user must hear of it
                self._tell_engine("failed", error=f"Understudy's connection to the engine failed: {error!r}.")
            if self._watched:
                pause = self._pace.poll if self._engine else self._pace.retry
            else:
                pause = self._pace.far if self._far and self._far.state == "away" else None

    def _submit(self, python: str, job_id: str, kind: str, spec: dict[str, Any], after: Sequence[str]) -> None:
        self._python = python
        try:
            job = self._ask(lambda engine: http_client.submit(engine, job_id, kind, spec, after))
        except (http_client.Refused, http_client.EngineGone, launcher.CannotStart) as error:
            self.reports.put(JobReport(id=job_id, state="failed", error=str(error)))
            return
        self._watched[job_id] = 0
        self._report(job, [])

    def _watch(self, python: str, job_id: str, after: int) -> None:
        self._python = python
        self._watched[job_id] = after
        self._told.pop(job_id, None)
        self._look()

    def _change(self, job_id: str, verb: str, body: dict[str, Any] | None) -> None:
        try:
            self._report(self._ask(lambda engine: http_client.change(engine, job_id, verb, body)), [])
        except http_client.Refused as error:
            self._refused(job_id, error)
        except http_client.EngineGone:
            self._tell_engine("failed", error="The engine does not answer: the job goes on as it was. Try again.")
        except launcher.CannotStart as error:
            self._tell_engine("failed", error=str(error))

    def _start_engine(self, python: str) -> None:
        self._python = python
        self._starts.clear()
        self._engine = None  # whoever asks has a reason to doubt that it is there
        try:
            self._connect()
        except (http_client.Refused, http_client.EngineSlow, launcher.CannotStart) as error:
            self._tell_engine("failed", error=str(error))

    def _look_at(self, python: str, clip: protocol.Clip) -> None:
        self._python = python
        try:
            address = self._connect()
        except (http_client.Refused, http_client.EngineSlow, launcher.CannotStart) as error:
            self._tell_engine("failed", error=str(error))
        else:  # seconds, in which jobs are watched
            threading.Thread(target=self._ask_of, args=(address, clip), name="understudy footage", daemon=True).start()

    def _ask_of(self, address: http_client.Address, clip: protocol.Clip) -> None:
        findings: list[protocol.Finding] = []
        with contextlib.suppress(http_client.Refused, http_client.EngineGone):  # an older engine, or one that ended
            findings = http_client.footage(address, clip).findings
        self.reports.put(FootageReport(clip=clip, findings=findings))

    def _use_remote(self, python: str, url: str, token: str) -> None:
        self._python = python
        try:
            self._told_engine(self._ask(lambda engine: http_client.use_remote(engine, url, token)))
        except (http_client.Refused, http_client.EngineGone) as error:
            self._look_at_engine(str(error))
        except launcher.CannotStart as error:
            self._tell_engine("failed", error=str(error))

    def _stop_engine(self) -> None:
        self._watched.clear()  # or the next look would start it again
        self._engine = None
        try:
            if address := http_client.read_address():
                http_client.shutdown(address)
        except http_client.EngineGone:
            pass
        except http_client.Refused as error:
            self._tell_engine("failed", error=str(error))
            return
        self._tell_engine("stopped")

    def _look(self) -> None:
        """Ask after every watched job once, and now and then after the engine that works for this one."""
        if self._engine and self._far and time.monotonic() - self._asked > self._pace.far:
            self._look_at_engine()
        for job_id in list(self._watched):
            try:
                after = self._watched[job_id]
                job, happened = self._ask(partial(http_client.events, job_id=job_id, after=after))
            except http_client.EngineGone:
                return  # looked for again after a while
            except http_client.Refused as error:
                self._refused(job_id, error)
            except launcher.CannotStart as error:
                self._watched.clear()
                self._tell_engine("failed", error=str(error))
            else:
                self._report(job, happened)

    def _refused(self, job_id: str, error: http_client.Refused) -> None:
        """An engine that does not know the job has lost it; one that will not have us may still run it."""
        if error.status == 404:
            self._watched.pop(job_id, None)
            sentence = "The engine on this computer does not know this job any more: start it again."
            self.reports.put(JobReport(id=job_id, state="failed", error=sentence))
        else:
            self._watched.clear()
            self._engine = None
            self._tell_engine("failed", error=str(error))

    def _ask(self, request: Callable[[http_client.Address], T]) -> T:
        """Put a request to the engine; once more at a fresh address if it was restarted since the last one.

        A repeat is harmless: jobs are known by their ids.
        """
        try:
            return request(self._connect())
        except (http_client.EngineGone, http_client.Refused) as error:
            self._engine = None
            if isinstance(error, http_client.Refused) and error.status != 401:
                raise
        try:
            return request(self._connect())
        except http_client.EngineGone:
            self._engine = None
            raise

    def _connect(self) -> http_client.Address:
        """The engine's address, after starting the engine if it does not run.

        Raises client.Refused, client.EngineSlow or launcher.CannotStart, each with a sentence.
        """
        if self._engine:
            return self._engine
        found = launcher.running()
        if found is None:
            now = time.monotonic()
            self._starts = [t for t in self._starts if now - t < RESTART_WINDOW_SECONDS]
            if len(self._starts) >= RESTARTS:
                raise launcher.CannotStart(
                    f"The engine stopped {RESTARTS} times within ten minutes: look into "
                    f"{protocol.home() / 'engine.log'}, then start it again."
                )
            self._starts.append(now)
            self._tell_engine("starting")
            found = launcher.start(self._python)
        self._engine, info = found
        self._told_engine(info)
        return self._engine

    def _report(self, job: protocol.Job, happened: list[protocol.Event]) -> None:
        """Draw a job and its new events together into one report, so that Blender only assigns."""
        final = job.state in protocol.FINAL_STATES
        seen = happened[-1].seq if happened else self._watched.get(job.id, 0)
        if final:
            self._watched.pop(job.id, None)
        else:
            self._watched[job.id] = seen
        losses = [e.data for e in happened if e.kind == "loss" and e.data.get("values")]
        verdicts = [e.data for e in happened if e.kind == "verdict"]
        previews = [e.data for e in happened if e.kind == "preview"]
        warnings = [e.data for e in happened if e.kind == "log" and e.data.get("level") in {"warning", "error"}]
        self._tell(
            JobReport(
                id=job.id,
                state=job.state,
                progress=job.progress,
                message=job.message,
                seconds_left=job.seconds_left,
                error=job.error or "",
                result=job.result,
                last_seq=seen,
                losses=[[int(one.get("step", 0)), float(sum(one["values"].values()))] for one in losses],
                verdict=str(verdicts[-1].get("text", "")) if verdicts else "",
                preview=str(previews[-1].get("path", "")) if previews else "",
                warning="\n".join(dict.fromkeys(str(one.get("text", "")) for one in warnings)),
                priority=job.priority,
            )
        )

    def _tell(self, report: JobReport) -> None:
        """Nothing is said twice: the panel would be drawn again for nothing."""
        if report != self._told.get(report.id):
            self._told = {**{i: r for i, r in self._told.items() if i in self._watched}, report.id: report}
            self.reports.put(report)

    def _look_at_engine(self, error: str = "") -> None:
        self._asked = time.monotonic()
        with contextlib.suppress(http_client.Refused, http_client.EngineGone, launcher.CannotStart):
            self._told_engine(self._ask(http_client.engine_info), error)

    def _told_engine(self, info: protocol.EngineInfo, error: str = "") -> None:
        self._far = info.remote
        report = EngineReport(
            state="ready", device=info.device, version=info.version, remote=info.remote, error=error
        )  # fmt: skip
        if report != self._engine_told:
            self._engine_told = report
            self.reports.put(report)

    def _tell_engine(self, state: str, error: str = "") -> None:
        self._far, self._engine_told = None, EngineReport(state=state, error=error)
        self.reports.put(self._engine_told)
