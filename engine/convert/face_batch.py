"""Recast the faces of a few frames: crops in, crops out. Nothing is put into a picture here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from ..faces.facesets.masks import drawn_mask, layers, take_off
from ..faces.facesets.reflections import reflections
from ..faces.facesets.spectacles import Spectacles
from ..faces.geometry.align import crop, crop_box, hull_mask
from ..media.reader import Frame
from ..model.draft.folds import RestFace
from ..model.draft.shape import move_picture
from ..model.recast import Source, recast
from .mask import fit_mask
from .occluder import fill_occluded
from .plan import Placement
from .spectacles_policy import over_and_under

HIDDEN, HIDDEN_CARRIED = (0.6, 0.8), (0.25, 0.45)
"""Where more of a face than the first share is hidden it begins to keep its own, and beyond the second nothing of it is
recast; sooner where no mesh was measured: a fist before it may be all that is to be seen."""
CPU_BATCH_PIXELS = 4 * 256**2
"""Pixels of crops that a CPU recasts at once."""
Member = tuple[Frame, Placement]


@dataclass(frozen=True, eq=False)
class TrackFacts:
    """What is known of a track's face (`track_facts.learn_tracks`): the spectacles it wears, and the face at rest."""

    spectacles: Spectacles | None
    rest: RestFace | None


@dataclass(frozen=True, eq=False)
class Face:
    """One recast face, still in its crop of `placement.size` pixels.

    face (S, S, 3) float32 RGB 0..255, the recast; mask (S, S) float32 0..1, fitted as the settings want it;
    target (S, S, 3) uint8 RGB, the footage's own crop, moved to meet the face's new shape; moved (S, S) float32
    0..1, where it was, and origin (S, S, 2) float32, from where in the crop: the frame has to be moved so, too,
    before the face is put into it. whole (S, S) is the mask with nothing in front of it, hidden (S, S) float32 0..1
    what was found there in this very frame; None where nothing was looked for, or somebody drew the mask.
    """

    placement: Placement
    face: np.ndarray
    mask: np.ndarray
    target: np.ndarray
    moved: np.ndarray
    origin: np.ndarray
    whole: np.ndarray
    hidden: np.ndarray | None


def crop_of(frame: Frame, placement: Placement) -> np.ndarray:
    """The placement's crop of a frame, (S, S, 3) uint8 RGB: what `crop` cuts out of the whole of it."""
    matrix, size = placement.matrix, placement.size
    x0, y0, x1, y1 = box = crop_box(matrix, size, *frame.shape[::-1])
    if x0 >= x1 or y0 >= y1:  # beside the picture
        return crop(frame.rgb, matrix, size)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (x0, y0)
    return crop(frame.part(box), moved, size)


