"""The triangles of the 468-point face mesh and its named regions.

Source: the MediaPipe face mesh (Apache-2.0); see `mesh_topology.json` for how it was recovered.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

_DATA = json.loads(Path(__file__).with_name("mesh_topology.json").read_text(encoding="utf-8"))

TRIANGLES = np.array(_DATA["triangles"], np.int64)
"""(898, 3) vertex indices; screen-clockwise (x right, y down) where the triangle faces the camera."""

MOUTH_TRIANGLES = slice(*_DATA["mouth"])
"""The triangles that close the opening between the lips."""

EYE_TRIANGLES = ((870, 884), (884, 898))
"""The first triangle between the lids and the one after the last, of the person's right eye and of the left one."""

OVAL = np.array(_DATA["oval"], np.int64)
"""(36,) the outline of the face, in order."""

INNER_LIPS = np.array(_DATA["inner_lips"], np.int64)
"""(20,) the edge of the mouth opening, in order."""

OUTER_LIPS = np.array(
    [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409], np.int64
)
"""(20,) the edge of the lips: the lower one and both corners, then the upper one, right to left of the person."""

BROWS = [[70, 63, 105, 66, 107, 55, 65, 52, 53, 46], [300, 293, 334, 296, 336, 285, 295, 282, 283, 276]]
"""The person's right and left brow, in order."""

EYES = [
    [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7],
    [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249],
]
"""The edges of the lids of the person's right and left eye, in order."""

RIGHT_EYE_CORNERS = (33, 133)
LEFT_EYE_CORNERS = (362, 263)
"""Outer and inner corner of the person's right eye (left in the picture), inner and outer of the left."""
EYE_CORNERS = (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS)
LIDS = (((159, 145), (158, 153), (160, 144)), ((386, 374), (385, 380), (387, 373)))
"""Vertices of the upper and the lower lid that lie over one another in the middle of the right and of the left eye."""

MIRROR = np.array(_DATA["mirror"], np.int64)
"""(468,) the vertex on the other side of the face for each vertex; its own inverse."""
