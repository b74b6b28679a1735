"""The face mesh as a picture: which triangle each pixel sees, and vertex attributes spread over pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from ...faces.geometry.topology import EYE_TRIANGLES, EYES, INNER_LIPS, MIRROR, MOUTH_TRIANGLES, OUTER_LIPS, TRIANGLES
from .filters import blur, grown, light
from .rest import MEAN

_TRIANGLES = torch.from_numpy(TRIANGLES)
_CORNER_OF = (TRIANGLES[None] == np.arange(TRIANGLES.max() + 1)[:, None, None]).any(2).astype(np.float32)  # (468, 898)

_MOST = int(_CORNER_OF.sum(1).max())  # triangles that meet at one vertex
_AROUND = torch.from_numpy(np.argsort(-_CORNER_OF, 1, kind="stable")[:, :_MOST].copy())  # (468, _MOST), its own first
_IS_AROUND = torch.arange(_MOST) < torch.from_numpy(_CORNER_OF.sum(1))[:, None]

_AT_LIPS = torch.from_numpy(np.isin(TRIANGLES, [*OUTER_LIPS, *INNER_LIPS]).any(1).astype(np.float32))
SLIVER = (0.3, 0.6)
"""A place that fills less than the first, in a picture, of the part of the face that it fills in the target, is not
that picture's to give: the rim of a face seen from the front is hair and background when it is drawn out over a cheek.
From the second on it is."""
EDGE = 6e-4
"""What does not count of those parts: edge on in both, a rim is drawn out in neither."""
SOFT = 0.02
"""How soft the limit of what a picture gives is, in crop sides."""
BEHIND = 0.055
"""How far, in sizes of the face, a vertex lies behind what is in front beside it to count as hidden."""
AROUND = 0.016
"""How far brows, eyes and lips reach beyond the vertices or triangles that are theirs, in crop sides."""
EASE = 0.008
"""Over how much of the crop the places read at the lips of an open mouth are evened out."""
UPPER_ENDS = (-0.6, -0.35)
"""The upper face begins to end at the first height of the mean face, and has ended at the second: from the height of
the eyes' corners to the middle of the nose."""
WIDE = (0.002, 0.01)
"""Part of the crop that is seen between lips that begin to open, and that are wide open."""

_INNER_RINGS = [130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190]
_OUTER_RINGS = [226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189]
_ABOUT_EYES = torch.zeros(468, 1)
"""Which vertices belong to the eyes: lids and the ring around them wholly, the next one half."""
_ABOUT_EYES[np.concatenate(EYES)] = 1
_ABOUT_EYES[[*_INNER_RINGS, *MIRROR[_INNER_RINGS]]] = 1
_ABOUT_EYES[[*_OUTER_RINGS, *MIRROR[_OUTER_RINGS]]] = 0.4
_EACH_EYE = _ABOUT_EYES * torch.from_numpy(np.stack([MEAN[:, 0] < 0, MEAN[:, 0] > 0], 1).astype(np.float32))
"""The same of the person's right eye, and of the left one."""
_UPPER_FACE = torch.from_numpy(np.clip((UPPER_ENDS[1] - MEAN[:, 1:2]) / (UPPER_ENDS[1] - UPPER_ENDS[0]), 0, 1))
_UPPER_FACE = torch.maximum(_UPPER_FACE, _ABOUT_EYES)
"""The same of the upper face."""


def triangle_map(landmarks: np.ndarray, size: int) -> np.ndarray:
    """Which triangle is in front at each pixel: (468, 3) crop pixels → (size, size) int16, -1 outside.

    Triangles that face away are left out; the rest are painted from far to near.
    """
    corners = landmarks[TRIANGLES]  # (898, 3, 3)
    edges = corners[:, 1:, :2] - corners[:, :1, :2]
    facing = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0] > 0
    order = np.argsort(-corners[:, :, 2].mean(1), kind="stable")
    picture = np.full((size, size), -1, np.int16)
    order = order[facing[order]]
    fixed = np.round((corners[order, :, :2] - 0.5) * 16).astype(np.int32)
    for index, corner in zip(order.tolist(), fixed, strict=True):
        cv2.fillConvexPoly(picture, corner, index, cv2.LINE_8, shift=4)
    return picture


def vertex_visibility(landmarks: np.ndarray) -> np.ndarray:
    """How well each vertex is seen: (N, 468, 3) crop pixels → (N, 468) float32.

    The cosine between its normal and the view, 1 towards the camera and below 0 away from it; -1 where
    another part of the face (the nose, mostly) stands in front.
    """
    parts = np.array_split(landmarks, max(1, len(landmarks) // 256))  # a long take would fill the memory
    return np.concatenate([_visibility(part) for part in parts])


def _visibility(landmarks: np.ndarray) -> np.ndarray:
    corners = landmarks[:, TRIANGLES]
    normals = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])  # length = area
    total = _CORNER_OF @ normals
    facing = total[..., 2] / np.maximum(np.linalg.norm(total, axis=-1), 1e-9)
    return np.where([_hidden(face) for face in landmarks], -1.0, facing).astype(np.float32)


