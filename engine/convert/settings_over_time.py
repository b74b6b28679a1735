"""Settings that change over time: what each frame gets, from a conversion's settings and the keys of its curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import DataError
from ..protocol import ConvertSettings, Curves, Setting, settings_of

MOST_KEYS = 1_000_000
"""Of one curve: ten hours of film, every frame keyed."""


@dataclass(frozen=True)
class _Curve:
    """One setting's keys: `part` is its place in a list (None: it is no list)."""

    name: str
    part: int | None
    frames: np.ndarray
    values: list[Any]

    def at(self, frame: int) -> Any:
        if isinstance(self.values[0], float):
            return float(np.interp(frame, self.frames, self.values))
        return self.values[max(int(np.searchsorted(self.frames, frame, "right")) - 1, 0)]


def settings_by_frame(settings: ConvertSettings, curves: Curves) -> Callable[[int], ConvertSettings]:
    """A function that tells the settings of a frame of the source. Raises DataError when a curve cannot be used.

    Frames with equal settings share one object.
    """
    known = {one.name: one for one in settings_of(ConvertSettings) if one.label}
    read = [_read(name, keys, known) for name, keys in sorted(curves.items())]
    made: dict[tuple[Any, ...], ConvertSettings] = {}

    def at(frame: int) -> ConvertSettings:
        values = tuple(curve.at(frame) for curve in read)
        if values not in made:
            changed: dict[str, Any] = {}
            for curve, value in zip(read, values, strict=True):
                if curve.part is None:
                    changed[curve.name] = value
                else:
                    changed.setdefault(curve.name, list(getattr(settings, curve.name)))[curve.part] = value
            made[values] = replace(settings, **changed) if changed else settings
        return made[values]

    return at


def _read(name: str, keys: Any, known: dict[str, Setting]) -> _Curve:
    """A curve from what somebody sent. Raises DataError with a sentence that names it."""
    head, dot, part = name.partition(".")
    one = known.get(head)
    parts = one.limits.parts if one and one.limits else ()
    if one is None or bool(dot) != bool(parts) or (dot and part not in parts):
        names = ", ".join(
            f"{n}.{p}" if p else n for n, s in known.items() for p in (s.limits.parts if s.limits else ()) or ("",)
        )
        raise DataError(f"There is no setting {name!r} that could change over time. Give one of {names}.")
    usual = getattr(ConvertSettings(), head)
    kind = "a number" if parts or isinstance(usual, float) else "true or false"
    kind = f"one of {', '.join(one.choices)}" if one.choices else kind
    if not isinstance(keys, list) or not 0 < len(keys) <= MOST_KEYS:
        raise DataError(f"The curve of {name} has no keys, or more than {MOST_KEYS}. Give a list of [frame, {kind}].")
    frames: list[int] = []
    values: list[Any] = []
    for key in keys:
        if not isinstance(key, list) or len(key) != 2 or not _is_frame(key[0]):
            raise DataError(f"A key of {name} is {key!r:.60}. Give [frame, value] with a whole number as the frame.")
        frame, value = key
        if frames and frame <= frames[-1]:
            raise DataError(f"The keys of {name} are not in order at frame {frame}. Sort them, each frame once.")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = (
            isinstance(value, str) and value in one.choices
            if one.choices
            else number and one.limits is not None and one.limits.allow(value)
            if one.limits
            else isinstance(value, bool)
        )
        if not fits:
            within = f" within {one.limits.words()}" if one.limits else ""
            raise DataError(f"{name} is {value!r:.60} at frame {frame}. Give {kind}{within}.")
        frames.append(frame)
        values.append(float(value) if number else value)
    return _Curve(head, parts.index(part) if parts else None, np.array(frames, np.float64), values)


def _is_frame(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
