"""The project's recast voices: their credentials, and a record of each in `<project>/provenance/voices/`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..durable import hash_file
from ..protocol import VoiceSpec, to_json
from ..reporter import Reporter
from .consent import project_folder, read_consent, today
from .credentials import Claim, Ingredient, sidecar, sign
from .erase import is_folder, read_json
from .outputs import require_output
from .records import keep_record, read_records

FOLDER = "provenance/voices"


@dataclass(frozen=True, kw_only=True)
class VoiceRecast:
    """A recast voice as the project records it. `start` and `end` are samples of the track, `marked` whether the voice
    carries the inaudible mark; names of persons are empty where nobody's consent had been recorded."""

    id: str
    date: str
    output: str
    output_sha256: str
    output_bytes: int = 0
    source: str
    source_sha256: str
    start: float
    end: float | None
    identity: str
    target: str
    identity_person: str
    target_person: str
    voice: str
    recordings: list[str]
    marked: bool
    mark_reason: str = ""
    credentials: str = ""


def voice_recast_id(spec: VoiceSpec) -> str:
    """What names a recast of a voice: the same for the same spec and recordings."""
    named = json.dumps([to_json(replace(spec, overwrite=False)), _recordings(spec)], sort_keys=True)
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def certify_voice(
    spec: VoiceSpec, reporter: Reporter, told: dict[str, str], done: dict[str, Any], made: Mapping[Path, Path]
) -> dict[Path, Path]:
    """Sign what a recast of a voice made where it lies (final name → there), and record it in the project.

    Returns the same of the credentials beside it, and puts their id into `told`. Raises DataError or MediaError when
    a file cannot be read or signed; then nothing is recorded.
    """
    reporter.progress(1.0, "Signing the sound")
    output, source, project = Path(spec.output), Path(spec.clip.path), project_folder(spec)
    recordings, identifier = _recordings(spec), voice_recast_id(spec)
    source_hash = hash_file(source)
    ingredients = [Ingredient(source.name, "parentOf", source_hash, source)]
    ingredients += [Ingredient("recording of a voice", "inputTo", digest) for digest in recordings]
    facts = {
        "id": identifier,
        "voicesRecast": 1,
        "voiceMark": spec.settings.mark,
        "markReason": "" if spec.settings.mark else spec.settings.mark_reason,
        "sourceSha256": source_hash,
        "recordingsSha256": recordings,
        "seconds": [spec.clip.start, spec.clip.end],
        "secondsRecast": done["spoken"],
        "semitones": 12 * done["octave"] + done["semitones"],
        "stemOnly": spec.settings.stem,
    }
    whole = made[output]
    claim = Claim(output.name, "A voice was replaced by machine learning.", ingredients, facts, str(project.resolve()))
    credentials = told["credentials"] = sign(whole, claim)
    require_output(spec)  # somebody may have put a file there meanwhile
    people = [read_consent(project, name, "voice") for name in (spec.identity, spec.target)]
    names = [record.person if record else "" for record in people]
    record = VoiceRecast(
        id=identifier,
        date=today(),
        output=str(output),
        output_sha256=hash_file(whole),
        output_bytes=whole.stat().st_size,
        source=str(source),
        source_sha256=source_hash,
        start=spec.clip.start,
        end=spec.clip.end,
        identity=spec.identity,
        target=spec.target,
        identity_person=names[0],
        target_person=names[1],
        voice=spec.voice,
        recordings=recordings,
        marked=spec.settings.mark,
        mark_reason=facts["markReason"],
        credentials=credentials,
    )
    keep_record(project / FOLDER, record)
    return {sidecar(output): sidecar(whole)} if sidecar(whole).is_file() else {}


def recorded_voices(project: Path) -> list[tuple[Path, VoiceRecast]]:
    """Every recast voice that the project records, with the file of its record, oldest first.

    Raises DataError when a record is damaged.
    """
    return read_records(project / FOLDER, VoiceRecast) if is_folder(project / "provenance") else []


def _recordings(spec: VoiceSpec) -> list[str]:
    sources = _card(Path(spec.voice)).get("sources")
    return [str(digest) for digest in sources] if isinstance(sources, list) else []


def _card(folder: Path) -> dict[str, Any]:
    return read_json(folder / "voice.json")