def _hidden(face: np.ndarray, size: int = 96) -> np.ndarray:
    """(468, 3) → (468,) bool: vertices clearly behind the triangle that is in front at their pixel."""
    low = face[:, :2].min(0)
    scale = size / max(float(np.ptp(face[:, :2], axis=0).max()), 1e-6)
    scaled = np.column_stack([(face[:, :2] - low) * scale, face[:, 2] * scale])
    front = triangle_map(scaled, size)
    x, y = np.clip(scaled[:, :2].astype(int), 0, size - 1).T
    depth = np.where(front >= 0, scaled[TRIANGLES[front], 2].max(2), np.inf).astype(np.float32)
    near = cv2.erode(depth, np.ones((3, 3), np.uint8))
    hidden: np.ndarray = scaled[:, 2] > near[y, x] + BEHIND * size
    return hidden


@dataclass(frozen=True)
class Geometry:
    """Where B target faces are, ready to be textured, on one device.

    triangle (B, S, S) int64, 0 where outside; inside (B, 1, S, S) float 0 or 1; mouth the same, the
    opening between the lips; inverse (B, 898, 3, 3): pixel (x, y, 1) → barycentric coordinates; points (B, 468, 2)
    the landmarks in crop pixels.
    """

    triangle: torch.Tensor
    inside: torch.Tensor
    mouth: torch.Tensor
    inverse: torch.Tensor
    points: torch.Tensor

    @property
    def size(self) -> int:
        """Side of the crop in pixels."""
        return int(self.triangle.shape[-1])

    def at(self, rows: torch.Tensor) -> Geometry:
        """Those of the faces with these numbers (R,) int64, in their order."""
        parts = (self.triangle, self.inside, self.mouth, self.inverse, self.points)
        chosen = Geometry(*(part[rows] for part in parts))
        # what was told of them already stays told
        for name, axis in (("weights", 1), ("shares", 0), ("eyes", 0), ("lips", 0)):
            if name in vars(self):
                vars(chosen)[name] = vars(self)[name].index_select(axis, rows)
        return chosen

    @cached_property
    def rows(self) -> torch.Tensor:
        """(B · S · S,) int64: each pixel's row in a table of all triangles of the batch, one face after the other."""
        first = torch.arange(len(self.triangle), device=self.triangle.device) * len(TRIANGLES)
        return (self.triangle + first[:, None, None]).reshape(-1)

    @cached_property
    def weights(self) -> torch.Tensor:
        """(3, B, S, S): how much each corner of its triangle counts at a pixel."""
        batch, size = self.triangle.shape[:2]
        centre = torch.arange(size, device=self.inverse.device, dtype=self.inverse.dtype) + 0.5
        forms = self.inverse.permute(3, 2, 0, 1).reshape(9, -1).index_select(1, self.rows)
        along_x, along_y, constant = forms.reshape(3, 3, batch, size, size)
        # a pixel at a triangle's edge may have its centre just outside; beside a sliver that would be far beyond it
        found = (along_x * centre + along_y * centre[:, None] + constant).clamp(-0.5, 1.5)
        return found / found.sum(0).clamp(min=1e-6)

    @cached_property
    def shares(self) -> torch.Tensor:
        """(B, 468): which part of the face lies about each vertex (`parts`)."""
        return parts(self.points)

    @cached_property
    def eyes(self) -> torch.Tensor:
        """(B, 2, S, S) 0..1: what lies between the lids of the right eye, and of the left one, softly."""
        between = [(self.triangle >= first) & (self.triangle < last) for first, last in EYE_TRIANGLES]
        return blur(torch.stack(between, 1) * self.inside, 0.006 * self.size)

    @cached_property
    def lips(self) -> torch.Tensor:
        """(B, 1, S, S) 0..1: the lips, what is between them, and a little around."""
        at = _AT_LIPS.to(self.triangle.device, non_blocking=True)[self.triangle][:, None] * self.inside
        return widened(self, at)


def geometry(landmarks: torch.Tensor, maps: torch.Tensor) -> Geometry:
    """Join landmarks (B, 468, 2 or 3) in crop pixels with their triangle maps (B, S, S) int16."""
    corners = landmarks[:, _TRIANGLES.to(landmarks.device, non_blocking=True), :2]  # (B, 898, 3, 2)
    a, b, c = corners.unbind(2)
    area = _cross(b - a, c - a)
    area = torch.where(area.abs() < 1e-3, torch.full_like(area, 1e-3), area)
    # row k gives the barycentric weight of corner k as a linear form in (x, y, 1)
    rows = []
    for p, q in ((b, c), (c, a), (a, b)):
        normal = torch.stack([p[..., 1] - q[..., 1], q[..., 0] - p[..., 0], _cross(p, q)], -1)
        rows.append(normal / area[..., None])
    triangle = maps.long()
    mouth = (triangle >= MOUTH_TRIANGLES.start) & (triangle < MOUTH_TRIANGLES.stop)
    inside = (triangle >= 0).float()[:, None]
    return Geometry(triangle.clamp(min=0), inside, mouth.float()[:, None], torch.stack(rows, 2), landmarks[..., :2])


