"""What a person may set: each field's words, choices and limits, said once for the panel, the command line, the API's
document and the engine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a number may be: `low` (with `above`, only more than that) to `high`, counted in `unit`.

    A field with `parts` is a list of as many numbers, each within the limits.
    """

    unit: str
    low: float = 0.0
    high: float = math.inf
    above: bool = False
    parts: tuple[str, ...] = ()

    def allow(self, value: float) -> bool:
        """Whether it is a finite number within the limits."""
        return math.isfinite(value) and (self.low < value if self.above else self.low <= value) and value <= self.high

    def schema(self) -> dict[str, Any]:
        """The limits as metadata of a dataclass field that pydantic knows, from which OpenAPI has them."""
        if self.parts:
            count = len(self.parts)
            number = {"type": "number", "exclusiveMinimum" if self.above else "minimum": self.low, "maximum": self.high}
            return {"json_schema_extra": {"minItems": count, "maxItems": count, "items": number}}
        return {"gt" if self.above else "ge": self.low} | ({} if math.isinf(self.high) else {"le": self.high})

    def words(self) -> str:
        """The limits in words, as in "0 to 0.5"."""
        if math.isinf(self.high):
            return f"{'more than' if self.above else 'at least'} {self.low:g}"
        return f"{'above ' if self.above else ''}{self.low:g} to {self.high:g}"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A field as people know it: `label` in the panel (empty: not shown there), `help` as a tooltip and in manuals.

    `{part}` in `help` stands for one of the limits' parts. `choices`: label and help of each of the field's values.
    """

    name: str
    label: str
    help: str
    choices: dict[str, tuple[str, str]]
    limits: Limits | None


def setting(
    default: T = MISSING,  # type: ignore[assignment]
    label: str = "",
    help: str = "",
    *,
    choices: dict[str, tuple[str, str]] | None = None,
    limits: Limits | None = None,
) -> T:
    """A dataclass field with what `Setting` tells of it; without a `default` it has to be given."""
    told = Setting(name="", label=label, help=help, choices=choices or {}, limits=limits)
    described = {"description": help.format(part=", ".join(limits.parts) if limits else "")} if help else {}
    metadata = {"setting": told, **described, **(limits.schema() if limits else {})}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)  # type: ignore[return-value]
    return field(default=default, metadata=metadata)


def settings_of(cls: type) -> Iterator[Setting]:
    """The fields of a dataclass that `setting` made."""
    for one in fields(cls):
        if told := one.metadata.get("setting"):
            yield replace(told, name=one.name)


def limits_of(cls: type) -> dict[str, Limits]:
    """The fields of a dataclass that have limits."""
    return {one.name: one.limits for one in settings_of(cls) if one.limits}


def check_limits(message: Any) -> None:
    """Raise ValueError with a sentence that names the first number of a dataclass that is beyond its limits."""
    for name, limits in limits_of(type(message)).items():
        value = getattr(message, name)
        if limits.parts and len(value) != len(limits.parts):
            wanted = ("no", "one", "two", "three", "four", "five", "six")[len(limits.parts)]
            raise ValueError(
                f"{name.capitalize()} has {len(value)} numbers; give {wanted}, for {', '.join(limits.parts)}."
            )
        values = zip(limits.parts, value, strict=True) if limits.parts else [("", value)]
        for part, number in values:
            if number is not None and not limits.allow(number):
                where = f" at the {part}" if part else ""
                raise ValueError(f"{name.capitalize()}{where} is {number:g}; give {limits.unit}, {limits.words()}.")
