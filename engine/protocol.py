"""What the add-on and the engine say to each other: one schema, stdlib only.

Every message is JSON. Specs go in, `Job` and `Event` come out; unknown fields are ignored
on reading, so that sides whose `PROTOCOL` major numbers agree understand one another.
Paths are absolute strings; frames are source frames counted from 0 in the order shown;
ranges are half-open, `[start, end)`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

PROTOCOL = "1.2"

JobKind = Literal[
    "scan", "people", "train", "convert", "voice-train", "voice", "consent", "forget", "report", "credential"
]
JobState = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
EventKind = Literal["state", "progress", "log", "loss", "preview", "verdict"]
Preset = Literal["draft", "quick", "standard", "fine"]
Network = Literal["refine", "shared"]
Verdict = Literal["improving", "slowing", "converged", "overfitting"]
OutputFormat = Literal["same", "h264", "h265", "prores-hq", "prores-4444", "dnxhr", "ffv1", "png", "tiff", "exr"]
ColourMethod = Literal["light", "reinhard", "mkl", "histogram", "none"]
BlendMethod = Literal["multiband", "feather", "seamless"]
Excitation = Literal["auto", "filter", "synth"]
Subject = Literal["face", "voice"]
View = Literal["original", "recast", "matte", "landmarks"]
Basis = Literal[
    "own face", "written permission", "licensed performer", "public domain or rights cleared", "test footage"
]

FINAL_STATES: tuple[JobState, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a number may be: `low` (with `above`, only more than that) to `high`, counted in `unit`.

    A field with `parts` is a list of as many numbers, each within the limits. The panel, the command line, the API's
    document and the engine all read them here.
    """

    unit: str
    low: float = 0.0
    high: float = math.inf
    above: bool = False
    parts: tuple[str, ...] = ()

    def allow(self, value: float) -> bool:
        """Whether it is a finite number within the limits."""
        return math.isfinite(value) and (self.low < value if self.above else self.low <= value) and value <= self.high

    def words(self) -> str:
        """The limits in words, as in "0 to 0.5"."""
        if math.isinf(self.high):
            return f"{'more than' if self.above else 'at least'} {self.low:g}"
        return f"{'above ' if self.above else ''}{self.low:g} to {self.high:g}"


def limited(unit: str, **limits: Any) -> dict[str, Limits]:
    """The metadata of a field whose numbers have limits (`Limits`)."""
    return {"limits": Limits(unit=unit, **limits)}


def limits_of(cls: type) -> dict[str, Limits]:
    """The fields of a dataclass that have limits."""
    return {f.name: f.metadata["limits"] for f in fields(cls) if "limits" in f.metadata}


def check_limits(message: Any) -> None:
    """Raise ValueError with a sentence that names the first number of a dataclass that is beyond its limits."""
    for name, limits in limits_of(type(message)).items():
        value = getattr(message, name)
        if limits.parts and len(value) != len(limits.parts):
            wanted = ("no", "one", "two", "three", "four")[len(limits.parts)]
            raise ValueError(
                f"{name.capitalize()} has {len(value)} numbers; give {wanted}, for {', '.join(limits.parts)}."
            )
        values = zip(limits.parts, value, strict=True) if limits.parts else [("", value)]
        for part, number in values:
            if number is not None and not limits.allow(number):
                where = f" at the {part}" if part else ""
                raise ValueError(f"{name.capitalize()}{where} is {number:g}; give {limits.unit}, {limits.words()}.")


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
    """Find, follow and group every face of a clip; writes a scan folder (see `engine.faces.scan`).

    `detectors` are names of `engine.faces.detectors`; empty means the embedded default. Frames of the
    same file that another scan of the project has looked at are not looked at again.
    """

    clip: Clip
    output: str
    project: str = ""
    detectors: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PeopleEdit:
    """One correction of who is who in a scan.

    rename   `persons` (one) are called `name`, here and wherever the project meets them again
    merge    all of `persons` are one, who keeps the first one's number and name
    split    the `tracks` of `persons` (one) are somebody else: a new person
    reject   `persons` are nobody (a poster, a false face); `restore` takes that back
    """

    action: Literal["rename", "merge", "split", "reject", "restore"]
    persons: list[int]
    name: str = ""
    tracks: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PeopleSpec:
    """Correct who is who in a scan; remembered when its clip is scanned again."""

    scan: str
    edits: list[PeopleEdit]
    project: str = ""


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
class TrainSettings:
    """What a face is trained for beyond its pixels.

    likeness          the recognition network has to see the same person with the same features in it
    adversarial       a critic is trained beside it, late, to tell it from real ones: finer texture, at some risk
    """

    likeness: bool = False
    adversarial: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """Train one model of exactly these people. `output` is the model folder; training into an
    existing folder of the same identities and preset goes on where it stopped.

    `minutes` is the wall-clock limit of this model's training, over all its resumed runs, None until
    it has converged; training stops by itself when it has converged before. The preset `draft` trains
    nothing and only gathers the facesets. `warm_start` is the folder of a model to begin from. `network` is what
    is trained: refine makes drafts into faces, shared is for footage where the mesh does not hold (profiles, blur).
    `settings` may change from one run of a model's training to the next.
    """

    identities: list[Identity]
    output: str
    preset: Preset = "quick"
    minutes: float | None = field(default=10.0, metadata=limited("a number of minutes", above=True))
    warm_start: str = ""
    project: str = ""
    network: Network = "refine"
    settings: TrainSettings = field(default_factory=TrainSettings)


