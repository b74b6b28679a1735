"""What is measured of a recast frame, with other networks than the engine's own where there are any.

dlib (its 68 points and its embedding, through dlib itself) tells identity and expression; the engine's mesh and irises,
measured anew on the result, tell lids and gaze, which dlib's points are too coarse for; colours and light are told from
pixels alone. Needs `pip install dlib-bin` and `pip install --no-deps face_recognition_models`.
"""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from panel_recast import Shown
from understudy.engine.faces.geometry.align import crop, crop_matrix, transform
from understudy.engine.faces.geometry.topology import (
    BROWS,
    EYE_CORNERS,
    EYES,
    INNER_LIPS,
    LIDS,
    MOUTH_TRIANGLES,
    OUTER_LIPS,
    TRIANGLES,
)
from understudy.engine.faces.networks.face_mesh import LIP_POINTS, Mesh, region_of_face
from understudy.engine.model.draft.mesh_raster import triangle_map, vertex_visibility
from understudy.engine.model.draft.rest import MEAN

SIZE = 256
"""Side of the crops on which colours and light are judged."""
INNER = slice(17, 68)
"""dlib's points without the outline of the jaw."""
CLOSED = 0.15
"""Lids no farther apart than this, in widths of the eye, hide most of the iris: where one looks cannot be told then."""
WINK = 0.09
"""The lids' openings differing by so much more than the target's, in widths of the eye, is a wink."""
FOLD_WIDTH, FOLDED = 0.25, 0.03
"""Folds are finer than the first, in radii of the face, and change the shading by more than the second (the deviation
over the face of luma's logarithm), or nothing is said of them."""
_EXPRESSIVE = np.array([*OUTER_LIPS, *INNER_LIPS, *EYES[0], *EYES[1], *BROWS[0][:5], *BROWS[1][:5]])
_EDGE = 0.35
"""Skin that is turned away farther than this cosine is not judged."""
LUMA_SPAN, CHROMA_SPAN = 0.40, 0.12
"""What skin may lie beyond the relief that is known, in natural logarithms of luma and of ratios of colours: .40 is
half as bright again, .12 is a tint one sees at once on skin. Of luma both the source's and the footage's own is known;
of colours what lies between the face's usual tone and the footage's there: grey sockets of a source in green light are
no relief of theirs."""

_NOSTRILS = [98, 97, 2, 326, 327, 60, 75, 240, 99, 20, 290, 305, 460, 328, 250, 79, 166, 238, 239, 309, 392, 458, 459]
_features = np.zeros(468, bool)
_features[[*LIP_POINTS, *EYES[0], *EYES[1], *BROWS[0], *BROWS[1], *_NOSTRILS]] = True
SKIN = ~_features[TRIANGLES].any(1) & (np.arange(len(TRIANGLES)) < MOUTH_TRIANGLES.start)
"""(898,) the triangles of plain skin."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is seen of a face in a picture.

    points (68, 2) dlib's; embedding (128,); mesh (468, 3), all in picture pixels; gaze (2, 2) where the irises lie
    between the corners, right eye first, in widths of the eye; lids (2,) how far they are open, in the same unit.
    """

    points: np.ndarray
    embedding: np.ndarray
    mesh: np.ndarray
    gaze: np.ndarray
    lids: np.ndarray


@dataclass(frozen=True, eq=False)
class Person:
    """Whose face comes in: mean embedding (128,), the spread of their own frames about it, and the tones of their
    skin, (T, 3) low and high: triangles' luma and two colour ratios less the face's own mean, in logarithms."""

    embedding: np.ndarray
    floor: float
    low: np.ndarray
    high: np.ndarray


@dataclass
class Verdict:
    """A frame's figures by name, what a sheet shows, crops (SIZE, SIZE, 3) of footage, recast and a map,
    and the luma of each triangle in the footage and in the recast, (898,) as `tones` has it."""

    frame: int
    values: dict[str, float] = field(default_factory=dict)
    crops: tuple[np.ndarray, ...] = ()
    luma: tuple[np.ndarray, ...] = ()


