"""The display-referred view of a rectangle of a frame in floating point, and carrying its change back.

What is carried back is the change, not the picture: a sample whose view is not changed keeps its very value,
whatever its depth, range, chroma or transfer, and a changed one gets the difference at the footage's own depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av
import cv2
import numpy as np

from .colour import LUMA, matrix_of, range_of, transfer_of
from .planes import chroma_steps, planar, plane_array, span_of
from .tone import ceiling, from_view, to_view

Box = tuple[int, int, int, int]  # x0, y0, x1, y1: pixels, exclusive


@dataclass(frozen=True, eq=False)
class Patch:
    """A recast rectangle of a frame as shown; `x`, `y` is its left top pixel.

    rgb    (h, w, 3) float32, the finished picture there, as `Frame.view` gives the old one (R'G'B', 0..1)
    matte  (h, w) float32 0..1, how much of each pixel is the new face. Where it is 0 every sample stays the
           source's own; the layer is this matte with the colour that, laid over the footage, gives `rgb`
    """

    x: int
    y: int
    rgb: np.ndarray
    matte: np.ndarray

    @property
    def box(self) -> Box:
        """The rectangle: x0, y0, x1, y1."""
        return self.x, self.y, self.x + self.matte.shape[1], self.y + self.matte.shape[0]


def view_of(frame: av.VideoFrame, box: Box) -> np.ndarray:
    """(h, w, 3) float32: the SDR view of a rectangle of a planar frame as coded. Not clipped: 0..1 is nominal."""
    return to_view(signal_of(frame, box), transfer_of(frame), int(frame.color_primaries))


def carried(native: av.VideoFrame, patches: Sequence[Patch] = ()) -> av.VideoFrame:
    """A new planar frame: the decoded samples, changed as the patches say.

    The patches are as coded (turned back by the caller); where several touch a pixel the last one counts.
    A subsampled chroma sample changes where any of its luma pixels does; alpha is always the source's.
    """
    source = planar(native)
    result = av.VideoFrame(source.width, source.height, source.format.name)
    for number in range(len(source.planes)):
        plane_array(result, number)[:] = plane_array(source, number)
    result.colorspace = native.colorspace
    result.color_range = range_of(native)
    result.color_primaries = native.color_primaries
    result.color_trc = native.color_trc
    across, down = chroma_steps(source.format.name)
    rows = down * (2 if down == 2 and native.interlaced_frame else 1)
    for group in _apart(patches, across, rows):
        _carry(source, result, group, _aligned(_around(group), source, across, rows))
    return result


def _carry(source: av.VideoFrame, result: av.VideoFrame, patches: Sequence[Patch], box: Box) -> None:
    """Write the change inside `box`, which is whole chroma samples and holds all of the patches."""
    x0, y0, x1, y1 = box
    transfer, primaries = transfer_of(source), int(source.color_primaries)
    old = to_view(signal_of(source, box), transfer, primaries)
    new, touched = old.copy(), np.zeros((y1 - y0, x1 - x0), bool)
    for patch in patches:
        here = np.s_[patch.y - y0 : patch.y - y0 + len(patch.matte), patch.x - x0 : patch.x - x0 + patch.matte.shape[1]]
        inside = patch.matte > 0
        np.copyto(new[here], patch.rgb, where=inside[..., None])
        touched[here] |= inside
    np.minimum(new, np.maximum(old, ceiling(transfer)), out=new)
    change = from_view(new, transfer, primaries) - from_view(old, transfer, primaries)
    change *= touched[..., None]
    parts = source.format.components
    if source.format.is_rgb:
        for number in range(3):
            _add(source, result, parts[number].plane, box, change[..., number], touched, chroma=False)
        return
    red, blue = LUMA[matrix_of(source)]
    luma = change @ np.array([red, 1 - red - blue, blue], np.float32)
    _add(source, result, parts[0].plane, box, luma, touched, chroma=False)
    if len(parts) < 3:
        return
    across, down = chroma_steps(source.format.name)
    shared = (x0 // across, y0 // down, -(-x1 // across), -(-y1 // down))
    lines = 2 if down == 2 and source.interlaced_frame else 1
    fewer = _any_in_blocks(touched, across, down, lines)
    for number, colour, share in ((1, 2, blue), (2, 0, red)):
        difference = _chroma_down((change[..., colour] - luma) / (2 * (1 - share)), across, down, lines)
        _add(source, result, parts[number].plane, shared, difference, fewer, chroma=True)


def _add(
    source: av.VideoFrame,
    result: av.VideoFrame,
    plane: int,
    box: Box,
    change: np.ndarray,
    where: np.ndarray,
    chroma: bool,
) -> None:
    """Add a change (h, w), in units of the signal, to the samples of a plane where `where`."""
    x0, y0, x1, y1 = box
    old, new = plane_array(source, plane)[y0:y1, x0:x1], plane_array(result, plane)[y0:y1, x0:x1]
    _, unit = span_of(source, chroma)
    sums = old + change * np.float32(unit)
    if old.dtype.kind == "u":
        sums = np.clip(np.round(sums), 0, (1 << source.format.components[0].bits) - 1)
    np.copyto(new, sums.astype(old.dtype), where=where)


def signal_of(frame: av.VideoFrame, box: Box) -> np.ndarray:
    """(h, w, 3) float32 R'G'B' with the footage's own transfer, of a rectangle of a planar frame; 0..1 is nominal."""
    x0, y0, x1, y1 = box
    parts = frame.format.components
    zero, unit = span_of(frame)
    first = (plane_array(frame, parts[0].plane)[y0:y1, x0:x1] - np.float32(zero)) * np.float32(1 / unit)
    if frame.format.is_rgb:
        rest = [plane_array(frame, part.plane)[y0:y1, x0:x1] * np.float32(1 / unit) for part in parts[1:3]]
        return np.stack([first, *rest], axis=-1).astype(np.float32, copy=False)
    if len(parts) < 3:
        return np.repeat(first[..., None], 3, axis=-1)
    across, down = chroma_steps(frame.format.name)
    lines = 2 if down == 2 and frame.interlaced_frame else 1
    zero, unit = span_of(frame, chroma=True)
    blue, red = (
        (_chroma_up(plane_array(frame, part.plane), box, across, down, lines) - np.float32(zero)) * np.float32(1 / unit)
        for part in parts[1:3]
    )
    kr, kb = LUMA[matrix_of(frame)]
    rgb = np.empty((*first.shape, 3), np.float32)
    rgb[..., 0] = first + np.float32(2 * (1 - kr)) * red
    rgb[..., 2] = first + np.float32(2 * (1 - kb)) * blue
    rgb[..., 1] = (first - np.float32(kr) * rgb[..., 0] - np.float32(kb) * rgb[..., 2]) / np.float32(1 - kr - kb)
    return rgb


def _chroma_up(plane: np.ndarray, box: Box, across: int, down: int, lines: int) -> np.ndarray:
    """(h, w) float32: chroma at every luma pixel of a box, in codes; what comes out does not depend on the box.

    Samples sit on the first of their luma columns and between their luma rows (as MPEG has them); `lines` 2 keeps
    the two fields of interlaced footage apart.
    """
    x0, y0, x1, y1 = box
    if across == down == 1:
        return plane[y0:y1, x0:x1].astype(np.float32)
    result = np.empty((y1 - y0, x1 - x0), np.float32)
    for field in range(lines):
        rows = plane[field::lines]
        start = (y0 - field + lines - 1) // lines  # first luma row of this field inside the box
        count = len(result[(start * lines + field) - y0 :: lines])
        left, right = max(x0 // across - 1, 0), min(-(-x1 // across) + 1, rows.shape[1])
        top, bottom = max(start // down - 1, 0), min(-(-(start + count) // down) + 1, len(rows))
        part = rows[top:bottom, left:right].astype(np.float32)
        matrix = np.array(
            [[1 / across, 0, x0 / across - left], [0, 1 / down, (start + 0.5) / down - 0.5 - top]], np.float64
        )
        result[(start * lines + field) - y0 :: lines] = cv2.warpAffine(
            part,
            matrix,
            (x1 - x0, count),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return result


def _chroma_down(change: np.ndarray, across: int, down: int, lines: int) -> np.ndarray:
    """A change at every luma pixel, of whole chroma samples, brought to the chroma samples."""
    if across == down == 1:
        return change
    height, width = change.shape
    change = np.pad(change, ((0, -height % (down * lines)), (0, -width % across)), "edge")
    if across > 1:
        taps = across - np.abs(np.arange(1 - across, across, dtype=np.float32))
        change = cv2.filter2D(change, -1, taps[None] / taps.sum(), borderType=cv2.BORDER_REPLICATE)[:, ::across]
    grouped = change.reshape(len(change) // (down * lines), down, lines, -1).mean(1).reshape(-1, change.shape[1])
    return grouped[: -(-height // down)]


def _any_in_blocks(mask: np.ndarray, across: int, down: int, lines: int) -> np.ndarray:
    """Chroma samples of which any luma pixel is in the mask."""
    if across == down == 1:
        return mask
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % (down * lines)), (0, -width % across)))
    blocks = padded.reshape(len(padded) // (down * lines), down, lines, padded.shape[1] // across, across)
    return blocks.any((1, 4)).reshape(-1, blocks.shape[3])[: -(-height // down)]


def _aligned(box: Box, frame: av.VideoFrame, across: int, down: int) -> Box:
    """The box grown to whole chroma samples and one more, so that the change is zero at its border."""
    x0, y0, x1, y1 = box
    return (
        max((x0 // across - 1) * across, 0),
        max((y0 // down - 1) * down, 0),
        min((-(-x1 // across) + 1) * across, frame.width),
        min((-(-y1 // down) + 1) * down, frame.height),
    )


def _around(patches: Sequence[Patch]) -> Box:
    lefts, tops, rights, bottoms = zip(*(patch.box for patch in patches), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _apart(patches: Sequence[Patch], across: int, down: int) -> list[list[Patch]]:
    """Patches in groups that share no chroma sample, in their order within a group."""
    groups: list[list[Patch]] = []
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        near: list[list[Patch]] = []
        far: list[list[Patch]] = []
        for group in groups:
            left, top, right, bottom = _around(group)
            beside = x0 >= right + 2 * across or left >= x1 + 2 * across
            (far if beside or y0 >= bottom + 2 * down or top >= y1 + 2 * down else near).append(group)
        groups = [*far, [*(member for group in near for member in group), patch]]
    return groups
