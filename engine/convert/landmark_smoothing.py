"""Landmarks smoothed over time: the jitter of the face mesh is removed, motion is kept."""

from __future__ import annotations

import numpy as np

from ..faces.geometry.align import mesh_radius

SMOOTHING_RADIUS = 4
"""Frames to each side that a fitted parabola leans on."""
CHUNK_FRAMES = 2048
"""Frames that are smoothed at a time, so that memory does not grow with the length of a take."""
JITTER_SCALE = 0.012
"""Parts of the mesh's radius: what lies nearer to the parabola is jitter, what lies much farther is motion."""


def smooth_landmarks(landmarks: np.ndarray, frames: np.ndarray, amount: float | np.ndarray) -> np.ndarray:
    """Smooth a track's landmarks (T, 468, 3) at ascending `frames` (T,) in time, without lag: same shape.

    A parabola is fitted to every coordinate over nine frames (Savitzky and Golay 1964), so that steady motion
    is kept; where a point is farther from it than jitter ever is (a blink, the turn of a fast nod), the
    measured one stays. Gaps in the frames are not smoothed over. `amount` 0..1 blends from none to all,
    one for all frames or (T,) for each.
    """
    result = landmarks.copy()
    amounts = np.broadcast_to(np.asarray(amount, np.float64), len(frames))
    if not (amounts > 0).any():
        return result
    for run in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames) != 1) + 1):
        if len(run) > 2:
            for first in range(0, len(run), CHUNK_FRAMES):
                # with as many frames to both sides as reach into the piece: the same as all of them in one
                begin, end = max(first - SMOOTHING_RADIUS, 0), min(first + CHUNK_FRAMES + SMOOTHING_RADIUS, len(run))
                if begin and end - begin <= 2 * SMOOTHING_RADIUS:
                    begin = max(end - 2 * SMOOTHING_RADIUS - 1, 0)
                made = _smoothed(landmarks[run[begin:end]].astype(np.float64), amounts[run[begin:end]])
                result[run[first : first + CHUNK_FRAMES]] = made[first - begin : first - begin + CHUNK_FRAMES]
    return result


def _smoothed(track: np.ndarray, amount: np.ndarray) -> np.ndarray:
    reach = min(SMOOTHING_RADIUS, (len(track) - 1) // 2)
    if reach < 1:
        return track
    offsets = np.arange(-reach, reach + 1)
    # weights of the value at the middle of a least-squares parabola; of three frames it would be the middle itself
    order = [np.ones(2 * reach + 1), offsets, offsets**2] if reach > 1 else [np.ones(3), offsets]
    weights = np.linalg.pinv(np.stack(order, 1).astype(float))[0]
    # beyond its ends a track goes on as it began: reflected through its end points
    before = 2 * track[:1] - track[reach:0:-1]
    after = 2 * track[-1:] - track[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, track, after])
    smooth = sum(w * padded[k : k + len(track)] for k, w in enumerate(weights))
    away = np.linalg.norm((track - smooth)[..., :2], axis=-1) / np.maximum(mesh_radius(track), 1e-6)[:, None]
    trust = amount[:, None, None] * np.exp(-((away / JITTER_SCALE) ** 2))[..., None]
    steady: np.ndarray = track + trust * (smooth - track)
    return steady
