"""Faces that other programs found, taken over: where they are is theirs, how they look is measured in the footage.

faceswap's JSON (its older alignments file, and what its alignments tool exports) and DeepFaceLab's aligned folders
have 68 points a face and the name of its frame. From these the mesh starts, as it does from a detector's answer.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import DataError
from ...media.pictures import is_pictures, picture_files
from ...media.reader import MediaInfo, read_frames
from ...reading import open_regular
from ...reporter import Reporter
from ..geometry import align
from ..networks.embedding import Embedder
from ..networks.face_mesh import Mesh, region_of_detection
from ..tracking import shots
from ..tracking.measure import SCORE, Face, sharpness
from ..tracking.observations import Observed
from .pickle_data import read_plain

POINTS = 68
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
"""Of the iBUG scheme; the person's."""
BATCH = 16


class ForeignFace(NamedTuple):
    """A face of another program: the name of its frame, and 68 points (68, 2) float64, pixel centres at .5."""

    frame: str
    points: np.ndarray


def is_faceswap(data: Any) -> bool:
    """Whether a JSON file's contents are faceswap's."""
    frames = isinstance(data, dict) and "format" not in data and all(isinstance(v, list) for v in data.values())
    return frames or (isinstance(data, dict) and "__data__" in data)


def faceswap_places(source: Path, data: dict[str, Any]) -> list[ForeignFace]:
    """The faces of a faceswap JSON file. Raises DataError that says what is wrong with it."""
    places = []
    try:
        for frame, entry in data.get("__data__", data).items():
            faces = entry["faces"] if isinstance(entry, dict) else entry
            for face in faces:
                points = next(face[key] for key in ("landmarks_xy", "landmarksXY", "landmarks_2d") if key in face)
                places.append(ForeignFace(str(frame), _points(points)))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, StopIteration) as error:
        raise DataError(
            f"{source.name} is not faceswap's JSON as docs/user/interchange.md says ({error}). Export it again by "
            "faceswap's alignments tool, job export."
        ) from None
    return places


def deepfacelab_places(folder: Path, report: Reporter) -> list[ForeignFace]:
    """The faces of a DeepFaceLab aligned folder (JPEG files). Raises DataError, naming the file that is none."""
    places = []
    for file in picture_files(folder):
        report.check()
        data = read_plain_of_jpeg(file)
        try:
            places.append(ForeignFace(Path(str(data["source_filename"])).name, _points(data["source_landmarks"])))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{file} lacks what DeepFaceLab writes of a face ({error}). Remove it.") from None
    return places


def read_plain_of_jpeg(file: Path) -> dict[str, Any]:
    """The dictionary that DeepFaceLab keeps in a JPEG file's APP15 segment, read as plain data."""
    with open_regular(file) as opened:
        data, at = opened.read(), 2
    if data[:2] != b"\xff\xd8":
        raise DataError(f"{file} is no JPEG file. DeepFaceLab's aligned folders hold JPEG files only.")
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xEF:
            found = read_plain(data[at + 4 : at + 2 + length])
            if isinstance(found, dict):
                return found
        at += 2 + max(length, 2)
    raise DataError(
        f"{file.name} holds nothing of DeepFaceLab's. Name a folder that its extraction wrote, or scan this one as "
        "pictures: `understudy scan`."
    )


def _points(values: Any) -> np.ndarray:
    points = np.asarray(values, np.float64)
    if points.shape != (POINTS, 2) or not np.isfinite(points).all() or not (np.ptp(points, axis=0) > 0).all():
        raise ValueError(f"a face has landmarks of the shape {points.shape}, not {POINTS} points")
    return points + 0.5  # theirs have pixel centres at integers


def points_by_frame(places: list[ForeignFace], info: MediaInfo) -> dict[int, list[np.ndarray]]:
    """Their points by source frame.

    Frames of a movie are numbered from 1 at the end of their names, pictures of a folder have their own names.
    Raises DataError for names that the footage has not.
    """
    names = {f.stem: i for i, f in enumerate(picture_files(info.path))} if is_pictures(info.path) else {}
    found: dict[int, list[np.ndarray]] = {}
    for place in places:
        number = re.search(r"(?<!\d)(\d{1,15})$", Path(place.frame).stem)  # no footage has a frame of more digits
        frame = names.get(Path(place.frame).stem, -1) if names else int(number[1]) - 1 if number else -1
        if not 0 <= frame < info.frames:
            raise DataError(
                f"{info.path.name} has no frame {place.frame[:100]}. Name the footage that the faces are of."
            )
        if not (place.points.max(0) > 0).all() or not (place.points.min(0) < [info.width, info.height]).all():
            raise DataError(f"A face on {place.frame[:100]} is outside of {info.path.name}. Name the footage it is of.")
        found.setdefault(frame, []).append(place.points)
    if not found:
        raise DataError("There are no faces to take over.")
    return found


def measure_faces(
    info: MediaInfo, found: dict[int, list[np.ndarray]], report: Reporter, device: str = "cpu"
) -> Observed:
    """What the networks see at these places of the footage, which is read once from its first to its last frame."""
    mesh, embedder = Mesh(device), Embedder(device)
    faces: list[Face] = []
    signatures = []
    reading = read_frames(info.path)
    while frames := list(islice(reading, BATCH)):
        report.check()
        report.progress(frames[-1].index / info.frames, f"Measuring the faces, frame {frames[-1].index + 1}")
        signatures += [shots.signature(frame.rgb) for frame in frames]
        here = [(frame, points) for frame in frames for points in found.get(frame.index, ())]
        if not here:
            continue
        images, regions = [frame.rgb for frame, _ in here], [_region(points) for _, points in here]
        landmarks, scores = mesh(images, regions)
        embeddings = embedder.embed(images, landmarks)
        for (frame, points), seen, score, embedding in zip(here, landmarks, scores, embeddings, strict=True):
            known = score > SCORE
            faces.append(
                Face(
                    frame=frame.index,
                    landmarks=seen if known else align.fit_to_box(seen, _box(points)),
                    score=float(score) if known else 0.0,
                    sharpness=sharpness(frame.rgb, seen) if known else 0.0,
                    embedding=embedding if known else None,
                    carried=not known,
                    glimpse=0.0 if known else 1.0,
                    sighted=1,
                )
            )
    return Observed(start=0, end=len(signatures), signatures=np.stack(signatures), faces=faces)


def _box(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(0), points.max(0)])


def _region(points: np.ndarray) -> np.ndarray:
    return region_of_detection(_box(points), np.stack([points[RIGHT_EYE].mean(0), points[LEFT_EYE].mean(0)]))
