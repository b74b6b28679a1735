"""From what was seen on single frames to the table of a clip's faces: shots, tracks, persons."""

from __future__ import annotations

import numpy as np

from ..media.reader import MediaInfo
from ..protocol import Clip
from . import people, shots, track
from .alignments import LANDMARKS, Alignments
from .measure import Face
from .mesh import box_of
from .observed import Observed

LONGEST_GAP = 0.5
"""Seconds over which a lost face is carried."""
SHORTEST = 0.2
"""Seconds a face must be seen to be a person of its own, unless its shot is not much longer."""
CLEAR = 0.7
"""Mean score of such a face."""


def assemble(seen: Observed, clip: Clip, info: MediaInfo) -> Alignments:
    """The table of a clip's faces: linked into tracks, gaps filled, calmed, grouped into persons.

    `seen` may reach beyond the clip; what is there only helps to tell who is who.
    """
    end = info.frames if clip.end is None else clip.end
    shot = shots.divide(seen.signatures)
    faces = sorted(seen.faces, key=lambda face: face.frame)
    unknown = np.full(128, np.nan, np.float32)
    frame = np.array([face.frame for face in faces], np.int32)
    embedding = np.array([unknown if face.embedding is None else face.embedding for face in faces]).reshape(-1, 128)
    tracks = track.link(
        frame,
        shot[frame - seen.start],
        np.array([face.box for face in faces]).reshape(-1, 4),
        embedding,
        round(LONGEST_GAP * info.fps),
    )
    columns: dict[str, list[np.ndarray]] = {}
    means: list[np.ndarray] = []
    frames: list[np.ndarray] = []
    good: list[bool] = []
    for number in range(tracks.max(initial=-1) + 1):
        rows = _trusted(faces, np.flatnonzero(tracks == number))
        if not len(rows):
            continue
        table, mean = _track_table(len(means), [faces[row] for row in rows], embedding[rows])
        inside = (table["frame"] >= clip.start) & (table["frame"] < end)
        if not inside.any():
            continue
        for name, column in table.items():
            columns.setdefault(name, []).append(column[inside])
        measured = [faces[row] for row in rows if not faces[row].carried]
        shot_frames = int((shot == shot[measured[0].frame - seen.start]).sum())
        least = min(max(3, round(SHORTEST * info.fps)), (shot_frames + 1) // 2)
        score = float(np.mean([face.score for face in measured]))
        good.append(len(measured) >= least and score >= CLEAR and bool(mean.any()))
        means.append(mean)
        frames.append(table["frame"][inside])
    person = people.group(np.array(means).reshape(-1, 128), frames, np.array(good, bool))
    empty = _track_table(0, [], np.empty((0, 128), np.float32))[0] if not columns else {}
    joined = {name: np.concatenate(parts) for name, parts in columns.items()} or empty
    joined["person"] = person[joined["track"]] if len(person) else joined["track"]
    order = np.argsort(joined["frame"], kind="stable")
    return Alignments(
        clip=clip, width=info.width, height=info.height, fps=info.fps, **{k: v[order] for k, v in joined.items()}
    )


def _trusted(faces: list[Face], rows: np.ndarray) -> np.ndarray:
    """A track's rows without what was carried before its first or after its last face that was measured or
    detected; none where nothing was measured."""
    certain = [i for i, row in enumerate(rows) if faces[row].unseen == 0]
    if all(faces[row].carried for row in rows):
        return rows[:0]
    return rows[certain[0] : certain[-1] + 1]


def _track_table(number: int, faces: list[Face], embedding: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A track's columns of the alignments, but for the person, and its mean embedding (zero: none was measured)."""
    known = ~np.isnan(embedding[:, 0])
    mean = embedding[known].mean(0) if known.any() else np.zeros(128, np.float32)
    if not faces:
        every = measured = np.empty(0, np.int64)
        landmarks = np.empty((0, LANDMARKS, 3), np.float32)
    else:
        every, landmarks, measured = track.fill(
            np.array([face.frame for face in faces]), np.array([face.landmarks for face in faces])
        )
        landmarks = track.steady(landmarks)
    flown = np.array([face.carried for face in faces], np.bool_)
    carried = (measured < 0) | flown[measured]
    score = np.array([face.score for face in faces], np.float32)
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
        "track": np.full(len(every), number, np.int32),
        "carried": carried,
    }, mean


def _worse_neighbour(score: np.ndarray, measured: np.ndarray) -> np.ndarray:
    before = np.maximum.accumulate(measured)
    after = np.minimum(before + 1, len(score) - 1)
    return np.minimum(score[before], score[after])