class Judge:
    """Holds the networks. `hair` is a function from (N, 512, 512, 3) uint8 crops to (N, 512, 512) 0..1, or None."""

    def __init__(self, hair: object = None) -> None:
        import dlib

        models = Path(str(importlib.util.find_spec("face_recognition_models").origin)).parent / "models"  # type: ignore[union-attr]
        self._rectangle = dlib.rectangle
        self._shape = dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
        self._embed = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))
        self._mesh = Mesh()
        self.hair = hair

    def points(self, picture: np.ndarray, landmarks: np.ndarray, grown: float = 1.0) -> tuple[np.ndarray, object]:
        """dlib's points of the face that lies where landmarks (468, 3) are, begun in a box `grown` times as large."""
        low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
        x, y = (low + high) / 2 + [0, 0.05 * (high - low)[1]]
        half = grown * (high - low).max() / 2
        shape = self._shape(picture, self._rectangle(int(x - half), int(y - half), int(x + half), int(y + half)))
        return np.array([(p.x, p.y) for p in shape.parts()], float), shape

    def embedding(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """dlib's (128,) of the face there."""
        return np.array(self._embed.compute_face_descriptor(picture, self.points(picture, landmarks)[1]))

    def look(self, picture: np.ndarray, landmarks: np.ndarray, grown: float = 1.0) -> Look:
        """All that is seen of the face that lies where landmarks (468, 3) are; `grown` begins elsewhere."""
        points, shape = self.points(picture, landmarks, grown)
        embedding = np.array(self._embed.compute_face_descriptor(picture, shape))
        (mesh,), _ = self._mesh([picture], [region_of_face(landmarks) * [1, 1, grown, 1]])
        (irises,) = self._mesh.irises([picture], mesh[None])
        gaze, lids = [], []
        for iris, (a, b), pairs in zip(irises, EYE_CORNERS, LIDS, strict=True):
            across = mesh[b, :2] - mesh[a, :2]
            width = float(np.hypot(*across))
            axes = np.array([across, [-across[1], across[0]]]) / width**2
            gaze.append(axes @ (iris - (mesh[a, :2] + mesh[b, :2]) / 2))
            opened = [np.linalg.norm(mesh[u, :2] - mesh[v, :2]) for u, v in pairs]
            lids.append(float(np.mean(opened)) / width)
        return Look(points, embedding, mesh, np.array(gaze), np.array(lids))


def tones(picture: np.ndarray, mesh: np.ndarray) -> np.ndarray:
    """Luma and two colour ratios of each triangle in logarithms, (898, 3), not a number where one is turned away.

    picture (H, W, 3) uint8, mesh (468, 3) in its pixels. Less the mean over the plain skin that is seen.
    """
    matrix = crop_matrix(mesh, SIZE)
    small = cv2.GaussianBlur(crop(picture, matrix, SIZE).astype(np.float32), (0, 0), 1.5)
    place = transform(mesh, matrix)
    x, y = np.clip(place[TRIANGLES, :2].mean(1), 0, SIZE - 1).astype(int).T
    colour = small[y, x] + 4
    luma = np.log(colour @ [0.299, 0.587, 0.114])
    told = np.column_stack([luma, np.log(colour[:, 0] / colour[:, 1]), np.log(colour[:, 2] / colour[:, 1])])
    away = vertex_visibility(mesh[None])[0][TRIANGLES].min(1) < _EDGE
    told[away] = np.nan
    seen = SKIN & ~away
    return told - (np.median(told[seen], 0) if seen.sum() > 50 else 0)


def person(judge: Judge, pictures: list[np.ndarray], landmarks: list[np.ndarray]) -> Person:
    """What is known of a source from some of their own frames."""
    found = np.stack([judge.embedding(p, m) for p, m in zip(pictures, landmarks, strict=True)])
    middle = found.mean(0)
    told = np.stack([tones(p, m) for p, m in zip(pictures, landmarks, strict=True)])
    with np.errstate(all="ignore"):
        low, high = (np.nanquantile(told, q, axis=0) for q in (0.2, 0.8))
    return Person(middle, float(np.linalg.norm(found - middle, axis=1).mean()), low, high)


def judge_frame(
    judge: Judge, shown: Shown, footage: tuple[Look, Look], source: Person, others: np.ndarray, target: np.ndarray
) -> Verdict:
    """A frame's figures.

    footage is what is seen of the frame before it was recast, twice from two starts; others (K, 128) are the panel's
    other people, target (128,) the one who is replaced.
    """
    before, again = footage
    after = judge.look(shown.recast, before.mesh)
    eyes = float(np.linalg.norm(before.points[36:42].mean(0) - before.points[42:48].mean(0)))
    corners = float(np.linalg.norm(before.mesh[33, :2] - before.mesh[263, :2]))
    verdict = Verdict(shown.frame)
    put = verdict.values
    put["doubt"] = shown.placement.doubt
    put["identity"] = float(np.linalg.norm(after.embedding - source.embedding))
    nearest = min(np.linalg.norm(others - after.embedding, axis=1).min(), np.linalg.norm(target - after.embedding))
    put["retrieved"] = float(put["identity"] < nearest)
    apart = lambda a, b, unit: 100 * float(np.linalg.norm(a - b, axis=1).mean()) / unit  # noqa: E731
    put["expression"] = apart(after.points[INNER], before.points[INNER], eyes)
    put["expression_floor"] = apart(again.points[INNER], before.points[INNER], eyes)
    put["own_expression"] = apart(after.mesh[_EXPRESSIVE, :2], before.mesh[_EXPRESSIVE, :2], corners)
    put["own_floor"] = apart(again.mesh[_EXPRESSIVE, :2], before.mesh[_EXPRESSIVE, :2], corners)
    open_eyes = before.lids > CLOSED
    if open_eyes.any():
        put["gaze"] = 100 * float(np.linalg.norm(after.gaze - before.gaze, axis=1)[open_eyes].mean())
        put["gaze_floor"] = 100 * float(np.linalg.norm(again.gaze - before.gaze, axis=1)[open_eyes].mean())
        split = (after.gaze - before.gaze)[0] - (after.gaze - before.gaze)[1]
        put["eyes_apart"] = 100 * float(np.linalg.norm(split)) if open_eyes.all() else 0.0
    put["lids"] = 100 * float(np.abs(after.lids - before.lids).mean())
    put["lids_floor"] = 100 * float(np.abs(again.lids - before.lids).mean())
    put["wink"] = float(abs(np.subtract(*after.lids) - np.subtract(*before.lids)) > WINK)
    put |= _pictures(shown, before, after, source, verdict)
    if judge.hair is not None:
        put["hair"] = _hair(judge, shown, before)
    return verdict


def _pictures(shown: Shown, before: Look, after: Look, source: Person, verdict: Verdict) -> dict[str, float]:
    matrix = crop_matrix(before.mesh, SIZE)
    footage, recast = (crop(p, matrix, SIZE) for p in (shown.footage, shown.recast))
    matte = crop(np.repeat((255 * shown.matte).astype(np.uint8)[..., None], 3, 2), matrix, SIZE)[..., 0] / 255
    here, there = tones(shown.footage, before.mesh), tones(shown.recast, after.mesh)
    verdict.luma = (here[:, 0], there[:, 0])
    low, high = np.fmin(here, 0), np.fmax(here, 0)
    low[:, 0], high[:, 0] = np.fmin(source.low[:, 0], here[:, 0]), np.fmax(source.high[:, 0], here[:, 0])
    span = np.array([LUMA_SPAN, CHROMA_SPAN, CHROMA_SPAN])
    x, y = np.clip(transform(after.mesh, matrix)[TRIANGLES, :2].mean(1), 0, SIZE - 1).astype(int).T
    judged = SKIN & (matte[y, x] > 0.9) & np.isfinite(there).all(1) & np.isfinite(low).all(1)
    outside = ((there < low - span) | (there > high + span)).any(1) & judged
    area = _areas(after.mesh)
    result = {"skin": 100 * float((area * outside).sum() / max((area * judged).sum(), 1e-6))}
    face = triangle_map(transform(before.mesh, matrix), SIZE)
    skin = (np.isin(face, np.flatnonzero(SKIN)) & (matte > 0.9)).astype(np.float32)
    bright = [np.log(p.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) + 4) for p in (footage, recast)]
    for name, wide, narrow in (("shade_low", 0.0, 0.05), ("shade_mid", 0.05, 0.015)):
        a, b = (_smooth(p, skin, narrow) - (_smooth(p, skin, wide) if wide else 0) for p in bright)
        used = skin > 0.5
        if used.sum() > 200:
            a, b = a[used] - a[used].mean(), b[used] - b[used].mean()
            result[name] = float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))
    marked = recast.copy()
    marked[np.isin(face, np.flatnonzero(outside))] = [255, 0, 255]
    verdict.crops = (footage, recast, marked)
    return result


