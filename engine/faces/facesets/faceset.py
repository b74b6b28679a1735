"""Facesets: the aligned, masked crops of one identity that drafts and training read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...arrays import read_arrays, write_arrays
from ...errors import DataError, NoFaceError
from ...media.footage import footage_of
from ...media.pictures import are_photographs
from ...media.reader import read_frames
from ...protocol import Identity
from ...reporter import Reporter
from ..alignments import LANDMARKS, Alignments, load_alignments
from ..geometry.align import CROP_RADII, crop, crop_matrix, frontalise, mesh_radius, transform, yaw_pitch
from ..people.summary import coverage, missing_views
from .masks import face_masks

SCHEMA = 1
MAX_FACES = 1000
"""More faces than this add little variety: the rest is thinned evenly over pose, soft ones first."""
MAX_ENLARGEMENT = 1.5
"""A face enlarged by more than this gives a crop that only looks like its size."""
ENOUGH_FACES = 64
"""So many large faces make the small ones dispensable."""
COPY, COPY_DEGREES, COPY_FRAMES = 0.012, 1.5, 12
"""Two faces are near-copies when their shapes differ by less (in radii of the mesh), their heads by fewer degrees,
and they are at most so many frames apart."""
MAX_HIDDEN = 0.1
"""A face of which more than this is hidden by a hand or a microphone goes, as long as ENOUGH_FACES others are there."""
TRACK_STRIDE = 1_000_000
_COLUMNS: dict[str, type] = {
    "pixels": np.uint8,
    "masks": np.uint8,
    "landmarks": np.float32,
    "shot": np.int32,
    "frame": np.int32,
    "sharpness": np.float32,
    "exposure": np.float32,
    "enlarged": np.float32,
    "coarse": np.bool_,
    "hidden": np.float32,
}


@dataclass(frozen=True, kw_only=True)
class Faceset:
    """N crops of one identity, in the order of their material and frames.

    pixels    (N, S, S, 3) uint8 RGB
    masks     (N, S, S) uint8, 255 where the face is and nothing stands in front of it
    landmarks (N, 468, 3) float32 in crop pixels (centres at integer + 0.5)
    shot      (N,) int32, changes where the material or the track changes: neighbours in time share it
    frame     (N,) int32, source frame within its clip
    sharpness (N,) float32, as in the alignments
    exposure  (N,) float32 0..1, the share of the face that is neither burnt out nor lost in black
    enlarged  (N,) float32, crop pixels for each pixel of the footage; above 1 there is no more detail to be had
    coarse    (N,) bool, the mesh did not hold (a profile, a blur): landmarks and mask are what the track carried there,
              good for the place of the crop and no more
    hidden    (N,) float32 0..1, the share of the face that something stands in front of
    irises    (N, 2, 2) float32 crop pixels, the right one first (`Mesh.irises`), None where nobody measured them
    """

    name: str
    pixels: np.ndarray
    masks: np.ndarray
    landmarks: np.ndarray
    shot: np.ndarray
    frame: np.ndarray
    sharpness: np.ndarray
    exposure: np.ndarray
    enlarged: np.ndarray
    coarse: np.ndarray
    hidden: np.ndarray
    irises: np.ndarray | None = None

    @property
    def clip(self) -> np.ndarray:
        """(N,) int32: which of the identity's material each face is from, counted from 0."""
        return self.shot // TRACK_STRIDE

    @property
    def track(self) -> np.ndarray:
        """(N,) int32: its track there. Whole tracks are what may be held out: their frames are too alike to part."""
        return self.shot % TRACK_STRIDE

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> int:
        """Side of a crop in pixels."""
        return int(self.pixels.shape[1])

    def measured(self) -> Faceset:
        """The faces on which the mesh holds."""
        if not self.coarse.any():
            return self
        columns = [*_COLUMNS, *(["irises"] if self.irises is not None else [])]
        return replace(self, **{name: getattr(self, name)[~self.coarse] for name in columns})

    def save(self, path: Path) -> None:
        """Write the faceset as one file."""
        arrays = {name: getattr(self, name) for name in _COLUMNS}
        if self.irises is not None:
            arrays["irises"] = self.irises
        write_arrays(path, "faceset", SCHEMA, arrays, {"name": self.name})


