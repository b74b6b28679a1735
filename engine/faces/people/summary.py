"""Who was found in a scan: each person's facts and picture, for clients that read no arrays. No torch here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...durable import write_bytes
from ...errors import DataError
from ...media.footage import footage_of
from ...media.reader import read_frames
from ...protocol import PITCH_EDGES, YAW_EDGES, ScanSummary, from_json, parse_json
from ...reading import read_text
from ..alignments import Alignments
from ..geometry import align

SCHEMA = 1  # of scan.json
SUMMARY = "scan.json"
BOXES = "boxes.json"
THUMBNAIL_PIXELS = 128
MAX_OPEN_MOUTH = 0.2
"""A mouth that is open by this, in radii of the mesh, is not how one remembers a face."""


def read_summary(scan: Path) -> ScanSummary:
    """A scan folder's `scan.json`. Raises DataError when it is missing, damaged or of a newer version."""
    path = scan / SUMMARY
    if not path.is_file():
        raise DataError(f"{scan} holds no finished scan. Scan the footage first: understudy scan FOOTAGE -o {scan}")
    try:
        summary = from_json(ScanSummary, parse_json(read_text(path)))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}). Scan the footage again.") from None
    if summary.schema > SCHEMA:
        raise DataError(
            f"{path} is of version {summary.schema}, this Understudy reads version {SCHEMA}. "
            "Update Understudy, or scan the footage again."
        )
    return summary


def boxes_of(alignments: Alignments) -> list[list[float]]:
    """The rows of `boxes.json` (see `protocol.FaceBox`), to a tenth of a pixel."""
    facts = zip(alignments.frame, alignments.person, alignments.track, alignments.box, alignments.carried, strict=True)
    return [
        [int(frame), int(person), int(track), *(round(float(v), 1) for v in box), int(carried)]
        for frame, person, track, box, carried in facts
    ]


def coverage(landmarks: np.ndarray) -> list[list[int]]:
    """How many of (n, 468, 3) faces look where: 5 rows of pitch × 7 columns of yaw, see `PersonSummary`."""
    yaw, pitch = align.yaw_pitch(landmarks).T
    counts = np.zeros((len(PITCH_EDGES) + 1, len(YAW_EDGES) + 1), int)
    np.add.at(counts, (np.searchsorted(PITCH_EDGES, pitch), np.searchsorted(YAW_EDGES, yaw)), 1)
    return [[int(n) for n in row] for row in counts]


def missing_views(counts: list[list[int]]) -> list[str]:
    """What a coverage lacks, in words: which ways its person never looks."""
    table = np.array(counts)
    sides, heights = table.sum(0), table.sum(1)
    views = {
        "profile to the picture's left": sides[0],
        "three-quarter view to the picture's left": sides[1],
        "view from the front": sides[2:5].sum(),
        "three-quarter view to the picture's right": sides[5],
        "profile to the picture's right": sides[6],
        "face looking up": heights[:2].sum(),
        "face looking down": heights[3:].sum(),
    }
    return [f"no {view}" for view, count in views.items() if not count]


def portrait_quality(alignments: Alignments, rows: np.ndarray) -> np.ndarray:
    """How good a picture of their person each of some rows makes, (n,) >= 0.

    Frontal, sharp, sure and large faces do, with the eyes as open as usual and the mouth nearly closed; those that
    were not measured do not.
    """
    turn = np.radians(align.yaw_pitch(alignments.landmarks[rows]))
    frontal = np.cos(turn).prod(-1).clip(0)
    height = np.ptp(alignments.landmarks[rows, :, 1], axis=-1)
    large = np.minimum(height / THUMBNAIL_PIXELS, 1) ** 0.5
    good = frontal**2 * np.log1p(alignments.sharpness[rows]) * alignments.score[rows] * large
    straight = align.frontalise(alignments.landmarks[rows])

    def opening(upper: int, lower: int) -> np.ndarray:
        return np.linalg.norm(straight[:, upper] - straight[:, lower], axis=-1)

    eyes = opening(159, 145) + opening(386, 374)
    awake = np.clip(eyes / max(float(np.median(eyes)), 1e-6), 0.2, 1)
    calm = np.exp(-((opening(13, 14) / MAX_OPEN_MOUTH) ** 2))
    return np.where(alignments.carried[rows], 0, good * awake * (0.3 + 0.7 * calm))


def write_thumbnail(path: Path, alignments: Alignments, row: int) -> None:
    """A square JPEG of the head, as it stands in the picture. Raises MediaError when the footage is gone."""
    frame = int(alignments.frame[row])
    image = next(iter(read_frames(footage_of(alignments.clip), frame, frame + 1))).rgb
    points = alignments.landmarks[row, :, :2].astype(np.float64)
    low, high = points.min(0), points.max(0)
    side = 1.8 * (high - low).max()
    scale = THUMBNAIL_PIXELS / max(side, 1.0)
    centre = (low + high) / 2 - [0, 0.07 * side]
    matrix = np.column_stack([scale * np.eye(2), THUMBNAIL_PIXELS / 2 - scale * centre])
    crop = align.crop(image, matrix, THUMBNAIL_PIXELS)
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert ok
    write_bytes(path, data.tobytes())
