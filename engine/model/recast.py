"""Recasting faces with what a model knows: the draft, and its refinement where a network was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import DataError
from .draft.draft import Draft, draft
from .draft.filters import blur, eroded
from .draft.folds import SIDE as FOLDS_SIDE
from .draft.folds import RestFace, fold_ratio, rest_face
from .draft.gaze import irises, shifted_irises
from .draft.mesh_raster import Geometry, geometry, triangle_map
from .draft.shape import displacements
from .draft.warp import Views, moved
from .networks.precision import autocast
from .networks.refiner_network import Refined, refiner_input
from .networks.shared_encoder import Net, Shared, border_window

EDGE_WIDTH = 0.02
"""Width of the soft edge, in crop sides; it lies inside the face."""
DETAIL_CHANGE = 0.06
"""A change to the draft by this much (RGB 0..1, evened out) is taken to two thirds."""


@dataclass(frozen=True)
class Source:
    """One identity ready to appear: its views, and the network (None: drafts only) with its decoder's number.

    `network_size` is the side of the crop that the refiner was trained at; `shape` (468, 3) its canonical face.
    """

    views: Views
    refiner: Net | None
    decoder: int
    network_size: int
    shape: torch.Tensor

    @property
    def meshless(self) -> bool:
        """Whether its network looks at the picture alone: no mesh, views or drafts."""
        return isinstance(self.refiner, Shared)


def target_geometry(landmarks: np.ndarray, size: int, device: torch.device) -> Geometry:
    """Geometry of (B, 468, 3) landmarks in pixels of a size × size crop."""
    maps = np.stack([triangle_map(face, size) for face in landmarks])
    return geometry(torch.from_numpy(landmarks).to(device), torch.from_numpy(maps).to(device))


def soft_edge(inside: torch.Tensor) -> torch.Tensor:
    """A face's silhouette (B, 1, S, S) 0..1 drawn in and softened, 0 at its rim, itself a little within."""
    size = inside.shape[-1]
    reach = max(1, round(EDGE_WIDTH * size))
    # a face that leaves the crop must not end in a hard line: the picture's border counts as its rim
    return (blur(eroded(inside, reach), reach / 2) * inside).clamp(0, 1)