def judge_folds(verdicts: list[Verdict]) -> None:
    """Add to each frame how its folds follow the footage's: the correlation of what changes in their shading.

    A change is a frame's shading less the median of all frames', finer than FOLD_WIDTH; frames whose footage changes
    by less than FOLDED say nothing. A frown that is lost lowers it, wrinkles that are always there do not.
    """
    changes = []
    for luma in zip(*(v.luma for v in verdicts), strict=True):
        fine = np.stack([_fine(x) for x in luma])
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            changes.append(fine - np.nanmedian(fine, 0))
    for verdict, here, there in zip(verdicts, *changes, strict=True):
        seen = SKIN & np.isfinite(here) & np.isfinite(there)
        a, b = here[seen], there[seen]
        if seen.sum() > 100 and a.std() > FOLDED:
            verdict.values["folds"] = float(np.corrcoef(a, b)[0, 1])


def _fine(luma: np.ndarray) -> np.ndarray:
    """Luma of triangles (898,) less what it is like around each, of skin alone."""
    seen = SKIN & np.isfinite(luma)
    weight = _NEAR * seen
    around = weight @ np.where(seen, luma, 0) / np.maximum(weight.sum(1), 1e-6)
    return np.where(seen, luma - around, np.nan)


_MIDDLES = MEAN[TRIANGLES].mean(1)
_NEAR = np.exp(-((_MIDDLES[:, None] - _MIDDLES[None]) ** 2).sum(-1) / (2 * FOLD_WIDTH**2))