@dataclass(frozen=True, kw_only=True)
class Swap:
    """A person of the scanned shot gets the face of an identity of the model.

    `target` names whose face is replaced, the identity whose consent is on record.
    """

    person: int
    identity: str
    target: str = ""


WIDTHS = "a part of the face's width"
SHARE = limited("a share", high=1.0)


@dataclass(frozen=True, kw_only=True)
class ConvertSettings:
    """How a recast face is fitted into the picture. Lengths are fractions of the face's width.

    erode             how far the mask is drawn in, at each side: top, right, bottom, left
    feather           width of the mask's soft edge
    colour            how the face takes on the colour of the one it replaces: light (low frequencies only),
                      reinhard (mean and spread), mkl (linear, least change), histogram, none
    blend             how the seam is hidden: multiband, feather, seamless (gradient domain)
    shape             0..1, how much of the source's own proportions the face gets; 0 keeps the target's
    smooth            0..1, how much of the landmarks' jitter is taken out over time
    match_sharpness   the face gets the softness and motion blur of the picture around it
    match_grain       the face gets the grain or noise of the picture around it
    keep_front        what stands in front of the face (a hand, a microphone) stays in front of the new one
    mark              a durable, invisible mark is put into the recast face; false needs `mark_reason`
    """

    erode: list[float] = field(
        default_factory=lambda: [0.0, 0.0, 0.0, 0.0],
        metadata=limited(WIDTHS, high=0.4, parts=("top", "right", "bottom", "left")),
    )
    feather: float = field(default=0.1, metadata=limited(WIDTHS, high=0.5))
    colour: ColourMethod = "mkl"
    blend: BlendMethod = "feather"
    shape: float = field(default=0.7, metadata=SHARE)
    smooth: float = field(default=1.0, metadata=SHARE)
    match_sharpness: bool = True
    match_grain: bool = True
    keep_front: bool = True
    mark: bool = True
    mark_reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ConvertSpec:
    """Recast the scanned clip; `output` is the finished movie's path, or a folder for picture sequences.

    `use_refiner` False converts with the draft even where a trained network is there. `start` and `end`
    narrow the range to a part of the scanned clip (None: all of it). `layer` writes only the recast face
    with straight alpha, and its matte beside it, in place of the whole frame. `overwrite` lets it take the place of a
    file that Understudy did not make; material never goes.
    """

    scan: str
    model: str
    swaps: list[Swap]
    output: str
    use_refiner: bool = True
    start: int | None = None
    end: int | None = None
    format: OutputFormat = "same"
    layer: bool = False
    settings: ConvertSettings = field(default_factory=ConvertSettings)
    project: str = ""
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class SoundClip:
    """A range of one track of sound of a movie or a sound file, in seconds from its first sample.

    `end` None means to its end.
    """

    path: str
    start: float = 0.0
    end: float | None = None
    track: int = 0


@dataclass(frozen=True, kw_only=True)
class VoiceTrainSpec:
    """Make the voice of an identity from recordings; `output` is the voice folder, one in it is made anew or goes on.

    `minutes` is the time that its network is adapted for; 0 makes the draft voice only, which is ready at once.
    """

    identity: str
    material: list[SoundClip]
    output: str
    minutes: float = 2.0
    project: str = ""


