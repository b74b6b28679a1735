"""Plain data out of a pickle, without unpickling: a pickle is a program, and none is ever run here.

Python's `pickletools` takes the bytes apart into operations; here they are followed on plain values only. What a
pickle names (classes, functions) is a name and nothing else: nothing is imported, called or made by it, but for the
three forms in which numpy writes arrays, numbers and their types, which are recognised and built by this file itself.
"""

from __future__ import annotations

import pickletools
from typing import Any, NamedTuple

import numpy as np

from ...errors import DataError

LARGEST = 64_000_000
"""Bytes; what is larger is no face's data."""
NUMPY = {
    f"{package}.multiarray {name}": name
    for package in ("numpy.core", "numpy._core")
    for name in ("_reconstruct", "scalar")
} | {"numpy ndarray": "ndarray", "numpy dtype": "dtype"}
VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
"""Operations that only put down the value they carry."""
MOST = 1_000_000
"""Values in one pickle: shared parts count wherever they are used."""
NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


class _Name(NamedTuple):
    """A class or function that the pickle names; one of `NUMPY`'s."""

    name: str


class _Made:
    """What the pickle would have called: numpy's type or array, still without its state."""

    def __init__(self, kind: str, value: Any = None) -> None:
        self.kind, self.value = kind, value


_MARK = object()


def read_plain(data: bytes) -> Any:
    """Dictionaries, lists, tuples, numbers, text, bytes, None and numeric numpy arrays of a pickle.

    Raises DataError for anything else in it, and for what is no pickle.
    """
    try:
        if len(data) > LARGEST:
            raise ValueError("it is too large")
        return _followed(data)
    except RecursionError:
        raise DataError("This pickle is nested too deep. It was not read.") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, UnicodeError, OverflowError) as error:
        raise DataError(f"This pickle holds more than plain data, or is damaged ({error}). It was not read.") from None


def _followed(data: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}

    def since_mark() -> list[Any]:
        place = max(i for i, value in enumerate(stack) if value is _MARK)
        values = stack[place + 1 :]
        del stack[place:]
        return values

    for operation, argument, _ in pickletools.genops(data):
        name = operation.name
        if name in ("PROTO", "FRAME"):
            continue
        if name == "STOP":
            return _plain(stack.pop())
        if name in ("NONE", "NEWTRUE", "NEWFALSE"):
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name in VALUES:
            stack.append(argument)
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[name]())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("TUPLE", "LIST", "DICT"):
            values = since_mark()
            if name == "DICT":
                stack.append(_dictionary(values))
            else:
                stack.append(tuple(values) if name == "TUPLE" else values)
        elif name in ("APPEND", "APPENDS"):
            values = [stack.pop()] if name == "APPEND" else since_mark()
            _as(list, stack[-1]).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _as(dict, stack[-1]).update(_dictionary(values))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            wanted = argument if name == "GLOBAL" else " ".join([stack.pop(-2), stack.pop()])
            if wanted not in NUMPY:
                raise ValueError(f"it names {wanted}")
            stack.append(_Name(NUMPY[wanted]))
        elif name == "REDUCE":
            arguments = _as(tuple, stack.pop())
            stack.append(_made(_as(_Name, stack.pop()).name, arguments))
        elif name == "BUILD":
            state = _as(tuple, stack.pop())
            _state(_as(_Made, stack[-1]), state)
        else:
            raise ValueError(f"it does {name}")
    raise ValueError("it has no end")


def _as(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError("its parts do not fit")
    return value


def _dictionary(values: list[Any]) -> dict[Any, Any]:
    """Keys and values by turns. A key is a simple one: Python crashes over the hash of tuples nested without end."""
    return dict(zip((_as(str | bytes | int | float | None, key) for key in values[::2]), values[1::2], strict=True))


def _made(name: str, arguments: tuple[Any, ...]) -> Any:
    if name == "dtype":
        kind = _as(str, arguments[0])
        if kind not in NUMBERS:
            raise ValueError(f"it has values of the type {kind[:40]}")
        return _Made("dtype", np.dtype(kind))
    if name == "_reconstruct" and _as(_Name, arguments[0]).name == "ndarray":
        return _Made("array")
    if name == "scalar":
        kind = _as(_Made, arguments[0]).value
        return np.frombuffer(_bytes(arguments[1]), kind)[0].item()
    raise ValueError(f"it calls {name}")


def _state(made: _Made, state: tuple[Any, ...]) -> None:
    if made.kind == "dtype":
        if state[1] in ("<", ">"):
            made.value = made.value.newbyteorder(state[1])
    else:
        _, shape, kind, by_columns, values = state
        array = np.frombuffer(_bytes(values), _as(_Made, kind).value)
        made.value = array.reshape(shape, order="F" if by_columns else "C")


def _bytes(value: Any) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else bytes(_as(bytes, value))


def _plain(value: Any, depth: int = 0, seen: list[int] | None = None) -> Any:
    """The value with its arrays in place."""
    seen = [0] if seen is None else seen
    seen[0] += 1
    if depth > 50 or seen[0] > MOST:
        raise ValueError("it is nested too deep, or in itself")
    if isinstance(value, _Made):
        if value.kind != "array" or value.value is None:
            raise ValueError("a type is no value")
        return value.value
    if isinstance(value, _Name) or value is _MARK:
        raise ValueError("a name is no value")
    if isinstance(value, dict):
        return {_plain(k, depth + 1, seen): _plain(v, depth + 1, seen) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(v, depth + 1, seen) for v in value)
    return value
