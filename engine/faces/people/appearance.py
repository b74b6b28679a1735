"""What people look like: mean embeddings of a scan's person, and of a faceset's crops."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...arrays import read_arrays
from ...errors import DataError
from ..alignments import FILE_NAME, SCHEMA
from ..facesets.faceset import load_faceset
from ..networks.embedding import Embedder
from .gallery import SAME_PERSON

CROPS_PER_CLIP = 12
"""Crops of a faceset that are embedded for each clip they are from, spread over it: means of more differ by less than
a tenth of SAME_PERSON."""
MAX_CLIPS = 8
"""Clips of a faceset that are looked at; the ones with the most faces."""
MIN_NORM = 0.5
"""Embeddings of faces are about 1.3 long; what is shorter than this stands for a face that nobody embedded."""
Stamp = tuple[int, int]


def of_person(scan: Path, person: int) -> np.ndarray | None:
    """The mean embedding (128,) float32 of a person's measured faces; None where the scan has none of them.

    Raises DataError when the scan's alignments are damaged.
    """
    path = scan / FILE_NAME
    return _of_person(path, _stamp(path), person) if path.is_file() else None


def of_everybody(path: Path) -> dict[int, np.ndarray]:
    """The mean embeddings (128,) float32 of all whom an alignments file shows, by person; of the faces that are
    nobody's those of each track, under −1 less its number. Raises DataError when it is damaged."""
    who, carried, embedding, track = _columns(path)
    owner = np.where(who >= 0, who, -1 - track)
    looks = {int(one): _mean_of(embedding, carried, np.flatnonzero(owner == one)) for one in np.unique(owner)}
    return {one: look for one, look in looks.items() if look is not None}


def of_faceset(path: Path) -> list[np.ndarray]:
    """The mean embeddings (128,) float32 of a faceset's crops, one for each clip that they are from.

    They are measured, not read from the file: who appears is what its pixels show. Raises DataError when it is
    damaged, ModelsMissingError when the face networks are not fetched.
    """
    return _of_faceset(path, _stamp(path)) if path.is_file() else []


def strangers(looks: Sequence[np.ndarray], known: Sequence[Sequence[float]]) -> list[np.ndarray]:
    """Those of some mean embeddings (128,) that are as far as another person from each of the known ones."""
    if not known:
        return list(looks)
    table = np.asarray(known, np.float32)
    return [look for look in looks if np.linalg.norm(table - look, axis=1).min() >= SAME_PERSON]


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=64)
def _of_person(path: Path, stamp: Stamp, person: int) -> np.ndarray | None:
    who, carried, embedding, _ = _columns(path)
    return _mean_of(embedding, carried, np.flatnonzero(who == person))


def _columns(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Person, carried, embedding and track of an alignments file's rows. Raises DataError."""
    far = ("landmarks",)  # nine tenths of the file
    arrays, _ = read_arrays(path, "alignments", SCHEMA, far, gaps=("irises",), again="Scan the clip again.")
    columns = [arrays.get(name) for name in ("person", "carried", "embedding", "track")]
    if any(column is None or column.ndim < 1 for column in columns):
        raise DataError(f"{path} is damaged: a column is missing. Scan the clip again.")
    who, carried, embedding, track = (np.asarray(column) for column in columns)
    numbers = (who.dtype.kind, track.dtype.kind, embedding.dtype.kind) == ("i", "i", "f") and who.ndim == 1
    if not numbers or embedding.shape != (len(who), 128) or not who.shape == carried.shape == track.shape:
        raise DataError(f"{path} is damaged: its embeddings are no faces. Scan the clip again.")
    return who, carried.astype(bool), embedding, track


@functools.lru_cache(maxsize=64)
def _of_faceset(path: Path, stamp: Stamp) -> list[np.ndarray]:
    faceset = load_faceset(path).measured()
    clips, counts = np.unique(faceset.clip, return_counts=True)
    embedder = Embedder()
    means = []
    for clip in clips[np.argsort(-counts, kind="stable")[:MAX_CLIPS]]:
        rows = np.flatnonzero(faceset.clip == clip)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, CROPS_PER_CLIP).round().astype(int))]
        embedded = embedder.embed([faceset.pixels[row] for row in rows], faceset.landmarks[rows])
        if (mean := _mean(embedded)) is not None:
            means.append(mean)
    return means


def _mean_of(embedding: np.ndarray, carried: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    measured = rows[~carried[rows]]
    return _mean(embedding[measured if len(measured) else rows])


def _mean(embeddings: np.ndarray) -> np.ndarray | None:
    if not len(embeddings):
        return None
    mean = embeddings.mean(0).astype(np.float32)
    return mean if np.linalg.norm(mean) > MIN_NORM else None
