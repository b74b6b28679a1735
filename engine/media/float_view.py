"""The display-referred view of a rectangle of a frame in floating point, and carrying its change back.

What is carried back is the change, not the picture: a sample whose view is not changed keeps its very value,
whatever its depth, range, chroma or transfer, and a changed one gets the difference at the footage's own depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace

from .colour_spaces import LUMA, matrix_of, range_of, transfer_of
from .planes import chroma_steps, planar, plane_array, span_of
from .signal import Box, chroma_down, chroma_up, signal_of
from .tone_mapping import ceiling, from_view, to_view

FULL_CHANGE_STEPS = 128  # a view that is changed by 1/128 shows nothing of the old one


@dataclass(frozen=True, eq=False)
class Patch:
    """A recast rectangle of a frame as shown; `x`, `y` is its left top pixel.

    rgb    (h, w, 3) float32, the finished picture there, as `Frame.view` gives the old one (R'G'B', 0..1)
    matte  (h, w) float32 0..1, how much of each pixel is the new face. Where it is 0 every sample stays the
           source's own; the layer is this matte with the colour that, laid over the footage, gives `rgb`
    layers, facts   what passes tell of its face (`media.passes`), where they are wanted
    """

    x: int
    y: int
    rgb: np.ndarray
    matte: np.ndarray
    layers: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def box(self) -> Box:
        """The rectangle: x0, y0, x1, y1."""
        return self.x, self.y, self.x + self.matte.shape[1], self.y + self.matte.shape[0]


def view_of(frame: av.VideoFrame, box: Box) -> np.ndarray:
    """(h, w, 3) float32: the SDR view of a rectangle of a planar frame as coded. Not clipped: 0..1 is nominal."""
    return to_view(signal_of(frame, box), transfer_of(frame), int(frame.color_primaries))


def apply_patches(native: av.VideoFrame, patches: Sequence[Patch] = ()) -> av.VideoFrame:
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
    for group in _independent_groups(patches, across, rows):
        _apply_group(source, result, group, _aligned(_bounding_box(group), source, across, rows))
    return result


def _apply_group(source: av.VideoFrame, result: av.VideoFrame, patches: Sequence[Patch], box: Box) -> None:
    """Write the change inside `box`, which is whole chroma samples and holds all of the patches."""
    x0, y0, x1, y1 = box
    transfer, primaries = transfer_of(source), int(source.color_primaries)
    signal = signal_of(source, box)
    old = to_view(signal, transfer, primaries)
    new, matte = old.copy(), np.zeros((y1 - y0, x1 - x0), np.float32)
    for patch in patches:
        here = np.s_[patch.y - y0 : patch.y - y0 + len(patch.matte), patch.x - x0 : patch.x - x0 + patch.matte.shape[1]]
        composite_onto(patch.rgb, patch.matte > 0, new[here])
        composite_onto(patch.matte, patch.matte > 0, matte[here])
    touched = matte > 0
    np.minimum(new, np.maximum(old, np.float32(ceiling(transfer))), out=new)
    if old is signal:
        change = new
        change -= old
        replaced = matte * np.minimum(max_channel(np.abs(change)) * FULL_CHANGE_STEPS, 1)
    else:  # what is far out of gamut does not come back from the view as it was; it counts where it is painted over
        replaced = matte * np.minimum(max_channel(np.abs(new - old)) * FULL_CHANGE_STEPS, 1)
        change = from_view(new, transfer, primaries)
        back = from_view(old, transfer, primaries)
        change -= back + replaced[..., None] * (signal - back)
        change *= touched[..., None]
    parts = source.format.components
    if source.format.is_rgb:
        for number in range(3):
            _add(source, result, parts[number].plane, box, change[..., number], touched, chroma=False)
        return
    luma, blue, red = cv2.split(cv2.transform(change, _differences(matrix_of(source))))
    _add(source, result, parts[0].plane, box, luma, touched, chroma=False)
    if len(parts) < 3:
        return
    across, down = chroma_steps(source.format.name)
    shared = (x0 // across, y0 // down, -(-x1 // across), -(-y1 // down))
    lines = 2 if down == 2 and source.interlaced_frame else 1
    fewer = _any_in_blocks(touched, across, down, lines)
    replaced = chroma_down(replaced, across, down, lines)
    for number, colour in ((1, blue), (2, red)):
        difference = chroma_down(colour, across, down, lines)
        if across > 1 or down > 1:
            difference += replaced * _subsampling_residual(source, number, box, shared)
        _add(source, result, parts[number].plane, shared, difference, fewer, chroma=True)


def composite_onto(over: np.ndarray, where: np.ndarray, under: np.ndarray) -> None:
    """Put `over` (h, w[, 3]) float32 onto `under` in place, `where` (h, w) bool says."""
    cv2.copyTo(np.ascontiguousarray(over, np.float32), where.view(np.uint8), under)


def max_channel(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) → (h, w): the largest of each pixel's three."""
    return np.maximum(np.maximum(picture[..., 0], picture[..., 1]), picture[..., 2])


def _differences(matrix: Colorspace) -> np.ndarray:
    """(3, 3) from R'G'B' to luma and both colour differences."""
    red, blue = LUMA[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([luma, (np.eye(3)[2] - luma) / (2 * (1 - blue)), (np.eye(3)[0] - luma) / (2 * (1 - red))])


def _subsampling_residual(source: av.VideoFrame, number: int, box: Box, shared: Box) -> np.ndarray:
    """What is to be added to chroma samples to take away what a picture at luma's size does not show of them.

    Detail too fine to survive interpolation and averaging would otherwise shine through the new face.
    """
    across, down = chroma_steps(source.format.name)
    lines = 2 if down == 2 and source.interlaced_frame else 1
    samples = plane_array(source, source.format.components[number].plane)
    x0, y0, x1, y1 = shared
    coarse = chroma_down(chroma_up(samples, box, across, down, lines), across, down, lines)
    return (coarse - samples[y0:y1, x0:x1]) / np.float32(span_of(source, chroma=True)[1])


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


def _bounding_box(patches: Sequence[Patch]) -> Box:
    lefts, tops, rights, bottoms = zip(*(patch.box for patch in patches), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _independent_groups(patches: Sequence[Patch], across: int, down: int) -> list[list[Patch]]:
    """Patches in groups that share no chroma sample, in their order within a group."""
    groups: list[list[Patch]] = []
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        near: list[list[Patch]] = []
        far: list[list[Patch]] = []
        for group in groups:
            left, top, right, bottom = _bounding_box(group)
            beside = x0 >= right + 2 * across or left >= x1 + 2 * across
            (far if beside or y0 >= bottom + 2 * down or top >= y1 + 2 * down else near).append(group)
        groups = [*far, [*(member for group in near for member in group), patch]]
    return groups
