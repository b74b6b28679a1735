"""What the networks saw on each frame of a media file, kept in the project so that no frame is looked at twice.

A folder for each file and choice of detectors, named by what they are: another file under the same
path, or a newer version of the networks' use, is another folder. Runs of frames are written as the
scan goes, a file each under its final name or not at all: a scan that stops, or is killed, has lost
only the run it was at. Tracks and people are made from this anew, which is cheap.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...arrays import read_arrays, write_arrays
from ...durable import make_folders, write_json
from ...errors import DataError
from ...media.footage import Footage
from ...media.pictures import is_pictures, picture_files
from ...own_files import contents
from ...protocol import parse_json
from ...reading import read_text
from ..alignments import LANDMARKS
from . import shots
from .measure import Face

KIND, SCHEMA = "observed", 1
UNMEASURED = ("embedding", "irises")
"""Columns in which not-a-number stands for what was not measured on a face."""
VERSION = 9
"""Raised when frames would be measured otherwise: what an older version saw is not used."""
FACTS = "media.json"


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Frames `start` to `end` (exclusive), their small pictures (end - start, 27, 48, 3) uint8, and faces."""

    start: int
    end: int
    signatures: np.ndarray
    faces: list[Face]


def facts_of(footage: Footage, detectors: Sequence[str]) -> dict[str, object]:
    """What tells the frames of one media file, as it is now, from others."""
    path = footage.path
    files = picture_files(path) if is_pictures(path) else [path]
    stats = [file.stat() for file in files]
    names = hashlib.sha256(b"\n".join(os.fsencode(file.name) for file in files)).hexdigest()[:16]
    counted = {} if footage.is_whole_file else {"stream": footage.stream, "played": footage.played}
    return {
        **counted,
        "path": str(path.resolve()),
        "files": names,
        "size": sum(s.st_size for s in stats),
        "mtime": max(s.st_mtime_ns for s in stats),
        "detectors": list(detectors),
        "version": VERSION,
    }


