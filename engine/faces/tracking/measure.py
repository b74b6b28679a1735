"""Measure every face of a run of frames, all frames at once.

A full search is slow, so it is made on every fourth frame, on all of those together. What it finds
is measured by the mesh, followed to the frames between by what lies on both sides of them, and from
there forward and backward as long as the mesh knows it again (its own score says so, as in
MediaPipe). Where the mesh fails, on a profile or in a blur, optical flow carries the face on, as
long as the flow is sure of itself and a detector sees a face there from time to time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from ..alignments import LANDMARKS
from ..detectors import DEFAULT
from ..detectors.found import Found
from ..detectors.search import WITHIN, Search
from ..geometry import align
from ..geometry.boxes import overlap
from ..networks.embedding import Embedder
from ..networks.face_mesh import Mesh, box_of, region_of_detection, region_of_face
from . import optical_flow
from .nearby_search import detect_nearby

SEARCH_EVERY = 4
THOROUGH_EVERY = 4
"""One search in so many looks for the smallest faces, too."""
BESIDE_EVERY = 64
"""Heads that lie beside upright ones are searched for once in so many frames, and where a shot begins with a run."""
EMBED_EVERY = 8
SCORE = 0.5
SAME_OVERLAP = 0.3
"""Boxes that overlap more than this (as a share of their union) show one face."""
TIGHTER = (0.86, 0.0)
TURNS = ((1.0, np.pi / 2), (1.0, np.pi), (1.0, -np.pi / 2))
"""Changes of a region that a second look may need: of its side, and of its angle."""
MORE = 8
"""So many more frames of a shot are asked which heads are upside down where some of the searched ones say so."""
EYES, LIPS = (33, 263), (13, 14)
"""Landmarks: the outer corners of the eyes, the inner middle of both lips."""
MAX_GROWTH = 1.6
"""From one frame to the next no face becomes larger or smaller by more than this."""
TRY_EVERY = 3
"""A face that is carried is shown to the mesh on one frame in so many."""
MAX_BLIND = 12
"""Frames over which a face is carried without a detector's word that one is there."""
SURE_SCORE = 0.8
"""Only a face that was measured with this score, or in two frames, is worth carrying."""


@dataclass(kw_only=True, eq=False)
class Face:
    """One face on one frame; the arrays are as `alignments` describes them.

    `carried`: not measured, but moved there by optical flow. `unseen` counts the frames since a face was
    last measured or detected there: 0 where it was. `glimpse` is a detector's score where only it saw the face;
    `score` is 0 then, unless the face was measured before.
    `sighted` tells whether a detector sees it: 1 or 0, and -1 on a frame that was not searched.
    `irises` (2, 2) are where both lie, None where the face was not measured.
    """

    frame: int
    landmarks: np.ndarray
    score: float
    sharpness: float = 0.0
    embedding: np.ndarray | None = None
    carried: bool = False
    unseen: int = 0
    glimpse: float = 0.0
    sighted: int = -1
    irises: np.ndarray | None = None

    @property
    def box(self) -> np.ndarray:
        """(4,) x0 y0 x1 y1 around the landmarks."""
        return box_of(self.landmarks)


@dataclass
class Unconfirmed:
    """What a detector took for a face and the mesh did not; what the mesh answered."""

    frame: int
    box: np.ndarray
    score: float
    landmarks: np.ndarray


@dataclass
class _Run:
    """The frames at hand: pictures by frame number, shots, and the faces found so far."""

    images: dict[int, np.ndarray]
    shots: dict[int, int]
    faces: dict[int, list[Face]]
    glimpses: list[Unconfirmed] = field(default_factory=list)
    sights: dict[int, np.ndarray] = field(default_factory=dict)
    """The detectors' boxes (n, 4) on each frame that was searched."""

    def neighbours(self, a: int, b: int) -> bool:
        """Whether both frames are here and of one shot."""
        return a in self.images and b in self.images and self.shots[a] == self.shots[b]


