"""A contact sheet of doubtful frames: footage beside recast, with the frame's number and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..durable import SHARED, write_bytes
from ..faces.alignments import Alignments, load_alignments
from ..faces.geometry.align import crop, crop_matrix
from ..media.footage import as_footage, footage_of
from ..media.reader import read_frames
from ..protocol import ConvertSpec, Doubtful
from ..provenance.outputs import require_writable

SIDE, COLUMNS, MOST = 192, 4, 40
"""Pixels of a face; stretches in a row; stretches on a sheet."""


def write_sheet(output: Path, found: Sequence[Doubtful], scan: Path, spec: ConvertSpec | None) -> None:
    """Write the worst `MOST` stretches as a JPEG; no file where there are none. Raises UnderstudyError
    where a file is already."""
    alignments = load_alignments(scan)
    tiles = [_tile(one, alignments, spec) for one in found[:MOST]]
    if not tiles:
        return
    while len(tiles) % COLUMNS:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.concatenate(tiles[n : n + COLUMNS], 1) for n in range(0, len(tiles), COLUMNS)]
    picture = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    write_bytes(output, data, SHARED, lambda path: require_writable(path, [], overwrite=False))


def _tile(one: Doubtful, scan: Alignments, spec: ConvertSpec | None) -> np.ndarray:
    """(SIDE + 34, 2 SIDE, 3) uint8 RGB: the worst frame's face in footage and recast, and words below."""
    row = _nearest(one, scan)
    matrix = crop_matrix(scan.landmarks[row], SIDE)
    faces = [crop(next(iter(read_frames(footage_of(scan.clip), one.frame, one.frame + 1))).rgb, matrix, SIDE)]
    if spec is not None and not spec.layer:
        first = scan.clip.start if spec.start is None else spec.start
        at = one.frame - first
        faces.append(crop(next(iter(read_frames(as_footage(Path(spec.output)), at, at + 1))).rgb, matrix, SIDE))
    else:
        faces.append(np.zeros_like(faces[0]))
    words = np.full((34, 2 * SIDE, 3), 24, np.uint8)
    lines = f"{one.frame}   ({one.start} - {one.end - 1}, person {one.person})", ", ".join(one.causes)
    for n, line in enumerate(lines):
        cv2.putText(words, line, (4, 13 + 15 * n), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (230, 230, 230), 1, cv2.LINE_AA)
    return np.concatenate([np.concatenate(faces, 1), words])


def _nearest(one: Doubtful, scan: Alignments) -> int:
    """The row of the person's face in the worst frame, or where none was found in the frame nearest to it."""
    rows = np.flatnonzero(scan.person == one.person)
    return int(rows[np.abs(scan.frame[rows] - one.frame).argmin()])
