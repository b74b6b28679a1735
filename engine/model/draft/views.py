"""An identity's frames as material for drafts, and the choice of the right ones.

Every frame counts twice, as it is and mirrored: view v < N is frame v, view v >= N is frame v - N mirrored.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...faces.facesets.faceset import Faceset
from ...faces.facesets.masks import donor_masks, remove_spectacles
from ...faces.geometry.align import frontalise, mirror, yaw_pitch
from ...faces.geometry.topology import EYE_CORNERS, INNER_LIPS, MIRROR, OUTER_LIPS
from .gaze import clear_eyes, irises, looks
from .mesh_raster import parts, vertex_visibility
from .shape import neutral_face
from .texture import fuse, unrolled
from .warp import SIDES, VISIBLE, Views, whole_sides

POSE_DEGREES = 9.0
"""A head turned this far costs as much as a clearly other expression; the cost grows with the square,
so that within a few degrees expression decides, and beyond them pose does."""
EXPRESSION_UNIT = 0.03
MIRROR_COST = 0.5
SWITCH_COST = 1.0
EYES_POSE_DEGREES = 12.0
GAZE_UNIT = 0.05
"""Eyes that look aside by so many of their widths cost as much as a clearly other expression; they can be turned."""
LIDS_UNIT = 0.035
"""The same of lids: what is drawn open or shut shows."""
CLOSED = 0.1
"""Lids nearer than this, in widths of the eye, are closed."""
SOFT_COST = 1.0
LOST_COST = 8.0
"""A face that is all black, or burnt out."""
DULL_COST = 4.0
"""Eyes that a mesh has open and the picture does not show."""
DOUBTED_DEGREES, DOUBTED_EXPRESSION, DOUBTED_EYES = 40.0, 0.12, 0.25
"""A view that lies so far from what it has to show (the head's turn, the expression in radii of the face, gaze and lids
in widths of the eye) shows something else."""
EYES_SWITCH_COST = 1.0
BROWS_UNIT = 0.1
"""Brows that lie so far from where they should, in radii of the face, cost as much as a clearly other expression: a
frown moves them by little and is seen at once."""

# landmarks that carry expression, and how much: lips, lids, brows
LIPS = np.concatenate([OUTER_LIPS, INNER_LIPS])
_LIDS = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
_LIDS += [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
_BROWS = [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
EXPRESSIVE_VERTICES = np.array([*LIPS, *_LIDS, *_BROWS])
EYES_ELSEWHERE = np.ones(2 * len(EXPRESSIVE_VERTICES) + 4, np.float32)
"""What features of an expression count where eyes and brows come from another view: they hardly, the mouth fully."""
EYES_ELSEWHERE[2 * len(LIPS) :] = 0.3
EYES_ELSEWHERE[-4] = EYES_ELSEWHERE[-1] = 1.0
_BROW_WEIGHT = 0.7
EVEN, CROOKED_WEIGHT = 0.06, 1.5
"""One corner of the mouth higher than the other by more than the first, in radii of the face, is crooked, and counts by
the second."""
_WEIGHT = np.concatenate([np.full(len(LIPS), 1.0), np.full(len(_LIDS), 1.2), np.full(len(_BROWS), _BROW_WEIGHT)])


def describe(landmarks: np.ndarray, neutral: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose (N, 2) in degrees and expression (N, F) of landmarks (N, 468, 3) in any one unit.

    Expression is how lips, lids and brows differ from the person's own face at rest, `neutral` (468, 3) as
    `neutral_face` gives it, so that two people's compare; how far the eyes are open counts half in parts of what is
    usual for the person and half as it is, since a lid that is nearly closed gives no texture for an open eye; how
    far the mouth is open counts as it is, since a clip may be singing all through; and how much higher one of its
    corners is than the other, since lips that open on one side do so unseen by the mesh.
    """
    straight = frontalise(landmarks)
    moved = (straight - neutral)[:, EXPRESSIVE_VERTICES, :2] * _WEIGHT[:, None]

    def opening(faces: np.ndarray, upper: int, lower: int) -> np.ndarray:
        return np.linalg.norm(faces[..., upper, :] - faces[..., lower, :], axis=-1)

    lids = ((159, 145), (386, 374))
    eyes = [
        0.15 * opening(straight, *lid) / np.maximum(opening(neutral, *lid), 1e-3)
        + 0.5 * opening(straight, *lid) / np.maximum(opening(straight, *corner), 1e-3)
        for lid, corner in zip(lids, EYE_CORNERS, strict=True)
    ]
    aslant = straight[:, 61, 1] - straight[:, 291, 1]  # a clip may be crooked all through, and its neutral face with it
    crooked = CROOKED_WEIGHT * np.sign(aslant) * np.maximum(np.abs(aslant) - EVEN, 0)
    openings = np.stack([0.5 * opening(straight, 13, 14), *eyes, crooked], 1)
    features = np.concatenate([moved.reshape(len(landmarks), -1) / np.sqrt(len(EXPRESSIVE_VERTICES)), openings], 1)
    return yaw_pitch(landmarks), features.astype(np.float32)


