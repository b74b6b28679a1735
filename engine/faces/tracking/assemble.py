"""From what was seen on single frames to the table of a clip's faces: shots, tracks, persons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...media.pictures import are_photographs
from ...media.reader import MediaInfo
from ...protocol import Clip
from ..alignments import LANDMARKS, Alignments
from ..geometry import align
from ..networks.face_mesh import box_of
from ..people import grouping
from ..people.unnamed import CLEAR
from . import shots, track_linking
from .measure import SEARCH_EVERY, Face
from .observations import Observed

MAX_GAP_SECONDS = 0.5
"""Seconds over which a lost face is carried."""
MIN_PERSON_SECONDS = 0.2
"""Seconds a face must be seen to be a person of its own, unless its shot is not much longer."""
SEEN_OFTEN, LIKELY = 3, 0.7
"""Searches that must have seen a face that was never measured, and their mean score; or else
STEADILY frames, half of all between the first and the last at least, on which a detector that looked there saw it."""
STEADILY = 12
OTHERS = 0.6
"""Distance of embeddings from which dlib's network says that two faces are of different people (dlib's documentation).
"""
SIGHTED = 0.5
"""Share of the searches that must have seen a face whose score is not that clear: what the landmark networks follow
by themselves may be none."""


def assemble(seen: Observed, clip: Clip, info: MediaInfo) -> Alignments:
    """The table of a clip's faces: linked into tracks, gaps filled, calmed, grouped into persons.

    `seen` may reach beyond the clip; what is there only helps to tell who is who.
    """
    end = info.frames if clip.end is None else clip.end
    longest_gap = round(MAX_GAP_SECONDS * info.fps)
    alone = are_photographs(info.path)
    shot = np.arange(len(seen.signatures)) if alone else shots.split_into_shots(seen.signatures)
    faces = sorted(seen.faces, key=lambda face: face.frame)
    if info.path.is_dir() and not alone:
        shot = shot + np.cumsum(_others_faces(faces, seen.start, len(shot)))
    unknown = np.full(128, np.nan, np.float32)
    frame = np.array([face.frame for face in faces], np.int32)
    embedding = np.array([unknown if face.embedding is None else face.embedding for face in faces]).reshape(-1, 128)
    tracks = track_linking.link_tracks(
        frame,
        shot[frame - seen.start],
        np.array([face.box for face in faces]).reshape(-1, 4),
        embedding,
        longest_gap,
    )
    columns: dict[str, list[np.ndarray]] = {}
    means: list[np.ndarray] = []
    frames: list[np.ndarray] = []
    good: list[bool] = []
    for number in range(tracks.max(initial=-1) + 1):
        rows = _trusted(faces, np.flatnonzero(tracks == number))
        if not len(rows):
            continue
        table, mean = _track_table(len(means), [faces[row] for row in rows], embedding[rows], longest_gap)
        inside = (table["frame"] >= clip.start) & (table["frame"] < end)
        if not inside.any():
            continue
        for name, column in table.items():
            columns.setdefault(name, []).append(column[inside])
        measured = [faces[row] for row in rows if not faces[row].carried]
        shot_frames = int((shot == shot[faces[rows[0]].frame - seen.start]).sum())
        least = min(max(3, round(MIN_PERSON_SECONDS * info.fps)), (shot_frames + 1) // 2)
        score = float(np.mean([face.score for face in measured])) if measured else 0.0
        good.append(len(measured) >= least and score >= CLEAR and bool(mean.any()))
        # a few unclear looks, at a hand for instance, are nobody's face
        means.append(mean if len(measured) >= least or score >= CLEAR else np.zeros_like(mean))
        frames.append(table["frame"][inside])
    person = grouping.group_tracks(np.array(means).reshape(-1, 128), frames, np.array(good, bool))
    empty = _track_table(0, [], np.empty((0, 128), np.float32), longest_gap)[0] if not columns else {}
    joined = {name: np.concatenate(parts) for name, parts in columns.items()} or empty
    joined["person"] = person[joined["track"]] if len(person) else joined["track"]
    order = np.argsort(joined["frame"], kind="stable")
    return Alignments(
        clip=clip, width=info.width, height=info.height, fps=info.fps, **{k: v[order] for k, v in joined.items()}
    )


def _others_faces(faces: list[Face], start: int, count: int) -> np.ndarray:
    """(count,) bool: pictures that show none of the faces of the one before, though they show faces: portraits before
    one backdrop, which look like one shot."""
    known: list[list[np.ndarray]] = [[] for _ in range(count)]
    for face in faces:
        if face.embedding is not None and 0 <= face.frame - start < count:
            known[face.frame - start].append(face.embedding)
    changed = np.zeros(count, bool)
    for at in range(1, count):
        if known[at - 1] and known[at]:
            between = np.linalg.norm(np.array(known[at - 1])[:, None] - np.array(known[at])[None], axis=-1)
            changed[at] = between.min() > OTHERS
    return changed


def _trusted(faces: list[Face], rows: np.ndarray) -> np.ndarray:
    """A track's rows without what was carried long before its first or after its last face that was measured or
    detected; none where nothing was measured, and only a few times something detected, or where it is not clear and
    detectors see it seldom."""
    certain = [i for i, row in enumerate(rows) if faces[row].unseen <= SEARCH_EVERY // 2]
    searched = [faces[row].sighted for row in rows if faces[row].sighted >= 0]
    measured = [faces[row].score for row in rows if not faces[row].carried]
    clear = bool(measured) and np.mean(measured) >= CLEAR
    if not clear and searched and np.mean(searched) < SIGHTED:
        return rows[:0]
    if not measured:
        sights = [faces[row].glimpse for row in rows if faces[row].glimpse and faces[row].sighted == 1]
        steady = sum(faces[row].glimpse > 0 for row in rows)
        often = len(sights) >= SEEN_OFTEN and np.mean(sights) >= LIKELY
        span = faces[rows[-1]].frame - faces[rows[0]].frame + 1
        if not often and (steady < STEADILY or 2 * steady < span):
            return rows[:0]
    return rows[certain[0] : certain[-1] + 1]


def _track_table(
    number: int, faces: list[Face], embedding: np.ndarray, longest_gap: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A track's columns of the alignments, but for the person, and its mean embedding (zero: none was measured)."""
    faces = _with_own_shape(faces)
    known = ~np.isnan(embedding[:, 0])
    unmeasured = np.full((2, 2), np.nan, np.float32)
    irises = np.array([unmeasured if f.irises is None else f.irises for f in faces], np.float32).reshape(-1, 2, 2)
    mean = embedding[known].mean(0) if known.any() else np.zeros(128, np.float32)
    if not faces:
        every = measured = np.empty(0, np.int64)
        landmarks = np.empty((0, LANDMARKS, 3), np.float32)
    else:
        every, landmarks, measured = track_linking.fill_gaps(
            np.array([face.frame for face in faces]), np.array([face.landmarks for face in faces])
        )
        landmarks = track_linking.smooth_track(landmarks)
    flown = np.array([face.carried for face in faces], np.bool_)
    carried = (measured < 0) | flown[measured]
    score = np.array([face.score for face in faces], np.float32)
    score[_is_far(faces, longest_gap)] = 0
    return {
        "frame": every.astype(np.int32),
        "box": box_of(landmarks).astype(np.float32),
        "landmarks": landmarks,
        # what was not measured is no better than the worse of its neighbours, and of unknown sharpness
        "score": np.where(measured < 0, _worse_neighbour(score, measured), score[measured]).astype(np.float32),
        "sharpness": np.where(carried, 0, np.array([f.sharpness for f in faces], np.float32)[measured]).astype(
            np.float32
        ),
        "embedding": np.where((carried | ~known[measured])[:, None], mean, embedding[measured]).astype(np.float32),
        "irises": np.where(carried[:, None, None], unmeasured, irises[measured]),
        "track": np.full(len(every), number, np.int32),
        "carried": carried,
    }, mean


def _with_own_shape(faces: list[Face]) -> list[Face]:
    """Where only a detector saw this face, the shape it had when it was last (or next) measured."""
    measured = [face for face in faces if face.score > 0 and not face.carried]
    if not measured:
        return faces
    nearest = [min(measured, key=lambda m: abs(m.frame - face.frame)) for face in faces if face.score == 0]
    shapes = iter(nearest)
    return [
        replace(face, landmarks=align.fit_to_box(next(shapes).landmarks, face.box)) if face.score == 0 else face
        for face in faces
    ]


def _is_far(faces: list[Face], longest_gap: int) -> np.ndarray:
    """(n,) bool: further from a measured face than a gap may be long; its landmarks are no more than a stand-in."""
    measured = np.array([face.frame for face in faces if not face.carried])
    if not len(measured):
        return np.ones(len(faces), bool)
    return np.array([np.abs(measured - face.frame).min() > longest_gap for face in faces], bool)


def _worse_neighbour(score: np.ndarray, measured: np.ndarray) -> np.ndarray:
    before = np.maximum.accumulate(measured)
    after = np.minimum(before + 1, len(score) - 1)
    return np.minimum(score[before], score[after])
