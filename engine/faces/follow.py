"""Measure every face of the frames as they stream by.

A full search is slow, so it runs every few frames, at cuts and where a face was lost; in between
the mesh starts from the last frame's landmarks and its own score says whether the face is still
there (as MediaPipe does). A face that a search finds is followed back through the frames before
it, so that it is there from its first frame and not from the next search on.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import cv2
import numpy as np

from . import align
from .boxes import overlap
from .detect import Detector
from .embedding import Embedder
from .eyes import Eyes
from .mesh import Mesh, box_of, region_of_detection, region_of_face
from .shots import Shots

SEARCH_EVERY = 4
EMBED_EVERY = 6
SCORE = 0.5
SAME = 0.3
"""Boxes that overlap more than this (as a share of their union) show one face."""
LOOK_BACK_FRAMES = 24
LOOK_BACK_BYTES = 200_000_000
TIGHTER = np.array([1, 1, 0.86, 1])
GROWTH = 1.6
"""From one frame to the next no face becomes larger or smaller by more than this."""


@dataclass(kw_only=True)
class Face:
    """One measured face; the arrays are as `alignments` describes them."""

    frame: int
    shot: int
    landmarks: np.ndarray
    score: float
    sharpness: float
    embedding: np.ndarray | None = None

    @property
    def box(self) -> np.ndarray:
        """(4,) x0 y0 x1 y1 around the landmarks."""
        return box_of(self.landmarks)


@dataclass
class _Past:
    frame: int
    image: np.ndarray
    faces: list[Face]


class Follower:
    """Fed the frames one after another, measures their faces."""

    def __init__(self, device: str = "cpu") -> None:
        self.detector, self.mesh, self.embedder = Detector(device), Mesh(device), Embedder(device)
        self.eyes = Eyes(device)
        self.shot_frames: Counter[int] = Counter()
        """How many frames each shot has."""
        self._shots = Shots()
        self._past: deque[_Past] = deque()
        self._shot = 0
        self._since_search = SEARCH_EVERY
        self._ages: list[int] = []

    def __call__(self, frame: int, image: np.ndarray) -> list[Face]:
        """Faces found now: those of this frame first, then any it proved for earlier frames.

        `image` is RGB (height, width, 3) uint8; frames of one clip come in order.
        """
        shot = self._shots(image)
        if shot != self._shot:
            self._past.clear()
            self._since_search = SEARCH_EVERY
        self._shot = shot
        self.shot_frames[shot] += 1
        before = self._past[-1].faces if self._past else []
        kept, ages = self._kept(frame, image, before)
        found: list[Face] = []
        self._since_search += 1
        lost = len(kept) < len(before) and self._since_search > 1
        if lost or self._since_search >= SEARCH_EVERY:
            found = self._search(frame, image, kept)
            self._since_search = 0
        faces = kept + found
        self._ages = ages + [0] * len(found)
        self._embed(image, [f for f, age in zip(faces, self._ages, strict=True) if age % EMBED_EVERY == 0])
        self._see_eyes(image, faces)
        earlier = [past for face in found for past in self._look_back(face)]
        self._past.append(_Past(frame, image, list(faces)))
        while len(self._past) > max(1, min(LOOK_BACK_FRAMES, LOOK_BACK_BYTES // image.nbytes)):
            self._past.popleft()
        return faces + earlier

    def _measure(self, frame: int, image: np.ndarray, regions: list[np.ndarray]) -> list[Face]:
        landmarks, scores = self.mesh(image, regions)
        return [
            Face(frame=frame, shot=self._shot, landmarks=p, score=float(s), sharpness=0.0)
            for p, s in zip(landmarks, scores, strict=True)
        ]

    def _kept(self, frame: int, image: np.ndarray, before: list[Face]) -> tuple[list[Face], list[int]]:
        """The last frame's faces found again, and for how many frames each has been followed."""
        again = self._measure(frame, image, [region_of_face(face.landmarks) for face in before])
        kept: list[Face] = []
        ages: list[int] = []
        order = sorted(range(len(again)), key=lambda i: -again[i].score)
        for i in order:
            if _continues(before[i], again[i]) and not _among(again[i], kept):
                again[i].sharpness = sharpness(image, again[i].landmarks)
                kept.append(again[i])
                ages.append(self._ages[i] + 1)
        return kept, ages

    def _search(self, frame: int, image: np.ndarray, known: list[Face]) -> list[Face]:
        detections = self.detector(image)
        regions = [
            region_of_detection(box, eyes)
            for box, eyes in zip(detections.boxes, detections.eyes, strict=True)
            if not _covered(box, known)
        ]
        measured = self._measure(frame, image, regions)
        for i, face in enumerate(measured):
            if face.score <= SCORE:  # small and poor faces often show themselves in a tighter crop
                (measured[i],) = self._measure(frame, image, [regions[i] * TIGHTER])
        found: list[Face] = []
        for face in sorted(measured, key=lambda face: -face.score):
            if face.score > SCORE and not _among(face, known + found):
                face.sharpness = sharpness(image, face.landmarks)
                found.append(face)
        return found

    def _look_back(self, face: Face) -> list[Face]:
        """A newly found face in the frames before, as far as it can be followed."""
        earlier: list[Face] = []
        for past in reversed(self._past):
            (again,) = self._measure(past.frame, past.image, [region_of_face(face.landmarks)])
            if not _continues(face, again) or _among(again, past.faces):
                break
            again.sharpness = sharpness(past.image, again.landmarks)
            self._see_eyes(past.image, [again])
            past.faces.append(again)
            earlier.append(again)
            face = again
        return earlier

    def _see_eyes(self, image: np.ndarray, faces: list[Face]) -> None:
        if faces:
            for face, landmarks in zip(faces, self.eyes(image, np.stack([f.landmarks for f in faces])), strict=True):
                face.landmarks = landmarks

    def _embed(self, image: np.ndarray, faces: list[Face]) -> None:
        found = self.embedder.embed([image] * len(faces), [face.landmarks for face in faces])
        for face, embedding in zip(faces, found, strict=True):
            face.embedding = embedding


def sharpness(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Variance of the Laplacian of the grey 128 px crop, as `alignments` has it."""
    grey = cv2.cvtColor(align.crop(image, align.crop_matrix(landmarks, 128), 128), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _continues(before: Face, after: Face) -> bool:
    """Whether the later measurement is the same face, moved: not another thing the mesh slid onto."""
    growth = align.mesh_radius(after.landmarks) / max(float(align.mesh_radius(before.landmarks)), 1e-6)
    near = overlap(before.box[None], after.box[None])[0, 0] > 0.1
    return bool(after.score > SCORE and 1 / GROWTH < growth < GROWTH and near)


def _among(face: Face, faces: list[Face]) -> bool:
    others = np.array([other.box for other in faces]).reshape(-1, 4)
    return bool((overlap(face.box[None], others)[0] > SAME).any())


def _covered(box: np.ndarray, faces: list[Face]) -> bool:
    """Whether a detector's box, cut otherwise than ours, shows one of these faces."""
    others = np.array([face.box for face in faces]).reshape(-1, 4)
    return bool((overlap(box[None], others, of_smaller=True)[0] > 0.5).any())
