"""Jobs on Blender's side: start them, take in what the poller reports, keep them through undo and reopening.

All of this runs on the main thread. A running job is not undone by Ctrl-Z (`cancel` stops it): the records
of this session are mirrored here and put back after an undo. What a job brings (people, a strip) is one undo step.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

import bpy

from ...engine import protocol
from ..engine_link.handles import TICK_BUDGET_SECONDS, PollerHandle
from ..engine_link.reports import EngineReport, FootageReport, JobReport
from ..engine_link.sidecar import SIDECAR
from ..i18n import tr
from ..state import consent_records, failures, hooks, kept_json, people_store, project
from ..state.properties import SCHEMA
from ..state.steps import named, unfinished
from ..state.user_preferences import engine_python
from ..viewport import loss_curve, preview
from . import follow, job_words, known_footage, results

if TYPE_CHECKING:
    from ..state.properties import UnderstudyJob, UnderstudyState

BUSY_SECONDS, IDLE_SECONDS, CONNECT_SECONDS = 0.1, 0.5, 0.01
KEPT_FINISHED = 10
ASIDE = "UNDERSTUDY_ASIDE"
"""Set in the environment of a Blender that only renders: the jobs of its file are none of its business."""
_FIELDS = (
    "id", "kind", "about", "model", "output", "state", "progress", "message", "seconds_left", "loss", "step",
    "curve", "preview", "verdict", "warning", "error", "last_seq", "priority",
)  # fmt: skip

engine = EngineReport(state="stopped")
"""How it stood with the engine when last heard of."""

_poller: PollerHandle | None = None
_mirror: dict[str, tuple[str, dict[str, Any]]] = {}  # job id → (scene's name, fields)
_recast_with_defaults: dict[str, bool] = {}  # scene's name → whether one step follows the other by itself
_resume = False
_stopping: set[str] = set()  # the ids of jobs that were asked to stop


def poller() -> PollerHandle:
    """The session's poller; the process that it works in is started when first needed."""
    global _poller
    if _poller is None:
        _poller = PollerHandle()
    return _poller


def start(
    scene: bpy.types.Scene, kind: protocol.JobKind, spec: protocol.JobSpec, *, about: dict[str, Any],
    output: str = "", model: str = "", after: str = "",
) -> UnderstudyJob:  # fmt: skip
    """Remember a new job in the scene and hand it to the poller; returns at once.

    `after` is the id of a job of the scene that must be done first: the engine starts this one then, with Blender or
    without.
    """
    state = scene.understudy
    state.error = ""
    state.schema = SCHEMA
    state.project = str(project.folder(state))
    _prune(state)
    job = state.jobs.add()
    job.id, job.kind, job.about = uuid.uuid4().hex, kind, json.dumps({**about, "after": after} if after else about)
    job.output, job.model = output, model
    waits = tr("Waits for the faces") if about.get("preset") == "draft" else tr("Waits for the training to end")
    job.message = waits if after else tr("Waiting for the engine")
    _remember(scene, job)
    if kind in job_words.LONG and not after:
        hooks.say(f"{job_words.what(job)}…")
    poller().submit(engine_python(), job.id, kind, protocol.to_json(spec), [after] if after else [])
    return job


def cancel(job: UnderstudyJob) -> None:
    """Ask the engine to stop a job at its next safe point, and what waits for it; returns at once.

    What waits goes first: the engine takes a job that waited in vain for a failed one. What a stopped training has
    learned is kept, for whoever recasts with it then.
    """
    for other in unfinished(job.id_data.understudy):
        if kept_json.mapping(other.about).get("after") == job.id:
            _stop(other)
    _stop(job)


def _stop(job: UnderstudyJob) -> None:
    _stopping.add(job.id)
    job.message = tr("Stopping…")
    poller().change(job.id, "cancel")


def is_stopping(job: UnderstudyJob) -> bool:
    """Whether a job was asked to stop and has not yet."""
    return job.id in _stopping and job.state not in protocol.FINAL_STATES


