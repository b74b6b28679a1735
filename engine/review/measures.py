"""What is measured of every face of a shot, and of its recast, to tell frames that are out of line with their track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import MediaError
from ..faces.alignments import Alignments
from ..faces.geometry.align import crop, crop_matrix, frontalise, hull_mask, transform, yaw_pitch
from ..faces.networks.embedding import Embedder
from ..faces.networks.face_mesh import Mesh, region_of_face
from ..faces.networks.occlusion import hidden
from ..media.footage import Footage, as_footage, footage_of
from ..media.reader import Frame, read_frames
from ..model.draft.gaze import looks
from ..model.draft.views import EXPRESSIVE_VERTICES
from ..reporter import Reporter

SIDE = 96
"""Side of the crops in which a face is held against itself a frame before."""


@dataclass(frozen=True, eq=False)
class Measured:
    """N faces of a scan, in the order of its rows `row` (N,) int64; not a number where nothing was measured.

    hidden (N,) 0..1 is how much of the face something stands in front of. Of the recast: expression (N, V, 2), lips,
    lids and brows less the footage's, straight ahead, in radii of the face; gaze (N, 4) and lids (N, 2) less the
    footage's, in widths of the eye; identity (N, 128) embeddings; change (N,) how much more the face changed from the
    frame before than the footage's did there, in 8-bit levels.
    """

    row: np.ndarray
    hidden: np.ndarray
    expression: np.ndarray
    gaze: np.ndarray
    lids: np.ndarray
    identity: np.ndarray
    change: np.ndarray


def measure(
    scan: Alignments, rows: np.ndarray, recast: Path | None, first: int, device: str, report: Reporter
) -> Measured:
    """Measure these rows of a scan, in frame order, in the footage and in its recast, whose frame 0 is frame `first`.

    Raises MediaError when one of the two cannot be read, or the recast has fewer frames or another size.
    """
    mesh, embedder = (None, None) if recast is None else (Mesh(device), Embedder(device))
    count = len(rows)
    found = Measured(
        row=rows,
        hidden=np.zeros(count, np.float32),
        expression=np.full((count, len(EXPRESSIVE_VERTICES), 2), np.nan, np.float32),
        gaze=np.full((count, 4), np.nan, np.float32),
        lids=np.full((count, 2), np.nan, np.float32),
        identity=np.full((count, 128), np.nan, np.float32),
        change=np.full(count, np.nan, np.float32),
    )
    before: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}
    at = {int(frame): np.flatnonzero(scan.frame[rows] == frame) for frame in np.unique(scan.frame[rows])}
    for done, (frame, other) in enumerate(_pairs(scan, sorted(at), recast, first)):
        report.check()
        report.progress(done / len(at), f"Looking at frame {frame.index}")
        here = at[frame.index]
        points = scan.landmarks[rows[here]]
        found.hidden[here] = [_hidden(frame.rgb, face, device) for face in points]
        if other is None or mesh is None or embedder is None:
            continue
        images = [other.rgb] * len(here)
        seen, scores = mesh.once(images, [region_of_face(face) for face in points])
        irises = scan.irises[rows[here]] if scan.irises is not None else None
        was, now = looks(points, irises), looks(seen, mesh.irises(images, seen))
        apart = (frontalise(seen) - frontalise(points))[:, EXPRESSIVE_VERTICES, :2]
        sure = scores > 0.5
        found.expression[here[sure]] = apart[sure]
        found.gaze[here[sure]], found.lids[here[sure]] = (now[0] - was[0])[sure], (now[1] - was[1])[sure]
        found.identity[here[sure]] = embedder.embed(images, seen)[sure]
        for n, face in zip(here, points, strict=True):
            track = int(scan.track[rows[n]])
            both = _held(frame.rgb, face), _held(other.rgb, face)
            if track in before and before[track][0] == frame.index - 1:
                inside = hull_mask(transform(face, crop_matrix(face, SIDE)), SIDE) > 0
                footage, made = (
                    np.abs(new - old)[inside].mean() for new, old in zip(both, before[track][1:], strict=True)
                )
                found.change[n] = made - footage
            before[track] = frame.index, *both
    return found


def _pairs(
    scan: Alignments, frames: list[int], recast: Path | None, first: int
) -> Iterator[tuple[Frame, Frame | None]]:
    """These frames of the footage, each with its recast."""
    wanted = set(frames)
    shot: Footage = footage_of(scan.clip)
    whole = read_frames(shot, frames[0], frames[-1] + 1)
    if recast is None:
        yield from ((frame, None) for frame in whole if frame.index in wanted)
        return
    others = read_frames(as_footage(recast), frames[0] - first, frames[-1] + 1 - first)
    for frame, other in zip(whole, others, strict=False):
        if other.rgb.shape != frame.rgb.shape:
            raise MediaError(f"{recast.name} has another size than {shot.path.name}: it is no recast of that shot.")
        if frame.index in wanted:
            yield frame, other


def _hidden(rgb: np.ndarray, face: np.ndarray, device: str) -> float:
    matrix = crop_matrix(face, 2 * SIDE)
    points = transform(face, matrix)
    inside = hull_mask(points, 2 * SIDE) > 127
    before = hidden(crop(rgb, matrix, 2 * SIDE)[None], points[None], device)[0]
    return float(before[inside].mean() / 255) if inside.any() else 0.0


def _held(rgb: np.ndarray, face: np.ndarray) -> np.ndarray:
    """A face in its crop, (SIDE, SIDE) float32 brightness 0..255, without grain."""
    grey = cv2.cvtColor(crop(rgb, crop_matrix(face, SIDE), SIDE), cv2.COLOR_RGB2GRAY)
    soft: np.ndarray = cv2.GaussianBlur(grey, (0, 0), 1.2).astype(np.float32)
    return soft


def turned(scan: Alignments, rows: np.ndarray) -> np.ndarray:
    """How far these faces are turned aside, (N,) degrees."""
    angles: np.ndarray = np.abs(yaw_pitch(scan.landmarks[rows])[:, 0])
    return angles
