"""Finished faces into their frame: colour, softness, seam, grain, and those in front over those behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..faces.geometry.align import to_opencv
from ..media.float_view import Patch, composite_onto
from ..media.signal import Box
from . import blend, colour_matching, grain_blur
from .face_batch import Face
from .face_passes import face_facts, face_layers
from .frame_measures import Measures
from .patch import VISIBLE_ALPHA, Place, warped_face, warped_mask

ReadRegion = Callable[[Box], np.ndarray]
"""A rectangle x0, y0, x1, y1 of a frame as (h, w, 3) float32 RGB 0..1."""
EmbedMark = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""Puts the durable mark into a crop: face (S, S, 3) float32 RGB 0..255, mask (S, S) float32 0..1, the recast face's
landmarks (468, 3) in the crop's pixels, its radius in the frame's → marked face."""


def composite(
    view: ReadRegion,
    frame: int,
    faces: Sequence[tuple[Face, Place, Measures]],
    mark: EmbedMark | None = None,
    people: Mapping[int, int] | None = None,
) -> list[Patch]:
    """The patches of one frame's faces, farther ones first; each is finished over those before it.

    Deterministic: grain is drawn from the frame's number and the face's track. With `people` (track → person) they
    carry what passes tell of each face.
    """
    patches: list[Patch] = []
    for face, place, measures in faces:
        fresh = finish_face(face, measures)
        if mark is not None:
            fresh = mark(fresh, face.mask, face.placement.landmarks, face.placement.radius)
        under, beneath = _frame_with_patches(view, place, patches)
        if face.moved.any():
            under, changed = _warp_frame_to_outline(under, face, place)
            beneath = changed + beneath * (1 - changed)
        new, alpha = warped_face(fresh, place), warped_mask(face.mask, place)
        mixed = blend.blend(under * 255, new, alpha, face.placement.settings.blend)
        if measures.grain.size:
            field = grain_blur.grain(place.shape, measures.grain, (frame, face.placement.track))
            if field is not None:
                mixed += alpha[..., None] * field
        x0, y0, _, _ = place.box
        # not below black nor above white, but where the footage itself is
        mixed /= 255
        composite_onto(np.clip(mixed, np.minimum(under, 0), np.maximum(under, 1), out=mixed), alpha > 0, under)
        patch = Patch(x0, y0, under, alpha + beneath * (1 - alpha))
        if people is not None:
            told = face_facts(face.placement, people.get(face.placement.track, -1))
            patch = replace(patch, layers=face_layers(face, place, alpha), facts=told)
        patches.append(patch)
    return patches


def finish_face(face: Face, measures: Measures) -> np.ndarray:
    """A face in its crop, (S, S, 3) float32 RGB 0..255, with all but the seam and the grain done."""
    settings = face.placement.settings
    fresh = colour_matching.apply(settings.colour, face.face, measures.colour)
    if measures.blur.size:
        fresh = grain_blur.apply_blur(fresh, measures.blur, face.placement.motion)
    if measures.membrane.size:
        fresh = fresh + blend.membrane(measures.membrane, face.placement.size)
    fresh = colour_matching.apply_tint(fresh, measures.tint)
    if settings.blend == "multiband":
        known = np.clip(face.mask * 8, 0, 1)
        fresh = blend.extend_face(fresh, face.target.astype(np.float32), known)
    return fresh


def paste_patches(rgb: np.ndarray, patches: Sequence[Patch]) -> tuple[np.ndarray, np.ndarray]:
    """A frame (H, W, 3) uint8 RGB with its patches, and the matte (H, W) float32 of them all."""
    picture, matte = rgb.copy(), np.zeros(rgb.shape[:2], np.float32)
    for patch in patches:
        rows, columns = patch.matte.shape
        here = np.s_[patch.y : patch.y + rows, patch.x : patch.x + columns]
        new = np.clip(np.round(patch.rgb * 255), 0, 255).astype(np.uint8)
        np.copyto(picture[here], new, where=patch.matte[..., None] > 0)
        np.copyto(matte[here], patch.matte, where=patch.matte > 0)
    return picture, matte


def _warp_frame_to_outline(under: np.ndarray, face: Face, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """The frame at a place, drawn to the face's new outline at its own resolution, and how much: (h, w) 0..1."""
    # where each pixel came from is smooth: linear interpolation has it exactly enough
    field = cv2.warpAffine(
        cv2.merge([face.origin, face.moved]),
        to_opencv(place.matrix),
        place.shape[::-1],
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    origin, changed = np.ascontiguousarray(field[..., :2]), field[..., 2]
    changed = np.where(changed > VISIBLE_ALPHA, changed, np.float32(0))
    back = cv2.invertAffineTransform(place.matrix) - [[0, 0, 0.5], [0, 0, 0.5]]
    x, y = cv2.split(cv2.transform(origin, back))
    bent = cv2.remap(under, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    composite_onto(bent, changed > 0, under)
    return under, changed


def _frame_with_patches(view: ReadRegion, place: Place, patches: Sequence[Patch]) -> tuple[np.ndarray, np.ndarray]:
    """The frame at a place with the patches that lie there already, and their matte."""
    x0, y0, x1, y1 = place.box
    under, beneath = view(place.box), np.zeros(place.shape, np.float32)
    for patch in patches:
        rows, columns = patch.matte.shape
        a, b, c, d = max(x0, patch.x), max(y0, patch.y), min(x1, patch.x + columns), min(y1, patch.y + rows)
        if a < c and b < d:
            theirs = np.s_[b - patch.y : d - patch.y, a - patch.x : c - patch.x]
            here = np.s_[b - y0 : d - y0, a - x0 : c - x0]
            inside = patch.matte[theirs] > 0
            composite_onto(patch.rgb[theirs], inside, under[here])
            np.copyto(beneath[here], patch.matte[theirs], where=inside)
    return under, beneath