def run_next(job: UnderstudyJob) -> None:
    """Ask the engine to run a waiting job before the scene's others."""
    others = [other.priority for other in unfinished(job.id_data.understudy) if other.id != job.id]
    poller().change(job.id, "priority", {"priority": max(others, default=0) + 1})


def pause(job: UnderstudyJob) -> None:
    """Ask the engine to put a job aside: its memory is freed until it is resumed."""
    job.message = tr("Pausing")
    poller().change(job.id, "pause")


def go_on(job: UnderstudyJob) -> None:
    """Ask the engine to take a paused job up again."""
    job.message = tr("Waiting for the engine")
    poller().change(job.id, "resume")


def _prune(state: UnderstudyState) -> None:
    """Drop the oldest finished jobs; trainings stay, they tell which models there are."""
    finished = [
        job.id
        for job in state.jobs
        if job.state in protocol.FINAL_STATES and not (job.kind == "train" and job.state == "done")
    ]
    for job_id in finished[:-KEPT_FINISHED]:
        state.jobs.remove([job.id for job in state.jobs].index(job_id))
        _mirror.pop(job_id, None)


# -- the timer


def tick() -> float:
    """Take reports in for at most TICK_BUDGET_SECONDS (and one report); seconds until the next call.

    Blender's timer calls this; in background mode, where timers do not run, scripts and tests do.
    """
    global _resume
    if _resume:
        _resume = False
        resume()
    follow.follow()
    known_footage.follow(poller, engine.state == "ready")
    if _poller is None:
        return IDLE_SECONDS
    deadline = time.perf_counter() + TICK_BUDGET_SECONDS
    heard = False
    while time.perf_counter() < deadline:
        if (report := _poller.hear()) is None:
            break
        heard = True
        _take_in(report)
    if heard:
        hooks.redraw_sequencers({"UI"})
    busy = any(fields["state"] not in protocol.FINAL_STATES for _, fields in _mirror.values())
    return BUSY_SECONDS if busy else IDLE_SECONDS


def _connect() -> float | None:
    """Let the process beside Blender in as soon as it calls: its first requests wait for that. Runs only then."""
    SIDECAR.pump()
    return CONNECT_SECONDS if SIDECAR.connecting else None


def _connect_soon() -> None:
    if not bpy.app.timers.is_registered(_connect):
        bpy.app.timers.register(_connect, first_interval=CONNECT_SECONDS, persistent=True)


def _take_in(report: JobReport | EngineReport | FootageReport) -> None:
    global engine
    if isinstance(report, FootageReport):
        known_footage.learn(report)
        return
    if isinstance(report, EngineReport):
        engine = report
        if report.state == "ready":
            preview.learned()  # what could not be asked while it was away
        return
    for scene in bpy.data.scenes:
        if scene.library:
            continue
        index = next((i for i, job in enumerate(scene.understudy.jobs) if job.id == report.id), None)
        if index is not None and scene.understudy.jobs[index].state not in protocol.FINAL_STATES:
            _update(scene, scene.understudy.jobs[index], report)


def _update(scene: bpy.types.Scene, job: UnderstudyJob, report: JobReport) -> None:
    job.state, job.progress, job.last_seq = report.state, report.progress, max(report.last_seq, job.last_seq)
    job.message = (not is_stopping(job) and report.message) or job.message
    job.seconds_left = -1.0 if report.seconds_left is None else report.seconds_left
    job.error = failures.in_words(scene.understudy, job, report.error)
    if report.losses:
        job.step, job.loss = report.losses[-1]
        loss_curve.add(job.id, report.losses)
    if report.preview:
        job.preview = report.preview
        preview.learned()
    job.verdict = report.verdict or job.verdict
    job.warning = "\n".join(dict.fromkeys(filter(None, [*job.warning.splitlines(), *report.warning.splitlines()])))
    job.priority = report.priority
    if report.state in protocol.FINAL_STATES and (known := loss_curve.thinned(job.id)):
        job.curve = json.dumps(known)
    _remember(scene, job)
    job_id = job.id
    if report.state == "failed" and not (scene.understudy.error and "after" in kept_json.mapping(job.about)):
        scene.understudy.error = job.error or tr("The job failed and did not say why: look into the engine's log.")
        hooks.say(named(scene.understudy, scene.understudy.error), bad=True)
    elif report.state == "done":
        try:
            done = results.take_in(scene, job, report.result)
        except results.Unusable as error:
            scene.understudy.error = job.error = str(error)
            hooks.say(str(error), bad=True)
            done = ""
        preview.learned()
        if done:
            _undo_step(done)
    if report.state == "failed":
        results.scan_failed(scene, job)
    if report.state in protocol.FINAL_STATES:
        _stopping.discard(job_id)
        if hooks.go_on is not None and scene.understudy.recast_with_defaults:
            hooks.go_on(scene, report.state)
        project.adopt()