@dataclass(frozen=True, kw_only=True)
class VoiceSettings:
    """How a voice is recast.

    octave            whole octaves up (or down, negative); None proposes them for song
    semitones         semitones up (or down), on top; None proposes them for speech, 0 for song
    excitation        what is reshaped: filter (the actor's own waveform), synth (harmonics and noise), auto
    keep_room         the room's reverberation after the words stays
    stem              only the new voice is written, without what else sounds
    mark              an inaudible mark is put into the new voice; false needs `mark_reason`
    """

    octave: int | None = None
    semitones: float | None = None
    excitation: Excitation = "auto"
    keep_room: bool = True
    stem: bool = False
    mark: bool = True
    mark_reason: str = ""


@dataclass(frozen=True, kw_only=True)
class VoiceSpec:
    """Recast the voice of a clip of sound with the one in the folder `voice`; `output` is a sound file or a movie.

    The output is as long as the whole track, and differs within the clip only where the voice speaks. `target` is the
    identity whose voice is replaced, `identity` whose voice is heard: both consented. `draft` leaves a trained network
    aside. `overwrite` lets it take the place of a file that Understudy did not make; material never goes.
    """

    clip: SoundClip
    voice: str
    output: str
    target: str
    identity: str
    draft: bool = False
    settings: VoiceSettings = field(default_factory=VoiceSettings)
    project: str = ""
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class ConsentRecord:
    """Somebody's agreement to be recast, or to lend a face or a voice; one JSON file in the project's `consent/`.

    Face and voice are agreed to apart: `subject` says which, and each has a file of its own (`consent_file`).

    `person` is the human being's full name, `identity` the project's name for them. `date` is ISO 8601.
    `file` is a document that proves it, empty where there is none; `file_sha256` is filled by the engine.
    """

    identity: str
    person: str
    basis: Basis
    scope: str
    date: str
    file: str = ""
    file_sha256: str = ""
    subject: Subject = "face"


@dataclass(frozen=True, kw_only=True)
class ConsentSpec:
    """Put a consent record into the project; an earlier one of the same identity is kept as its history."""

    project: str
    record: ConsentRecord


@dataclass(frozen=True, kw_only=True)
class ForgetSpec:
    """Erase an identity's faces and all that was derived from them; `dry_run` only lists them."""

    project: str
    identity: str
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class ReportSpec:
    """Write the report of who was recast where, and with whose permission, to `output` (.html).

    `overwrite` lets it take the place of a file that is no report, or a changed one.
    """

    project: str
    output: str
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class CredentialSpec:
    """Give a finished `file` (a render of the timeline) content credentials; `ingredients` are the recasts in it."""

    file: str
    ingredients: list[str]
    project: str


@dataclass(frozen=True, kw_only=True)
class PreviewSpec:
    """`POST /v1/preview`: one frame as it would be recast now.

    `model` may be empty: then a draft is made from `identities` alone. `width` bounds the picture's width.
    """

    scan: str
    swaps: list[Swap]
    frame: int
    model: str = ""
    identities: list[Identity] = field(default_factory=list)
    view: View = "recast"
    width: int = 1920
    settings: ConvertSettings = field(default_factory=ConvertSettings)
    project: str = ""


@dataclass(frozen=True, kw_only=True)
class PreviewResult:
    """The answer: `path` of a PNG; `steps` of training behind it (0: a draft); `seconds` it took."""

    path: str
    steps: int
    seconds: float