def load_faceset(path: Path) -> Faceset:
    """Read a faceset; its pixels and masks stay on disk until they are used. Raises DataError when it is damaged."""
    again = "Gather the faces again."
    arrays, facts = read_arrays(path, "faceset", SCHEMA, ("pixels", "masks"), gaps=("irises",), again=again)
    shape = arrays["pixels"].shape if "pixels" in arrays else ()
    count, size = (shape[0], shape[1]) if len(shape) == 4 else (0, 0)
    expected: dict[str, tuple[type, tuple[int, ...]]] = {
        "pixels": (np.uint8, (count, size, size, 3)),
        "masks": (np.uint8, (count, size, size)),
        "landmarks": (np.float32, (count, LANDMARKS, 3)),
        "shot": (np.int32, (count,)),
        "frame": (np.int32, (count,)),
        "sharpness": (np.float32, (count,)),
    }
    for name, usual in (("exposure", 1), ("enlarged", 1), ("hidden", 0)):  # a faceset of before these were measured
        arrays.setdefault(name, np.full(count, usual, np.float32))
        expected[name] = (np.float32, (count,))
    arrays.setdefault("coarse", np.zeros(count, np.bool_))
    expected["coarse"] = (np.bool_, (count,))
    if "irises" in arrays:
        expected["irises"] = (np.float32, (count, 2, 2))
    for name, (dtype, shape) in expected.items():
        if not count or name not in arrays or arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise DataError(f"{path} is damaged: {name} is missing or misshapen. {again}")
    if arrays["coarse"].all():
        raise DataError(f"{path} is damaged: it has no face that was measured. {again}")
    if not 16 <= size <= 4096 or not (np.abs(arrays["landmarks"]) < 16 * size).all():
        raise DataError(f"{path} is damaged: its landmarks are no places in its crops. {again}")
    return Faceset(name=str(facts.get("name", path.stem)), **{name: arrays[name] for name in expected})


@dataclass(frozen=True)
class Source:
    """One scan's faces of an identity: which of its rows may be cut."""

    scan: str
    alignments: Alignments
    rows: np.ndarray


