"""The shape of a face: the source's proportions on the target's head, and the target's picture moved to fit.

A person's proportions are their neutral face seen from straight ahead. What two people's differ by, turned
and scaled as the target's head is in a frame, is where the target's mesh has to go to be the source's; pose
and expression stay the target's, since the difference is the same in every frame. Around the face the
picture is moved along, ever less, so that cheek and background meet the new outline without a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ...faces.geometry.align import frontalise, head_rotation, mesh_radius, mirror, yaw_pitch
from ...faces.geometry.topology import BROWS, EYE_CORNERS, EYES, LIDS, MIRROR, TRIANGLES
from .filters import blur
from .mesh_raster import geometry, spread, triangle_map
from .rest import MOVING, least_deformed, usual

OWN = 0.6
"""How much of what a person's brows, lids and lips at rest differ by from the usual ones of such bones is believed; the
rest may be an expression that lasts through the whole of a clip (.4 costs likeness, 1 keeps frowns)."""
LIVELY = 0.15
"""How much the mouth's width varies, in parts of itself, in material that shows a person talking."""
MOUTH_REACH = 0.35
"""How far around the lips they pull the face along, in its radii."""
REACH = 0.14
"""How far beyond the face the picture is moved along, in crop sides."""
OPENED, RAISED = (0.0, 1.0), (0.3, 1.0)
"""Parts of their opening and height at rest within which lids and brows take their difference along: opened wider and
raised higher than at rest, they take all of it, as at rest."""
SPREAD = 8
"""Steps over the mesh over which the skin about lids and brows goes along with them."""
FIELD = 128
"""Side of the raster on which the displacement is made; it is smooth."""

# lips in rings from the opening outwards, left to right without the corners, each upper vertex over its lower one
UPPER_LIPS = np.array([
    [191, 80, 81, 82, 13, 312, 311, 310, 415],
    [183, 42, 41, 38, 12, 268, 271, 272, 407],
    [184, 74, 73, 72, 11, 302, 303, 304, 408],
    [185, 40, 39, 37, 0, 267, 269, 270, 409],
])  # fmt: skip
LOWER_LIPS = np.array([
    [95, 88, 178, 87, 14, 317, 402, 318, 324],
    [96, 89, 179, 86, 15, 316, 403, 319, 325],
    [77, 90, 180, 85, 16, 315, 404, 320, 307],
    [146, 91, 181, 84, 17, 314, 405, 321, 375],
])  # fmt: skip


def _neighbours() -> np.ndarray:
    matrix = np.zeros((len(MIRROR), len(MIRROR)), np.float32)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        matrix[TRIANGLES[:, a], TRIANGLES[:, b]] = matrix[TRIANGLES[:, b], TRIANGLES[:, a]] = 1
    return matrix / np.maximum(matrix.sum(1, keepdims=True), 1)


AVERAGE = _neighbours()


Numbers = TypeVar("Numbers", np.ndarray, torch.Tensor)


class Neutral(NamedTuple):
    """A person's face at rest.

    `face` (468, 3) float32 is straight ahead and of unit size; `mouth` 0..1 is how surely its mouth is at rest; `away`
    is how far the calmest faces lie from what faces of these bones are like at rest, in radii of the face.
    """

    face: np.ndarray
    mouth: float
    away: float


def neutral_face(landmarks: np.ndarray) -> Neutral:
    """A person's face at rest, from their landmarks (N, 468, 3) in any one unit.

    The median of the least deformed faces, drawn towards what faces of these bones are like on the whole where an
    expression may last through all of the material (`OWN`). The lips' thickness stays the person's. In a single
    laughing photograph nothing tells the mouth's shape from its expression; `mouth` says so.
    """
    straight = frontalise(landmarks)
    found = np.median(straight[least_deformed(straight, np.abs(yaw_pitch(landmarks)).max(1))], 0)
    change = np.zeros_like(found)
    change[MOVING] = (usual(found) - found)[MOVING]
    away = float(np.sqrt((change[MOVING, :2] ** 2).sum(-1).mean()))
    change *= 1 - OWN
    change = (change + mirror(change, 0.0)) / 2
    _keep_lips(change)
    narrow, middle, wide = np.quantile(np.linalg.norm(straight[:, 61] - straight[:, 291], axis=-1), [0.05, 0.5, 0.95])
    lively = (wide - narrow) / max(LIVELY * middle, 1e-6)
    return Neutral((found + change).astype(np.float32), float(min(lively, 1.0)), away)


