"""What the add-on and the engine say to each other: one schema, stdlib only.

Every message is JSON. Specs go in, `Job` and `Event` come out; unknown fields are ignored
on reading, so that sides whose `PROTOCOL` major numbers agree understand one another.
Paths are absolute strings; frames are source frames counted from 0 in the order shown;
ranges are half-open, `[start, end)`.
"""

from __future__ import annotations

import os
import sys
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

PROTOCOL = "1.0"

JobKind = Literal["scan", "train", "convert"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
EventKind = Literal["state", "progress", "log", "loss", "preview"]
Preset = Literal["draft", "quick", "standard"]

FINAL_STATES: tuple[JobState, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A range of source frames of one media file: a movie, one picture, or a folder of pictures.

    `end` None means to the last frame.
    """

    path: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, kw_only=True)
class ScanSpec:
    """Find, follow and group every face of a clip; writes a scan folder (see `engine.faces.scan`)."""

    clip: Clip
    output: str


@dataclass(frozen=True, kw_only=True)
class Material:
    """Where an identity's faces come from: one person of one scan folder."""

    scan: str
    person: int


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A named human being and the material that shows them."""

    name: str
    material: list[Material]


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """Train one model of exactly these people. `output` is the model folder; training into an
    existing folder of the same identities and preset goes on where it stopped.

    `minutes` is the wall-clock limit of this model's training, over all its resumed runs;
    the preset `draft` trains nothing and only gathers the facesets.
    """

    identities: list[Identity]
    output: str
    preset: Preset = "quick"
    minutes: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Swap:
    """A person of the scanned shot gets the face of an identity of the model."""

    person: int
    identity: str


@dataclass(frozen=True, kw_only=True)
class ConvertSpec:
    """Recast the scanned clip; `output` is the finished movie's path.

    `use_refiner` False converts with the draft even where a trained network is there.
    """

    scan: str
    model: str
    swaps: list[Swap]
    output: str
    use_refiner: bool = True


JobSpec = ScanSpec | TrainSpec | ConvertSpec
SPECS: dict[JobKind, type] = {"scan": ScanSpec, "train": TrainSpec, "convert": ConvertSpec}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as the engine sees it now.

    `progress` runs 0..1, `seconds_left` is None while unknown. `error` is one sentence for the
    user. `result` maps names to absolute paths and small facts, filled when the job is done.
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


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened in a job; `seq` counts up by one from 1 within the job.

    data by kind:
      state    {"state": JobState, "error"?: str, "attempt"?: int}
      progress {"fraction": 0..1, "message": str, "seconds_left": float | None}
      log      {"level": "info" | "warning" | "error", "text": str}
      loss     {"step": int, "values": {name: float}}
      preview  {"path": absolute path of a JPEG, "caption": str}
    """

    seq: int
    time: float
    kind: EventKind
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PersonSummary:
    """One person of a scan, as `scan.json` lists them (most frames first).

    `thumbnail` is a file name inside the scan folder; `box` is x0, y0, x1, y1 in source pixels
    on `best_frame`, the frame the thumbnail was cut from.
    """

    id: int
    name: str
    frames: int
    tracks: int
    first_frame: int
    best_frame: int
    box: list[float]
    thumbnail: str


@dataclass(frozen=True, kw_only=True)
class ScanSummary:
    """`scan.json`: what a scan found, for clients that read no arrays."""

    schema: int
    clip: Clip
    width: int
    height: int
    fps: list[int]  # numerator, denominator
    frames: int  # scanned
    variable_frame_rate: bool
    people: list[PersonSummary]


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """`GET /v1/engine`, and (with the token) the file a client finds the engine by."""

    protocol: str
    version: str
    pid: int
    device: str
    url: str


T = TypeVar("T")


def to_json(message: Any) -> dict[str, Any]:
    """A dataclass of this module as plain JSON types."""
    return asdict(message)


def from_json(cls: type[T], data: Any) -> T:
    """Build `cls` from parsed JSON, checking types; unknown fields are ignored.

    Raises ValueError with one sentence that names the field when something is missing or of
    the wrong type.
    """
    return typing.cast(T, _read(cls, data, cls.__name__))


def _read(expected: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(expected)
    if expected is Any:
        return value
    if origin is Literal:
        if value not in typing.get_args(expected):
            raise ValueError(f"{where} must be one of {', '.join(map(str, typing.get_args(expected)))}, not {value!r}.")
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(expected):
            return None
        (inner,) = [a for a in typing.get_args(expected) if a is not type(None)]
        return _read(inner, value, where)
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list.")
        (inner,) = typing.get_args(expected)
        return [_read(inner, v, f"{where}[{i}]") for i, v in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object.")
        return value
    if is_dataclass(expected):
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object.")
        hints = typing.get_type_hints(expected)
        known = {f.name: f for f in fields(expected)}
        try:
            return expected(**{n: _read(hints[n], value[n], f"{where}.{n}") for n in known if n in value})  # type: ignore[operator]
        except TypeError as error:
            missing = str(error).rsplit(":", 1)[-1].strip()
            raise ValueError(f"{where} lacks {missing}.") from None
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} must be {expected.__name__}, not {type(value).__name__}.")
    return value


def home() -> Path:
    """The user's Understudy folder: models, jobs and the running engine's address.

    `UNDERSTUDY_HOME` names another. Not created here.
    """
    named = os.environ.get("UNDERSTUDY_HOME")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "Understudy"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Understudy"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "understudy"


def address_file() -> Path:
    """Where a running engine writes its `EngineInfo` and token (mode 0600)."""
    return home() / "engine.json"