def spread(target: Geometry, attributes: torch.Tensor) -> torch.Tensor:
    """Interpolate vertex attributes (B, 468, C) over the pixels that see the mesh: (B, C, S, S), 0 outside."""
    batch, size, channels = target.triangle.shape[0], target.size, attributes.shape[-1]
    # planes of one corner's one attribute: read once a pixel, and added up along memory
    corners = _TRIANGLES.to(attributes.device, non_blocking=True)
    table = attributes[:, corners].permute(2, 3, 0, 1).reshape(3 * channels, -1)
    a, b, c = table.index_select(1, target.rows).reshape(3, channels, batch, size, size)
    u, v, w = target.weights
    return (a * u + b * v + c * w).transpose(0, 1) * target.inside


def spread_alike(target: Geometry, table: torch.Tensor) -> torch.Tensor:
    """Attributes of the vertices (468, C) that are the same on every face, as `spread` has them: (B, C, S, S)."""
    table = table.to(target.inside.device, non_blocking=True)
    return spread(target, table.expand(len(target.triangle), -1, -1))


def about_eyes(target: Geometry) -> torch.Tensor:
    """Both eyes with their lids, softly, up to where brows and cheeks begin: (B, 1, S, S) 0..1."""
    return spread_alike(target, _ABOUT_EYES).clamp(0, 1)  # pixels at a fold lie beside theirs


def about_each_eye(target: Geometry) -> torch.Tensor:
    """The same of the right eye, and of the left one: (B, 2, S, S) 0..1."""
    return spread_alike(target, _EACH_EYE).clamp(0, 1)


def upper_face(target: Geometry) -> torch.Tensor:
    """Forehead, brows and eyes, softly, down to where cheeks and nose begin: (B, 1, S, S) 0..1."""
    return spread_alike(target, _UPPER_FACE).clamp(0, 1)


def widened(target: Geometry, region: torch.Tensor) -> torch.Tensor:
    """Regions of a face (B, C, S, S) 0..1 with a little around them, softly, as far as the face goes."""
    reach = max(1, round(AROUND * target.size))
    return blur(grown(region, reach), reach / 2).clamp(0, 1) * target.inside


def eased(target: Geometry, places: torch.Tensor) -> torch.Tensor:
    """Places to read a texture from (B, 2, S, S), evened out at the lips.

    In a wide open mouth the mesh folds about the lips: triangles turn their backs, and what is read beside them jumps.
    Between closed lips it has to jump, where the picture that is read shows teeth.
    """
    low, high = WIDE
    open_wide = ((target.mouth.mean((1, 2, 3), keepdim=True) - low) / (high - low)).clamp(0, 1)
    if places.device.type == "cpu" and not open_wide.any():
        return places  # most faces; a GPU's host would have to wait to know
    return places + open_wide * target.lips * (light(places, target.inside, EASE) - places)


def parts(points: torch.Tensor) -> torch.Tensor:
    """Which part of what is seen of a face lies about each vertex: (B, 468, 2) → (B, 468) 0..1, together 1."""
    corners = _TRIANGLES.to(points.device, non_blocking=True)
    a, b, c = points[:, corners].unbind(2)
    around, real = (x.to(points.device, non_blocking=True) for x in (_AROUND, _IS_AROUND))
    filled = (_cross(b - a, c - a)[:, around] * real).sum(2).clamp(min=0)
    return filled / filled.sum(1, keepdim=True).clamp(min=1e-6)


def given(target: Geometry, shown: torch.Tensor) -> torch.Tensor:
    """How far a picture that shows the face in such parts (B, 468), see `parts`, has a target's face to give.

    (B, 468) 0..1: none where it would have to be drawn out from a sliver.
    """
    low, high = SLIVER
    ratio = (shown + EDGE) / (target.shares + EDGE)
    return ((ratio - low) / (high - low)).clamp(0, 1)


def softened(target: Geometry, share: torch.Tensor) -> torch.Tensor:
    """What of a face is given, (B, 1, S, S) as `spread` has it, without hard limits: 0..1, and 1 all over stays 1."""
    lacking = 1 - share.clamp(0, 1)  # between vertices it may lie a little beyond
    return target.inside * (1 - light(lacking, target.inside, SOFT))


def _cross(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]
