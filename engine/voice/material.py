"""An identity's voice out of recordings: what is usable in them, and the folder that keeps it.

A voice folder holds `voice.json` (the card), `recordings.safetensors` (what was heard, measured) and, once trained,
`network.safetensors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ..arrays import read_arrays, write_arrays
from ..durable import hash_file, make_folders, write_json
from ..errors import DataError, NoVoiceError
from ..media.waveform import SoundInfo, probe_sound, read_spans, resample, to_float
from ..protocol import SoundClip, from_json, parse_json
from ..reading import read_text
from ..reporter import Part, Reporter
from . import speaker
from .analysis import Analysis, analyse
from .envelope import power, to_mel
from .pitches import describe, is_sung
from .separate import separate
from .signal import FRAMES_A_SECOND, RATE, decibels

CARD, RECORDINGS, NETWORK = "voice.json", "recordings.safetensors", "network.safetensors"
KIND, SCHEMA = "voice", 1
PIECE = 16
"""Seconds of a recording that are measured at a time; a disguised copy of it still fits the content's 30 s."""
SHORTEST = 2.0
"""Seconds of voice from which there is a voice to speak of."""
LONGEST = 600
"""Seconds of recordings that are kept; more of them are thinned evenly: published gains end at some five minutes."""
RANGE = 40.0
"""dB under the loud parts of a recording, where silence begins."""
CLEAN = 20.0
"""dB by which a voice stands over the rest from which a recording is taken as it is, not separated."""
SAME = 0.68
"""Cosine to the voice's mean under which 1.6 s are somebody else's: windows of one reader are .75 to .95."""
CLIPPED = 0.985
"""Of the highest value, which is reached again and again where sound is clipped."""
TELEPHONE = 5000.0
"""Hz: what ends under it has no sibilants to learn."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """`voice.json`. `pitch` are the 5, 50 and 95 % points in Hz, `histogram` seconds by semitone from A1 (55 Hz) on;
    `sources` SHA-256 of the files; `embedding` who it sounds like (256,)."""

    schema: int
    identity: str
    seconds: float
    sung: bool
    pitch: list[float]
    histogram: list[float]
    described: str
    sources: list[str]
    embedding: list[float]
    steps: int = 0
    minutes: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A piece of a recording: `content` (n, 1024), `mel` (n, 80) log envelope less the frame's power, `noise` (n, 5),
    `f0` (n,), `power` (n,) log, `weight` (n,) 0..1 how usable each frame is, `sound` at 16 kHz."""

    sound: np.ndarray
    content: np.ndarray
    mel: np.ndarray
    noise: np.ndarray
    f0: np.ndarray
    power: np.ndarray
    weight: np.ndarray