def set_recast_with_defaults(scene: bpy.types.Scene, going: bool) -> None:
    """Let one step follow the other by itself, or no more; an undo does not change that."""
    scene.understudy.recast_with_defaults = going
    _recast_with_defaults[scene.name] = going


def _undo_step(message: str) -> None:
    window = next(iter(bpy.context.window_manager.windows), None)
    with bpy.context.temp_override(window=window):  # a timer has no window of its own
        bpy.ops.ed.undo_push(message=message)


# -- through undo, reopening and the engine's restarts


def _remember(scene: bpy.types.Scene, job: UnderstudyJob) -> None:
    _mirror[job.id] = (scene.name, {name: getattr(job, name) for name in _FIELDS})


def change(scene: bpy.types.Scene, job: UnderstudyJob, **fields: str) -> None:
    """Set fields of a job so that an undo does not take them back."""
    for name, value in fields.items():
        setattr(job, name, value)
    _remember(scene, job)


def resume() -> None:
    """Watch the unfinished jobs of the open file (after it was loaded, or the engine was started again)."""
    if ASIDE in os.environ:
        return
    _mirror.clear()
    _stopping.clear()
    _recast_with_defaults.clear()
    people_store.forget_pictures()
    consent_records.look_again()
    loss_curve.clear()
    follow.forget()
    preview.forget()
    if _poller is not None:
        _poller.forget()
    for scene in bpy.data.scenes:
        if scene.library or scene.understudy.schema > SCHEMA:
            continue
        _recast_with_defaults[scene.name] = scene.understudy.recast_with_defaults
        for job in scene.understudy.jobs:
            _remember(scene, job)
            if job.curve:
                loss_curve.add(job.id, kept_json.rows(job.curve, int, float))
        for job in unfinished(scene.understudy):
            # a training's curve is drawn again from its beginning
            poller().watch(engine_python(), job.id, 0 if job.kind == "train" else job.last_seq)


def restore_after_undo() -> None:
    """Put the records of this session's jobs back as they are, not as they were when the step was made. Those that the
    step has and this session does not keep were dropped when they had long been finished."""
    for scene_name, going in _recast_with_defaults.items():
        if (scene := bpy.data.scenes.get(scene_name)) is not None and not scene.library:
            scene.understudy.recast_with_defaults = going
    for job_id, (scene_name, fields) in _mirror.items():
        scene = bpy.data.scenes.get(scene_name)
        if scene is None or scene.library:
            continue
        jobs = scene.understudy.jobs
        job = next((job for job in jobs if job.id == job_id), None) or jobs.add()
        for name, value in fields.items():
            setattr(job, name, value)
    for scene in bpy.data.scenes:
        if not scene.library:
            for number in range(len(scene.understudy.jobs) - 1, -1, -1):
                if scene.understudy.jobs[number].id not in _mirror:
                    scene.understudy.jobs.remove(number)


def register() -> None:
    """Start the timer; the jobs of a file that is open already are taken up at its first tick."""
    global _resume
    _resume = True
    hooks.engine_report = lambda: engine
    hooks.start_engine = lambda: poller().start_engine(engine_python())
    SIDECAR.started = _connect_soon
    bpy.app.timers.register(tick, first_interval=IDLE_SECONDS, persistent=True)


def unregister() -> None:
    """Stop the timers and the process beside Blender; the engine and its jobs go on."""
    global _poller
    for timer in (tick, _connect):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    SIDECAR.close()
    known_footage.forget()
    _poller = None
    _mirror.clear()
