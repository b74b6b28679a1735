"""The voice: what is chosen, and what is missing before it can be recast. Like `steps`, whose words hold here, too."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...engine import protocol
from ..i18n import tr
from . import consent_records, people_store, project, project_files, steps

if TYPE_CHECKING:
    from .properties import UnderstudyIdentity, UnderstudyJob, UnderstudyState
    from .voice_properties import UnderstudyVoice

SOUNDS = {
    ".aac", ".ac3", ".aif", ".aiff", ".avi", ".flac", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp3", ".mp4",
    ".mts", ".ogg", ".opus", ".wav", ".webm", ".wma",
}  # fmt: skip
"""Names of files that the engine reads as sound (engine.media.waveform)."""


def voice_named(state: UnderstudyState, key: str) -> UnderstudyVoice | None:
    """The voice of that key."""
    return next((one for one in state.voices if one.key == key), None)


def chosen(state: UnderstudyState) -> UnderstudyVoice | None:
    """The voice that is to be heard."""
    return voice_named(state, state.speech.voice)


def footage_of(identity: UnderstudyIdentity) -> list[str]:
    """The movies of an identity, which may hold their voice."""
    return [one.clip_path for one in identity.materials if Path(one.clip_path).suffix.lower() in SOUNDS]


def speaker_key(state: UnderstudyState) -> str:
    """The name under which the consent of who is replaced is kept: the project's where they are known by name."""
    speech = state.speech
    if not (name := speech.speaker.strip()):
        stem = project.slug(speech.strip_name)[:24]
        return f"{stem}-{round(speech.source_start * 1000)}-{round(speech.source_end * 1000)}-voice"
    folder = project.folder_if_named(state)
    for subject in ("voice", "face"):
        for key, record in (consent_records.records(folder, subject) if folder else {}).items():
            if record.person.casefold() == name.casefold():
                return key
    return project.slug(name)


def speaker_called(state: UnderstudyState) -> str:
    """What they are called in the panel."""
    return state.speech.speaker.strip() or tr("Who is heard in {name}", name=state.speech.strip_name)


def known_speaker(state: UnderstudyState) -> str:
    """The name of the one person of the shot whose face is replaced, if they have one: most likely they speak, too."""
    swaps = steps.chosen(state)
    person = people_store.person_of(state.shot.scan, swaps[0].person) if len(swaps) == 1 else None
    return person.name if person is not None and person.known else ""


def lacking_consent(state: UnderstudyState) -> list[tuple[str, str]]:
    """(key, name) of who is to be heard and who is replaced, as far as their consent is not on record."""
    folder, voice, lacking = project.folder_if_named(state), chosen(state), {}
    everybody = [(voice.key, voice.name)] if voice is not None else []
    if state.speech.strip_id:
        everybody.append((speaker_key(state), speaker_called(state)))
    for key, name in everybody:
        if folder is None or consent_records.record(folder, key, "voice") is None:
            lacking[key] = name
    return list(lacking.items())


def voicing(state: UnderstudyState) -> list[UnderstudyJob]:
    """The jobs of voices that run or wait, in the order in which the engine takes them."""
    return [job for job in steps.in_turn(state) if job.kind in {"voice-train", "voice"}]


# -- voices on disk


def voice_folder(state: UnderstudyState, voice: UnderstudyVoice, *, trained: bool) -> Path:
    """Where the draft or the trained voice of these recordings lies, or will lie."""
    facts = "|".join(f"{_stamp(one.path)}:{one.start:.2f}:{one.end:.2f}" for one in voice.recordings)
    quality = "trained" if trained else "draft"
    return project.folder(state) / "voices" / f"{voice.key}-{hashlib.sha1(facts.encode()).hexdigest()[:8]}-{quality}"


def _stamp(path: str) -> str:
    """A file as it is now; its name, not its path: a moved project keeps its voices."""
    file = Path(path)
    stat = file.stat() if project_files.is_file(file) else None
    return f"{file.name}:{stat.st_size}:{stat.st_mtime_ns}" if stat else file.name


def card(folder: Path) -> dict[str, Any]:
    """What a voice folder says of itself; empty where there is no voice in it."""
    try:
        found = project_files.read_json(folder / "voice.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def made(state: UnderstudyState, voice: UnderstudyVoice, *, trained: bool) -> bool:
    """Whether a voice is there, as good as it is asked for: a trained one of at least these minutes."""
    found = card(voice_folder(state, voice, trained=trained))
    if not trained:
        return bool(found)
    minutes = found.get("minutes")
    return bool(found.get("steps")) and isinstance(minutes, (int, float)) and minutes >= state.speech.minutes - 0.05


# -- what is missing


def missing_for_voice(state: UnderstudyState | None) -> str:
    """Before it is clear whose voice is replaced by whose."""
    if missing := steps.locked(state):
        return missing
    speech, voice = state.speech, chosen(state)
    if not speech.strip_id:
        return tr("Mark the sound to recast first.")
    if not project_files.is_file(speech.source):
        return tr("The marked sound is not at {path}: find it with File > External Data, then mark it again.",
                  path=speech.source)  # fmt: skip
    if voice is None:
        return tr("Choose whose voice is to be heard first.")
    if not len(voice.recordings):
        return tr("Add a recording of {name} first.", name=voice.name)
    for one in voice.recordings:
        if not project_files.is_file(one.path):
            return tr("The recording {path} is not there any more: remove it, or add it again.", path=one.path)
    return ""


def missing_for_recast(state: UnderstudyState | None) -> str:
    """Before a voice may be drafted, trained and heard."""
    if missing := missing_for_voice(state):
        return missing
    if lacking := lacking_consent(state):
        return tr("Record the consent of {names} first.", names=", ".join(name for _, name in lacking))
    return tr("A voice is being recast.") if voicing(state) else ""


def clips(voice: UnderstudyVoice) -> list[protocol.SoundClip]:
    """A voice's recordings as the engine takes them."""
    return [
        protocol.SoundClip(path=one.path, start=round(one.start, 3), end=round(one.end, 3) or None)
        for one in voice.recordings
    ]