def gather(clips: list[SoundClip], reporter: Reporter, device: str = "cpu") -> tuple[list[Recording], list[str]]:
    """What is usable in the clips, and notes on what was left out. Raises NoVoiceError, MediaError."""
    tracks = [probe_sound(Path(clip.path), clip.track) for clip in clips]
    spans = [list(_spans(clip, info)) for clip, info in zip(clips, tracks, strict=True)]
    count = sum(map(len, spans))
    stride = max(1, -(-count * PIECE // LONGEST))
    found: list[Recording] = []
    clipped, bands = 0.0, []
    number = 0
    for info, wanted in zip(tracks, spans, strict=True):
        for samples in read_spans(info, wanted):
            reporter.check()
            number += 1
            if number % stride:
                continue
            part = Part(reporter, (number - 1) / count, number / count)
            part.progress(0.0, f"Separating the voice in {info.path.name}")
            sound = to_float(samples[:, : min(info.channels, 2)])
            hurt = _clipping(sound, info.rate)
            clipped += float(hurt.sum()) / FRAMES_A_SECOND
            heard = _voice_of(sound, info.rate, device)
            part.progress(0.5, f"Listening to {info.path.name}")
            one = analyse(heard, device)
            recording = _recording(one, hurt)
            if recording.weight.sum() > FRAMES_A_SECOND / 2:
                found.append(recording)
                bands.append(_band(one))
    seconds = sum(float(r.weight.sum()) for r in found) / FRAMES_A_SECOND
    names = ", ".join(dict.fromkeys(Path(clip.path).name for clip in clips))
    if seconds < SHORTEST:
        raise NoVoiceError(_nothing(names, clipped, seconds))
    if np.median(bands) < TELEPHONE:
        raise NoVoiceError(
            f"{names} ends at {np.median(bands) / 1000:.1f} kHz, as telephones do, and a voice made of it would lisp. "
            "Use recordings of 16 kHz or more."
        )
    found, notes = _one_speaker(found, device)
    if clipped > 1:
        notes.append(f"{clipped:.0f} s are clipped and were left out")
    return found, notes


def embedding_of(recordings: list[Recording]) -> np.ndarray:
    """Who speaks in the recordings: (256,) of unit length."""
    mean = np.mean([speaker.embed(one.sound) for one in recordings], 0)
    return np.asarray(mean / np.linalg.norm(mean))


def save(
    folder: Path,
    identity: str,
    recordings: list[Recording],
    clips: list[SoundClip],
    notes: list[str],
    embedding: np.ndarray,
) -> Card:
    """Write a draft voice into its folder, with who it sounds like (`embedding_of`); a network of earlier recordings
    goes."""
    require_own(folder)
    weights = [r.weight > 0.5 for r in recordings]
    f0 = np.concatenate([r.f0[w] for r, w in zip(recordings, weights, strict=True)])
    seconds, sung = len(f0) / FRAMES_A_SECOND, is_sung(f0)
    voiced = f0[f0 > 0]
    if not len(voiced):
        raise NoVoiceError("Nothing in the recordings has a pitch: is it whispered? Use recordings with a clear voice.")
    card = Card(
        schema=SCHEMA,
        identity=identity,
        seconds=round(seconds, 1),
        sung=sung,
        pitch=[round(float(p), 1) for p in np.percentile(voiced, (5, 50, 95))],
        histogram=[round(float(v), 2) for v in histogram(voiced)],
        described=describe(seconds, sung, f0),
        sources=sorted({hash_file(Path(clip.path)) for clip in clips}),
        embedding=[float(v) for v in embedding],
        notes=notes,
    )
    make_folders(folder)
    (folder / NETWORK).unlink(missing_ok=True)
    arrays = {"lengths": np.array([len(r.f0) for r in recordings], np.int32)}
    arrays["samples"] = np.array([len(r.sound) for r in recordings], np.int32)
    arrays["sound"] = np.concatenate([np.rint(np.clip(r.sound, -1, 1) * 32767).astype(np.int16) for r in recordings])
    for name in ("content", "mel", "noise", "power", "weight"):
        arrays[name] = np.concatenate([getattr(r, name) for r in recordings]).astype(np.float16)
    arrays["f0"] = np.concatenate([r.f0 for r in recordings]).astype(np.float32)
    write_arrays(folder / RECORDINGS, KIND, SCHEMA, arrays, {"identity": identity})
    write_json(folder / CARD, asdict(card))
    return card


def require_own(folder: Path) -> None:
    """Raise DataError where something else than a voice is in a folder."""
    if folder.exists() and not (folder / CARD).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} holds something that is no voice. Choose another folder.")


def read_card(folder: Path) -> Card:
    """The card of a voice folder. Raises DataError."""
    path = folder / CARD
    if not path.is_file():
        raise DataError(f"{folder} holds no voice. Make one: understudy voice train --help.")
    try:
        card = from_json(Card, parse_json(read_text(path)))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}). Make the voice again.") from None
    if card.schema != SCHEMA:
        raise DataError(f"{path} is of version {card.schema}, this Understudy reads {SCHEMA}. Make the voice again.")
    return card


def load(folder: Path) -> list[Recording]:
    """The recordings of a voice folder. Raises DataError."""
    arrays, _ = read_arrays(folder / RECORDINGS, KIND, SCHEMA, again="Make the voice again.")
    frames, samples = np.cumsum(arrays["lengths"])[:-1], np.cumsum(arrays["samples"])[:-1]
    names = ("content", "mel", "noise", "f0", "power", "weight")
    parts = {name: np.split(arrays[name].astype(np.float32), frames) for name in names}
    sounds = np.split(arrays["sound"].astype(np.float32) / 32767, samples)
    return [
        Recording(sound=sound, **{name: parts[name][number] for name in parts}) for number, sound in enumerate(sounds)
    ]


def histogram(voiced: np.ndarray) -> np.ndarray:
    """Seconds at each semitone from A1 (55 Hz) to A5 (48 of them)."""
    steps = np.rint(12 * np.log2(voiced / 55.0)).astype(int)
    return np.bincount(np.clip(steps, 0, 47), minlength=48) / FRAMES_A_SECOND


