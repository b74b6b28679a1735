"""Frames that are likely to be sent back, worst first, each with why.

A measure is held against what is usual in its own track, since nothing tells how a recast should differ from its
footage in shape; limits were set on frames of the panel that were marked by eye (benchmarks/review.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import DataError
from ..faces.alignments import Alignments, load_alignments
from ..model.draft.views import EXPRESSIVE_VERTICES
from ..protocol import Cause, ConvertSpec, Doubtful
from ..reporter import Reporter
from .measures import Measured, measure, turned

WORDS: dict[Cause, str] = {
    "lost": "no face was found, where the ones before and after have one",
    "mesh": "where the face's points are is a guess",
    "profile": "the face is turned far aside",
    "hidden": "something stands in front of the face",
    "unseen": "the source shows nothing like this",
    "expression": "the expression is not the footage's",
    "gaze": "the eyes do not do what the footage's do",
    "identity": "it looks less like the source than the frames around it",
    "flicker": "it changes more from the frame before than the footage does",
}
LIMITS: dict[Cause, float] = {
    "lost": 1.0,
    "mesh": 1.0,
    "profile": 55.0,
    "hidden": 0.12,
    "unseen": 0.9,
    "expression": 0.035,
    "gaze": 0.22,
    "identity": 0.39,
    "flicker": 2.5,
}
"""From which on a measure makes a frame doubtful: degrees of turn; a part of the face; a draft's doubt 0..1; radii of
the face, widths of the eye, distance of embeddings, 8-bit levels away from what is usual in the track."""
GAP_WEIGHT = 0.5
"""Lips that are apart by so much less count as much as an expression that differs by that."""
WEAK_SCORE = 0.5
"""Of the landmark networks."""
TOGETHER = 3
"""Doubtful frames with no more than this between them are one stretch."""


def doubtful_frames(
    scan: Path,
    report: Reporter,
    spec: ConvertSpec | None = None,
    doubt: dict[int, float] | None = None,
    device: str = "cpu",
) -> list[Doubtful]:
    """The doubtful stretches of a scan, or of the recast that `spec` made of it; the worst first.

    `doubt` is what was kept with the recast of each frame (`convert_settings`). A recast of the face alone is judged by
    its scan only. Raises DataError when nobody is in the range, MediaError when a file cannot be read.
    """
    alignments = load_alignments(scan)
    rows, first = _rows(alignments, spec)
    if not len(rows):
        raise DataError("Nobody who is recast is to be seen in this range.")
    recast = None if spec is None or spec.layer else Path(spec.output)
    measured = measure(alignments, rows, recast, first, device, report)
    scores = _scores(alignments, measured, doubt or {})
    found = [*_stretches(alignments, rows, scores), *_lost(alignments, rows)]
    return sorted(found, key=lambda one: (-one.score, one.start, one.person))


def _rows(alignments: Alignments, spec: ConvertSpec | None) -> tuple[np.ndarray, int]:
    """The rows of who is recast in the range, in frame order, and the first frame of the range."""
    clip = alignments.clip
    if spec is None:
        return np.flatnonzero(alignments.person >= 0), clip.start
    first = clip.start if spec.start is None else spec.start
    inside = (alignments.frame >= first) & (
        alignments.frame < (np.iinfo(np.int32).max if spec.end is None else spec.end)
    )
    people = [swap.person for swap in spec.swaps]
    return np.flatnonzero(inside & np.isin(alignments.person, people)), first


def _scores(scan: Alignments, measured: Measured, doubt: dict[int, float]) -> dict[Cause, np.ndarray]:
    """Each measure of each face, in its limits: (N,) float32, 1 from where on it is doubtful."""
    rows = measured.row
    tracks = scan.track[rows]
    weak = (scan.score[rows] < WEAK_SCORE) | scan.carried[rows]
    values: dict[Cause, np.ndarray] = {
        "mesh": weak.astype(np.float32),
        "profile": turned(scan, rows),
        "hidden": measured.hidden,
        "unseen": np.array([doubt.get(frame, 0.0) for frame in scan.frame[rows].tolist()], np.float32),
        "expression": np.fmax(_away(measured.expression, tracks), GAP_WEIGHT * _gap(measured.expression)),
        "gaze": np.fmax(np.fmax(_away(measured.gaze, tracks), _away(measured.lids, tracks)), _uneven(measured)),
        "identity": _away(measured.identity, tracks),
        "flicker": measured.change,
    }
    return {cause: np.nan_to_num(value / LIMITS[cause]).astype(np.float32) for cause, value in values.items()}


def _away(values: np.ndarray, tracks: np.ndarray) -> np.ndarray:
    """How far each face lies from the middle of its track: (N, …) → (N,), the root mean square over points; of
    embeddings (N, 128) the whole distance."""
    flat = values.reshape(len(values), -1)
    found = np.full(len(flat), np.nan, np.float32)
    for track in np.unique(tracks):
        own = np.flatnonzero((tracks == track) & np.isfinite(flat).any(1))
        if len(own) > 2:
            apart = flat[own] - np.nanmedian(flat[own], 0)
            distance = np.sqrt(np.nansum(apart**2, 1))
            found[own] = distance if flat.shape[1] == 128 else distance / np.sqrt(flat.shape[1] / values.shape[-1])
    return found


def _gap(expression: np.ndarray) -> np.ndarray:
    """How much farther or less far lips are apart than the footage's, (N,) radii of the face: no shape changes that."""
    upper, lower = (int(np.flatnonzero(vertex == EXPRESSIVE_VERTICES)[0]) for vertex in (13, 14))
    apart: np.ndarray = np.abs(expression[:, lower, 1] - expression[:, upper, 1])
    return apart


