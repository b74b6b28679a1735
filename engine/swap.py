"""A whole recast in one call: scan both clips, train, convert; a second call goes on from the first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import job_bodies
from .console import Watched
from .errors import NoFaceError
from .faces.people.summary import read_summary as read_summary
from .media.formats import check_output
from .media.pictures import picture_files
from .media.reader import MediaInfo, probe, require_range
from .protocol import Clip, ConvertSettings, ConvertSpec, Identity, Material, Preset, ScanSpec, Swap, TrainSpec, to_json
from .provenance.outputs import footage, places_of, require_places

FACE, TARGET = "face", "target"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be recast; persons are numbers of a scan, `end` None is to the last frame."""

    shot: Path
    face: Path
    output: Path
    work: Path
    person: int
    face_person: int
    start: int
    end: int | None
    preset: Preset
    minutes: float
    settings: ConvertSettings = field(default_factory=ConvertSettings)
    overwrite: bool = False


def examine(request: Request, recordings: Sequence[Path] = ()) -> tuple[MediaInfo, MediaInfo]:
    """The shot and the face footage. Raises UnderstudyError for all that can be wrong before a frame is read, such as
    an output that is one of them, one of the `recordings` or something else that is not ours."""
    shot, face = probe(request.shot), probe(request.face)
    require_range(shot, request.start, request.end)
    check_output(request.output, shot)
    inputs = [request.shot, request.face, *recordings, *footage(request.work)]
    places = [request.output] if recordings else places_of(request.output)  # a recast voice keeps no settings
    require_places(places, inputs, request.overwrite, request.work)
    return shot, face


def scan_both(request: Request, shot: MediaInfo, face: MediaInfo, reporter: Watched) -> tuple[Path, Path]:
    """Scan the shot and the face footage, as `examine` found them; their scan folders.

    They lie in `scans/` of the work folder, named after what they are made of, so that a second call with the same
    footage scans nothing again. Raises UnderstudyError, NoFaceError where one of the two persons is not there.
    """
    end = require_range(shot, request.start, request.end)
    shot_scan = _scanned(request, shot, request.start, end, reporter)
    try:
        require_person(shot_scan, request.person)
        face_scan = _scanned(request, face, 0, face.frames, reporter)
        require_person(face_scan, request.face_person)
    except NoFaceError as error:
        raise NoFaceError(f"{error} What was scanned is kept in {request.work} for the next run.") from None
    return shot_scan, face_scan


def swap(request: Request, scans: tuple[Path, Path], names: tuple[str, str], reporter: Watched) -> dict[str, Any]:
    """Recast `person` of the shot with `face_person` of the face footage, as `scan_both` scanned them.

    `names` are the identities of who appears and who is recast, under which their consents are on record. The work
    folder gets `models/`, named after what they are made of, so that a second call trains on. Returns the facts of
    the convert job, the names, and where the model and both scans are. Raises UnderstudyError.
    """
    (shot_scan, face_scan), (shown, target) = scans, names
    parts = f"{shot_scan.name} {request.person} {face_scan.name} {request.face_person}"
    parts += "" if names == (FACE, TARGET) else f" {shown} {target}"
    model = request.work / "models" / f"{request.preset}-{_key(parts)}"
    identities = [
        Identity(name=shown, material=[Material(scan=str(face_scan), person=request.face_person)]),
        Identity(name=target, material=[Material(scan=str(shot_scan), person=request.person)]),
    ]
    with reporter.stage("Gathering faces" if request.preset == "draft" else "Training"):
        trained = job_bodies.run(
            "train",
            TrainSpec(
                identities=identities,
                output=str(model),
                preset=request.preset,
                minutes=request.minutes,
                project=str(request.work),
            ),
            reporter,
        )
    with reporter.stage("Recasting"):
        converted = job_bodies.run(
            "convert",
            ConvertSpec(
                scan=str(shot_scan),
                model=str(model),
                swaps=[Swap(person=request.person, identity=shown, target=target)],
                output=str(request.output),
                settings=request.settings,
                project=str(request.work),
                overwrite=request.overwrite,
            ),
            reporter,
        )
    who = {"face": shown, "target": target}
    return {**converted, **trained, **who, "scan": str(shot_scan), "face_scan": str(face_scan)}


def require_person(scan: Path, person: int) -> None:
    """Raise NoFaceError, naming who is there, when a scan does not know a person."""
    known = [p.id for p in read_summary(scan).people]
    if person not in known:
        raise NoFaceError(
            f"Person {person} does not appear in {read_summary(scan).clip.path}; the scan found "
            f"{', '.join(map(str, known)) or 'nobody'}. Look at the pictures person-N.jpg in {scan} and choose one."
        )


def _scanned(request: Request, info: MediaInfo, start: int, end: int, reporter: Watched) -> Path:
    """The scan folder of a clip, made now unless an earlier run finished it."""
    clip = Clip(path=str(info.path.resolve()), start=start, end=end)
    folder = request.work / "scans" / f"{info.path.stem}-{_key(json.dumps([to_json(clip), _state(info)]))}"
    if (folder / "scan.json").is_file():
        reporter.log(f"{info.path.name} is scanned already ({folder}).")
        return folder
    with reporter.stage(f"Scanning {info.path.name}"):
        job_bodies.run("scan", ScanSpec(clip=clip, output=str(folder), project=str(request.work)), reporter)
    return folder


def _state(info: MediaInfo) -> list[list[Any]]:
    """What changes when footage is replaced by other footage of the same name."""
    files = picture_files(info.path) if info.is_still else [info.path]
    return [[file.name, stat.st_size, stat.st_mtime_ns] for file in files if (stat := file.stat())]


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
