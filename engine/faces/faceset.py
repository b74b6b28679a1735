"""Facesets: the aligned, masked crops of one identity that drafts and training read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import read_arrays, write_arrays
from ..errors import DataError, NoFaceError
from ..media.reader import read_frames
from ..protocol import Identity
from ..reporter import Reporter
from .align import crop, crop_matrix, transform, yaw_pitch
from .alignments import LANDMARKS, Alignments, load_alignments
from .masks import face_mask

SCHEMA = 1
LIMIT = 1000
"""More faces than this add little variety: the rest is thinned evenly over pose, soft ones first."""


@dataclass(frozen=True, kw_only=True)
class Faceset:
    """N crops of one identity, in the order of their material and frames.

    pixels    (N, S, S, 3) uint8 RGB
    masks     (N, S, S) uint8, 255 where the face is
    landmarks (N, 468, 3) float32 in crop pixels (centres at integer + 0.5)
    shot      (N,) int32, changes where the material or the track changes: neighbours in time share it
    frame     (N,) int32, source frame within its clip
    sharpness (N,) float32, as in the alignments
    """

    name: str
    pixels: np.ndarray
    masks: np.ndarray
    landmarks: np.ndarray
    shot: np.ndarray
    frame: np.ndarray
    sharpness: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> int:
        """Side of a crop in pixels."""
        return int(self.pixels.shape[1])

    def save(self, path: Path) -> None:
        """Write the faceset as one file."""
        arrays = {n: getattr(self, n) for n in ("pixels", "masks", "landmarks", "shot", "frame", "sharpness")}
        write_arrays(path, "faceset", SCHEMA, arrays, {"name": self.name})


def load_faceset(path: Path) -> Faceset:
    """Read a faceset. Raises DataError when it is missing or damaged."""
    arrays, facts = read_arrays(path, "faceset", SCHEMA)
    shape = arrays["pixels"].shape if "pixels" in arrays else ()
    count, size = (shape[0], shape[1]) if len(shape) == 4 else (0, 0)
    expected = {
        "pixels": (np.uint8, (count, size, size, 3)),
        "masks": (np.uint8, (count, size, size)),
        "landmarks": (np.float32, (count, LANDMARKS, 3)),
        "shot": (np.int32, (count,)),
        "frame": (np.int32, (count,)),
        "sharpness": (np.float32, (count,)),
    }
    for name, (dtype, shape) in expected.items():
        if not count or name not in arrays or arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise DataError(f"{path} is damaged: {name} is missing or misshapen. Gather the faces again.")
    if not 16 <= size <= 4096 or not (np.abs(arrays["landmarks"]) < 16 * size).all():  # not-a-number fails too
        raise DataError(f"{path} is damaged: its landmarks are no places in its crops. Gather the faces again.")
    return Faceset(name=str(facts.get("name", path.stem)), **{name: arrays[name] for name in expected})


def choose_rows(alignments: Alignments, person: int, limit: int) -> np.ndarray:
    """Rows of a person worth keeping: measured, not carried, and not more than `limit`.

    Where there are too many, cells of a yaw × pitch grid are thinned alike (the fullest first), sharp faces
    kept before soft ones, as DeepFaceLab's *final* sort does.
    """
    rows = alignments.of_person(person)
    measured = rows[~alignments.carried[rows]]
    if len(measured) <= limit:
        return measured
    cells = np.floor(yaw_pitch(alignments.landmarks[measured]) / 10).astype(int)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    order = np.argsort(-alignments.sharpness[measured], kind="stable")
    rank = np.empty(len(measured), int)  # place of each face within its cell, sharpest first
    seen = np.zeros(cell.max() + 1, int)
    for index in order:
        rank[index] = seen[cell[index]]
        seen[cell[index]] += 1
    kept = np.argsort(rank, kind="stable")[:limit]
    return measured[np.sort(kept)]


def gather(identity: Identity, size: int, report: Reporter, limit: int = LIMIT) -> Faceset:
    """Cut an identity's faces out of the full-resolution frames of all its material.

    Raises NoFaceError when a scan does not know the person, DataError or MediaError when a file is gone.
    """
    columns: dict[str, list[np.ndarray | int | np.floating]] = {
        n: [] for n in ("pixels", "masks", "landmarks", "shot", "frame", "sharpness")
    }
    for number, material in enumerate(identity.material):
        alignments = load_alignments(Path(material.scan))
        rows = choose_rows(alignments, material.person, max(1, limit // len(identity.material)))
        if not len(rows):
            raise NoFaceError(
                f"Person {material.person} is not in the scan {material.scan}. "
                f"Choose {identity.name} among the people that the scan found."
            )
        by_frame: dict[int, list[int]] = {}
        for row in rows:
            by_frame.setdefault(int(alignments.frame[row]), []).append(int(row))
        first, last = min(by_frame), max(by_frame)
        for frame in read_frames(Path(alignments.clip.path), first, last + 1):
            report.check()
            if frame.rgb.shape[:2] != (alignments.height, alignments.width):
                raise DataError(f"{alignments.clip.path} has another size than when it was scanned. Scan it again.")
            for row in by_frame.get(frame.index, ()):
                matrix = crop_matrix(alignments.landmarks[row], size)
                landmarks = transform(alignments.landmarks[row], matrix)
                pixels = crop(frame.rgb, matrix, size)
                columns["pixels"].append(pixels)
                columns["masks"].append(face_mask(pixels, landmarks))
                columns["landmarks"].append(landmarks)
                columns["shot"].append(number * 1_000_000 + int(alignments.track[row]))
                columns["frame"].append(frame.index)
                columns["sharpness"].append(alignments.sharpness[row])
            done = (frame.index + 1 - first) / (last + 1 - first)
            report.progress((number + done) / len(identity.material), f"Cutting out the faces of {identity.name}")
    dtypes = {"shot": np.int32, "frame": np.int32, "sharpness": np.float32}
    return Faceset(
        name=identity.name, **{n: np.asarray(c, dtypes[n]) if n in dtypes else np.stack(c) for n, c in columns.items()}
    )
