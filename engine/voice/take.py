"""The first pass over a voice: separated and measured piece by piece, kept on disk; and what that says of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from scipy import signal

from ..arrays import write_arrays
from ..errors import DataError, NoVoiceError
from ..media.waveform import SoundInfo, read_spans, resample, to_float
from ..reading import require_regular
from ..reporter import Part, Reporter
from .analysis import Analysis
from .content import find_content
from .envelope import BINS, find_envelope, find_noise
from .material import activity
from .pieces import Piece, frames_of_core
from .pitch import find_pitch
from .pitches import is_sung
from .render import film_band
from .separate import separate
from .signal import FRAMES_A_SECOND, RATE, levels

KIND, SCHEMA = "voice piece", 1
MEASURED = ("f0", "content", "level", "rest", "spectrum")
"""What is kept of a piece beside its voice."""
FAINT = -24.0
"""dB of the voice against the mix under which it is what a separator leaks of music, and nobody's voice."""
SHORTEST = 0.3
"""Seconds of voice that are worth recasting."""
AFTER = 0.1
"""Seconds over which falls of the level are taken."""


@dataclass(frozen=True, kw_only=True)
class Take:
    """What is known of the whole voice of a clip.

    `mean`, `spread` (1024,) of its content; `loud`, the level of its loud parts in dB; `f0` in Hz where it speaks,
    10 ms each; `band` in Hz that the film's sound reaches; `over_rest` dB that it stands over what else sounds while it
    speaks; `fall` dB a second of its fastest falls; `sung`.
    """

    mean: np.ndarray
    spread: np.ndarray
    loud: float
    f0: np.ndarray
    band: tuple[float, float]
    over_rest: float
    fall: float
    sung: bool


def measure(
    info: SoundInfo, pieces: Sequence[Piece], channels: list[int], work: Path, reporter: Reporter, device: str
) -> Take:
    """Separate and measure every piece that `work` does not hold yet. Raises NoVoiceError where nobody speaks."""
    for number, piece in enumerate(pieces):
        reporter.check()
        part = Part(reporter, number / len(pieces), (number + 1) / len(pieces))
        if not _file(work, piece).is_file():
            (samples,) = read_spans(info, [piece.span])
            measured = _measured(to_float(samples)[channels], info, device, part)
            write_arrays(_file(work, piece), KIND, SCHEMA, measured, {})
    return _take([_read(work, piece) for piece in pieces], info, pieces)


def voice_of(work: Path, piece: Piece) -> np.ndarray:
    """The separated voice (channels, samples) of a piece that was measured, float32, at the track's rate."""
    return _read(work, piece, ("voice",))["voice"]


def analysis_of(voice: np.ndarray, rate: int, work: Path, piece: Piece) -> Analysis:
    """All that making a piece anew asks of it; what is quick to find is found again."""
    kept = _read(work, piece, ("f0", "content"))
    sound = resample(voice.mean(0), rate, RATE)
    f0 = kept["f0"]
    return Analysis(
        sound=sound,
        f0=f0,
        envelope=find_envelope(sound, f0),
        noise=find_noise(sound, f0),
        content=kept["content"].astype(np.float32),
        level=levels(sound),
    )


def speaks(one: Analysis, take: Take) -> np.ndarray:
    """Where in a piece somebody speaks, 0 or 1 a frame."""
    return activity(one.level, one.f0, take.loud)


def _measured(mix: np.ndarray, info: SoundInfo, device: str, reporter: Reporter) -> dict[str, np.ndarray]:
    reporter.progress(0.0, "Separating the voice")
    voice = separate(mix, info.rate, device)
    reporter.progress(0.5, "Measuring its pitch")
    low, rest = (resample(part.mean(0), info.rate, RATE) for part in (voice, mix - voice))
    f0 = find_pitch(low, device=device)
    reporter.progress(0.7, "Listening to its words")
    spectrum = signal.welch(low + rest, RATE, nperseg=min(2 * (BINS - 1), len(low)), noverlap=0)[1]
    bins = np.linspace(0, len(spectrum) - 1, BINS)
    return {
        "voice": voice.astype(np.float32),
        "f0": f0,
        "content": find_content(low, device=device).astype(np.float16),
        "level": levels(low),
        "rest": levels(rest),
        "spectrum": np.interp(bins, np.arange(len(spectrum)), spectrum).astype(np.float32),
    }


def _take(found: list[dict[str, np.ndarray]], info: SoundInfo, pieces: Sequence[Piece]) -> Take:
    cores = [frames_of_core(piece, info.rate, len(one["f0"])) for piece, one in zip(pieces, found, strict=True)]
    rows = list(zip(found, cores, strict=True))
    f0, level, rest = (np.concatenate([one[name][core] for one, core in rows]) for name in ("f0", "level", "rest"))
    loud = float(np.percentile(level, 95)) if len(level) else -100.0
    active = activity(level, f0, loud) > 0 if len(level) else np.zeros(0, bool)
    seconds = active.sum() / FRAMES_A_SECOND
    against = _mean_level(level[active]) - _mean_level(np.logaddexp(level * 0.23, rest * 0.23) / 0.23)
    if seconds < SHORTEST or (f0[active] > 0).sum() / FRAMES_A_SECOND < SHORTEST / 2 or against < FAINT:
        first, last = pieces[0].core[0] / info.rate, pieces[-1].core[1] / info.rate
        where = f"{info.path.name} between {first:.1f} and {last:.1f} s"
        if _mean_level(rest) > -50:
            raise NoVoiceError(f"There is music or noise in {where}, but no voice. Choose a range in which it sounds.")
        raise NoVoiceError(f"Nobody speaks or sings in {where}. Choose a range with a voice in it.")
    content = np.concatenate([one["content"][core] for one, core in rows])[active]
    content = content.astype(np.float32)
    return Take(
        mean=content.mean(0),
        spread=content.std(0) + 1e-6,
        loud=loud,
        f0=np.where(active, f0, 0),
        band=film_band(np.mean([one["spectrum"] for one in found], 0)),
        over_rest=_mean_level(level[active]) - _mean_level(rest[active]),
        fall=_fall(level, loud),
        sung=is_sung(np.where(active, f0, 0)),
    )


def _mean_level(level: np.ndarray) -> float:
    """dB of the mean power of levels in dB."""
    return float(10 * np.log10(np.mean(10 ** (level / 10)) + 1e-10)) if len(level) else -100.0


def _fall(level: np.ndarray, loud: float) -> float:
    """dB a second in which the fastest 3 % of falls go down over 0.1 s; 400 where nothing falls."""
    width = round(AFTER * FRAMES_A_SECOND)
    before, after = level[:-width], level[width:]
    falls = (before - after)[(before > loud - 20) & (after > loud - 50)] / AFTER
    return float(np.percentile(falls, 97)) if len(falls) > width else 400.0


def _file(work: Path, piece: Piece) -> Path:
    return work / f"voice-{piece.number:05d}.safetensors"


def _read(work: Path, piece: Piece, names: tuple[str, ...] = MEASURED) -> dict[str, np.ndarray]:
    try:
        require_regular(_file(work, piece))
        with safe_open(_file(work, piece), framework="np") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise DataError(f"{_file(work, piece)} is damaged ({error}). Remove {work} and start again.") from None