def _areas(mesh: np.ndarray) -> np.ndarray:
    a, b, c = mesh[TRIANGLES, :2].transpose(1, 0, 2)
    return np.abs(np.cross(np.pad(b - a, ((0, 0), (0, 1))), np.pad(c - a, ((0, 0), (0, 1))))[:, 2]) / 2


def _smooth(picture: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    both = [cv2.GaussianBlur(x, (0, 0), sigma * SIZE) for x in (picture * weight, weight)]
    return both[0] / (both[1] + 1e-3)


def _hair(judge: Judge, shown: Shown, before: Look) -> float:
    """Per cent of the face that is hair in the recast and was none in the footage."""
    matrix = crop_matrix(before.mesh, 512)
    found = judge.hair(np.stack([crop(p, matrix, 512) for p in (shown.footage, shown.recast)]))  # type: ignore[operator]
    inside = triangle_map(transform(before.mesh, matrix), 512) >= 0
    return 100 * float(((found[1] > 0.5) & (found[0] < 0.3) & inside).sum() / max(inside.sum(), 1))


def flicker(first: Shown, second: Shown, mesh: np.ndarray) -> float:
    """By how much more two frames in a row differ inside the face in the recast than in the footage, 0..255."""
    matrix = crop_matrix(mesh, SIZE)
    inside = triangle_map(transform(mesh, matrix), SIZE) >= 0
    moved = [
        np.abs(crop(a, matrix, SIZE).astype(np.float32) - crop(b, matrix, SIZE))[inside].mean()
        for a, b in ((first.footage, second.footage), (first.recast, second.recast))
    ]
    return float(moved[1] - moved[0])


def hair_network(path: Path) -> object:
    """MediaPipe's hair_segmentation.tflite as a function for `Judge`. Needs `pip install tflite`."""
    from panel_hair import Hair

    network = Hair(path)

    def find(crops: np.ndarray) -> np.ndarray:
        x = torch.zeros(len(crops), 4, 512, 512)
        x[:, :3] = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            return network(x).softmax(1)[:, 1].numpy()

    return find
