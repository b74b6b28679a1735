"""A face at rest: found among a person's frames, and where they show none, what faces on the whole are like.

Bones (jaw, cheekbones, nose, the corners of the eyes) do not move with an expression; brows, lids and lips do. What
bones there are tells where brows and lids and lips would be on a face between all others with these bones: the mean
face, moved as smoothly as can be to meet them (a harmonic map of the mesh: Floater 1997). A person at rest lies near
it; how far their own rest really differs, a clip full of frowns cannot tell.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ...faces.geometry.align import mirror
from ...faces.geometry.topology import BROWS, LEFT_EYE_CORNERS, MIRROR, RIGHT_EYE_CORNERS, TRIANGLES
from ...faces.networks.face_mesh import EYE_POINTS, LIP_POINTS

_DATA = json.loads(Path(__file__).with_name("mean_face.json").read_text(encoding="utf-8"))
MEAN = np.array(_DATA["vertices"], np.float32)
"""(468, 3) the mean face, straight ahead, centred, of unit size, both sides alike."""


def _moving() -> np.ndarray:
    around = np.isin(TRIANGLES, LIP_POINTS).any(1)
    around = np.isin(TRIANGLES, TRIANGLES[around]).any(1)
    moving = {*EYE_POINTS, *MIRROR[EYE_POINTS], *BROWS[0], *BROWS[1], *TRIANGLES[around].ravel()}
    return np.array(sorted(moving - {*RIGHT_EYE_CORNERS, *LEFT_EYE_CORNERS}))


MOVING = _moving()
"""The vertices that an expression moves: lips and what is around them, lids, brows."""
BONES = np.setdiff1d(np.arange(len(MIRROR)), MOVING)


def _harmonic() -> np.ndarray:
    near = np.zeros((len(MIRROR), len(MIRROR)))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        near[TRIANGLES[:, a], TRIANGLES[:, b]] = near[TRIANGLES[:, b], TRIANGLES[:, a]] = 1
    laplacian = np.diag(near.sum(1)) - near
    return -np.linalg.solve(laplacian[np.ix_(MOVING, MOVING)], laplacian[np.ix_(MOVING, BONES)])


_FROM_BONES = _harmonic().astype(np.float32)
CANDIDATES = 0.25
"""Part of a person's faces, those least deformed, that tell what they are like at rest."""
TURNED = 0.02
"""A head turned by 15 degrees is as much less to be believed as one deformed by so much, in radii of the face."""
ROUNDS = 2


def usual(face: np.ndarray) -> np.ndarray:
    """What faces of these bones are like on the whole: (468, 3) straight ahead and of unit size → the same."""
    even = (face + mirror(face, 0.0)) / 2
    result = face.copy()
    result[MOVING] = MEAN[MOVING] + _FROM_BONES @ (even - MEAN)[BONES]
    return result


def least_deformed(straight: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Rows of the faces (N, 468, 3) of one person, straight ahead and of unit size, that are nearest to rest.

    turn (N,) degrees is how far each head is turned.
    """
    opening = np.linalg.norm(straight[:, 13] - straight[:, 14], axis=-1)
    rows = np.flatnonzero(opening <= np.quantile(opening, CANDIDATES))
    for _ in range(ROUNDS):
        wanted = usual(np.median(straight[rows], 0))
        away = straight[:, MOVING, :2] - wanted[MOVING, :2]
        cost = np.sqrt((away**2).sum(-1).mean(1)) + TURNED * (turn / 15) ** 2
        rows = np.argsort(cost, kind="stable")[: max(1, min(len(cost), 3), round(CANDIDATES * len(cost)))]
    return np.sort(rows)
