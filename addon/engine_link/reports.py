"""What the workers in the process beside Blender (`sidecar`) say to the add-on: plain facts. No bpy."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from ...engine import protocol

SetupState = Literal["idle", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """A job as the engine sees it, with what happened since the last report drawn together.

    `state` is one of `protocol.JobState`; a job that the engine refuses or does not know is reported as failed.
    `losses` are [step, loss] of a training, oldest first.
    """

    id: str
    state: str
    progress: float = 0.0
    message: str = ""
    seconds_left: float | None = None
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    last_seq: int = 0
    losses: list = field(default_factory=list)
    preview: str = ""
    verdict: str = ""
    warning: str = ""
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class EngineReport:
    """How it stands with the engine: "starting", "ready", "stopped" or "failed" (then `error` says why).

    `remote` is the other machine's engine that does the work, None where this computer's does.
    """

    state: str
    device: str = ""
    version: str = ""
    error: str = ""
    remote: protocol.RemoteInfo | None = None


@dataclass(frozen=True, kw_only=True)
class FootageReport:
    """What is to be known of the footage of a clip before it is recast; nothing where no engine told it."""

    clip: protocol.Clip
    findings: list[protocol.Finding]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An answer: the frame that `key` stands for is the PNG at `path`, or `error` says why there is none.

    `engine_gone`: nobody answers. `dropped`: somebody asked for a newer one first; worth another try.
    """

    key: Hashable
    path: str = ""
    steps: int = 0
    seconds: float = 0.0
    error: str = ""
    engine_gone: bool = False
    dropped: bool = False


@dataclass(frozen=True, kw_only=True)
class Faces:
    """An answer: the faces of the scan folder that `key` stands for, by source frame."""

    key: Hashable
    faces: dict[int, list[protocol.FaceBox]]


@dataclass(frozen=True, kw_only=True)
class FaceRows:
    """Some of the faces of a scan folder as `boxes.rows` has them, so that no reading takes long; `more` follow."""

    key: Hashable
    rows: list
    more: bool


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the set-up is: `fraction` 0..1, what it does now, and why it failed."""

    state: SetupState = "idle"
    fraction: float = 0.0
    message: str = ""
    error: str = ""
