"""What a compositor is told of a recast face beside its picture: mattes of its parts, maps, its matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ..durable import SHARED, write_json
from ..faces.geometry.align import to_opencv
from ..faces.geometry.topology import INNER_LIPS, OUTER_LIPS
from ..media.partial_output import faces_file
from ..media.passes import faces_of
from ..model.draft.mesh_raster import geometry, spread, triangle_map
from ..model.draft.rest import MEAN
from ..model.draft.texture import unrolled
from ..protocol import REGIONS, ConvertSpec
from ..provenance.outputs import require_writable
from ..provenance.overwriting import is_faces
from .face_batch import Face
from .face_regions import MEMBERSHIPS
from .patch import Place, warped_mask
from .plan import Placement

UV = np.array([0, 1], np.float32) + unrolled(MEAN)[:, :2] * np.array([1, -1], np.float32)
"""(468, 2) where each vertex lies in the unrolled mean face, from the left and from the bottom."""


def face_layers(face: Face, place: Place, alpha: np.ndarray) -> dict[str, np.ndarray]:
    """The layers `media.passes.LAYERS` of a face, (h, w) float32 0..1 each in its place; `alpha` is its matte there."""
    placement = face.placement
    points, size = placement.landmarks, placement.size
    target = geometry(torch.from_numpy(points)[None], torch.from_numpy(triangle_map(points, size))[None])
    eyes = target.eyes.amax(1)[0].clamp(0, 1).numpy()
    mouth, lips = _lips(points, size)
    brows = spread(target, torch.from_numpy(MEMBERSHIPS[REGIONS.index("brows")])[None, :, None])[0, 0]
    inside = target.inside[0, 0].numpy()
    skin = inside * (1 - eyes) * (1 - mouth) * (1 - brows.clamp(0, 1).numpy())
    hidden = np.zeros_like(inside) if face.hidden is None else face.hidden
    parts = {"eyes.A": eyes, "lips.A": lips, "skin.A": skin, "occluder.A": hidden}
    layers = {"matte.A": alpha} | {name: warped_mask(np.ascontiguousarray(p), place) for name, p in parts.items()}
    rows, columns = np.mgrid[: place.shape[0], : place.shape[1]].astype(np.float32) + 0.5
    x, y = cv2.split(cv2.transform(cv2.merge([columns, rows]), place.matrix))
    within = (x > 0) & (y > 0) & (x < size) & (y < size)
    layers["st.R"], layers["st.G"] = (np.where(within, v, 0).astype(np.float32) for v in (x / size, 1 - y / size))
    layers["st.B"] = within.astype(np.float32)
    unrolled_at = spread(target, torch.from_numpy(UV)[None])[0].permute(1, 2, 0).numpy()
    flat = cv2.warpAffine(
        cv2.merge([unrolled_at, inside]),
        to_opencv(place.matrix),
        place.shape[::-1],
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
    )
    meshed = flat[..., 2]  # at the rim part of what was read is none of the mesh
    for n, name in enumerate(("uv.R", "uv.G")):
        layers[name] = np.where(meshed > 0.5, flat[..., n] / np.maximum(meshed, 0.5), 0).clip(0, 1).astype(np.float32)
    layers["uv.B"] = (meshed > 0.5).astype(np.float32)
    return layers


def _lips(points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The mouth of landmarks in crop pixels, and its lips alone, without what is between: (S, S) float32 0..1 each."""
    both = []
    for outline in (OUTER_LIPS, INNER_LIPS):
        drawn = np.zeros((size, size), np.uint8)
        corners = np.round((points[outline, :2] - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(drawn, [corners], 255, cv2.LINE_AA, shift=4)
        both.append(drawn.astype(np.float32) / 255)
    return both[0], np.maximum(both[0] - both[1], 0)


def face_facts(placement: Placement, person: int) -> dict[str, Any]:
    """Whose face it is and where it lies: matrices of pixels from the top left; the first has its middle at 0.5."""
    onward = np.vstack([placement.matrix, [0, 0, 1]])
    return {
        "person": person,
        "identity": placement.source,
        "track": placement.track,
        "size": placement.size,
        "frame_to_face": onward.tolist(),
        "face_to_frame": np.linalg.inv(onward).tolist(),
    }


def save_faces(spec: ConvertSpec) -> None:
    """Write what the finished passes tell of their faces beside them."""

    def allow(path: Path) -> None:
        require_writable(path, [], spec.overwrite, is_faces, "settings")

    output = Path(spec.output)
    write_json(faces_file(output), faces_of(output), SHARED, allow=allow)