class Store:
    """The observed frames of one media file in a project folder."""

    def __init__(self, project: Path, media: Footage, detectors: Sequence[str]) -> None:
        self.facts = facts_of(media, detectors)
        key = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()[:16]
        self.all = project / "scans" / ".observed"
        self.folder = self.all / key

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of a range of frames that nobody has looked at; runs found damaged are removed before."""
        self._check(start, end)
        gaps, at = [], start
        for first, last, _ in sorted(self._runs()):
            if first > at:
                gaps.append((at, min(first, end)))
            at = max(at, last)
            if at >= end:
                break
        if at < end:
            gaps.append((at, end))
        return [(a, b) for a, b in gaps if a < b]

    def write(self, run: Observed) -> None:
        """Keep a run of frames. The first one also removes what was seen in files that are no more."""
        if not self.folder.is_dir():
            self._forget_outdated()
            make_folders(self.folder)
            write_json(self.folder / FACTS, self.facts)
        faces, unknown = run.faces, np.full(128, np.nan, np.float32)
        unmeasured = np.full((2, 2), np.nan, np.float32)
        arrays = {
            "signatures": run.signatures,
            "frame": np.array([f.frame for f in faces], np.int32),
            "landmarks": np.array([f.landmarks for f in faces], np.float32).reshape(-1, LANDMARKS, 3),
            "score": np.array([f.score for f in faces], np.float32),
            "sharpness": np.array([f.sharpness for f in faces], np.float32),
            "embedding": np.array([unknown if f.embedding is None else f.embedding for f in faces], np.float32).reshape(
                -1, 128
            ),
            "carried": np.array([f.carried for f in faces], np.bool_),
            "unseen": np.array([f.unseen for f in faces], np.int32),
            "sighted": np.array([f.sighted for f in faces], np.int8),
            "glimpse": np.array([f.glimpse for f in faces], np.float32),
            "irises": np.array([unmeasured if f.irises is None else f.irises for f in faces], np.float32).reshape(
                -1, 2, 2
            ),
        }
        path = self.folder / f"{run.start:08}-{run.end:08}.safetensors"
        write_arrays(path, KIND, SCHEMA, arrays, {"start": run.start, "end": run.end})

    def read(self, start: int, end: int) -> Observed:
        """A range of frames that has all been looked at, and what is known of the runs it begins and ends in.

        Not every face has an embedding; those of the whole runs are enough to tell who is who in any part of them.
        """
        parts: list[Observed] = []
        at = start
        for first, last, path in sorted(self._runs()):
            if first <= at < last and at < end:
                low, at = (first if not parts else at), last
                parts.append(_part(path, first, low, last))
        if at < end:
            raise DataError(f"The frames {at} to {end} of {self.facts['path']} were not looked at. Scan them again.")
        return Observed(
            start=parts[0].start,
            end=at,
            signatures=np.concatenate([part.signatures for part in parts]),
            faces=[face for part in parts for face in part.faces],
        )

    def _runs(self) -> list[tuple[int, int, Path]]:
        """The runs there are, as start, end, file."""
        runs = []
        for path in self.folder.glob("*.safetensors") if self.folder.is_dir() else ():
            try:
                start, end = (int(part) for part in path.stem.split("-"))
            except ValueError:
                continue
            runs.append((start, end, path))
        return runs

    def _check(self, start: int, end: int) -> None:
        """Remove runs that a full disk or another accident damaged: they are looked at again."""
        for first, last, path in self._runs():
            if first >= end or last <= start:
                continue
            try:
                arrays, facts = read_arrays(path, KIND, SCHEMA, gaps=UNMEASURED)
                whole = (facts["start"], facts["end"]) == (first, last) and _consistent(arrays, last - first)
            except (DataError, KeyError):
                whole = False
            if not whole:
                path.unlink(missing_ok=True)

    def _forget_outdated(self) -> None:
        for facts in self.all.glob(f"*/{FACTS}"):
            try:
                known = parse_json(read_text(facts))
            except (OSError, ValueError):
                continue
            changed = any(known.get(name) != self.facts[name] for name in ("files", "size", "mtime", "version"))
            if known.get("path") == self.facts["path"] and changed:
                for path in contents(self.all, "observed").ours:
                    if path.parent == facts.parent:
                        path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # somebody else's file is in it
                    facts.parent.rmdir()


def _part(path: Path, first: int, start: int, end: int) -> Observed:
    """Frames `start` to `end` of the run in `path`, which begins with frame `first`."""
    arrays, _ = read_arrays(path, KIND, SCHEMA, gaps=UNMEASURED)
    return Observed(
        start=start,
        end=end,
        signatures=arrays["signatures"][start - first :],
        faces=[_face(arrays, i) for i in np.flatnonzero(arrays["frame"] >= start)],
    )


def _face(arrays: dict[str, np.ndarray], i: np.intp) -> Face:
    embedding, irises = arrays["embedding"][i], arrays["irises"][i]
    return Face(
        frame=int(arrays["frame"][i]),
        landmarks=arrays["landmarks"][i],
        score=float(arrays["score"][i]),
        sharpness=float(arrays["sharpness"][i]),
        embedding=None if np.isnan(embedding[0]) else embedding,
        carried=bool(arrays["carried"][i]),
        unseen=int(arrays["unseen"][i]),
        glimpse=float(arrays["glimpse"][i]),
        sighted=int(arrays["sighted"][i]),
        irises=None if np.isnan(irises).any() else irises,
    )


def _consistent(arrays: dict[str, np.ndarray], frames: int) -> bool:
    count = len(arrays["frame"])
    return (
        arrays["signatures"].shape == (frames, shots.HEIGHT, shots.WIDTH, 3)
        and arrays["landmarks"].shape == (count, LANDMARKS, 3)
        and arrays["embedding"].shape == (count, 128)
        and arrays["irises"].shape == (count, 2, 2)
        and all(
            len(arrays[name]) == count for name in ("score", "sharpness", "carried", "unseen", "glimpse", "sighted")
        )
    )