def make_views(faceset: Faceset, device: torch.device) -> Views:
    """Put a faceset on the device once, as uint8, and describe both sides of every frame."""
    flipped = mirror(faceset.landmarks, faceset.size)
    neutral = neutral_face(faceset.landmarks)
    pose, expression = describe(faceset.landmarks, neutral.face)
    pose_flipped, expression_flipped = describe(flipped, mirror(neutral.face, 0.0))
    seen = faceset.irises
    if seen is None:
        seen = irises(faceset.pixels, faceset.landmarks, device)
    gaze, lids = looks(faceset.landmarks, seen)
    # a mirrored eye is the other one, and looks to the other side
    gaze_flipped = gaze.reshape(-1, 2, 2)[:, ::-1] * np.array([-1, 1], np.float32)
    pixels, masks, worn = remove_spectacles(faceset.pixels, faceset.masks, faceset.landmarks, faceset.shot, device)
    masks = donor_masks(pixels, masks, faceset.landmarks, device)
    landmarks = torch.from_numpy(np.ascontiguousarray(faceset.landmarks[..., :2])).to(device)
    views = Views(
        pixels=_near(np.concatenate([pixels.transpose(0, 3, 1, 2), masks[:, None]], 1), device),
        landmarks=landmarks,
        facing=torch.from_numpy(vertex_visibility(faceset.landmarks)).to(device),
        parts=parts(landmarks),
        irises=None if seen is None else torch.from_numpy(seen).to(device),
        pose=np.concatenate([pose, pose_flipped]),
        expression=np.concatenate([expression, expression_flipped]),
        gaze=np.concatenate([gaze, gaze_flipped.reshape(-1, 4)]),
        lids=np.concatenate([lids, lids[:, ::-1]]),
        sharp=np.clip(faceset.sharpness / max(float(np.quantile(faceset.sharpness, 0.8)), 1e-6), 0, 1),
        exposed=np.clip(faceset.exposure / max(float(np.quantile(faceset.exposure, 0.8)), 1e-6), 0, 1),
        clear=clear_eyes(faceset.pixels, faceset.landmarks, lids),
        neutral=neutral,
        texture=torch.zeros(1, 4, 1, 1, dtype=torch.uint8, device=device),
        plane=torch.from_numpy(2 * unrolled(neutral.face)[:, :2] - 1).to(device),
        spectacles=worn,
    )
    return replace(views, texture=fuse(views, faceset.sharpness))


def _near(pixels: np.ndarray, device: torch.device) -> torch.Tensor:
    """Pixels on the device, or in pinned host memory where they would fill more than a fifth of what is free there."""
    stack = torch.from_numpy(pixels)
    if device.type == "cuda" and stack.nbytes > torch.cuda.mem_get_info(device)[0] / 5:
        return stack.pin_memory()
    return stack.to(device)