JobSpec = (
    ScanSpec
    | PeopleSpec
    | TrainSpec
    | ConvertSpec
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


@dataclass(frozen=True, kw_only=True)
class PersonSummary:
    """One person of a scan, as `scan.json` lists them (most frames first, the rejected last).

    `thumbnail` is a file name inside the scan folder; `box` is x0, y0, x1, y1 in source pixels
    on `best_frame`, the frame the thumbnail was cut from. `known`: the name is the project's, found by
    their face or given by the user. `coverage` counts measured faces by pitch (rows, looking up first,
    edges PITCH_EDGES) and yaw (columns, the picture's left first, edges YAW_EDGES).
    """

    id: int
    name: str
    frames: int
    tracks: int
    first_frame: int
    best_frame: int
    box: list[float]
    thumbnail: str
    known: bool = False
    rejected: bool = False
    sharpness: float = 0.0
    track_ids: list[int] = field(default_factory=list)
    coverage: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raise ValueError where the picture is no file of the scan's: scans may come from anybody."""
        if Path(self.thumbnail).name != self.thumbnail or "\\" in self.thumbnail:
            raise ValueError(f"The picture of person {self.id} is no file name.")


YAW_EDGES = (-60.0, -35.0, -12.0, 12.0, 35.0, 60.0)
"""Degrees between the columns of a coverage: seven columns."""
PITCH_EDGES = (-30.0, -10.0, 10.0, 30.0)
"""Degrees between its rows: five rows."""


@dataclass(frozen=True, kw_only=True)
class FaceBox:
    """A face on a frame, for clients that draw: `boxes.json` of a scan folder is a list of
    [frame, person, track, x0, y0, x1, y1, carried 0 or 1], by frame; person -1 is nobody."""

    frame: int
    person: int
    track: int
    box: list[float]
    carried: bool


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
class RemoteInfo:
    """The engine of another machine that scans, trains and converts for this one.

    `url` is the local end of the way there, `host` and `device` are that machine's. ready: it answered when last
    asked; away: nobody answers, and jobs wait; refused: it will not have us, `error` says why.
    """

    url: str
    state: Literal["ready", "away", "refused"]
    host: str = ""
    device: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """`GET /v1/engine`, and (with the token) the file a client finds the engine by. `remote` None: it works itself."""

    protocol: str
    version: str
    pid: int
    device: str
    url: str
    host: str = ""
    remote: RemoteInfo | None = None


T = TypeVar("T")


def to_json(message: Any) -> dict[str, Any]:
    """A dataclass of this module as plain JSON types."""
    return asdict(message)


def parse_json(text: str | bytes) -> Any:
    """JSON of a file or a message that may come from anybody. Raises ValueError for whatever is no JSON."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def from_json(cls: type[T], data: Any) -> T:
    """Build `cls` from parsed JSON, checking types; unknown fields are ignored.

    Raises ValueError with one sentence that names the field when something is missing, of the
    wrong type or beyond its limits.
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
            made = expected(**{n: _read(hints[n], value[n], f"{where}.{n}") for n in known if n in value})  # type: ignore[operator]
        except TypeError as error:
            missing = str(error).rsplit(":", 1)[-1].strip()
            raise ValueError(f"{where} lacks {missing}.") from None
        check_limits(made)
        return made
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{where} is too large.") from None
    if expected is int and isinstance(value, float) and value.is_integer():
        return int(value)  # JSON knows no difference between 1 and 1.0
    if not isinstance(value, expected) or (expected is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} must be {expected.__name__}, not {type(value).__name__}.")
    return value


INSIDE_A_PROJECT = ("scans", "models", "recasts", "voices")
"""Folders of a project folder that hold one folder or file for each scan, model, …."""


def project_of(path: str | Path) -> Path:
    """The project folder that a scan, model, voice or recast lies in: the nearest parent named `*.understudy`, else
    the folder that holds it, or the one above where that is called as one of `INSIDE_A_PROJECT`.

    Specs whose `project` is empty mean this one of their `output` (or `scan`)."""
    path = Path(path)
    holds = path.parent.parent if path.parent.name in INSIDE_A_PROJECT else path.parent
    return next((parent for parent in path.parents if parent.suffix == ".understudy"), holds)


def consent_file(project: str | Path, identity: str, subject: Subject = "face") -> Path:
    """Where the consent record of an identity lies, or would lie, in a project folder. Case does not matter.

    Those for voices lie in a folder `voices` of their own.

    The file is a `ConsentRecord` with an additional `history`, a list of the records it replaced; the identity's
    consent stands when `from_json(ConsentRecord, …)` reads it. Of a forgotten identity only a note remains there
    (`forgotten`: the date), which does not.
    """
    name = identity.strip().casefold()
    plain = re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:48]
    mark = "" if plain == name else "-" + hashlib.sha256(name.encode()).hexdigest()[:6]
    folder = Path(project) / "consent"
    return (folder / "voices" if subject == "voice" else folder) / f"{plain}{mark}.json"


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


def make_home() -> Path:
    """`home`, made if need be so that nobody else on this computer looks into it. Raises OSError."""
    folder = home()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.environ.get("UNDERSTUDY_HOME") and folder.stat().st_mode & 0o077 and sys.platform != "win32":
        folder.chmod(0o700)  # an older version made it; a folder that the user named keeps their permissions
    return folder


def address_file() -> Path:
    """Where a running engine writes its `EngineInfo` and token (mode 0600)."""
    return home() / "engine.json"
