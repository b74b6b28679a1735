"""Settings of the protocol as Blender's properties, with the words, choices and limits that they have there."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any, TypeVar

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from ...engine import protocol

PLACES = 4
"""Decimal places that are sent: Blender's numbers have single precision."""

T = TypeVar("T")


def _shown(kind: type) -> Iterator[protocol.Setting]:
    return (one for one in protocol.settings_of(kind) if one.label)


def _name(one: protocol.Setting, part: str) -> str:
    return f"{one.name}_{part}" if part else one.name


def properties_of(kind: type) -> dict[str, Any]:
    """The annotations of a group that holds the settings of a message which have a label, with its defaults; a
    setting with parts is a number for each, one that may be None begins at 0."""
    usual, made, hints = kind(), {}, typing.get_type_hints(kind)
    for one in _shown(kind):
        value, limits = getattr(usual, one.name), one.limits
        if one.choices:
            items = [(choice, *words) for choice, words in one.choices.items()]
            made[one.name] = EnumProperty(name=one.label, description=one.help, items=items, default=value)
        elif limits is None:
            made[one.name] = BoolProperty(name=one.label, description=one.help, default=value)
        elif int in (hints[one.name], *typing.get_args(hints[one.name])):
            made[one.name] = IntProperty(
                name=one.label, description=one.help, default=value or 0, min=int(limits.low), max=int(limits.high)
            )
        else:
            for part, number in zip(limits.parts, value, strict=True) if limits.parts else [("", value or 0.0)]:
                made[_name(one, part)] = FloatProperty(
                    name=one.label.format(part=part.capitalize()), description=one.help.format(part=part),
                    default=number, min=limits.low, max=limits.high,
                    subtype="FACTOR" if (limits.low, limits.high) == (0, 1) else "NONE",
                )  # fmt: skip
    return made


def read(group: bpy.types.bpy_struct, kind: type[T], without: tuple[str, ...] = (), prefix: str = "") -> T:
    """The message that such a group stands for, or anything that has these properties under names with a `prefix`;
    settings named in `without` are None."""
    values: dict[str, Any] = {}
    for one in _shown(kind):
        parts = one.limits.parts if one.limits else ()
        found = [getattr(group, prefix + _name(one, part)) for part in parts or ("",)]
        found = [round(value, PLACES) if isinstance(value, float) else value for value in found]
        values[one.name] = None if one.name in without else found if parts else found[0]
    return kind(**values)


def write(group: bpy.types.bpy_struct, message: Any, prefix: str = "") -> None:
    """Set such properties to what a message says."""
    for one in _shown(type(message)):
        parts = one.limits.parts if one.limits else ()
        value = getattr(message, one.name)
        for part, number in zip(parts or ("",), value if parts else (value,), strict=True):
            setattr(group, prefix + _name(one, part), number)
