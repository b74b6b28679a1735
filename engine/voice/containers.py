"""Weights out of files that other programs wrote, read as data: ONNX's tensors and CTranslate2's variables.

Nothing in these files is run: an ONNX graph is ignored (the network is written out in `pitch`), and so is all of a
CTranslate2 model but its named arrays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from ..errors import DataError

ONNX_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 11: np.float64}
"""TensorProto.DataType of those that are read; others are left out."""
CT2_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
"""By CTranslate2's number of a type."""
GRAPH, INITIALIZER = 7, 5
"""Field numbers in ModelProto and GraphProto."""


def read_onnx(data: bytes) -> dict[str, np.ndarray]:
    """The initialisers of an ONNX model by name. Raises DataError for what is none."""
    try:
        found = {}
        for graph in (value for field, value in _fields(data) if field == GRAPH and isinstance(value, bytes)):
            for field, value in _fields(graph):
                if field == INITIALIZER and isinstance(value, bytes) and (named := _onnx_tensor(value)):
                    found[named[0]] = named[1]
        return found
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise DataError(f"The ONNX file is damaged ({error}). Fetch it again.") from None


def _onnx_tensor(data: bytes) -> tuple[str, np.ndarray] | None:
    dims: list[int] = []
    kind, name, raw = 0, "", b""
    for field, value in _fields(data):
        if field == 1:
            dims += [value] if isinstance(value, int) else list(_varints(value))
        elif field == 2 and isinstance(value, int):
            kind = value
        elif field == 8 and isinstance(value, bytes):
            name = value.decode()
        elif field == 9 and isinstance(value, bytes):
            raw = value
    if kind not in ONNX_TYPES or not raw:
        return None
    return name, np.frombuffer(raw, ONNX_TYPES[kind]).reshape(dims)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffers message: an integer, or the bytes of what is longer."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire)
        if size is None:
            if wire != 2:
                raise ValueError("a field of an unknown kind")
            size, at = _varint(data, at)
        if at + size > len(data):
            raise ValueError("it ends too early")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def read_ct2(data: bytes, first: str) -> dict[str, np.ndarray]:
    """The variables of a CTranslate2 model from the one named `first` to the last, scalars left out.

    They lie in the order of their names, so that the second half of a split file is enough for those in it.
    Raises DataError where `first` is not there.
    """
    name = first.encode() + b"\0"
    at = data.find(struct.pack("<H", len(name)) + name)
    if at < 0:
        raise DataError(f"The model holds no {first}. Fetch it again.")
    found: dict[str, np.ndarray] = {}
    try:
        prefix = first.partition("/")[0] + "/"
        while at < len(data):
            (length,) = struct.unpack_from("<H", data, at)
            label = data[at + 2 : at + 1 + length].decode("ascii")
            if not label.startswith(prefix):
                break
            at += 2 + length
            rank = data[at]
            dims = struct.unpack_from(f"<{rank}I", data, at + 1)
            kind, size = struct.unpack_from("<BI", data, at + 1 + 4 * rank)
            at += 6 + 4 * rank
            array = np.frombuffer(data, CT2_TYPES[kind], size // np.dtype(CT2_TYPES[kind]).itemsize, at)
            if rank:
                found[label] = array.reshape(dims)
            at += size
    except (struct.error, ValueError, IndexError, UnicodeError) as error:
        raise DataError(f"The model is damaged ({error}). Fetch it again.") from None
    return found
