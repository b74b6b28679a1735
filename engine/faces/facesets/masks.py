"""Which pixels of a crop are the person's face: the landmarks' hull, less the hair that hangs into it, and less what
stands in front of it (hands and the like, and the rims of spectacles).

The mesh reaches to where the hairline is on most people; a fringe lies inside it. Where somebody drew a mask of a
frame by hand, it holds instead: `masks/NNNNNN.png` in the scan folder, by source frame number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from ...errors import DataError
from ...luma import BT601
from ...reading import open_regular
from ..geometry.align import hull_mask
from ..geometry.topology import BROWS, EYES
from ..networks.occlusion import hidden
from ..networks.parser import HAIR, RIM, parse
from .drawn_spectacles import arms
from .reflections import reflections
from .spectacles import STILL_WORN, WORN, Spectacles, draw_line, learn_spectacles, place_spectacles, wears_spectacles

FOLDER = "masks"
"""Inside a scan folder: masks drawn by hand."""
HAIR_STAYS = (0.35, 0.7)
"""Hair's likelihood from which it begins to stay in front of a face that is replaced, and from which it wholly does."""
DONOR_HAIR = (0.12, 0.4)
"""The same of a face that lends its skin: a strand that comes along is seen at once, skin that is missing is not."""
RIM_STAYS = (0.25, 0.6)
"""The same of spectacles' rims, which stay in front."""
FACES_PER_SHOT, MAX_SHOTS = 24, 24
"""Faces of a shot that tell what spectacles are worn in it; so many shots are looked at, the longest."""
RIM_SMEAR = 0.0015
"""How far a rim darkens what is beside it, in crop sides: a line of it would stay beside the rim."""
BESIDE = 0.014
"""What the parser takes for a rim is one of spectacles that are taken off where it lies so near to theirs, in crop
sides."""
TAKEN = 0.007
"""The same where spectacles are taken off: skin that is missing is not seen, a rim's shadow is."""
ARM = 0.012
"""How much wider than rims arms are taken to be to each side where they are taken off, in crop sides."""
FEATURE = (0.8, 0.95)
"""The same about brows and eyes of a face that lends its skin, where painted lids and brows' tails look like strands,
and within those of one that is replaced: half an eye of its own would look out of the new one."""
HAIR_EDGE = 0.01
"""How far beside hair skin is darkened by what a lens and a coder smear of it, in crop sides: a line would stay."""
STRAY = 0.05
"""How far from hair that is cut out single hairs are looked for, in crop sides."""
UNLIKE_SKIN = (0.12, 0.30)
"""By so much (of luma's logarithm) a place differs from skin nearby to begin to be none, and to be surely none."""
LASHES, BROW = 0.03, 0.012
"""How far around the lids and the brows that holds, in crop sides: lashes, winged liner, tails of brows."""
LID = 0.008
"""The same about the eyes of a face that is replaced."""
EDGE = 0.024
"""How far beside rims that are taken off what is left of them is looked for, in crop sides: a lit edge, a shadow."""
LEFT = (0.06, 0.16)
"""What differs there from skin nearby by so much (of luma's logarithm) begins to be of the rim, and is surely."""