def render_faces(
    frames: list[Frame],
    plan: dict[int, list[Placement]],
    sources: dict[str, Source],
    device: torch.device,
    scan: Path | None = None,
    tracks: Mapping[int, TrackFacts] = MappingProxyType({}),
) -> dict[int, list[Face]]:
    """Frame index → its recast faces, farther ones first; frames without one are left out.

    Masks drawn by hand in the folder `scan` hold where there are any. `tracks` is what is known of each track's face.

    Faces of one source and size go through the network together, across frames.
    """
    groups: dict[tuple[str, int], list[Member]] = {}
    for frame in frames:
        for placement in plan.get(frame.index, ()):
            groups.setdefault((placement.source, placement.size), []).append((frame, placement))
    drawn = {f.index: drawn_mask(scan, f.index, *f.shape) for f in frames if scan and plan.get(f.index)}

    done: dict[int, Face] = {}  # by placement's identity
    for name, size, members in _batches(groups, device):
        pictures = np.stack([crop_of(f, p) for f, p in members])
        landmarks, measured = (np.stack(x) for x in zip(*((p.landmarks, p.measured) for _, p in members), strict=True))
        taken_off = np.zeros(pictures.shape[:3], np.uint8)
        if sources[name].meshless:  # it knows where the face is, and goes where no mesh does
            own_masks = np.full(pictures.shape[:3], 255, np.uint8)
            in_front, lenses = np.zeros_like(own_masks), np.zeros_like(own_masks)
        else:
            fronts = [p.settings.keep_front for _, p in members]
            known = [None if p.carried or p.track not in tracks else tracks[p.track].spectacles for _, p in members]
            off = [p.settings.spectacles != "keep" for _, p in members]
            for n, spectacles in enumerate(known):
                if (
                    off[n]
                    and spectacles is not None
                    and (bare := take_off(spectacles, pictures[n], measured[n], device))
                ):
                    pictures[n], taken_off[n] = bare
            own_masks, in_front, lenses = layers(pictures, measured, known, device, fronts, off)
        for n, (frame, placement) in enumerate(members):
            by_hand = drawn.get(frame.index)
            if by_hand is not None:
                own_masks[n] = hull_mask(placement.measured, size)
                in_front[n] = 255 - crop(by_hand, placement.matrix, size)
        skins = np.minimum(own_masks, 255 - in_front)
        shining = np.stack([reflections(*face) for face in zip(pictures, skins, lenses, measured, strict=True)])
        crops = [pictures, own_masks[..., None], in_front[..., None], shining]
        if taken_off.any():
            crops.append(taken_off[..., None])
        shown = torch.from_numpy(np.concatenate(crops, -1)).to(device).permute(0, 3, 1, 2).contiguous().float() / 255
        shown, moved, field = move_picture(shown, measured, landmarks)
        face, mask = recast_with_dissolve(
            sources[name],
            [p for _, p in members],
            landmarks,
            fill_occluded((shown[:, :3] - shown[:, 5:8]).clamp(min=0), shown[:, 3:4], shown[:, 4:5]),
            shown[:, 3:4],
            [tracks[p.track].rest if p.track in tracks else None for _, p in members],
        )
        face = (face + shown[:, 5:8]).clamp(max=1) if shining.any() else face  # what lenses reflect lies over any face
        pictures = np.ascontiguousarray((shown[:, :3] * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy())
        place = torch.arange(size, device=device) + 0.5
        places = torch.stack([place.expand(size, size), place[:, None].expand(size, size)])
        origins = np.ascontiguousarray((places - field).permute(0, 2, 3, 1).cpu().numpy())
        moves = np.ascontiguousarray(moved[:, 0].cpu().numpy())
        faces = np.ascontiguousarray((face.float() * 255).permute(0, 2, 3, 1).cpu().numpy())
        masks = np.ascontiguousarray(mask[:, 0].float().cpu().numpy())
        hidden = np.ascontiguousarray(shown[:, 4].cpu().numpy())
        off_masks = np.ascontiguousarray(shown[:, 8].cpu().numpy()) if taken_off.any() else taken_off
        for n, (frame, placement) in enumerate(members):
            whole = fit_mask(masks[n], placement)
            if placement.settings.spectacles != "keep" and not sources[name].meshless:
                worn = sources[name].views.spectacles if placement.settings.spectacles == "wear" else None
                faces[n], whole = over_and_under(faces[n], whole, pictures[n], off_masks[n], worn, placement.landmarks)
            whole = np.float32(placement.visible) * whole
            whole *= seen(whole, hidden[n], placement.carried)
            mask = whole * (1 - hidden[n])
            found = hidden[n] if placement.settings.keep_front and drawn.get(frame.index) is None else None
            done[id(placement)] = Face(placement, faces[n], mask, pictures[n], moves[n], origins[n], whole, found)
    return {frame.index: [done[id(p)] for p in plan[frame.index]] for frame in frames if plan.get(frame.index)}


def seen(mask: np.ndarray, hidden: np.ndarray, carried: bool) -> np.float32:
    """How far a face is to be seen at all, 0..1, from its mask and what of it is hidden, (S, S) 0..1 each."""
    share = float((mask * hidden).sum() / max(float(mask.sum()), 1e-6))
    low, high = HIDDEN_CARRIED if carried else HIDDEN
    t = min(max((high - share) / (high - low), 0.0), 1.0)
    return np.float32(t * t * (3 - 2 * t))


def _batches(
    groups: dict[tuple[str, int], list[Member]], device: torch.device
) -> Iterator[tuple[str, int, list[Member]]]:
    """The faces of one source and size that are recast at once: all, but on a CPU no more than stay in its cache."""
    for (name, size), members in groups.items():
        at_once = max(1, CPU_BATCH_PIXELS // size**2) if device.type == "cpu" else len(members)
        for n in range(0, len(members), at_once):
            yield name, size, members[n : n + at_once]


@torch.inference_mode()
def recast_with_dissolve(
    source: Source,
    placements: list[Placement],
    landmarks: np.ndarray,
    picture: torch.Tensor,
    own: torch.Tensor,
    rests: Sequence[RestFace | None] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces and masks as `recast` makes them; where views change, from both, mixed."""
    device = picture.device
    choice = torch.from_numpy(np.stack([p.choice for p in placements])).to(device)
    turn = np.array([p.settings.gaze for p in placements], np.float32)
    changing = [n for n, p in enumerate(placements) if p.other is not None]
    if not changing or source.meshless:  # that takes no views
        return recast(source, landmarks, picture, own, choice, rests=rests, turn=turn)
    other = torch.from_numpy(np.stack([x for p in placements if (x := p.other) is not None])).to(device)
    share = torch.tensor([placements[n].share for n in changing], device=device)[:, None, None, None]
    count = len(placements)
    rows = torch.tensor([*range(count), *changing], device=device)
    faces, masks = recast(
        source, landmarks, picture, own, torch.cat([choice, other]), rows=rows, rests=rests, turn=turn
    )
    (face, also), (mask, too) = ((x[:count], x[count:]) for x in (faces, masks))
    face[changing] += share * (also - face[changing])
    mask[changing] += share * (too - mask[changing])
    return face, mask