def _uneven(measured: Measured) -> np.ndarray:
    """How differently both eyes depart from the footage's, (N,) widths of the eye: a wink, or a squint."""
    lids, gaze = measured.lids, measured.gaze.reshape(-1, 2, 2)
    return np.fmax(np.abs(lids[:, 0] - lids[:, 1]), np.abs(gaze[:, 0] - gaze[:, 1]).max(1))


def _stretches(scan: Alignments, rows: np.ndarray, scores: dict[Cause, np.ndarray]) -> list[Doubtful]:
    names = list(scores)
    table = np.stack([scores[name] for name in names])
    worst = table.max(0)
    frames, people = scan.frame[rows], scan.person[rows]
    found = []
    for person in np.unique(people).tolist():
        bad = np.flatnonzero((people == person) & (worst >= 1))
        for run in np.split(bad, np.flatnonzero(np.diff(frames[bad]) > TOGETHER + 1) + 1):
            if not len(run):
                continue
            at = run[int(worst[run].argmax())]
            most = table[:, run].max(1)
            beyond: dict[str, float] = {names[n]: round(float(most[n]), 2) for n in np.argsort(-most) if most[n] >= 1}
            found.append(
                Doubtful(
                    frame=int(frames[at]), start=int(frames[run[0]]), end=int(frames[run[-1]]) + 1, person=person,
                    cause=names[int(most.argmax())], score=round(float(worst[at]), 2), causes=beyond,
                )
            )  # fmt: skip
    return found


def _lost(scan: Alignments, rows: np.ndarray) -> list[Doubtful]:
    """Where a track has no face for some frames and goes on."""
    found = []
    for track in np.unique(scan.track[rows]):
        own = rows[scan.track[rows] == track]
        frames, person = scan.frame[own], int(scan.person[own[0]])
        for n in np.flatnonzero(np.diff(frames) > 1):
            start, end = int(frames[n]) + 1, int(frames[n + 1])
            said: dict[str, float] = {"lost": 1.0}
            found.append(
                Doubtful(frame=start, start=start, end=end, person=person, cause="lost", score=1.0, causes=said)
            )
    return found
