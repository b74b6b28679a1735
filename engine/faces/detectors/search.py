"""Search frames for every face: several detectors at once, at the sizes that a picture's own size asks for."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..geometry.boxes import overlap
from . import DEFAULT, DETECTORS, checked_names
from .found import Found, found, join, no_faces
from .mtcnn import Mtcnn

MIN_FACE_PIXELS = 20.0
"""Pixels; of pictures longer than `FULL_SIDE`, after shrinking them to it."""
FULL_SIDE = 1920
QUICK_SIDE = 960
"""The longer side to which a quick search shrinks a picture: it finds faces from 40 pixels in 1080p."""
BESIDE = 0.8
"""The score from which a turned picture's face counts beside upright ones: detectors take hands and hair for turned
faces more easily."""
MET = 0.1
"""The overlap, over their union, from which a lying face is but an upright one seen again."""
ALIKE, WITHIN = 0.35, 0.7
"""Overlap of two detectors' boxes, over their union or over the smaller, from which they show one face."""


class Search:
    """The chosen detectors on a device."""

    def __init__(self, names: Sequence[str] = DEFAULT, device: str = "cpu") -> None:
        self.detectors = {name: DETECTORS[name](device) for name in checked_names(names)}

    def __call__(self, images: Sequence[np.ndarray], thorough: Sequence[bool] | None = None) -> list[Found]:
        """Faces of n RGB images (height, width, 3) uint8 of one size.

        Where `thorough` (default: everywhere), faces from 20 pixels of a 1080p frame are looked for, and a frame
        with no face at all is searched again lying on its sides and upside down; elsewhere from 40.
        """
        thorough = [True] * len(images) if thorough is None else list(thorough)
        answers = self._upright(images, thorough)
        empty = [i for i, answer in enumerate(answers) if thorough[i] and not len(answer.boxes)]
        for i, answer in zip(empty, self._turned([images[i] for i in empty]), strict=True):
            answers[i] = answer
        return answers

    def beside(self, image: np.ndarray, taken: np.ndarray) -> Found:
        """Faces of an RGB image (height, width, 3) uint8 that lie on their sides or upside down, in none of the boxes
        `taken` (n, 4) of upright ones."""
        (answer,) = self._turned([image])
        union, smaller = (overlap(answer.boxes, taken, of_smaller=way).max(1, initial=0.0) for way in (False, True))
        return answer.only(np.flatnonzero((union <= MET) & (smaller <= ALIKE) & (answer.scores >= BESIDE)))

    def _upright(self, images: Sequence[np.ndarray], thorough: list[bool]) -> list[Found]:
        if not len(images):
            return []
        longest = max(images[0].shape[:2])
        scale, full = min(1.0, QUICK_SIDE / longest), min(1.0, FULL_SIDE / longest)
        small = [_scaled(image, scale) for image in images]
        parts = [[_enlarged(a, scale) for a in detect(small, MIN_FACE_PIXELS)] for detect in self.detectors.values()]
        if full > scale and any(thorough):
            rows = [i for i, deep in enumerate(thorough) if deep]
            large = [_scaled(images[i], full) for i in rows]
            for detect in self.detectors.values():
                if isinstance(detect, Mtcnn):  # only it can leave out the sizes that were looked for already
                    deep_answers = detect(large, MIN_FACE_PIXELS, 1.1 * MIN_FACE_PIXELS * full / scale)
                else:
                    deep_answers = detect(large, MIN_FACE_PIXELS)
                extra = dict(zip(rows, deep_answers, strict=True))
                parts.append([_enlarged(extra[i], full) if i in extra else no_faces() for i in range(len(images))])
        return [deduplicate(join(answers)) for answers in zip(*parts, strict=True)]

    def _turned(self, images: Sequence[np.ndarray]) -> list[Found]:
        """Faces found in the pictures turned by 90, 270 and 180 degrees, as they lie in the upright ones."""
        answers = [[no_faces()] for _ in images]
        detect = self.detectors.get("yunet") or self.detectors.get("blazeface") or next(iter(self.detectors.values()))
        scale = min(1.0, QUICK_SIDE / max(images[0].shape[:2])) if len(images) else 1.0
        small = [_scaled(image, scale) for image in images]
        for quarters in (1, 3, 2):
            turned = [np.ascontiguousarray(np.rot90(image, quarters)) for image in small]
            for answer, each, image in zip(
                answers, detect(turned, MIN_FACE_PIXELS) if turned else [], small, strict=True
            ):
                answer.append(_enlarged(_turned_back(each, quarters, image.shape[0], image.shape[1]), scale))
        return [deduplicate(join(answer)) for answer in answers]


def deduplicate(answer: Found) -> Found:
    """One of several boxes around the same face, the best: detectors cut faces more or less tightly."""
    kept: list[int] = []
    for i in np.argsort(-answer.scores, kind="stable"):
        others = answer.boxes[kept].reshape(-1, 4)
        alike = overlap(answer.boxes[i][None], others)[0] > ALIKE
        within = overlap(answer.boxes[i][None], others, of_smaller=True)[0] > WITHIN
        if not (alike | within).any():
            kept.append(int(i))
    return answer.only(np.array(kept, np.int64))


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image)


def _enlarged(answer: Found, scale: float) -> Found:
    return Found(answer.boxes / scale, answer.scores, answer.points / scale)


def _turned_back(answer: Found, quarters: int, height: int, width: int) -> Found:
    """What was found in a picture (height, width) that `np.rot90` turned, in the picture as it was."""

    def back(xy: np.ndarray) -> np.ndarray:
        x, y = xy[..., 0], xy[..., 1]
        if quarters == 1:
            return np.stack([width - y, x], -1)
        if quarters == 2:
            return np.stack([width - x, height - y], -1)
        return np.stack([y, height - x], -1)

    corners = back(answer.boxes.reshape(-1, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
    return found(boxes, answer.scores, back(answer.points))
