"""What each kind of job does, from its spec to its result. The worker and the command line both call `run`."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from .alone import alone
from .devices import pick_device
from .errors import UnderstudyError
from .footage_stamp import facts, remember, require_unchanged
from .memory import keep_memory, require_room
from .plain_words import of_file, of_lack
from .project_links import require_inside
from .protocol import (
    Clip,
    ConsentSpec,
    ConvertSpec,
    CredentialSpec,
    ForgetSpec,
    JobKind,
    JobSpec,
    PeopleSpec,
    ReportSpec,
    ReviewSpec,
    ScanSpec,
    SoundClip,
    TrainSpec,
    VoiceSpec,
    VoiceTrainSpec,
    home,
    make_home,
    to_json,
)
from .provenance.consent import people_of, project_folder, record_consent, require_consent, today, voices_of
from .provenance.outputs import require_output
from .remote.file_sync import came_from_there, clear_mirror
from .remote.link import chosen_remote
from .reporter import Part, Reporter, Silent
from .settings import check_settings

# Read when torch loads its OpenMP. Threads that spin while they wait make every step many times slower as
# soon as another program (Blender, say) wants the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What torch compiles (and a folder it makes even where it compiles nothing) lies in the home folder: removing the
# engine takes it along.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(home() / "compiled"))
os.environ.setdefault("TRITON_CACHE_DIR", str(home() / "compiled" / "triton"))


MOST_DOUBTFUL = 500
"""Stretches of doubtful frames that are told: more than anybody looks at."""


def run(kind: JobKind, spec: JobSpec, reporter: Reporter) -> dict[str, Any]:
    """Do one job from beginning to end; see docs/dev/file-formats.md for the results.

    A job may be run again after a crash: it finishes what it had begun, or begins anew.
    Raises UnderstudyError with a sentence for the user, Stopped when `reporter.check` did.
    """
    from safetensors import SafetensorError

    try:
        if not isinstance(spec, ConsentSpec | ForgetSpec | ReportSpec | CredentialSpec):
            require_room()
        _require_named(spec)
        make_home()  # before torch or anybody else makes it, for all to read
        require_inside(spec)
        if isinstance(spec, TrainSpec | ConvertSpec):
            require_consent(project_folder(spec), people_of(spec))
        if isinstance(spec, VoiceTrainSpec | VoiceSpec):
            require_consent(project_folder(spec), voices_of(spec), "voice")
        require_unchanged(spec)
        if isinstance(spec, ScanSpec | TrainSpec):
            require_output(spec, came_from_there(project_folder(spec)))
        else:
            require_output(spec)
        if isinstance(spec, TrainSpec | ConvertSpec):
            _require_same_people(spec)
        if isinstance(spec, ScanSpec | TrainSpec | ConvertSpec) and (remote := chosen_remote()):
            from .remote.remote_job import run as run_there

            return run_there(remote, kind, spec, reporter)
        if isinstance(spec, ForgetSpec) and not spec.dry_run:
            clear_mirror(Path(spec.project))
        output = getattr(spec, "output", "")
        first = os.environ.get("RANK", "0") == "0"  # under torchrun several processes do one job
        with alone(Path(output)) if output and first else contextlib.nullcontext():
            return _RUNNERS[kind](spec, reporter)
    except UnderstudyError:
        raise
    except Exception as error:
        sentence = of_lack(error)
        if not sentence and isinstance(error, SafetensorError):
            sentence = f"A file could not be read or written ({error}). Make room, or choose another folder."
        if not sentence and isinstance(error, OSError):
            sentence = of_file(error)
        if sentence:
            raise UnderstudyError(sentence) from error
        raise


def _require_named(spec: Any) -> None:
    """Raise UnderstudyError when something that a job has to name is empty: an empty path would mean the folder that
    the engine happens to stand in."""
    for field in fields(spec):
        value = getattr(spec, field.name)
        if value == "" and field.default is MISSING:
            raise UnderstudyError(f"The job does not name its {field.name}. Say what is meant.")
        if isinstance(value, Clip | SoundClip):
            _require_named(value)


def _require_same_people(spec: TrainSpec | ConvertSpec) -> None:
    from .provenance.consented_people import require_same_people  # numpy and torch: recording a consent needs neither

    require_same_people(spec)


def _scan(spec: ScanSpec, reporter: Reporter) -> dict[str, Any]:
    from .faces.scan import scan

    keep_memory()
    source = Path(spec.clip.path)
    seen = facts(source) if source.exists() else {}
    project = Path(spec.project) if spec.project else None
    summary = scan(spec.clip, Path(spec.output), reporter, pick_device(reporter), project, spec.detectors)
    remember(spec, seen)
    return {"scan": spec.output, "people": len(summary.people), "frames": summary.frames}


def _people(spec: PeopleSpec, reporter: Reporter) -> dict[str, Any]:
    from .faces.people.edits import edit_people

    count = edit_people(Path(spec.scan), spec.edits, reporter, Path(spec.project) if spec.project else None)
    return {"scan": spec.scan, "people": count}


def _train(spec: TrainSpec, reporter: Reporter) -> dict[str, Any]:
    import torch

    from .model.model_folder import prepare, read_card
    from .model.training.trainer import train
    from .model.training.training_step import barrier, join_ranks, leave_ranks

    check_settings(spec)
    minutes = math.inf if spec.minutes is None else spec.minutes
    folder = Path(spec.output)
    trains = spec.preset != "draft"
    base = Path(spec.warm_start) if spec.warm_start else None
    if base:
        read_card(base)  # before anything is gathered
    rank = join_ranks()  # several processes under torchrun: the first one gathers and reports
    device = torch.device(pick_device(reporter))
    if not rank:
        gathering = Part(reporter, 0.0, 0.1 if trains else 1.0)
        card = prepare(folder, spec.identities, spec.preset, gathering, spec.network, device)
    barrier()
    if rank:
        card, reporter = read_card(folder), Silent()
    if trains:
        card = replace(card, settings=spec.settings)
        card = train(folder, card, minutes, device, Part(reporter, 0.1, 1.0), base)
    leave_ranks()
    return {"model": spec.output, "steps": card.steps, "minutes": card.minutes}


def _convert(spec: ConvertSpec, reporter: Reporter) -> dict[str, Any]:
    import torch

    from .convert.conversion import convert
    from .provenance.begun import Begun, begun
    from .provenance.recasts import certify, marker, recast_id

    told: dict[str, str] = {}
    sign = partial(certify, spec, reporter, told)
    shown = [swap.identity for swap in spec.swaps]
    with begun(project_folder(spec), Begun(id=recast_id(spec), date=today(), output=spec.output, identities=shown)):
        counts = convert(spec, torch.device(pick_device(reporter)), reporter, marker(spec), sign)
    return {"movie": spec.output, **counts, **told}


def _review(spec: ReviewSpec, reporter: Reporter) -> dict[str, Any]:
    from .convert.convert_settings import load_doubt, load_settings
    from .review.doubtful import doubtful_frames

    recast = Path(spec.recast)
    made = replace(load_settings(recast), output=spec.recast, scan=spec.scan)
    found = doubtful_frames(Path(spec.scan), reporter, made, load_doubt(recast), pick_device(reporter))
    return {"recast": spec.recast, "doubtful": [to_json(one) for one in found[:MOST_DOUBTFUL]], "count": len(found)}


def _voice_train(spec: VoiceTrainSpec, reporter: Reporter) -> dict[str, Any]:
    from .voice import networks
    from .voice.train import train_voice

    if spec.fetch and networks.missing():
        networks.fetch(Part(reporter, 0.0, 0.5))
        reporter = Part(reporter, 0.5, 1.0)
    return train_voice(spec, reporter, pick_device(reporter))


def _voice(spec: VoiceSpec, reporter: Reporter) -> dict[str, Any]:
    from .provenance.begun import Begun, begun
    from .provenance.voices import certify_voice, voice_recast_id
    from .voice.recast import recast_voice

    told: dict[str, str] = {}
    heard, identifier = voices_of(spec), voice_recast_id(spec)  # the one who is replaced is heard in the first pass
    with begun(project_folder(spec), Begun(id=identifier, date=today(), output=spec.output, identities=heard)):
        made = recast_voice(spec, reporter, pick_device(reporter), partial(certify_voice, spec, reporter, told))
    return {"sound": spec.output, **made, **told}


def _consent(spec: ConsentSpec, reporter: Reporter) -> dict[str, Any]:
    return {"record": str(record_consent(Path(spec.project), spec.record))}


def _forget(spec: ForgetSpec, reporter: Reporter) -> dict[str, Any]:
    from .provenance.forget import forget

    found = forget(Path(spec.project), spec.identity, spec.dry_run)
    items = [{"path": str(item.path), "what": item.what, "bytes": item.bytes} for item in found.items]
    left = [{"path": one.path, "why": one.why, "may_hold": one.may_hold} for one in found.left]
    return {"removed": [] if spec.dry_run else [item["path"] for item in items], "items": items, "left": left}


def _report(spec: ReportSpec, reporter: Reporter) -> dict[str, Any]:
    from .provenance.report import write_report

    return {"report": str(write_report(Path(spec.project), Path(spec.output), spec.overwrite))}


def _credential(spec: CredentialSpec, reporter: Reporter) -> dict[str, Any]:
    from .provenance.recasts import credential

    return {"file": spec.file, "credentials": credential(spec)}


_RUNNERS: dict[JobKind, Callable[[Any, Reporter], dict[str, Any]]] = {
    "scan": _scan,
    "people": _people,
    "train": _train,
    "convert": _convert,
    "review": _review,
    "voice-train": _voice_train,
    "voice": _voice,
    "consent": _consent,
    "forget": _forget,
    "report": _report,
    "credential": _credential,
}
