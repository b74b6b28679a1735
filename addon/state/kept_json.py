"""JSON texts that a .blend keeps in its properties. A .blend may come from anybody: what has another shape than we
write counts as if it were not there."""

from __future__ import annotations

import json
from typing import Any


def mapping(text: str) -> dict[str, Any]:
    """An object; an empty one for anything else."""
    found = _parsed(text)
    return found if isinstance(found, dict) else {}


def numbers(text: str) -> list[int]:
    """A list of whole numbers; an empty one for anything else."""
    found = _parsed(text)
    return found if isinstance(found, list) and all(type(one) is int for one in found) else []


def rows(text: str, *kinds: type) -> list[tuple[Any, ...]]:
    """The rows of a list that have values of these types, in this order; a whole number is a float as well."""
    found = _parsed(text)
    if not isinstance(found, list):
        return []
    return [tuple(row) for row in found if _fits(row, kinds)]


def swaps(text: str) -> list[dict[str, Any]]:
    """Swaps (`protocol.Swap` as dictionaries), those that are whole."""
    found = _parsed(text)
    kinds = {"person": int, "identity": str, "target": str}
    return [
        {name: one[name] for name in kinds}
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict) and all(type(one.get(name)) is kind for name, kind in kinds.items())
    ]


def _fits(row: Any, kinds: tuple[type, ...]) -> bool:
    return (
        isinstance(row, list)
        and len(row) == len(kinds)
        and all(type(v) is k or (k is float and type(v) is int) for v, k in zip(row, kinds, strict=True))
    )


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) and text else None
    except (ValueError, RecursionError):
        return None