def _keep_lips(change: np.ndarray) -> None:
    """Let a change (468, 3) of a face move both lips as one: they stay as thick and as far apart as they are."""
    middle = (change[UPPER_LIPS[0]] + change[LOWER_LIPS[0]]) / 2
    for rings in (UPPER_LIPS, LOWER_LIPS):
        change[rings] = middle


class Change(NamedTuple):
    """What has to be added to a target's face to give it a source's proportions, in radii of the face.

    still (468, 3) is the same in every frame, and so is mouth (468, 3), what makes the mouth of another form where it
    sits. lids and brows, (2, 468, 3) each, the right side first, are what makes
    the eyes larger and the brows higher on the source at rest: they grow and shrink with the target's own opening of
    the lids and height of the brows, of which opening and height (2,) are those at rest. A closed eye stays closed, and
    a brow that is drawn down to the lids comes down to them.
    """

    still: np.ndarray
    mouth: np.ndarray
    lids: np.ndarray
    brows: np.ndarray
    opening: np.ndarray
    height: np.ndarray

    @property
    def at_rest(self) -> np.ndarray:
        """(468, 3): all of it, as it is on the target's face at rest."""
        rest: np.ndarray = self.still + self.mouth + (self.lids + self.brows).sum(0)
        return rest


def difference(target: Neutral, source: Neutral, amount: float = 1.0) -> Change:
    """What has to be added to the target's face to give it `amount` of the source's proportions.

    Both sides alike (most of what differs is how the head was measured), and the lips' thickness but not how
    far they are open, which is expression and not shape. Where either one's mouth is not known at rest it keeps
    the target's form and goes only to where the source's sits.
    """
    raw = source.face - target.face
    raw = (raw + mirror(raw, 0.0)) / 2
    result = raw.copy()
    middle = (raw[UPPER_LIPS[0]] + raw[LOWER_LIPS[0]]) / 2
    for rings in (UPPER_LIPS, LOWER_LIPS):
        result[rings] = raw[rings] - raw[rings[0]] + middle
    around = np.ones(len(raw), bool)
    around[UPPER_LIPS] = around[LOWER_LIPS] = False
    for _ in range(2):  # no step between the lips and what is around them
        result[around] += 0.5 * (AVERAGE @ result - result)[around]
    mouth = np.append(np.flatnonzero(~around), [61, 291, 78, 308])
    places = (target.face + mirror(target.face, 0.0))[:, :2] / 2
    near = np.linalg.norm(places[:, None] - places[mouth], axis=-1).min(1)
    pulled = _ease(np.clip(1 - near / MOUTH_REACH, 0, 1))[:, None] * (1 - min(target.mouth, source.mouth))
    result += pulled * (result[mouth].mean(0) - result)
    result = amount * result.astype(np.float32)
    lids, brows = (np.zeros((2, *result.shape), np.float32) for _ in range(2))
    for side, (corners, eye, brow) in enumerate(zip(EYE_CORNERS, EYES, BROWS, strict=True)):
        middle = result[list(corners)].mean(0)
        rest = [v for v in eye if v not in corners]
        lids[side, rest, 1] = result[rest, 1] - middle[1]
        brows[side, brow, 1] = result[brow, 1] - middle[1]
        fixed = np.isin(np.arange(len(result)), [*eye, *brow])
        for part in (lids[side], brows[side]):
            for _ in range(SPREAD):
                part[~fixed] = (AVERAGE @ part)[~fixed]
    form = np.zeros_like(result)
    form[mouth] = result[mouth] - result[mouth].mean(0)
    fixed = np.isin(np.arange(len(result)), mouth)
    for _ in range(SPREAD):
        form[~fixed] = (AVERAGE @ form)[~fixed]
    (opening,), (height,) = _heights(target.face[None])
    return Change(result - form - (lids + brows).sum(0), form, lids, brows, opening, height)


