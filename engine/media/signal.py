"""Between samples of any format and R'G'B' in floating point, by the standards' own formulas.

libswscale is exact among limited-range YUV formats and among RGB formats of 8 bits, and used there; elsewhere its
scales of depth differ (white of 16-bit RGB comes out as 65283, of 10-bit YUV as 943), so those go this way.
"""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.reformatter import Colorspace

from .colour_spaces import LUMA, matrix_of
from .planes import chroma_steps, plane_array, span_of

Box = tuple[int, int, int, int]  # x0, y0, x1, y1: pixels, exclusive


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
        (chroma_up(plane_array(frame, part.plane), box, across, down, lines) - np.float32(zero)) * np.float32(1 / unit)
        for part in parts[1:3]
    )
    kr, kb = LUMA[matrix_of(frame)]
    rgb = np.empty((*first.shape, 3), np.float32)
    rgb[..., 0] = first + np.float32(2 * (1 - kr)) * red
    rgb[..., 2] = first + np.float32(2 * (1 - kb)) * blue
    rgb[..., 1] = (first - np.float32(kr) * rgb[..., 0] - np.float32(kb) * rgb[..., 2]) / np.float32(1 - kr - kb)
    return rgb


def chroma_up(plane: np.ndarray, box: Box, across: int, down: int, lines: int) -> np.ndarray:
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


def chroma_down(change: np.ndarray, across: int, down: int, lines: int) -> np.ndarray:
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


def from_signal(
    signal: np.ndarray,
    alpha: np.ndarray | None,
    pixel_format: str,
    matrix: Colorspace,
    color_range: int,
    lines: int = 1,
) -> av.VideoFrame:
    """A planar frame from (H, W, 3) R'G'B' and (H, W) alpha (None: opaque), both float32 0..1, rounded and clipped.

    `lines` 2 keeps the two fields of interlaced footage apart.
    """
    height, width = signal.shape[:2]
    frame = av.VideoFrame(width, height, pixel_format)
    frame.color_range = color_range
    parts = VideoFormat(pixel_format, 64, 64).components
    planes = [signal[..., number] for number in range(3)]
    if not frame.format.is_rgb:
        red, blue = LUMA[matrix]
        luma = signal @ np.array([red, 1 - red - blue, blue], np.float32)
        across, down = chroma_steps(pixel_format)
        chroma = ((signal[..., 2] - luma) / (2 * (1 - blue)), (signal[..., 0] - luma) / (2 * (1 - red)))
        lines = lines if down == 2 else 1
        planes = [luma, *(chroma_down(part, across, down, lines) for part in chroma)]
    for number, part in enumerate(parts):
        samples = plane_array(frame, part.plane)
        top = (1 << part.bits) - 1
        if part.is_alpha:
            zero, unit = 0.0, 1.0 if samples.dtype.kind == "f" else float(top)
            values = np.ones((height, width), np.float32) if alpha is None else alpha
        else:
            zero, unit = span_of(frame, chroma=not frame.format.is_rgb and number > 0)
            values = planes[number]
        codes = values * np.float32(unit) + np.float32(zero)
        samples[:] = codes if samples.dtype.kind == "f" else np.clip(np.round(codes), 0, top)
    return frame


def alpha_of(frame: av.VideoFrame) -> np.ndarray | None:
    """(H, W) float32 0..1 transparency of a planar frame; None where it has none."""
    part = next((part for part in frame.format.components if part.is_alpha), None)
    if part is None:
        return None
    samples = plane_array(frame, part.plane)
    return samples.astype(np.float32) / (1 if samples.dtype.kind == "f" else (1 << part.bits) - 1)
