"""Which pixels of a crop are the person's face: the landmarks' hull, less the hair that hangs into it, and less what
stands in front of it (hands and the like, and the rims of spectacles).

The mesh reaches to where the hairline is on most people; a fringe lies inside it. Where somebody drew a mask of a
frame by hand, it holds instead: `masks/NNNNNN.png` in the scan folder, by source frame number.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch

from ...durable import open_regular
from ...errors import DataError
from ..geometry.align import hull_mask
from ..geometry.topology import BROWS, EYES
from ..networks.occlusion import hidden
from ..networks.parser import HAIR, RIM, parse

FOLDER = "masks"
"""Inside a scan folder: masks drawn by hand."""
STAYS = (0.35, 0.7)
"""Hair's likelihood from which it begins to stay in front of a face that is replaced, and from which it wholly does."""
LENT = (0.12, 0.4)
"""The same of a face that lends its skin: a strand that comes along is seen at once, skin that is missing is not."""
RIMS = (0.25, 0.6)
"""The same of spectacles' rims, which stay in front."""
FEATURE = (0.8, 0.95)
"""The same about brows and eyes of a face that lends its skin: painted lids and brows' tails look like strands."""
LASHES, BROW = 0.03, 0.012
"""How far around the lids and the brows that holds, in crop sides: lashes, winged liner, tails of brows."""


def face_masks(
    pixels: np.ndarray, landmarks: np.ndarray, device: torch.device | str = "cpu", look: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Where N faces are, and what stands in front of them: both (N, S, S) uint8.

    pixels (N, S, S, 3) uint8 RGB crops, landmarks (N, 468, 3) in their pixels. The first is the hull less hair, 255
    where the face is; the second is 255 where something hides it (`occlusion.hidden`, or a spectacles' rim), and
    nothing where it was not to `look`.
    """
    told = parse(pixels, landmarks, device)
    hulls = np.stack([hull_mask(points, pixels.shape[1]) for points in landmarks])
    own = _less(hulls, told[:, HAIR], STAYS)
    if not look:
        return own, np.zeros_like(own)
    rims = 255 - _less(np.full_like(own, 255), _grown(told[:, RIM]), RIMS)
    return own, np.maximum(hidden(pixels, landmarks, device), np.minimum(rims, hulls))


def lending(
    pixels: np.ndarray, masks: np.ndarray, landmarks: np.ndarray, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Masks (N, S, S) uint8 less all hair, of faces that are to be seen elsewhere; never more than they were.

    In a face that is replaced a strand at the temple is no harm; one that lends its skin would bring it along, where
    it looks like a second brow.
    """
    size = pixels.shape[1]
    reach = max(1, size // 170)
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    lent = np.empty_like(masks)
    for first in range(0, len(pixels), 64):
        here = slice(first, first + 64)
        likely = parse(np.asarray(pixels[here]), landmarks[here], device)[:, HAIR]
        for n, (hair, points) in enumerate(zip(likely, landmarks[here], strict=True), first):
            plain = _less(masks[n], cv2.dilate(hair, window), LENT)
            lent[n] = np.where(_features(points, size) > 0, _less(masks[n], hair, FEATURE), plain)
    return lent


def _features(landmarks: np.ndarray, size: int) -> np.ndarray:
    """(S, S) uint8, 255 at the brows, and between the lids and around them."""
    brows, eyes = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    for mask, rings in ((brows, BROWS), (eyes, EYES)):
        for ring in rings:
            cv2.fillPoly(mask, [np.round((landmarks[ring, :2] - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, shift=4)
    wide, narrow = (np.ones((2 * max(1, round(r * size)) + 1,) * 2, np.uint8) for r in (LASHES, BROW))
    return np.maximum(cv2.dilate(brows, narrow), cv2.dilate(eyes, wide))


def _less(whole: np.ndarray, likely: np.ndarray, ramp: tuple[float, float]) -> np.ndarray:
    """What is left of a whole, uint8, where something is so likely (uint8, 255 surely): nothing above the ramp."""
    low, high = ramp
    share = np.clip((likely.astype(np.float32) / 255 - low) / (high - low), 0, 1)
    return np.round(whole * (1 - share)).astype(np.uint8)


def _grown(likely: np.ndarray) -> np.ndarray:
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