@torch.inference_mode()
def recast(
    source: Source,
    landmarks: np.ndarray,
    picture: torch.Tensor,
    own_mask: torch.Tensor,
    choice: torch.Tensor,
    *,
    drafts_only: bool = False,
    rows: torch.Tensor | None = None,
    rests: Sequence[RestFace | None] = (),
    turn: np.ndarray | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Recast B faces.

    landmarks (B, 468, 3) float32 in pixels of the crop; picture (B, 3, R, R) the target's crop, RGB 0..1;
    own_mask (B, 1, R, R) 0..1 where the target's face is (`face_masks`); choice (B, 2) views as
    `choose_views` gives them. Returns the face (B, 3, R, R) RGB 0..1 and its mask (B, 1, R, R) 0..1,
    soft at the rim. With `rows` (K,) int64, which of the B faces each recast is of, choice is (K, 2) and there are K
    of both: a face seen from several views is measured once. `rests`, one for each of the B faces or none at all, is
    what the targets look like at rest, by which their folds are told; `turn` (B, 2) by how many degrees their eyes look
    farther to the right of the picture and up than in it. The shared encoder looks at the picture alone:
    neither landmarks, views, `rows` nor `rests` count, and the mask is its own within `own_mask`. Raises DataError when
    what the network makes is not finite.
    """
    device, size = picture.device, picture.shape[-1]
    if isinstance(source.refiner, Shared) and not drafts_only:
        face, logits, _ = _run_network(source, source.refiner, _resized(picture, source.network_size))
        return _resized(face, size), soft_edge(
            _resized(_mask_of_logits(logits), size) * border_window(size, device) * own_mask
        )
    target = target_geometry(landmarks, size, device)
    pixels = (picture * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    seen = irises(pixels, landmarks, device)
    if seen is not None and turn is not None:
        seen = shifted_irises(landmarks, seen, turn)
    gaze = None if seen is None else torch.from_numpy(seen).to(device)
    drafted = draft(target, picture, source.views, choice, own_mask, gaze=gaze, rows=rows)
    every = torch.arange(len(picture), device=device) if rows is None else rows
    mask = soft_edge((target.inside * own_mask)[every] * drafted.coverage)
    own_rest = rest_face(source.views)
    if source.refiner is None or drafts_only:
        return _folded(drafted.face, every, landmarks, picture, own_mask, own_rest, rests), mask
    small_size = source.network_size
    if small_size == size:
        small, small_picture, small_draft = target, picture, drafted
    else:
        small = target_geometry((landmarks * (small_size / size)).astype(np.float32), small_size, device)
        small_picture = _resized(picture, small_size)
        small_draft = Draft(*(_resized(x, small_size) for x in vars(drafted).values()))
    if rows is not None:
        small = small.at(rows)
    away = torch.from_numpy(displacements(landmarks, source.views.neutral.face)).to(device)[every]
    inputs = refiner_input(small, small_draft, small_picture[every], source.shape, away)
    result = _run_network(source, source.refiner, inputs)
    assert result.flow is not None
    change = result.face - moved(inputs[:, :3], result.flow)
    # a network that learns to err little errs to the soft side: where it would change little the draft, which is sharp
    # and finer than the network's picture, is kept; where it would change much (a mouth, a fold) the draft is wrong
    strength = blur(change.abs().mean(1, keepdim=True) * small.inside, 0.015 * small_size)
    doubt = 1 - torch.exp(-((strength / DETAIL_CHANGE) ** 2))
    flow = F.interpolate(result.flow, size=(size, size), mode="bilinear", align_corners=False)
    fine = moved(drafted.face, flow, "bicubic").clamp(0, 1)
    detail = fine - _resized(_resized(fine, small_size), size)
    raised = _resized((doubt * change + 1) / 2, size) * 2 - 1  # what is resized lies in 0..1
    face = (fine - _resized(doubt, size) * detail + raised).clamp(0, 1)
    face = _folded(face, every, landmarks, picture, own_mask, own_rest, rests)
    return face, mask * _resized(_mask_of_logits(result.mask), size)


def _folded(
    faces: torch.Tensor,
    every: torch.Tensor,
    landmarks: np.ndarray,
    picture: torch.Tensor,
    own_mask: torch.Tensor,
    own: RestFace | None,
    rests: Sequence[RestFace | None],
) -> torch.Tensor:
    """Recasts (K, 3, S, S) with the folds of the faces that they are of, `every` (K,) int64."""
    if own is None or not any(rest is not None for rest in rests):
        return faces
    size = picture.shape[-1]
    target = target_geometry((landmarks * (FOLDS_SIDE / size)).astype(np.float32), FOLDS_SIDE, picture.device)
    small, known, drawn = (_resized(x, FOLDS_SIDE) for x in (picture, own_mask, faces))
    ratios = torch.ones_like(drawn[:, :1])
    for n, row in enumerate(every.tolist()):
        if (rest := rests[row]) is not None:
            at, here = every[n : n + 1], slice(n, n + 1)
            ratios[here] = fold_ratio(target.at(at), small[at], known[at], drawn[here], rest, own)
    return (faces * F.interpolate(ratios, size=(size, size), mode="bilinear", align_corners=False)).clamp(0, 1)


def _run_network(source: Source, network: Net, inputs: torch.Tensor) -> Refined:
    batch: list[torch.Tensor | None] = [None] * len(network.decoders)
    batch[source.decoder] = inputs
    with autocast(inputs.device):
        result = network(batch)[source.decoder]
    assert result is not None
    finite = torch.stack([torch.isfinite(made).all() for made in result if made is not None])
    if not finite.all():  # asked once: the host waits for the device with each answer
        raise DataError(
            "The model's network makes no face of this one: its numbers are not finite, though its weights are. Train "
            "the model again, or recast as a draft (--draft)."
        )
    return result


def _mask_of_logits(logits: torch.Tensor) -> torch.Tensor:
    """Mask 0..1. Nearly sure is sure: what is left of the target's face inside the mask takes from the likeness."""
    return ((logits.sigmoid() - 0.1) / 0.7).clamp(0, 1)


def _resized(x: torch.Tensor, size: int) -> torch.Tensor:
    if x.shape[-1] == size:
        return x
    if x.shape[-1] > size:
        return F.interpolate(x, size=(size, size), mode="area")
    # bicubic overshoots at edges; everything resized here lies in 0..1
    return F.interpolate(x, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
