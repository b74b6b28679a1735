"""One job in a process of its own: `python -m understudy.engine.service.worker RUN_DIR [RUNNER]`.

RUNNER, "module:function", is what does the job; it is called like `engine.job_bodies.run`. The worker
asks nobody: it reads the spec in its run directory, writes events and the result there, and goes
on whether the supervisor lives or not. Told to pause (a flag, or a TERM signal), it leaves the job
paused or queued and ends, which frees all its memory. A TERM signal to a job that was cancelled
already and reached no safe point since stops it where it stands. Whatever kills a worker leaves a
job without a result, which the supervisor starts again.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from .. import protocol
from ..durable import lock, sync_tree
from ..errors import Stopped, UnderstudyError
from ..protocol import SPECS, JobSpec, from_json
from . import rates, rundir
from .events import EventLog
from .launch import RUNNER
from .recorder import Estimate, Recorder

NICE = 5  # people work on this machine too
LOCK_SECONDS = 2.0  # seconds to wait for a supervisor that is just looking at the lock


def main(folder: Path, runner: str = RUNNER) -> None:
    """Do the job of a run directory, unless another worker is at it or it has ended."""
    faulthandler.enable()
    if sys.platform != "win32":
        os.nice(NICE)
    with lock(folder / rundir.LOCK, LOCK_SECONDS) as held:
        if held and rundir.outcome(folder) is None:
            with EventLog(folder / rundir.EVENTS) as log:
                work(folder, log, runner)


def work(folder: Path, log: EventLog, runner: str) -> None:
    """One attempt at the job."""
    recorder = Recorder(folder, log)
    signal.signal(signal.SIGTERM, lambda *_: _told_to_end(recorder))
    log.append("state", {"state": "running", "attempt": log.history.attempts + 1}, durable=True)
    try:
        recorder.check()
        job = json.loads((folder / rundir.SPEC).read_text(encoding="ascii"))
        spec: JobSpec = from_json(SPECS[job["kind"]], job["spec"])
        home, units, least = protocol.home(), rates.units_of(spec), rates.least_seconds(spec)
        key = rates.key_of(job["kind"], spec, home)
        recorder.estimate = Estimate(rates.read_rate(home, key, least) or rates.even_rate(least), units)
        module, _, name = runner.partition(":")
        result = _plain(getattr(importlib.import_module(module), name)(job["kind"], spec, recorder))
    except Stopped:
        recorder.close()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if recorder.paused and not recorder.cancelled:
            state = "paused" if (folder / rundir.HOLD).exists() else "queued"
            log.append("state", {"state": state}, durable=True)
        else:
            rundir.finish(folder, log, "cancelled")
    except UnderstudyError as error:
        recorder.close()
        rundir.finish(folder, log, "failed", error=str(error))
    except Exception as error:
        traceback.print_exc()
        recorder.close()
        rundir.finish(folder, log, "failed", error=_fault(error, folder))
    else:
        recorder.close()
        with contextlib.suppress(OSError):
            rates.record_rate(home, key, units or result.get("frames"), recorder.estimate.whole, least)
        for made in result.values():  # before anybody hears that it is done
            if isinstance(made, str) and Path(made).is_absolute():
                sync_tree(Path(made))
        rundir.finish(folder, log, "done", result=result)


def _told_to_end(recorder: Recorder) -> None:
    if recorder.cancelled:
        raise Stopped("The job was cancelled.")
    recorder.pause()


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    """The result as JSON has it: paths become strings, numpy's numbers Python's."""
    return json.loads(json.dumps(result, default=lambda value: value.item() if hasattr(value, "item") else str(value)))


def _fault(error: Exception, folder: Path) -> str:
    first = (str(error).splitlines() or [""])[0][:200]
    return (
        f"Internal error in the engine ({type(error).__name__}{': ' if first else ''}{first}). "
        f"Details are in {folder / rundir.LOG}; start the job again, and report it if it comes back."
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
