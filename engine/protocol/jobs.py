"""Jobs and what happens in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .consent import ConsentSpec, CredentialSpec, ForgetSpec, ReportSpec
from .conversion import ConvertSpec
from .review import ReviewSpec
from .scans import PeopleSpec, ScanSpec
from .training import TrainSpec
from .voice import VoiceSpec, VoiceTrainSpec

JobKind = Literal[
    "scan", "people", "train", "convert", "review", "voice-train", "voice", "consent", "forget", "report", "credential"
]
JobState = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
EventKind = Literal["state", "progress", "log", "loss", "preview", "verdict"]

FINAL_STATES: tuple[JobState, ...] = ("done", "failed", "cancelled")

JobSpec = (
    ScanSpec
    | PeopleSpec
    | TrainSpec
    | ConvertSpec
    | ReviewSpec
    | VoiceTrainSpec
    | VoiceSpec
    | ConsentSpec
    | ForgetSpec
    | ReportSpec
    | CredentialSpec
)
SPECS: dict[JobKind, type] = {
    "scan": ScanSpec,
    "people": PeopleSpec,
    "train": TrainSpec,
    "convert": ConvertSpec,
    "review": ReviewSpec,
    "voice-train": VoiceTrainSpec,
    "voice": VoiceSpec,
    "consent": ConsentSpec,
    "forget": ForgetSpec,
    "report": ReportSpec,
    "credential": CredentialSpec,
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as the engine sees it now.

    `progress` runs 0..1, `seconds_left` is None while unknown. `error` is one sentence for the
    user. `result` maps names to absolute paths and small facts, filled when the job is done.
    Jobs of higher `priority` run first, then older ones; none runs before all of `after` are done.
    """

    id: str
    kind: JobKind
    spec: dict[str, Any]
    state: JobState
    progress: float = 0.0
    message: str = ""
    seconds_left: float | None = None
    error: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0
    last_event: int = 0
    priority: int = 0
    after: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened in a job; `seq` counts up by one from 1 within the job.

    data by kind:
      state    {"state": JobState, "error"?: str, "attempt"?: int}
      progress {"fraction": 0..1, "message": str, "seconds_left": float | None}
      log      {"level": "info" | "warning" | "error", "text": str}
      loss     {"step": int, "values": {name: float}}
      preview  {"path": absolute path of a JPEG, "caption": str}
      verdict  {"verdict": Verdict, "text": str, "seconds_left": float | None}  how training stands
    """

    seq: int
    time: float
    kind: EventKind
    data: dict[str, Any]
