"""The project's known people: what the faces that the user named look like, over all clips.

`people.safetensors` of the project folder holds a row for each name and each file it was given in: the mean
embedding of that person there and of how many faces. A name that is taken back in a file takes its row along.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np

from ...arrays import read_arrays, write_arrays
from ...durable import lock, make_folders
from ...errors import DataError, UnderstudyError

SCHEMA = 1
FILE_NAME = "people.safetensors"
SAME_PERSON = 0.40
"""Distance of two mean embeddings up to which a face is a known one. Nearer than grouping asks for: a wrong name
is worse than none, and small faces of different people come as near as .43 (docs/benchmarks.md)."""
MIN_MARGIN = 0.06
"""A name is given only when the next name is farther by this."""
LOCK_SECONDS = 20.0
"""Seconds to wait for another process that writes the file."""

Seen = tuple[np.ndarray, int]
"""A mean embedding (128,) float32 and of how many faces it is."""
Rows = dict[tuple[str, str], Seen]
"""By name and source."""


def known_people(project: Path) -> dict[str, Seen]:
    """Every name of the project with the mean over all files. Raises DataError when the file is damaged."""
    people: dict[str, list[Seen]] = {}
    for (name, _), seen in _read(project / FILE_NAME).items():
        people.setdefault(name, []).append(seen)
    means = {}
    for name, parts in people.items():
        counts = np.array([count for _, count in parts], np.float64)
        mean = np.average([mean for mean, _ in parts], axis=0, weights=counts)
        means[name] = mean.astype(np.float32), int(counts.sum())
    return means


def remember(project: Path, source: str, named: Mapping[str, Seen], taken_back: Collection[str] = ()) -> None:
    """Write down who was named in the file `source`, in place of what was known from it under the same names.

    `taken_back` are names that somebody there bore and bears no longer. Safe against other processes that write.
    """

    def change(rows: Rows) -> None:
        for name in taken_back:
            rows.pop((name, source), None)
        rows.update({(name, source): seen for name, seen in named.items()})

    if named or (taken_back and (project / FILE_NAME).is_file()):
        _change(project, change)


def forget(project: Path, name: str) -> bool:
    """Erase a name and its embeddings; whether it was there."""
    found = False

    def change(rows: Rows) -> None:
        nonlocal found
        for key in [key for key in rows if key[0] == name]:
            found = True
            del rows[key]

    if (project / FILE_NAME).is_file():
        _change(project, change)
    return found


def recognise(project: Path, means: np.ndarray, taken: Collection[str] = ()) -> list[str]:
    """The project's name for each of P people of a scan by their mean embeddings (P, 128), empty where none is sure.

    No name is given twice, nor any that is `taken`: the nearest has it.
    """
    known = {name: seen for name, seen in known_people(project).items() if name not in taken}
    names = [""] * len(means)
    if not known or not len(means):
        return names
    every = list(known)
    distance = np.linalg.norm(means[:, None] - np.array([known[name][0] for name in every])[None], axis=-1)
    for person, which in sorted(np.ndindex(distance.shape), key=lambda pair: distance[pair]):
        others = np.delete(distance[person], which)
        sure = distance[person, which] < SAME_PERSON and (others > distance[person, which] + MIN_MARGIN).all()
        if sure and every[which] not in names:
            names[person] = every[which]
    return names


def _change(project: Path, change: Callable[[Rows], None]) -> None:
    make_folders(project)
    path = project / FILE_NAME
    with lock(project / f".{FILE_NAME}.lock", LOCK_SECONDS) as held:
        if not held:
            raise UnderstudyError(f"{path} is being written by another program. Try again in a moment.")
        rows = _read(path)
        change(rows)
        if not rows:
            path.unlink(missing_ok=True)
            return
        arrays: dict[str, np.ndarray] = {
            "embedding": np.array([mean for mean, _ in rows.values()], np.float32).reshape(-1, 128),
            "count": np.array([count for _, count in rows.values()], np.int64),
        }
        facts = {"names": [name for name, _ in rows], "sources": [source for _, source in rows]}
        write_arrays(path, "people", SCHEMA, arrays, facts)


def _read(path: Path) -> Rows:
    if not path.is_file():
        return {}
    again = "Move it away and name the people again."
    arrays, facts = read_arrays(path, "people", SCHEMA, again=again)
    embedding, count = arrays.get("embedding", np.empty(0)), arrays.get("count", np.empty(0))
    names, sources = facts.get("names"), facts.get("sources")
    rows = len(embedding)
    texts = [names, sources]
    if (
        not all(isinstance(t, list) and len(t) == rows and all(isinstance(x, str) for x in t) for t in texts)
        or embedding.shape != (rows, 128)
        or embedding.dtype != np.float32
        or count.shape != (rows,)
        or not (count > 0).all()
    ):
        raise DataError(f"{path} is damaged. {again}")
    assert isinstance(names, list) and isinstance(sources, list)
    return {(n, s): (e, int(c)) for n, s, e, c in zip(names, sources, embedding, count, strict=True)}
