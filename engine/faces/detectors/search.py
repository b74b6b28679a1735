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
CLEARER, NEAR = 0.15, 0.2
"""By how much a face's score in the picture turned by 180 degrees has to be above that in the upright one, so that it
is upside down, and the overlap of both, over their union. Of 579 upright faces of 37 clips none was taken for one that
is upside down; without the margin one was."""
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

    def beside(self, image: np.ndarray, taken: np.ndarray) -> tuple[Found, Found]:
        """Faces of an RGB image (height, width, 3) uint8 that lie on their sides or upside down, in none of the boxes
        `taken` (n, 4) of upright ones; and all that were found in the picture turned by 180 degrees, for
        `upside_down`."""
        turns = self._by_turn([image])
        answer = deduplicate(join([each[0] for each in turns.values()]))
        union, smaller = (overlap(answer.boxes, taken, of_smaller=way).max(1, initial=0.0) for way in (False, True))
        lying = answer.only(np.flatnonzero((union <= MET) & (smaller <= ALIKE) & (answer.scores >= BESIDE)))
        return lying, turns[2][0]

    def turned_over(self, image: np.ndarray) -> Found:
        """What is found in an RGB image (height, width, 3) uint8 turned by 180 degrees, as it lies in the image."""
        return self._by_turn([image], (2,))[2][0]

    def upside_down(self, image: np.ndarray, boxes: np.ndarray, turned: Found) -> dict[int, int]:
        """Which of the boxes (n, 4) of faces in an RGB image (height, width, 3) uint8 show heads that are upside down,
        and which of `turned` each is."""
        clear = np.flatnonzero(turned.scores >= BESIDE)
        near = overlap(boxes, turned.boxes[clear]) > NEAR
        detect = self.detectors.get("blazeface")  # whose scores the limits are of
        if detect is None or not near.any():
            return {}
        scale = min(1.0, QUICK_SIDE / max(image.shape[:2]))
        upright = _enlarged(detect([_scaled(image, scale)], MIN_FACE_PIXELS)[0], scale)
        heads = {}
        for number in np.flatnonzero(near.any(1)):
            score = upright.scores[overlap(boxes[number][None], upright.boxes)[0] > NEAR].max(initial=0.0)
            here = clear[near[number]]
            best = int(here[turned.scores[here].argmax()])
            if turned.scores[best] > score + CLEARER:
                heads[int(number)] = best
        return heads

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
        turns = self._by_turn(images)
        return [deduplicate(join([each[i] for each in turns.values()])) for i in range(len(images))]

    def _by_turn(self, images: Sequence[np.ndarray], turns: Sequence[int] = (1, 3, 2)) -> dict[int, list[Found]]:
        """Faces found in each of the pictures turned by so many quarters, as they lie in the upright ones."""
        detect = self.detectors.get("yunet") or self.detectors.get("blazeface") or next(iter(self.detectors.values()))
        scale = min(1.0, QUICK_SIDE / max(images[0].shape[:2])) if len(images) else 1.0
        small = [_scaled(image, scale) for image in images]
        answer = {}
        for quarters in turns:
            turned = [np.ascontiguousarray(np.rot90(image, quarters)) for image in small]
            answers = detect(turned, MIN_FACE_PIXELS) if turned else []
            answer[quarters] = [
                _enlarged(_turned_back(each, quarters, image.shape[0], image.shape[1]), scale)
                for each, image in zip(answers, small, strict=True)
            ]
        return answer


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
