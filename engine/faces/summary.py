"""Who was found in a scan: each person's facts and picture, for clients that read no arrays."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..media.reader import read_frames
from ..protocol import PersonSummary
from . import align
from .alignments import Alignments
from .mesh import region_matrix, region_of_face

THUMBNAIL = 128


def summarise(alignments: Alignments, folder: Path) -> list[PersonSummary]:
    """Every person's summary and thumbnail, most frames first."""
    yaw_pitch = np.radians(align.yaw_pitch(alignments.landmarks))
    frontal = np.cos(yaw_pitch).prod(-1).clip(0)
    merit = np.where(alignments.carried, -1, frontal**2 * np.log1p(alignments.sharpness) * alignments.score)
    found = []
    for person in range(alignments.person.max() + 1):
        rows = alignments.of_person(person)
        best = rows[merit[rows].argmax()]
        frame = int(alignments.frame[best])
        name = f"person-{person}.jpg"
        image = next(iter(read_frames(Path(alignments.clip.path), frame, frame + 1))).rgb
        _write_thumbnail(folder / name, image, alignments.landmarks[best])
        found.append(
            PersonSummary(
                id=person,
                name=f"Person {person}",
                frames=len(np.unique(alignments.frame[rows])),
                tracks=len(np.unique(alignments.track[rows])),
                first_frame=int(alignments.frame[rows].min()),
                best_frame=frame,
                box=[float(v) for v in alignments.box[best]],
                thumbnail=name,
            )
        )
    return found


def _write_thumbnail(path: Path, image: np.ndarray, landmarks: np.ndarray) -> None:
    """A square of the head, as it stands in the picture."""
    x, y, side, _ = region_of_face(landmarks)
    crop = align.crop(image, region_matrix(np.array([x, y - 0.08 * side, 1.2 * side, 0.0]), THUMBNAIL), THUMBNAIL)
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert ok
    path.write_bytes(data.tobytes())
