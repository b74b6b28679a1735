"""The faces of a scan by frame, for badges and for clicking one: `boxes.json` (`protocol.FaceBox`). No bpy."""

from __future__ import annotations

from pathlib import Path

from ...engine.protocol import FaceBox
from . import project_files

NOBODY = -1
LARGEST = 256 << 20
"""Bytes of a file of boxes: some 70 a face, so three faces in each frame of eight hours at 24 a second need half."""


def read(folder: str) -> dict[int, list[FaceBox]]:
    """Source frame → its faces. Empty when the scan has no such file or it cannot be read. May take its time."""
    found: dict[int, list[FaceBox]] = {}
    try:
        add(found, project_files.read_json(Path(folder, "boxes.json"), LARGEST))
    except (OSError, ValueError, TypeError, OverflowError):
        return {}
    return found


def add(found: dict[int, list[FaceBox]], rows: list) -> None:
    """Put rows of such a file to the faces that were found. Raises ValueError, TypeError or OverflowError for what
    are none."""
    for frame, person, track, x0, y0, x1, y1, carried in rows:
        edges = [float(edge) for edge in (x0, y0, x1, y1)]
        box = FaceBox(frame=int(frame), person=int(person), track=int(track), box=edges, carried=bool(carried))
        found.setdefault(box.frame, []).append(box)


def rows(faces: dict[int, list[FaceBox]]) -> list[list]:
    """Faces as the rows of such a file: [frame, person, track, x0, y0, x1, y1, carried]."""
    return [[f.frame, f.person, f.track, *f.box, f.carried] for found in faces.values() for f in found]


def face_at(faces: list[FaceBox], x: float, y: float, slack: float = 0.15) -> FaceBox | None:
    """The face that a click at source position (x, y) means: the one whose centre is nearest, of those it hits.

    Boxes are taken `slack` of their size wider on each side: a click on the hair or chin is meant for the face.
    """

    def distance(face: FaceBox) -> float:
        x0, y0, x1, y1 = face.box
        return float((x - (x0 + x1) / 2) ** 2 + (y - (y0 + y1) / 2) ** 2)

    def hit(face: FaceBox) -> bool:
        x0, y0, x1, y1 = face.box
        dx, dy = slack * (x1 - x0), slack * (y1 - y0)
        return bool(x0 - dx <= x < x1 + dx and y0 - dy <= y < y1 + dy)

    return min((face for face in faces if hit(face)), key=distance, default=None)
