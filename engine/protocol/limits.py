"""What a number of a message may be: said once, for the panel, the command line, the API's document and the engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any


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
