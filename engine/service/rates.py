"""How long jobs took, so that the next one of the kind can say from its first moment how long it will take.

`rates.json` of the engine's home holds, by kind and device, the seconds a unit of work took (a frame; a second of
sound; a minute of training) and the shape: which share of its time a job has used when it is at each twentieth of its
fraction. A job's stages are not equally fast, which the fraction does not know and the shape does. Standard library
only.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..durable import write_json
from ..protocol import (
    ConvertSpec,
    JobKind,
    JobSpec,
    ScanSpec,
    SoundClip,
    TrainSpec,
    VoiceSpec,
    VoiceTrainSpec,
    from_json,
    parse_json,
)
from ..reading import read_text

FILE_NAME = "rates.json"
SHAPE_INTERVALS = 20
MAX_UNSEEN_SHARE = 0.03  # a job that was watched from so early on tells how long one takes
NEWEST = 0.5  # weight of the last job against all before it
NEARLY = 0.97  # of the least that a job can take: it was one that ran to its end
EARLY_SHARE = 0.4  # share of its time after which a job is judged by itself alone


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What earlier jobs took: seconds for a unit of work, and `shape` (SHAPE_INTERVALS + 1 shares of time, 0 to 1)."""

    seconds: float
    shape: list[float]

    def share(self, fraction: float) -> float:
        """The share of its time that a job at this fraction has used."""
        place = min(max(fraction, 0.0), 1.0) * SHAPE_INTERVALS
        mark = min(int(place), SHAPE_INTERVALS - 1)
        return self.shape[mark] + (place - mark) * (self.shape[mark + 1] - self.shape[mark])


def units_of(spec: JobSpec) -> float | None:
    """How much there is to do, None where only the job itself finds out."""
    if isinstance(spec, TrainSpec):
        return None if spec.preset == "draft" else spec.minutes
    if isinstance(spec, ScanSpec):
        return None if spec.clip.end is None else float(spec.clip.end - spec.clip.start)
    if isinstance(spec, VoiceTrainSpec):
        return spec.minutes or _seconds(spec.material)
    if isinstance(spec, VoiceSpec):
        return _seconds([spec.clip])
    if isinstance(spec, ConvertSpec):
        try:
            summary = parse_json(read_text(Path(spec.scan) / "scan.json"))
            first = int(summary["clip"]["start"])
            start = first if spec.start is None else spec.start
            return float((first + int(summary["frames"]) if spec.end is None else spec.end) - start)
        except (OSError, ValueError, KeyError, TypeError):
            return None
    return None


def _seconds(clips: Sequence[SoundClip]) -> float | None:
    """How long clips of sound are together, None where one goes to its end."""
    ends = [clip.end for clip in clips]
    return None if None in ends else sum(float(clip.end or 0) - clip.start for clip in clips)


def least_seconds(spec: JobSpec) -> float:
    """Seconds that a unit of it takes at least: what is told in minutes lasts so long, unless it is taken up again or
    ends early, which tells nothing of the next."""
    counted = isinstance(spec, TrainSpec | VoiceTrainSpec) and getattr(spec, "preset", "") != "draft" and spec.minutes
    return 60.0 if counted else 0.0


def key_of(kind: JobKind, spec: JobSpec, home: Path) -> str:
    """What jobs have in common that take alike: kind, preset, and where they are done."""
    try:
        device = str(json.loads(read_text(home / "device.json", "ascii"))["device"])
    except (OSError, ValueError, KeyError, TypeError):
        device = ""
    if (home / "remote.json").exists():
        device = "remote"
    preset = getattr(spec, "preset", "")
    if isinstance(spec, VoiceTrainSpec) and not spec.minutes:
        preset = "draft"
    return "/".join([kind, preset, device])


def read_rate(home: Path, key: str, least: float = 0.0) -> Rate | None:
    """What jobs of this key took, None where none has ended yet, or a unit took fewer than `least` seconds."""
    try:
        rate = from_json(Rate, _read(home)[key])
    except (KeyError, ValueError):
        return None
    whole = rate.seconds > NEARLY * least and rate.seconds > 0
    sound = whole and len(rate.shape) == SHAPE_INTERVALS + 1 and rate.shape[0] == 0 and rate.shape[-1] == 1
    return rate if sound and rate.shape == sorted(rate.shape) else None


def even_rate(least: float) -> Rate | None:
    """What a first job is taken to need whose units take so many seconds at least; None where nothing tells."""
    return Rate(seconds=least, shape=[n / SHAPE_INTERVALS for n in range(SHAPE_INTERVALS + 1)]) if least else None


def record_rate(
    home: Path, key: str, units: float | None, rises: Sequence[tuple[float, float]], least: float = 0.0
) -> None:
    """Keep what a job took. `rises` are its seconds and fractions, from the beginning to the end.

    Nothing is learned from one that was taken up again, or was too quick to tell: a unit took fewer than `least`
    seconds. Raises OSError.
    """
    watched = len(rises) >= 2 and rises[0][1] <= MAX_UNSEEN_SHARE and rises[-1][1] >= 1 - MAX_UNSEEN_SHARE
    if not units or not watched or rises[-1][0] - rises[0][0] < 1.0:
        return
    begun, took = rises[0][0], rises[-1][0] - rises[0][0]
    if took < NEARLY * least * units:
        return
    fractions = [0.0, *(fraction for _, fraction in rises[1:-1]), 1.0]
    shares = [(time - begun) / took for time, _ in rises]
    shape = [_between(fractions, shares, mark / SHAPE_INTERVALS) for mark in range(SHAPE_INTERVALS + 1)]
    rate = Rate(seconds=took / units, shape=[0.0, *shape[1:-1], 1.0])
    if old := read_rate(home, key, least):
        mixed = [NEWEST * new + (1 - NEWEST) * before for new, before in zip(rate.shape, old.shape, strict=True)]
        rate = Rate(seconds=NEWEST * rate.seconds + (1 - NEWEST) * old.seconds, shape=mixed)
    write_json(home / FILE_NAME, {**_read(home), key: asdict(rate)})


def _between(xs: list[float], ys: list[float], x: float) -> float:
    """`ys` over rising `xs`, in straight lines."""
    right = min(max(bisect_left(xs, x), 1), len(xs) - 1)
    width = xs[right] - xs[right - 1]
    part = (x - xs[right - 1]) / width if width > 0 else 1.0
    return ys[right - 1] + min(max(part, 0.0), 1.0) * (ys[right] - ys[right - 1])


def _read(home: Path) -> dict[str, Any]:
    try:
        found = parse_json(read_text(home / FILE_NAME, "ascii"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
