"""Alignments: every face found in a clip, as columns of one table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..arrays import read_arrays, write_arrays
from ..errors import DataError
from ..protocol import Clip, from_json, to_json

SCHEMA = 1
FILE_NAME = "alignments.safetensors"
LANDMARKS = 468
FAR = 1e6
"""Pixels: nothing of a face lies so far from the corner of its picture."""
MOST = 10_000_000
"""No clip has so many frames, tracks or people: four days of film."""
SHAPES: dict[str, tuple[type, tuple[int, ...]]] = {
    "frame": (np.int32, ()),
    "box": (np.float32, (4,)),
    "landmarks": (np.float32, (LANDMARKS, 3)),
    "score": (np.float32, ()),
    "sharpness": (np.float32, ()),
    "embedding": (np.float32, (128,)),
    "track": (np.int32, ()),
    "person": (np.int32, ()),
    "carried": (np.bool_, ()),
}


@dataclass(frozen=True, kw_only=True)
class Alignments:
    """N faces of one clip, sorted by frame.

    frame      (N,) int32, source frame, absolute (not counted from the clip's start)
    box        (N, 4) float32, x0 y0 x1 y1 in source pixels
    landmarks  (N, 468, 3) float32, x right and y down in source pixels (pixel centres at
               integers + 0.5), z in the same unit, smaller nearer to the camera
    score      (N,) float32 0..1, the landmark networks' own confidence; 0 where only a detector saw the face, or
               it was carried for long: the box is right, the landmarks are a stand-in
    sharpness  (N,) float32 >= 0, variance of the Laplacian of the grey 128 px crop; larger is sharper
    embedding  (N, 128) float32, dlib's metric space: distance below about 0.5 is the same person
    track      (N,) int32 >= 0, one face followed inside one shot
    person     (N,) int32 >= 0, or -1 for faces too poor to name
    carried    (N,) bool, landmarks interpolated by the track, not measured
    irises     (N, 2, 2) float32, the centres of the person's right and left iris in source pixels, not a number where
               the face was not measured; None in alignments that were made elsewhere or before they were measured
    """

    clip: Clip
    width: int
    height: int
    fps: Fraction
    frame: np.ndarray
    box: np.ndarray
    landmarks: np.ndarray
    score: np.ndarray
    sharpness: np.ndarray
    embedding: np.ndarray
    track: np.ndarray
    person: np.ndarray
    carried: np.ndarray
    irises: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frame)

    def of_person(self, person: int) -> np.ndarray:
        """Rows of one person whose landmarks hold, in frame order; none for -1, who is nobody."""
        return np.flatnonzero((self.person == person) & (self.score > 0)) if person >= 0 else np.empty(0, np.int64)

    def save(self, folder: Path) -> None:
        """Write `alignments.safetensors` into the scan folder."""
        facts = {
            "clip": to_json(self.clip),
            "width": self.width,
            "height": self.height,
            "fps": [self.fps.numerator, self.fps.denominator],
        }
        arrays = {name: getattr(self, name).astype(dtype) for name, (dtype, _) in SHAPES.items()}
        if self.irises is not None:
            arrays["irises"] = self.irises.astype(np.float32)
        write_arrays(folder / FILE_NAME, "alignments", SCHEMA, arrays, facts)


def load_alignments(folder: Path) -> Alignments:
    """Read a scan folder's alignments. Raises DataError with what to do."""
    return read_alignments(folder / FILE_NAME)


def read_alignments(path: Path) -> Alignments:
    """The same of a file by whatever name."""
    arrays, facts = read_arrays(path, "alignments", SCHEMA, gaps=("irises",), again="Scan the clip again.")
    count = len(arrays["frame"]) if "frame" in arrays and arrays["frame"].ndim == 1 else -1
    expected = SHAPES | ({"irises": (np.float32, (2, 2))} if "irises" in arrays else {})
    for name, (dtype, shape) in expected.items():
        array = arrays.get(name)
        if array is None or array.dtype != dtype or array.shape != (count, *shape):
            raise DataError(f"{path} is damaged: {name} is missing or misshapen. Scan the clip again.")
    landmarks = arrays["landmarks"]
    if not (np.abs(landmarks) < FAR).all() or not (np.ptp(landmarks[..., :2], axis=1) > 0).all():
        raise DataError(f"{path} is damaged: some landmarks are no places in a picture. Scan the clip again.")
    if not (np.abs(arrays["box"]) < FAR).all() or not ((arrays["score"] >= 0) & (arrays["score"] <= 1)).all():
        raise DataError(f"{path} is damaged: some boxes or scores are none. Scan the clip again.")
    numbers = ((arrays[name], low) for name, low in (("frame", 0), ("track", 0), ("person", -1)))
    if not all(((array >= low) & (array < MOST)).all() for array, low in numbers):
        raise DataError(f"{path} is damaged: some frames, tracks or people are none. Scan the clip again.")
    sharpness = arrays["sharpness"]
    if not (np.abs(arrays["embedding"]) < FAR).all() or not ((sharpness >= 0) & (sharpness < FAR**2)).all():
        raise DataError(f"{path} is damaged: some faces are measured as none can be. Scan the clip again.")
    try:
        clip = from_json(Clip, facts["clip"])
        fps = Fraction(*facts["fps"])
        width, height = int(facts["width"]), int(facts["height"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise DataError(f"{path} is damaged ({error}). Scan the clip again.") from None
    known = {f.name for f in fields(Alignments)}
    return Alignments(clip=clip, width=width, height=height, fps=fps, **{k: v for k, v in arrays.items() if k in known})