def face_masks(
    pixels: np.ndarray, landmarks: np.ndarray, device: torch.device | str = "cpu", look: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Where N faces are, and what stands in front of them: both (N, S, S) uint8.

    pixels (N, S, S, 3) uint8 RGB crops, landmarks (N, 468, 3) in their pixels. The first is the hull less hair, 255
    where the face is; the second is 255 where something hides it (`occlusion.hidden`, or a spectacles' rim), and
    nothing where it was not to `look`.
    """
    own, in_front, _ = layers(pixels, landmarks, [None] * len(pixels), device, [look] * len(pixels))
    return own, in_front


def layers(
    pixels: np.ndarray,
    landmarks: np.ndarray,
    worn: Sequence[Spectacles | None],
    device: torch.device | str = "cpu",
    look: Sequence[bool] | None = None,
    off: Sequence[bool] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where N faces are, what stands in front of them, and the lenses before them: (N, S, S) uint8 each.

    The first two as in `face_masks`, which knows of no track: where somebody is known to have `worn` spectacles, all of
    their rims are in front, whole, and what lies within them is lens; sunglasses are wholly in front.
    Where `look` is False of a face, nothing is taken to be in front of it; no spectacles, where `off` is True.
    """
    told = parse(pixels, landmarks, device)
    hulls = np.stack([hull_mask(points, pixels.shape[1]) for points in landmarks])
    own = np.stack([_own(*face) for face in zip(hulls, told[:, HAIR], landmarks, strict=True)])
    lenses = np.zeros_like(own)
    if look is not None and not any(look):
        return own, lenses.copy(), lenses
    rims = 255 - _less(np.full_like(own, 255), _dilate(told[:, RIM]), RIM_STAYS)
    for n, known in enumerate(worn):
        if (off is not None and off[n]) or not wears_spectacles(
            told[n], landmarks[n], WORN if known is None else STILL_WORN
        ):
            rims[n] = 0  # a rim with no lens is a painted lid, or a brow
        elif known is not None:
            rims[n], lenses[n] = place_spectacles(known, pixels[n], landmarks[n], told[n], RIM_SMEAR * pixels.shape[1])
            if known.dark:
                rims[n], lenses[n] = np.maximum(rims[n], lenses[n]), 0
            lenses[n] = np.minimum(lenses[n], 255 - rims[n])
    in_front = np.maximum(hidden(pixels, landmarks, device), np.minimum(rims, hulls))
    if look is not None:
        in_front[~np.array(look)] = lenses[~np.array(look)] = 0
    return own, in_front, lenses


def _own(hull: np.ndarray, hair: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """A hull less hair, (S, S) uint8 each; brows and eyes are as good as never any."""
    size = len(hull)
    inner = np.maximum(_drawn(BROWS, landmarks, size, 0), _drawn(EYES, landmarks, size, LID))
    return np.where(inner > 0, _less(hull, hair, FEATURE), _less(hull, hair, HAIR_STAYS))


def donor_masks(
    pixels: np.ndarray, masks: np.ndarray, landmarks: np.ndarray, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Masks (N, S, S) uint8 less all hair, of faces that are to be seen elsewhere; never more than they were.

    In a face that is replaced a strand at the temple is no harm; one that lends its skin would bring it along, where
    it looks like a second brow.
    """
    size = pixels.shape[1]
    reach = max(1, round(HAIR_EDGE * size))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    lent = np.empty_like(masks)
    for first in range(0, len(pixels), 64):
        here = slice(first, first + 64)
        likely = parse(np.asarray(pixels[here]), landmarks[here], device)[:, HAIR]
        for n, (hair, points) in enumerate(zip(likely, landmarks[here], strict=True), first):
            around = cv2.GaussianBlur(cv2.dilate(hair, window), (0, 0), reach / 2)
            plain = _less(masks[n], np.maximum(around, hair), DONOR_HAIR)
            features = _features(points, size)
            plain = _less_edges(plain, pixels[n], masks[n], features)
            lent[n] = np.where(features > 0, _less(masks[n], hair, FEATURE), plain)
    return lent


def remove_spectacles(
    pixels: np.ndarray,
    masks: np.ndarray,
    landmarks: np.ndarray,
    shots: np.ndarray,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, np.ndarray, Spectacles | None]:
    """Faces (N, S, S, 3) uint8 RGB without their spectacles, their masks (N, S, S) uint8 as they are then, and the
    spectacles that most of them wear.

    landmarks (N, 468, 3); shots (N,) tell which faces wear the same ones. What rims, bridge and arms hide is drawn out
    of the skin beside them; what is seen through the lenses stays. Faces without spectacles stay as they are, and the
    very arrays come back where nobody wears any, with None.
    """
    bare, whole, found = pixels, masks, None
    for rows in _rows_of(shots):
        some = rows[np.linspace(0, len(rows) - 1, min(FACES_PER_SHOT, len(rows))).round().astype(int)]
        told = parse(np.stack([pixels[n] for n in some]), landmarks[some], device)
        if 2 * sum(wears_spectacles(t, landmarks[n]) for t, n in zip(told, some, strict=True)) <= len(some):
            continue
        worn = learn_spectacles(np.stack([pixels[n] for n in some]), landmarks[some], told)
        found = found or worn
        if worn is None or worn.dark:  # behind sunglasses there are no eyes to be had
            continue
        if bare is pixels:
            bare, whole = np.array(pixels), np.array(masks)
        for first in range(0, len(rows), 64):
            here = rows[first : first + 64]
            for n, likely in zip(here, parse(bare[here], landmarks[here], device), strict=True):
                if wears_spectacles(likely, landmarks[n], STILL_WORN):
                    bare[n], whole[n] = _remove_from_face(worn, bare[n], whole[n], landmarks[n], likely)
    return bare, whole, found


def _rows_of(shots: np.ndarray) -> list[np.ndarray]:
    """The rows of each shot, the longest first, no more than MAX_SHOTS of them."""
    found = [np.flatnonzero(shots == shot) for shot in np.unique(shots)]
    return sorted(found, key=len, reverse=True)[:MAX_SHOTS]


def take_off(
    worn: Spectacles, pixels: np.ndarray, landmarks: np.ndarray, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray] | None:
    """A crop (S, S, 3) uint8 RGB without the spectacles that its face, landmarks (468, 3), is known to have worn.

    Also where it is another picture than before, (S, S) uint8, 255 surely: arms reach beyond the face. None where none
    are worn in it.
    """
    told = parse(pixels[None], landmarks[None], device)[0]
    if not wears_spectacles(told, landmarks, STILL_WORN):
        return None
    filled, rims, own, _ = _without(worn, pixels, landmarks, told)
    size = len(rims)
    half = ARM * size + 1.5 * float(np.median(np.concatenate([h for _, h in worn.rims]))) * size / 256
    for arm in arms(worn, landmarks):
        drawn = np.round(255 * draw_line(arm, np.full(len(arm), half), False, size, max(0.8, size / 320)))
        rims = np.where(own > 127, rims, np.maximum(rims, drawn.astype(np.uint8)))
    share = rims.astype(np.float32)[..., None] / 255
    beside = pixels + share * (_inpaint(pixels.astype(np.float32), 1 - share[..., 0]) - pixels)
    return np.where(own[..., None] > 127, filled, np.round(beside).astype(np.uint8)), rims


def _remove_from_face(
    worn: Spectacles, pixels: np.ndarray, mask: np.ndarray, landmarks: np.ndarray, told: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One face without its spectacles, and its mask."""
    filled, _, own, taken = _without(worn, pixels, landmarks, told)
    return filled, np.where(taken > 0, np.maximum(mask, own), mask)


def _without(
    worn: Spectacles, pixels: np.ndarray, landmarks: np.ndarray, told: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A crop without spectacles, where they were, where the face is, and where its mask was less by rims."""
    size = len(pixels)
    rims, lenses = place_spectacles(worn, pixels, landmarks, told, TAKEN * size)
    hinges = np.minimum(_beside(rims, lenses), 255 - _less(np.full_like(rims, 255), told[RIM], RIM_STAYS))
    rims = np.maximum(rims, hinges)
    if worn.faint:  # above lenses without rims, the parser takes brows for one
        rims[_drawn(BROWS, landmarks, size, BROW) > 0] = 0
    own = _less(hull_mask(landmarks, size), told[HAIR], HAIR_STAYS)
    rims = np.maximum(rims, _left_of_rims(rims, pixels, own, _features(landmarks, size)))
    taken = np.maximum(rims, 255 - _less(np.full_like(rims, 255), _dilate(told[RIM][None])[0], RIM_STAYS))
    if worn.dark:
        rims, taken = np.maximum(rims, lenses), np.maximum(taken, lenses)
        lenses = np.zeros_like(lenses)
    clear = pixels - reflections(pixels, np.minimum(own, 255 - rims), np.minimum(lenses, 255 - rims), landmarks)
    share = rims.astype(np.float32)[..., None] / 255
    skin = _inpaint(clear.astype(np.float32), np.where(own > 127, 1 - share[..., 0], 0))
    return np.round(clear + share * (skin - clear)).astype(np.uint8), rims, own, taken


def _beside(rims: np.ndarray, lenses: np.ndarray) -> np.ndarray:
    """Where hinges, corners, pads and bridges are: just beside rims (S, S) and between both lenses; 255 there, or 0."""
    reach = 2 * max(1, round(BESIDE * len(rims))) + 1
    near = cv2.dilate(np.where(rims > 127, 255, 0).astype(np.uint8), np.ones((reach, reach), np.uint8))
    between = np.zeros_like(rims)
    if (points := cv2.findNonZero((lenses > 127).astype(np.uint8))) is not None:
        cv2.fillConvexPoly(between, cv2.convexHull(points), 255)
    return np.where(lenses > 127, near, np.maximum(near, between))


def _left_of_rims(rims: np.ndarray, pixels: np.ndarray, own: np.ndarray, features: np.ndarray) -> np.ndarray:
    """What is left of rims beside them, (S, S) uint8: 255 where `own` skin there surely is unlike the skin nearby.

    Brows and eyes, `features`, are no rims. All (S, S) uint8 but pixels, (S, S, 3) uint8 RGB.
    """
    size = len(rims)
    around = cv2.dilate(rims, np.ones((2 * max(1, round(EDGE / 2 * size)) + 1,) * 2, np.uint8))
    skin = np.where((own > 127) & (features == 0), 1 - around.astype(np.float32) / 255, np.float32(0))
    whole = pixels.astype(np.float32)
    here, nearby = (x @ BT601 + 8 for x in (whole, _inpaint(whole, skin)))
    low, high = LEFT
    strange = np.clip((np.abs(np.log(here / nearby)) - low) / (high - low), 0, 1)
    strange *= np.clip(cv2.distanceTransform(255 - features, cv2.DIST_L2, 3) / (BROW * size) - 0.5, 0, 1)
    found = np.where(own > 127, np.round(strange * around), 0).astype(np.uint8)
    wider: np.ndarray = cv2.dilate(found, np.ones((3, 3), np.uint8))
    return wider


def _inpaint(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A picture (S, S, 3) float32 with what is not known, (S, S) float32 0..1, drawn out of what is beside it.

    The more is missing the coarser (pull and push: Gortler et al., The Lumigraph, 1996).
    """
    levels = [np.dstack([picture * known[..., None], known])]
    while min(levels[-1].shape[:2]) > 4:
        levels.append(cv2.pyrDown(levels[-1]))
    found = levels[-1][..., :3] / (levels[-1][..., 3:] + 1e-4)
    for level in reversed(levels[:-1]):
        coarse = cv2.pyrUp(found, dstsize=level.shape[1::-1])
        sure = np.minimum(2 * level[..., 3:], 1)
        found = coarse + sure * (level[..., :3] / (level[..., 3:] + 1e-4) - coarse)
    return np.clip(found, 0, 255)


def _less_edges(mask: np.ndarray, pixels: np.ndarray, whole: np.ndarray, features: np.ndarray) -> np.ndarray:
    """A mask (S, S) uint8 less what lies beside hair that was cut out of the whole, and is not as bright as skin there.

    A network's outline of hair is a few pixels off, and single hairs stray: they would stand in skin as lines. Beside
    brows and eyes, `features` (S, S) uint8, they cannot be told from paint.
    """
    size = len(mask)
    cut = ((whole > 127) & (mask < 128)).astype(np.uint8)
    if not cut.any():
        return mask
    away = cv2.distanceTransform(1 - cut, cv2.DIST_L2, 3) / size
    tones = pixels.astype(np.float32) @ BT601 + 8
    sure = np.where((mask > 250) & (away > STRAY / 3), np.float32(1), np.float32(0))
    around = [cv2.GaussianBlur(x, (0, 0), STRAY * size) for x in (tones * sure, sure)]
    known = around[1] > 0.02
    apart = np.abs(np.log(tones * np.maximum(around[1], 1e-6) / np.maximum(around[0], 1e-6)))
    low, high = UNLIKE_SKIN
    strange = np.where(known, np.clip((apart - low) / (high - low), 0, 1), 1)
    near = np.clip(2 - away / STRAY * 2, 0, 1)
    reach = max(1, round(size / 256))
    strange = cv2.dilate(strange * near, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    beside = cv2.distanceTransform(255 - features, cv2.DIST_L2, 3) / size
    strange *= np.clip(2 * beside / STRAY - 0.5, 0, 1)
    return np.round(mask * (1 - strange)).astype(np.uint8)


def _features(landmarks: np.ndarray, size: int) -> np.ndarray:
    """(S, S) uint8, 255 at the brows, and between the lids and around them."""
    return np.maximum(_drawn(BROWS, landmarks, size, BROW), _drawn(EYES, landmarks, size, LASHES))


def _drawn(rings: Sequence[Sequence[int]], landmarks: np.ndarray, size: int, around: float) -> np.ndarray:
    """What lies within rings of landmarks (468, 3), and so far around, in crop sides: (S, S) uint8, 255 there, or 0."""
    mask = np.zeros((size, size), np.uint8)
    for ring in rings:
        cv2.fillPoly(mask, [np.round((landmarks[ring, :2] - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, shift=4)
    wider: np.ndarray = cv2.dilate(mask, np.ones((2 * max(1, round(around * size)) + 1,) * 2, np.uint8))
    return wider


def _less(whole: np.ndarray, likely: np.ndarray, ramp: tuple[float, float]) -> np.ndarray:
    """What is left of a whole, uint8, where something is so likely (uint8, 255 surely): nothing above the ramp."""
    low, high = ramp
    share = np.clip((likely.astype(np.float32) / 255 - low) / (high - low), 0, 1)
    return np.round(whole * (1 - share)).astype(np.uint8)


def _dilate(likely: np.ndarray) -> np.ndarray:
    """Likelihoods (N, S, S) uint8 wider by what a lens smears of an edge, or a line of it would stay beside the rim."""
    reach = max(1, likely.shape[1] // 256)
    return np.stack([cv2.dilate(x, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) for x in likely])


def drawn_path(scan: Path, frame: int) -> Path:
    """Where the mask of a source frame drawn by hand would lie."""
    return scan / FOLDER / f"{frame:06d}.png"


def drawn_mask(scan: Path, frame: int, height: int, width: int) -> np.ndarray | None:
    """(H, W) uint8 drawn by hand for a source frame, 255 where a face may be replaced; None where nobody drew one.

    Raises DataError when it is no picture, or not of the footage's size.
    """
    path = drawn_path(scan, frame)
    if not path.is_file():
        return None
    with open_regular(path) as file:
        data = np.frombuffer(file.read(), np.uint8)
    mask = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    if mask is None:
        raise DataError(f"The drawn mask {path} is no picture. Save it as a grey PNG, or delete it.")
    if mask.shape != (height, width):
        raise DataError(
            f"The drawn mask {path} is {mask.shape[1]}×{mask.shape[0]}, but its footage is {width}×{height}. "
            "Draw it at the footage's size, or delete it."
        )
    return mask


def check_drawn(scan: Path, frames: Iterable[int], height: int, width: int) -> None:
    """Read what was drawn for these source frames, so that a bad one is told before hours of work. Raises DataError."""
    if (scan / FOLDER).is_dir():
        for frame in frames:
            drawn_mask(scan, frame, height, width)