def fit_cost(pose: np.ndarray, expression: np.ndarray, views: Views, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """How badly each view fits each target: (T, 2), (T, F) → (T, 2N). Pose counts before expression, whose features
    count by their weight, (F,) or all alike."""
    turn = _squared_distance(pose, views.pose) / POSE_DEGREES**2
    change = np.sqrt(_squared_distance(expression * weight, views.expression * weight)) / EXPRESSION_UNIT
    cost = turn + change + np.tile(LOST_COST * (1 - views.exposed), 2)
    cost[:, len(views) :] += MIRROR_COST
    return cost


def _squared_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T, F), (V, F) → (T, V) float32, with no (T, V, F) in between: a take may have thousands of frames."""
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.maximum(square, 0).astype(np.float32)


def steady_path(cost: np.ndarray, switch: float = SWITCH_COST) -> np.ndarray:
    """The cheapest view for each of T frames in a row, where changing the view costs too: (T, 2N) → (T,).

    Viterbi over views; moving on to the source's own next or previous frame is nearly free.
    """
    frames, count = cost.shape
    best = cost[0].copy()
    back = np.zeros((frames, count), np.int32)
    here = np.arange(count)
    for t in range(1, frames):
        cheapest = int(best.argmin())
        previous, total = here.copy(), best.copy()
        for step in (-1, 1):
            shifted = np.full(count, np.inf)
            source = slice(None, -1) if step == 1 else slice(1, None)
            shifted[slice(1, None) if step == 1 else slice(None, -1)] = best[source] + 0.05 * switch
            half = count // 2  # the last frame and the first one's mirror picture are no neighbours
            shifted[half if step == 1 else half - 1] = np.inf
            better = shifted < total
            total[better], previous[better] = shifted[better], here[better] - step
        jump = best[cheapest] + switch < total
        total[jump], previous[jump] = best[cheapest] + switch, cheapest
        back[t] = previous
        best = total + cost[t]
        best -= best.min()  # only differences count, and float32 has few digits
    path = np.empty(frames, np.int64)
    path[-1] = best.argmin()
    for t in range(frames - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path


def view_facing(views: Views) -> np.ndarray:
    """(2N, 468) facing of every view, mirrored ones too."""
    facing = views.facing.cpu().numpy()
    return np.concatenate([facing, facing[:, MIRROR]])


def brows(expression: np.ndarray) -> np.ndarray:
    """Where brows lie, in radii of the face from where they are at rest, of expressions (N, F): (N, 20)."""
    last = 2 * len(EXPRESSIVE_VERTICES)
    scale = np.sqrt(len(EXPRESSIVE_VERTICES)) / _BROW_WEIGHT
    found: np.ndarray = expression[:, last - 2 * len(_BROWS) : last] * np.float32(scale)
    return found


def upper_cost(
    pose: np.ndarray, expression: np.ndarray, gaze: np.ndarray, lids: np.ndarray, views: Views
) -> np.ndarray:
    """How badly eyes and brows of each view fit each target's: (T, 2), (T, F), (T, 4), (T, 2) → (T, 2N).

    gaze and lids as `gaze.looks` gives them. Where one of the two was not measured, gaze does not count.
    """
    turn = _squared_distance(pose, views.pose) / EYES_POSE_DEGREES**2
    apart = np.sqrt(_squared_distance(np.nan_to_num(gaze), np.nan_to_num(views.gaze)) / 2)
    known = np.isfinite(gaze).all(1)[:, None] & np.isfinite(views.gaze).all(1)
    closed = (lids.min(1) < CLOSED)[:, None]  # where a closed eye looks is not to be seen
    open_apart = np.sqrt(_squared_distance(lids, views.lids) / 2)
    cost = turn + np.where(known & ~closed, apart, 0) / GAZE_UNIT + open_apart / LIDS_UNIT
    cost += np.sqrt(_squared_distance(brows(expression), brows(views.expression)) / len(_BROWS)) / BROWS_UNIT
    lacking = SOFT_COST * (1 - views.sharp) + DULL_COST * (1 - views.clear) + LOST_COST * (1 - views.exposed)
    cost += np.tile(lacking, 2)
    cost[:, len(views) :] += MIRROR_COST
    return cost.astype(np.float32)


def choose_views(target: np.ndarray, views: Views, neutral: np.ndarray, irises: np.ndarray | None = None) -> np.ndarray:
    """Three views for each face of a track: (T, 468, 3) landmarks in frame order → (T, 3) int64.

    The first fits best and is steady over time; the second fits nearly as well and shows what the first
    hides; the third has the eyes and brows, of both sides, that look, are open and are raised as the target's. All may
    be mirrored.
    `neutral` as in `describe`; irises (T, 2, 2) in the landmarks' unit, not a number where they were not measured.
    """
    pose, expression = describe(target, neutral)
    cost = fit_cost(pose, expression, views, EYES_ELSEWHERE)
    first = steady_path(cost)
    seen = np.clip((view_facing(views) - VISIBLE[0]) / (VISIBLE[1] - VISIBLE[0]), 0, 1)
    here = parts(torch.from_numpy(np.ascontiguousarray(target[..., :2]))).numpy()
    shown = views.parts.cpu().numpy()
    whole = whole_sides(np.concatenate([shown, shown[:, MIRROR]]), here)
    enough = 1 - (1 - whole[np.arange(len(target)), first]) @ SIDES.T
    wanted = np.clip(vertex_visibility(target), 0, None) * (1 - seen[first] * enough)
    shows = (wanted * (1 - SIDES.sum(1))) @ seen.T
    for side in range(2):
        shows += whole[..., side] * ((wanted * SIDES[:, side]) @ seen.T)
    hidden = wanted.sum(1, keepdims=True) - shows  # what would still be missing
    second = steady_path(cost + 30 * hidden / target.shape[1])
    upper = steady_path(upper_cost(pose, expression, *looks(target, irises), views), EYES_SWITCH_COST)
    return np.stack([first, second, upper], 1)


def doubts(
    target: np.ndarray, choices: np.ndarray, views: Views, neutral: np.ndarray, irises: np.ndarray | None = None
) -> np.ndarray:
    """How far what faces show lies from what the views chosen for them show: (T,) 0..1, 1 where nothing fits.

    The arguments are those of `choose_views`, and `choices` its answer. The worst of pose and expression in the first
    view, gaze and lids in the eyes' counts.
    """
    pose, expression = describe(target, neutral)
    gaze, lids = looks(target, irises)
    first, eyes = choices[:, 0], choices[:, 2]
    away = [
        np.linalg.norm(pose - views.pose[first], axis=1) / DOUBTED_DEGREES,
        np.linalg.norm((expression - views.expression[first]) * EYES_ELSEWHERE, axis=1) / DOUBTED_EXPRESSION,
        np.abs(lids - views.lids[eyes]).max(1) / DOUBTED_EYES,
        np.nan_to_num(np.abs(gaze - views.gaze[eyes]).max(1)) * (lids.min(1) > CLOSED) / DOUBTED_EYES,
    ]
    worst: np.ndarray = np.clip(np.max(away, 0), 0, 1)
    return worst