def choose_faces(sources: Sequence[Source], limit: int) -> list[np.ndarray]:
    """Rows of each source worth keeping, ascending, not more than `limit` of all together.

    Where there are too many, cells of a yaw × pitch grid over all sources are thinned alike (the fullest first);
    in each, sharp faces stay before soft ones and near-copies of a sharper face of the same track go first, as
    DeepFaceLab's *final* sort does.
    """
    parts = [(s.alignments, s.rows) for s in sources]
    if sum(len(rows) for _, rows in parts) <= limit:
        return [rows for _, rows in parts]
    pose = np.concatenate([yaw_pitch(a.landmarks[rows]) for a, rows in parts])
    sharpness = np.concatenate([a.sharpness[rows] for a, rows in parts])
    copies = np.concatenate([_copies(a, rows) for a, rows in parts])
    _, cell = np.unique(np.floor(pose / 10).astype(int), axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    order = np.lexsort((-sharpness, copies))
    rank = np.empty(len(order), int)  # place of each face within its cell, the best first
    seen = np.zeros(cell.max() + 1, int)
    for index in order:
        rank[index] = seen[cell[index]]
        seen[cell[index]] += 1
    kept = np.sort(np.lexsort((rank, copies))[:limit])
    offsets = np.cumsum([0, *(len(rows) for _, rows in parts)])
    return [
        rows[kept[(kept >= low) & (kept < high)] - low]
        for (_, rows), low, high in zip(parts, offsets[:-1], offsets[1:], strict=True)
    ]


def _copies(alignments: Alignments, rows: np.ndarray) -> np.ndarray:
    """(n,) bool: faces that show what a sharper one nearby in their track shows, in pose and in expression."""
    copy = np.zeros(len(rows), bool)
    shape, pose = frontalise(alignments.landmarks[rows]), yaw_pitch(alignments.landmarks[rows])
    for step in range(1, COPY_FRAMES + 1):
        first, second = np.arange(len(rows) - step), np.arange(step, len(rows))
        same = (alignments.track[rows[first]] == alignments.track[rows[second]]) & (
            alignments.frame[rows[second]] - alignments.frame[rows[first]] <= COPY_FRAMES
        )
        first, second = first[same], second[same]
        moved = np.sqrt(((shape[first] - shape[second]) ** 2).sum(-1).mean(-1))
        alike = (moved < COPY) & (np.abs(pose[first] - pose[second]).max(-1) < COPY_DEGREES)
        softer = np.where(alignments.sharpness[rows[first]] < alignments.sharpness[rows[second]], first, second)
        copy[softer[alike]] = True
    return copy


def enlargement(alignments: Alignments, rows: np.ndarray, size: int) -> np.ndarray:
    """By how much each of some faces is enlarged in a crop of `size` pixels, (n,); below 1 it is reduced."""
    return size / (CROP_RADII * np.maximum(mesh_radius(alignments.landmarks[rows]), 1e-6))


def exposure(pixels: np.ndarray, mask: np.ndarray) -> float:
    """The share 0..1 of a crop's face that is neither burnt out nor lost in black."""
    bright = pixels.max(-1)[mask > 127]
    return float(((bright > 16) & (bright < 250)).mean()) if len(bright) else 0.0


def gather(
    identity: Identity, size: int, report: Reporter, limit: int = MAX_FACES, *, with_coarse: bool = False
) -> Faceset:
    """Cut an identity's faces out of the full-resolution frames of all its material, `limit` at most.

    `with_coarse` also takes those on which the mesh does not hold, where the track carries them.
    Faces that would be enlarged by more than MAX_ENLARGEMENT are left out where enough others are there. What the
    material does not show is said in words. Raises NoFaceError when a scan does not know the person, DataError or
    MediaError when a file is gone.
    """
    sources = [_source(identity, m.scan, m.person, with_coarse) for m in identity.material]
    sources = _enough_pixels(sources, identity, size, report)
    chosen = choose_faces(sources, limit)
    views = np.sum([coverage(s.alignments.landmarks[rows]) for s, rows in zip(sources, chosen, strict=True)], axis=0)
    if lacking := missing_views(views.tolist()):
        report.log(f"{identity.name}: {', '.join(lacking)}.")
    columns: dict[str, list[np.ndarray | int | float | np.floating]] = {name: [] for name in _COLUMNS}
    stands_in: list[bool] = []
    for number, (source, rows) in enumerate(zip(sources, chosen, strict=True)):
        if not len(rows):
            continue
        alignments = source.alignments
        by_frame: dict[int, list[int]] = {}
        for row in rows:
            by_frame.setdefault(int(alignments.frame[row]), []).append(int(row))
        first, last = min(by_frame), max(by_frame)
        photographs = are_photographs(Path(alignments.clip.path))
        for frame in read_frames(footage_of(alignments.clip), first, last + 1):
            report.check()
            if not photographs and frame.rgb.shape[:2] != (alignments.height, alignments.width):
                raise DataError(f"{alignments.clip.path} has another size than when it was scanned. Scan it again.")
            for row in by_frame.get(frame.index, ()):
                matrix = crop_matrix(alignments.landmarks[row], size)
                landmarks = transform(alignments.landmarks[row], matrix)
                pixels = crop(frame.rgb, matrix, size)
                coarse = bool(alignments.carried[row])  # nobody knows what hides a face where the mesh does not hold
                own, in_front = (stack[0] for stack in face_masks(pixels[None], landmarks[None], look=not coarse))
                mask = np.minimum(own, 255 - in_front)
                columns["pixels"].append(pixels)
                columns["masks"].append(mask)
                columns["landmarks"].append(landmarks)
                columns["shot"].append(number * TRACK_STRIDE + int(alignments.track[row]))
                columns["frame"].append(frame.index)
                columns["sharpness"].append(alignments.sharpness[row])
                columns["exposure"].append(exposure(pixels, mask))
                columns["coarse"].append(coarse)
                columns["enlarged"].append(float(enlargement(alignments, np.array([row]), size)[0]))
                stands_in.append(frame.repeated)
                columns["hidden"].append(float(in_front[own > 127].mean() / 255) if (own > 127).any() else 0.0)
            done = (frame.index + 1 - first) / (last + 1 - first)
            report.progress((number + done) / len(sources), f"Cutting out the faces of {identity.name}")
    once = np.flatnonzero(~np.array(stands_in, bool))  # where a frame cannot be decoded its neighbour was seen again
    once = once if len(once) else np.arange(len(stands_in))
    kept = once[_least_hidden(np.array(columns["hidden"])[once])]
    if gone := len(once) - len(kept):
        report.log(f"{gone} faces of {identity.name} are left out: something stands in front of them.")
    return Faceset(
        name=identity.name,
        **{name: np.array([columns[name][n] for n in kept], dtype) for name, dtype in _COLUMNS.items()},
    )


def _least_hidden(hidden: np.ndarray) -> np.ndarray:
    """(k,) ascending rows of the faces that are nearly whole, and of the least hidden ones where those are few."""
    order = np.argsort(hidden, kind="stable")
    return np.sort(order[: max(int((hidden <= MAX_HIDDEN).sum()), min(ENOUGH_FACES, len(hidden)))])


def _source(identity: Identity, scan: str, person: int, with_coarse: bool) -> Source:
    alignments = load_alignments(Path(scan))
    rows = alignments.of_person(person)
    measured = rows[~alignments.carried[rows]]
    if not len(measured):
        raise NoFaceError(
            f"Person {person} is not in the scan {scan}. Choose {identity.name} among the people that the scan found."
        )
    return Source(scan, alignments, np.flatnonzero(alignments.person == person) if with_coarse else measured)


def _enough_pixels(sources: list[Source], identity: Identity, size: int, report: Reporter) -> list[Source]:
    """The sources without the faces that are too small for crops of this size, where enough others are there."""
    large = [s.rows[enlargement(s.alignments, s.rows, size) <= MAX_ENLARGEMENT] for s in sources]
    total, left = sum(len(s.rows) for s in sources), sum(map(len, large))
    if left == total:
        return sources
    if left < min(ENOUGH_FACES, total):
        most = max(enlargement(s.alignments, s.rows, size).max() for s in sources)
        report.log(
            f"{identity.name}'s faces are small for {size} pixels: they are enlarged by up to {most:.1f} times. "
            "Larger footage is better.",
            "warning",
        )
        return sources
    report.log(
        f"{total - left} of {total} faces of {identity.name} are left out: they are too small for {size} pixels."
    )
    return [Source(s.scan, s.alignments, rows) for s, rows in zip(sources, large, strict=True)]