def _spans(clip: SoundClip, info: SoundInfo) -> Iterator[tuple[int, int]]:
    start = round(clip.start * info.rate)
    end = info.samples if clip.end is None else min(round(clip.end * info.rate), info.samples)
    for first in range(start, end, PIECE * info.rate):
        last = min(first + PIECE * info.rate, end)
        if last - first > info.rate // 2:
            yield first, last


def _voice_of(sound: np.ndarray, rate: int, device: str) -> np.ndarray:
    """The voice alone in (channels, samples), mono at 16 kHz."""
    voice = separate(sound, rate, device)
    clean = decibels(voice) - decibels(sound - voice) > CLEAN
    return resample((sound if clean else voice).mean(0), rate, RATE)


def _recording(one: Analysis, hurt: np.ndarray) -> Recording:
    weight = activity(one.level, one.f0)
    floor = np.percentile(one.level, 5)
    weight *= np.clip((one.level - floor) / 15, 0.3, 1)  # noisy: little stands over what is always there
    length = min(len(weight), len(hurt))
    weight[:length] *= ~hurt[:length]
    strength = power(one.envelope)
    return Recording(
        sound=one.sound,
        content=one.content,
        mel=to_mel(one.envelope - strength),
        noise=one.noise,
        f0=one.f0,
        power=strength[:, 0],
        weight=weight,
    )


def activity(level: np.ndarray, f0: np.ndarray, loud: float | None = None) -> np.ndarray:
    """Where somebody speaks, 0 or 1 a frame: loud enough, and near something voiced (within 0.3 s)."""
    top = float(np.percentile(level, 95)) if loud is None else loud
    reach = np.ones(61)
    near = np.convolve((f0 > 0).astype(float), reach, "same") > 3
    return ((level > max(top - RANGE, -70.0)) & near).astype(np.float32)


def _clipping(sound: np.ndarray, rate: int) -> np.ndarray:
    """Frames of 10 ms in which three samples in a row touch the recording's highest value, if that is a loud one."""
    top = float(np.abs(sound).max(initial=0))
    flat = (np.abs(sound) >= CLIPPED * top).any(0) & (top > 0.3)
    run = np.flatnonzero(flat[2:] & flat[1:-1] & flat[:-2])
    frames = np.zeros(sound.shape[1] * FRAMES_A_SECOND // rate + 1, bool)
    frames[run * FRAMES_A_SECOND // rate] = True
    return frames


def _band(one: Analysis) -> float:
    """Hz up to which a recording reaches: 45 dB under its strongest third of an octave."""
    mean = one.envelope[one.level > np.percentile(one.level, 60)].max(0)
    loud = np.flatnonzero(mean > mean.max() - 45 / 4.34)
    return float(loud[-1]) / (one.envelope.shape[1] - 1) * RATE / 2


def _one_speaker(found: list[Recording], device: str) -> tuple[list[Recording], list[str]]:
    """The recordings without those 1.6 s windows that another voice speaks in."""
    windows = [speaker.embed_windows(r.sound, device) for r in found]
    everyone = np.concatenate(windows)
    mean = everyone[(everyone @ everyone.T > SAME).sum(1).argmax()]
    for _ in range(3):
        near = everyone[everyone @ mean > SAME]
        mean = near.mean(0) / np.linalg.norm(near.mean(0))
    kept, lost = [], 0.0
    for recording, rows in zip(found, windows, strict=True):
        times = np.array([speaker.seconds_of(n) for n in range(len(rows))])
        likeness = np.interp(np.arange(len(recording.weight)) / FRAMES_A_SECOND, times, rows @ mean)
        strange = likeness < SAME
        lost += float((recording.weight * strange).sum()) / FRAMES_A_SECOND
        recording.weight[strange] = 0
        if recording.weight.sum() > FRAMES_A_SECOND / 2:
            kept.append(recording)
    if not kept:
        raise NoVoiceError("Several people speak in the recordings, none for long. Use recordings of one person.")
    return kept, [f"{lost:.0f} s of another voice were left out"] if lost > 2 else []


def _nothing(names: str, clipped: float, seconds: float) -> str:
    if clipped > 2:
        return f"{names} is clipped almost throughout. Use a recording that was not too loud."
    if seconds > 0.3:
        return f"{names} holds {seconds:.1f} s of voice; {SHORTEST:.0f} s are needed. Add recordings of this person."
    return f"Nobody speaks or sings in {names}. Choose recordings with a voice in them."
