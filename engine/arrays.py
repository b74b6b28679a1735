"""Arrays on disk: safetensors with a JSON header, written aside and renamed; never a pickle."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .durable import writing
from .errors import DataError
from .protocol import parse_json
from .reading import open_regular, require_regular


def write_arrays(path: Path, kind: str, schema: int, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Write named arrays and their facts as one `kind` file of version `schema`."""
    header = {"understudy": json.dumps({"kind": kind, "schema": schema, **facts})}
    with writing(path) as partial:
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, partial, metadata=header)


def read_arrays(
    path: Path,
    kind: str,
    schema: int,
    mapped: Collection[str] = (),
    gaps: Collection[str] = (),
    again: str = "Make it again.",
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read back what `write_arrays` wrote; the arrays named in `mapped` stay on disk until they are used.

    Only those named in `gaps` may say of something that it is not a number, because it was not measured. Raises
    DataError, which ends with `again`, when the file is missing, damaged, of another kind or a newer version, or when
    a number in it is not finite.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there. Make it again, or point to where it was moved.")
    try:
        require_regular(path)
        with safe_open(path, framework="np") as file:
            facts = parse_json((file.metadata() or {})["understudy"])
            if not isinstance(facts, dict):
                raise ValueError("its header is no object")
            arrays = {
                name: map_array(path, name) if name in mapped else file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118
            }
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged or not an Understudy file ({error}). Make it again.") from None
    if facts.get("kind") != kind:
        raise DataError(f"{path} holds {facts.get('kind')}, not {kind}.")
    if facts.get("schema") != schema:
        raise DataError(
            f"{path} is of version {facts.get('schema')}, this Understudy reads version {schema}. "
            "Update Understudy, or make the file again."
        )
    for name, array in arrays.items():
        if name not in mapped and not _is_finite(array, name in gaps):
            raise DataError(f"{path} is damaged: {name} holds numbers that are not finite. {again}")
    return arrays, facts


def _is_finite(array: np.ndarray, gaps: bool) -> bool:
    """Whether an array holds numbers only; with `gaps` not-a-number may stand for one that was not measured."""
    if array.dtype.kind != "f" or not array.size:
        return True
    if gaps:
        return not np.isinf(array).any()
    return bool(np.isfinite([array.min(), array.max()]).all())  # both are not-a-number where anything is


def map_array(path: Path, name: str) -> np.ndarray:
    """One array of a file that `read_arrays` has found sound, mapped: read as it is used, never written back."""
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        entry = parse_json(file.read(length))[name]
    dtypes = {"U8": np.uint8, "F32": np.float32, "I32": np.int32}
    begin = 8 + length + int(entry["data_offsets"][0])
    return np.memmap(path, dtypes[entry["dtype"]], "c", begin, tuple(entry["shape"]))