class Measurer:
    """The networks on a device; see `__call__`."""

    def __init__(
        self,
        detectors: Sequence[str] = DEFAULT,
        device: str = "cpu",
        check: Callable[[], None] = lambda: None,
        embed_every: int = EMBED_EVERY,
    ) -> None:
        """`check` is called often, and may raise to stop. A face that is followed has an embedding on each
        `embed_every`-th frame."""
        self.check, self.embed_every = check, embed_every
        self.search = Search(detectors, device)
        self.nearby = self.search.detectors.get("blazeface") or next(iter(self.search.detectors.values()))
        self.mesh, self.embedder = Mesh(device), Embedder(device)

    def __call__(
        self,
        first: int,
        images: Sequence[np.ndarray],
        shots: Sequence[int],
        before: tuple[np.ndarray, list[Face]] | None = None,
    ) -> list[Face]:
        """Faces of consecutive frames from number `first` on, by frame.

        `images` are RGB (height, width, 3) uint8 of one size, `shots` the shot of each. `before` is the
        picture of the frame before them and its faces, where it is of the first one's shot and was measured.
        """
        frames = range(first, first + len(images))
        run = _Run(
            dict(zip(frames, images, strict=True)), dict(zip(frames, shots, strict=True)), {f: [] for f in frames}
        )
        if before:
            run.images[first - 1], run.shots[first - 1] = before[0], run.shots[first]
            run.faces[first - 1] = list(before[1])
        keys = self._look(run, list(frames))
        if not before or any(frame % BESIDE_EVERY == 0 for frame in frames):
            self._look_beside(run, keys)
        self._between(run, keys)
        self._follow(run, [(face, step) for key in keys for face in run.faces[key] for step in (-1, 1)])
        if before:
            self._follow(run, [(face, 1) for face in before[1] if not face.carried])
        self._carry(run)
        run.faces.pop(first - 1, None)
        for key, boxes in run.sights.items():
            for face in run.faces[key]:
                face.sighted = int(_is_confirmed(face.box, boxes))
        measured = [face for frame in frames for face in run.faces[frame] if not face.carried]
        self._describe(run, measured)
        return [face for frame in frames for face in run.faces[frame]]

    def _look(self, run: _Run, frames: list[int]) -> list[int]:
        """Search some frames, measure what is found; returns the frames searched."""
        keys, thorough = [], []
        for shot in dict.fromkeys(run.shots[f] for f in frames):
            members = [f for f in frames if run.shots[f] == shot]
            count = -(-len(members) // SEARCH_EVERY)
            places = ((np.arange(count) + 0.5) * len(members) / count).astype(int).tolist()
            keys += [members[place] for place in places]
            thorough += [i % THOROUGH_EVERY == 0 for i in range(count)]
        answers = self.search([run.images[key] for key in keys], thorough)
        run.sights = {key: answer.boxes for key, answer in zip(keys, answers, strict=True)}
        seen = [(key, answer, i) for key, answer in zip(keys, answers, strict=True) for i in range(len(answer.boxes))]
        regions = [region_of_detection(answer.boxes[i], answer.points[i, :2]) for _, answer, i in seen]
        measured = self._measure(run, [key for key, _, _ in seen], regions)
        # small and poor faces often show themselves in a tighter crop, those that lie in a turned one
        lying = {key for key, deep in zip(keys, thorough, strict=True) if deep}
        for change in (TIGHTER, *TURNS):
            poor = [
                n
                for n, face in enumerate(measured)
                if face.score <= SCORE and (change is TIGHTER or seen[n][0] in lying)
            ]
            again = self._measure(run, [seen[n][0] for n in poor], [_changed(regions[n], change) for n in poor])
            for n, face in zip(poor, again, strict=True):
                measured[n] = face
        for n in sorted(range(len(seen)), key=lambda n: -measured[n].score):
            key, answer, i = seen[n]
            if measured[n].score > SCORE:
                if not _among(measured[n], run.faces[key]):
                    run.faces[key].append(measured[n])
            else:
                run.glimpses.append(Unconfirmed(key, answer.boxes[i], float(answer.scores[i]), measured[n].landmarks))
        return keys

    def _look_beside(self, run: _Run, keys: list[int]) -> None:
        """Search one frame of the longest shot for heads that lie or are upside down beside upright ones."""
        shown = [key for key in keys if run.faces[key]]
        if not shown:
            return
        longest = Counter(run.shots[key] for key in shown).most_common(1)[0][0]
        members = [key for key in shown if run.shots[key] == longest]
        key = members[len(members) // 2]
        taken = np.concatenate([run.sights[key], [face.box for face in run.faces[key]]]).astype(np.float32)
        answer, turned = self.search.beside(run.images[key], taken)
        regions = [region_of_detection(box, eyes[:2]) for box, eyes in zip(answer.boxes, answer.points, strict=True)]
        for face in self._measure(run, [key] * len(regions), regions):
            if face.score > SURE_SCORE and not _among(face, run.faces[key]):
                run.faces[key].append(face)
        run.sights[key] = np.concatenate([run.sights[key], answer.boxes])
        self._turn_over(run, key, [other for other in keys if run.shots[other] == longest], turned)

    def _turn_over(self, run: _Run, key: int, keys: list[int], turned: Found) -> None:
        """Measure anew, on the searched frames of a shot, the heads that were measured upright and are upside down on
        one of them: on `key`, of which `turned` is known, or on MORE others where some are upside down and some not."""
        every = [face for other in keys for face in run.faces[other]]
        lying = [face for face in every if face.score > SURE_SCORE and not _is_upright(face)]
        mixed = any(_is_upright(face) and _among(face, lying) for face in every)
        others = [other for other in keys if other != key] if mixed else []
        for other in [key, *others[:: -(-len(others) // MORE) or 1]]:
            faces = [face for face in run.faces[other] if _is_upright(face)]
            if not faces:
                continue
            seen = turned if other == key else self.search.turned_over(run.images[other])
            heads = self.search.upside_down(run.images[other], np.array([face.box for face in faces]), seen)
            regions = [region_of_detection(seen.boxes[n], seen.points[n, :2]) for n in heads.values()]
            for number, again in zip(heads, self._measure(run, [other] * len(regions), regions), strict=True):
                if again.score > SURE_SCORE and not _is_upright(again):
                    _replace(run, faces[number], again)
                    self._turn_over_with(run, again, keys)

    def _turn_over_with(self, run: _Run, head: Face, keys: list[int]) -> None:
        """Measure a head that is upside down on one of the searched frames anew on those before and after it."""
        at = keys.index(head.frame)
        for way in (keys[at + 1 :], keys[:at][::-1]):
            last = head
            for frame in way:
                there = [face for face in run.faces[frame] if _among(face, [last])]
                if not there:
                    break
                if _is_upright(there[0]):
                    region = _changed(region_of_face(there[0].landmarks), TURNS[1])
                    (again,) = self._measure(run, [frame], [region])
                    good = again.score > SCORE and not _is_upright(again)
                    _replace(run, there[0], again if good else None)
                    there = [again] if good else [last]
                last = there[0]

    def _between(self, run: _Run, keys: list[int]) -> None:
        """Measure the frames between two searches where the same face was found in both."""
        guesses = []
        for a, b in pairwise(keys):
            if run.shots[a] != run.shots[b]:
                continue
            for before, after in _pairs(run.faces[a], run.faces[b]):
                for frame in range(a + 1, b):
                    share = (frame - a) / (b - a)
                    landmarks = optical_flow.blend_landmarks(before.landmarks, after.landmarks, share)
                    guesses.append(Face(frame=frame, landmarks=landmarks, score=1.0))
        found = self._measure(run, [g.frame for g in guesses], [region_of_face(g.landmarks) for g in guesses])
        for guess, face in zip(guesses, found, strict=True):
            self._accept(run, guess, face)

    def _follow(self, run: _Run, ends: list[tuple[Face, int]]) -> None:
        """From faces step by step to the next frames (step 1) or the ones before (-1), all at once."""
        while ends:
            ends = [
                (face, step)
                for face, step in ends
                if run.neighbours(face.frame, face.frame + step) and not _among(face, run.faces[face.frame + step])
            ]
            regions = [region_of_face(face.landmarks) for face, _ in ends]
            found = self._measure(run, [face.frame + step for face, step in ends], regions)
            ends = [
                (after, step)
                for (before, step), after in zip(ends, found, strict=True)
                if self._accept(run, before, after)
            ]

    def _carry(self, run: _Run) -> None:
        """Where a face's mesh ends, or never was, let optical flow take it on, and a detector that looks where it
        ought to be; until the mesh knows it again, or neither does."""
        for glimpse in sorted(run.glimpses, key=lambda g: -g.score):
            if not _shown(glimpse.box, run.faces[glimpse.frame]):
                run.faces[glimpse.frame].append(
                    Face(
                        frame=glimpse.frame,
                        landmarks=align.fit_to_box(glimpse.landmarks, glimpse.box),
                        score=0.0,
                        carried=True,
                        glimpse=glimpse.score,
                    )
                )
        ends = [
            (face, step)
            for frame, faces in run.faces.items()
            for face in faces
            for step in (-1, 1)
            if run.neighbours(frame, frame + step)
            and not _among(face, run.faces[frame + step])
            and (face.carried or face.score > SURE_SCORE or _among(face, run.faces.get(frame - step, [])))
        ]
        carried: dict[int, list[tuple[Face, int, int]]] = {frame: [] for frame in run.images}
        resumed: list[tuple[Face, int]] = []
        age = 0
        while ends:
            age += 1
            ends = [
                (face, step)
                for face, step in ends
                if run.neighbours(face.frame, face.frame + step) and not _among(face, run.faces[face.frame + step])
            ]
            ends = [(f, step) for f, step in self._moved(run, ends) if not _among(f, run.faces[f.frame])]
            if age % TRY_EVERY == 1:
                found = self._measure(run, [f.frame for f, _ in ends], [region_of_face(f.landmarks) for f, _ in ends])
                known = [self._accept(run, face, again) for (face, _), again in zip(ends, found, strict=True)]
                # what it knows again it may have known since the last try
                resumed += [(again, way) for again, good in zip(found, known, strict=True) if good for way in (1, -1)]
                ends = [end for end, good in zip(ends, known, strict=True) if not good]
            for face, step in ends:
                carried[face.frame].append((face, step, age))
        self._follow(run, resumed)
        for faces in carried.values():
            for face in _merge_carried(faces):
                if not _among(face, run.faces[face.frame]):
                    run.faces[face.frame].append(face)

    def _moved(self, run: _Run, ends: list[tuple[Face, int]]) -> list[tuple[Face, int]]:
        """Faces one frame on, by flow or by the detector; those that neither knows are left out."""
        self.check()
        images = [run.images[face.frame + step] for face, step in ends]
        flown = [
            optical_flow.carry_landmarks(run.images[face.frame], image, face.landmarks)
            for (face, _), image in zip(ends, images, strict=True)
        ]
        places = [
            box_of(there) if there is not None else face.box for there, (face, _) in zip(flown, ends, strict=True)
        ]
        moved = []
        for (face, step), there, sight in zip(ends, flown, detect_nearby(self.nearby, images, places), strict=True):
            if there is None and sight is None:
                continue
            landmarks = there if there is not None else align.fit_to_box(face.landmarks, sight[0]) if sight else None
            assert landmarks is not None
            unseen = (
                0 if sight or _unconfirmed_at(box_of(landmarks), face.frame + step, run.glimpses) else face.unseen + 1
            )
            if unseen <= MAX_BLIND:
                after = Face(
                    frame=face.frame + step,
                    landmarks=landmarks,
                    score=face.score,
                    carried=True,
                    unseen=unseen,
                    glimpse=sight[1] if sight else 0.0,
                )
                moved.append((after, step))
        return moved

    def _measure(self, run: _Run, frames: list[int], regions: list[np.ndarray]) -> list[Face]:
        self.check()
        landmarks, scores = self.mesh([run.images[frame] for frame in frames], regions)
        return [
            Face(frame=frame, landmarks=points, score=float(score))
            for frame, points, score in zip(frames, landmarks, scores, strict=True)
        ]

    def _accept(self, run: _Run, before: Face, after: Face) -> bool:
        """Keep a measurement that is the same face as the one it started from, and not there already."""
        if not _continues(before, after) or _among(after, run.faces[after.frame]):
            return False
        run.faces[after.frame].append(after)
        return True

    def _describe(self, run: _Run, faces: list[Face]) -> None:
        """The sharpness and irises of all faces, the embedding of some of each chain of them."""
        places = np.array([face.landmarks for face in faces]).reshape(-1, LANDMARKS, 3)
        for face, irises in zip(faces, self.mesh.irises([run.images[f.frame] for f in faces], places), strict=True):
            face.sharpness = sharpness(run.images[face.frame], face.landmarks)
            face.irises = irises
        ages: dict[int, int] = {}
        wanted = []
        for face in faces:
            goes_on = run.neighbours(face.frame - 1, face.frame)  # after a cut it may be anybody's
            earlier = [f for f in run.faces.get(face.frame - 1, []) if id(f) in ages] if goes_on else []
            common = overlap(face.box[None], np.array([f.box for f in earlier]).reshape(-1, 4))[0]
            age = ages[id(earlier[int(common.argmax())])] + 1 if len(common) and common.max() > SAME_OVERLAP else 0
            ages[id(face)] = age
            if age % self.embed_every == 0:
                wanted.append(face)
        found = self.embedder.embed([run.images[f.frame] for f in wanted], [f.landmarks for f in wanted])
        for face, embedding in zip(wanted, found, strict=True):
            face.embedding = embedding


def sharpness(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Variance of the Laplacian of the grey 128 px crop, as `alignments` has it."""
    grey = cv2.cvtColor(align.crop(image, align.crop_matrix(landmarks, 128), 128), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _is_upright(face: Face) -> bool:
    """Whether a face's eyes lie above its mouth in the picture."""
    return bool(face.landmarks[EYES, 1].mean() < face.landmarks[LIPS, 1].mean())


def _replace(run: _Run, face: Face, by: Face | None) -> None:
    run.faces[face.frame] = [other for other in run.faces[face.frame] if other is not face] + ([by] if by else [])


def _changed(region: np.ndarray, change: tuple[float, float]) -> np.ndarray:
    return np.array([region[0], region[1], region[2] * change[0], region[3] + change[1]])


def _continues(before: Face, after: Face) -> bool:
    """Whether the later measurement is the same face, moved: not another thing the mesh slid onto."""
    growth = align.mesh_radius(after.landmarks) / max(float(align.mesh_radius(before.landmarks)), 1e-6)
    near = overlap(before.box[None], after.box[None])[0, 0] > 0.1
    return bool(after.score > SCORE and 1 / MAX_GROWTH < growth < MAX_GROWTH and near)


def _among(face: Face, faces: list[Face]) -> bool:
    others = np.array([other.box for other in faces]).reshape(-1, 4)
    return bool((overlap(face.box[None], others)[0] > SAME_OVERLAP).any())


def _pairs(before: list[Face], after: list[Face]) -> list[tuple[Face, Face]]:
    """Faces of two searches that are one, by where they are."""
    common = overlap(np.array([f.box for f in before]).reshape(-1, 4), np.array([f.box for f in after]).reshape(-1, 4))
    rows, columns = linear_sum_assignment(-common)
    return [(before[i], after[j]) for i, j in zip(rows, columns, strict=True) if common[i, j] > SAME_OVERLAP]


def _unconfirmed_at(box: np.ndarray, frame: int, glimpses: list[Unconfirmed]) -> bool:
    """Whether a detector saw a face of about this size there."""
    others = np.array([g.box for g in glimpses if g.frame == frame]).reshape(-1, 4)
    return bool((overlap(box[None], others)[0] > SAME_OVERLAP).any())


def _is_confirmed(box: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether one of the detectors' boxes shows the face: they cut faces more or less tightly than the mesh."""
    common, within = overlap(box[None], boxes)[0], overlap(box[None], boxes, of_smaller=True)[0]
    return bool(((common > SAME_OVERLAP) | (within > WITHIN)).any())


def _shown(box: np.ndarray, faces: list[Face]) -> bool:
    """Whether one of the faces is what a detector's box shows, cut otherwise: less of it in common will do."""
    others = np.array([face.box for face in faces]).reshape(-1, 4)
    common, within = overlap(box[None], others)[0], overlap(box[None], others, of_smaller=True)[0]
    return bool(((common > 0.2) | (within > 0.5)).any())


def _merge_carried(carried: list[tuple[Face, int, int]]) -> list[Face]:
    """Faces carried to one frame: those that came from both sides to one place become one, by how far each came."""
    kept: list[Face] = []
    rest = list(carried)
    while rest:
        face, step, age = rest.pop(0)
        for other in rest:
            if other[1] != step and overlap(face.box[None], other[0].box[None])[0, 0] > SAME_OVERLAP:
                rest.remove(other)
                landmarks = optical_flow.blend_landmarks(face.landmarks, other[0].landmarks, age / (age + other[2]))
                face = replace(
                    face,
                    landmarks=landmarks,
                    score=max(face.score, other[0].score),
                    unseen=min(face.unseen, other[0].unseen),
                    glimpse=max(face.glimpse, other[0].glimpse),
                )
                break
        kept.append(face)
    return kept