def displacements(landmarks: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """How far faces (N, 468, 3) in any unit differ from a neutral one (468, 3) of unit size, seen from straight ahead:
    (N, 468, 2) float32."""
    return (frontalise(landmarks) - neutral)[..., :2].astype(np.float32)


def _heights(straight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far lids are open, and brows above the eyes' corners: (N, 468, 3) straight ahead → (N, 2) each."""
    y = straight[..., 1]
    upper, lower = np.array(LIDS).transpose(2, 0, 1)
    lids = (y[:, lower] - y[:, upper]).mean(2)
    brows = np.stack(
        [y[:, list(corners)].mean(1) - y[:, brow].mean(1) for corners, brow in zip(EYE_CORNERS, BROWS, strict=True)], 1
    )
    return lids, brows


def reshaped(
    landmarks: np.ndarray, change: Change, amount: float = 1.0, parts: Sequence[float] = (1.0, 1.0, 1.0)
) -> np.ndarray:
    """Landmarks (468, 3) or (N, 468, 3) with some of the `difference` to another person's shape: the same shape.

    `parts` is how much of it, 0..1, lids, brows and mouth take along: what they are like at rest is not surely known
    of somebody who frowns, stares or smiles in all that there is of them.
    """
    faces = landmarks.reshape(-1, *landmarks.shape[-2:])
    lids, brows = _heights(frontalise(faces))
    lids = np.clip(lids / np.maximum(change.opening, 1e-3), *OPENED)
    brows = np.clip(brows / np.maximum(change.height, 1e-3), *RAISED)
    moved = change.still + parts[2] * change.mouth
    moved = moved + np.tensordot(parts[0] * lids, change.lids, 1) + np.tensordot(parts[1] * brows, change.brows, 1)
    moved = amount * mesh_radius(faces)[:, None, None] * (moved @ head_rotation(faces))
    return (faces + moved).astype(np.float32).reshape(landmarks.shape)


def move_picture(
    picture: torch.Tensor, landmarks: np.ndarray, moved: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bring a target's picture into a face's new shape.

    picture (B, C, S, S) is any picture of the crop, landmarks and moved (B, 468, 3) its mesh before and after in
    crop pixels. Returns the moved picture, (B, 1, S, S) 0..1 where it is another than before, and (B, 2, S, S) by
    how many pixels, x and y, each came here; all end before the crop's border.
    """
    size, device = picture.shape[-1], picture.device
    if np.array_equal(landmarks, moved):
        return picture, torch.zeros_like(picture[:, :1]), picture.new_zeros(len(picture), 2, size, size)
    field = _displacement(landmarks, moved, size).to(device)
    place = torch.arange(size, device=device) + 0.5
    y, x = torch.meshgrid(place, place, indexing="ij")
    grid = torch.stack([x - field[:, 0], y - field[:, 1]], -1) * (2 / size) - 1
    result = F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)
    changed = ((torch.hypot(field[:, :1], field[:, 1:]) - 0.05) / 0.45).clamp(0, 1)
    return picture + changed * (result - picture), changed, changed * field


def _displacement(landmarks: np.ndarray, moved: np.ndarray, size: int) -> torch.Tensor:
    """How far each pixel of the moved picture came, in pixels of a size × size crop: (B, 2, S, S)."""
    places = moved * (FIELD / size)
    maps = np.stack([triangle_map(face, FIELD) for face in places])
    target = geometry(torch.from_numpy(places.astype(np.float32)), torch.from_numpy(maps))
    known, weight = spread(target, torch.from_numpy((moved - landmarks)[..., :2].copy())), target.inside
    field, filled = known, weight
    for width in (0.02, 0.04, 0.08, 0.16):  # outwards from the rim, from ever more of it
        near = blur(weight, width * FIELD)
        field = torch.where(filled > 0, field, blur(known * weight, width * FIELD) / (near + 1e-3))
        filled = torch.maximum(filled, (near > 0.1).float())
    away = [cv2.distanceTransform((m < 0).astype(np.uint8), cv2.DIST_L2, 5) for m in maps]
    fade = torch.from_numpy(np.clip(1 - np.stack(away) / (REACH * FIELD), 0, 1).astype(np.float32))[:, None]
    field = blur(field * _ease(fade), 0.012 * FIELD)
    rim = torch.arange(FIELD).float()
    rim = (torch.minimum(rim, rim.flip(0)) - 2).clamp(min=0) / (0.06 * FIELD)  # nothing moves at the crop's border
    field = field * _ease(torch.minimum(rim[:, None], rim).clamp(max=1))
    return F.interpolate(field, size=(size, size), mode="bilinear", align_corners=False)


def _ease(x: Numbers) -> Numbers:
    return x**2 * (3 - 2 * x)
