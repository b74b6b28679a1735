"""Messages as JSON, and back with every type checked."""

from __future__ import annotations

import json
import math
import types
import typing
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar

from .settings import check_limits

T = TypeVar("T")


def to_json(message: Any) -> dict[str, Any]:
    """A dataclass of this module as plain JSON types."""
    return asdict(message)


def parse_json(text: str | bytes) -> Any:
    """JSON of a file or a message that may come from anybody. Raises ValueError for whatever is no JSON."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError as error:
        if type(error) is ValueError:  # Python's own bound on digits, whose words are for programmers
            raise ValueError("a number in it has thousands of digits") from None
        raise


def from_json(cls: type[T], data: Any) -> T:
    """Build `cls` from parsed JSON, checking types; unknown fields are ignored.

    Raises ValueError with one sentence that names the field when something is missing, of the
    wrong type or beyond its limits.
    """
    return typing.cast(T, _read(cls, data, cls.__name__))


def _read(expected: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(expected)
    if expected is Any:
        return value
    if origin is Literal:
        if value not in typing.get_args(expected):
            raise ValueError(f"{where} must be one of {', '.join(map(str, typing.get_args(expected)))}, not {value!r}.")
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(expected):
            return None
        (inner,) = [a for a in typing.get_args(expected) if a is not type(None)]
        return _read(inner, value, where)
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list.")
        (inner,) = typing.get_args(expected)
        return [_read(inner, v, f"{where}[{i}]") for i, v in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object.")
        return value
    if is_dataclass(expected):
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object.")
        hints = typing.get_type_hints(expected)
        known = {f.name: f for f in fields(expected)}
        try:
            made = expected(**{n: _read(hints[n], value[n], f"{where}.{n}") for n in known if n in value})  # type: ignore[operator]
        except TypeError as error:
            missing = str(error).rsplit(":", 1)[-1].strip()
            raise ValueError(f"{where} lacks {missing}.") from None
        check_limits(made)
        return made
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{where} is too large.") from None
    if expected is int and isinstance(value, float) and value.is_integer():
        return int(value)  # JSON knows no difference between 1 and 1.0
    if expected is float and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} must be a finite number.")
    if not isinstance(value, expected) or (expected is not bool and isinstance(value, bool)):
        raise ValueError(f"{where} must be {expected.__name__}, not {type(value).__name__}.")
    return value
