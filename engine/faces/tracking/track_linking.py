"""From faces in single frames to tracks: one face followed inside one shot, without holes or jitter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..geometry.boxes import overlap
from ..networks.face_mesh import EYE_LINE

MIN_OVERLAP = 0.15
MAX_DISTANCE = 0.75
"""Two embeddings further apart than this are never one face of one track."""
SAME_PERSON = 0.45
"""Two embeddings nearer than this are one person, wherever in the shot he comes back."""
MAX_RETURN = 2.0
"""As far from where he was lost, in his own size, as he may come back."""
PACE, FURTHEST = 0.2, 0.7
"""How far a face may have moved in each frame it was not seen, and at most, in its own size."""
EXTRAPOLATED = 5
"""Frames over which a lost face is expected to move on as it did."""
WINDOW = 8
TIME_SIGMA = 4.0
FACE_SIGMA, POINT_SIGMA = 0.008, 0.008
"""Movements, as shares of the distance between the eyes, that count as jitter of the whole mesh and of a point."""


@dataclass
class _Track:
    """A track so far: its latest row, how it moves, and the sum and number of its embeddings."""

    row: int
    velocity: np.ndarray
    total: np.ndarray
    count: int = 0


def link_tracks(
    frame: np.ndarray, shot: np.ndarray, box: np.ndarray, embedding: np.ndarray, longest_gap: int
) -> np.ndarray:
    """The track (n,) int32 of each of n faces sorted by frame.

    frame, shot (n,) int; box (n, 4); embedding (n, 128), NaN where it was not measured. A track
    may miss up to `longest_gap` frames, and never leaves its shot. In every frame faces and
    tracks are matched for the largest total of overlap less distance of embeddings, a track being
    expected where its motion takes it. Who comes back elsewhere, but near where he was lost and with the
    same face, goes on in his track.
    """
    box = box.astype(np.float64)
    track = np.full(len(frame), -1, np.int32)
    tracks: list[_Track] = []
    for now in np.unique(frame):
        rows = np.flatnonzero(frame == now)
        here = shot[rows[0]]
        live = [t for t, k in enumerate(tracks) if shot[k.row] == here and now - frame[k.row] <= longest_gap + 1]
        gap = np.array([now - frame[tracks[t].row] for t in live])
        last = box[[tracks[t].row for t in live]].reshape(-1, 4)
        moved = np.array([tracks[t].velocity for t in live]).reshape(-1, 4) * np.minimum(gap, EXTRAPOLATED)[:, None]
        common = np.maximum(overlap(box[rows], last), overlap(box[rows], last + moved))
        distance = np.full(common.shape, np.nan)
        for j, t in enumerate(live):
            if tracks[t].count:
                distance[:, j] = np.linalg.norm(embedding[rows] - tracks[t].total / tracks[t].count, axis=1)
        apart = np.minimum(_distances(box[rows], last), _distances(box[rows], last + moved))
        # what moves while nobody looks leaves its place
        near = ((common > MIN_OVERLAP) | (apart < np.minimum(PACE * (gap - 1), FURTHEST))) & ~(distance > MAX_DISTANCE)
        back = (distance < SAME_PERSON) & (gap > 1) & (_distances(box[rows], last) < MAX_RETURN)
        cost = np.where(near, 1 - common + 0.5 * np.nan_to_num(distance, nan=0.4), 1e3)
        cost = np.minimum(cost, np.where(back, 1 + np.nan_to_num(distance), 1e3))
        chosen = {int(i): live[j] for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < 1e3}
        for i, row in enumerate(rows):
            t = chosen.get(i, len(tracks))
            if t == len(tracks):
                tracks.append(_Track(int(row), np.zeros(4), np.zeros(embedding.shape[1])))
            known = tracks[t]
            if known.row != row:
                step = (box[row] - box[known.row]) / (now - frame[known.row])
                known.velocity = 0.5 * known.velocity + 0.5 * step
            known.row = int(row)
            track[row] = t
            if not np.isnan(embedding[row, 0]):
                known.total = known.total + embedding[row]
                known.count += 1
    return track


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, 4), (m, 4) → (n, m): how far apart two boxes' middles are, in mean sizes of the two."""
    between = np.linalg.norm((a[:, None, :2] + a[:, None, 2:] - b[None, :, :2] - b[None, :, 2:]) / 2, axis=-1)
    sizes = (a[:, 2:] - a[:, :2]).max(1)[:, None] + (b[:, 2:] - b[:, :2]).max(1)[None]
    return 2 * between / np.maximum(sizes, 1e-6)


def fill_gaps(frame: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Close the gaps of one track by straight lines.

    frame (n,) ascending, landmarks (n, 468, 3). Returns frames (m,), landmarks (m, 468, 3)
    float32 and, for each, the row it was measured in, or -1 where it was carried.
    """
    every = np.arange(frame[0], frame[-1] + 1)
    after = np.searchsorted(frame, every)
    before = np.maximum(after - (frame[after] != every), 0)
    span = np.maximum(frame[after] - frame[before], 1)
    share = ((every - frame[before]) / span).astype(np.float32)[:, None, None]
    measured = np.where(frame[after] == every, after, -1)
    return every, landmarks[before] * (1 - share) + landmarks[after] * share, measured


def smooth_track(landmarks: np.ndarray) -> np.ndarray:
    """Calm the jitter of one unbroken track, (m, 468, 3) → the same, without delaying what moves.

    A bilateral mean over time: a neighbouring frame counts the less the later or earlier it is,
    the further the whole face has moved, and the further the single point has. A still face is
    averaged over many frames; a blink or a turn is left as it was measured. How far they moved is
    judged by a lightly smoothed track, or noise would pass for motion. The window is symmetric, so
    nothing lags.
    """
    count = len(landmarks)
    padded = np.pad(landmarks[..., :2].astype(np.float32), ((1, 1), (0, 0), (0, 0)), mode="edge")
    pilot = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    eyes = np.linalg.norm(np.diff(landmarks[:, EYE_LINE], axis=1)[:, 0], axis=-1)
    unit = np.maximum(np.median(eyes), 1e-6)
    total = landmarks.astype(np.float64)
    weight = np.ones((count, landmarks.shape[1], 1))
    for step in range(1, min(WINDOW, count - 1) + 1):
        moved = (pilot[step:] - pilot[:-step]) / unit
        whole = (moved.mean(1) ** 2).sum(-1)[:, None]
        single = (moved**2).sum(-1)
        close = np.exp(-0.5 * (step / TIME_SIGMA) ** 2 - 0.5 * whole / FACE_SIGMA**2 - 0.5 * single / POINT_SIGMA**2)[
            ..., None
        ]
        # both neighbours or none: an unpaired one would pull towards its side
        paired = np.zeros((count, landmarks.shape[1], 1))
        if count > 2 * step:
            paired[step : count - step] = np.minimum(close[step:], close[:-step])
            share = paired[step : count - step]
            total[step : count - step] += share * (landmarks[2 * step :].astype(np.float64) + landmarks[: -2 * step])
        weight += 2 * paired
    return (total / weight).astype(np.float32)
