"""Put new pixels into a movie frame and leave every other sample as it was decoded."""

from __future__ import annotations

import av
import numpy as np
from av.video.format import VideoFormat

from .colour import FULL, from_rgb, matrix_of, range_of

# Formats whose samples are interleaved, and the planar one that holds the very same samples.
PLANAR = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "yuyv422": "yuv422p",
    "yvyu422": "yuv422p",
    "uyvy422": "yuv422p",
    "yuvj420p": "yuv420p",  # full range by name; here the frame's tag says so
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "y210le": "yuv422p10le",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgb0": "gbrp",
    "bgr0": "gbrp",
    "0rgb": "gbrp",
    "0bgr": "gbrp",
    "pal8": "gbrap",
    "rgba": "gbrap",
    "bgra": "gbrap",
    "argb": "gbrap",
    "abgr": "gbrap",
    "monow": "gray",
    "monob": "gray",
}


def planar(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with one component a plane, samples unchanged.

    Formats that PLANAR does not list become 16-bit 4:4:4, which holds them to rounding.
    """
    name = frame.format.name
    target = PLANAR.get(name)
    if target is None:
        parts = frame.format.components
        apart = len({part.plane for part in parts}) == len(parts) and all(part.bits <= 16 for part in parts)
        if apart and not (frame.format.is_big_endian and parts[0].bits > 8) and not frame.format.is_bit_stream:
            return frame
        target = "gbrp16le" if frame.format.is_rgb else "yuv444p16le"
    return reformatted(frame, target, range_of(frame))


def reformatted(frame: av.VideoFrame, pixel_format: str, dst_range: int) -> av.VideoFrame:
    """Another pixel format with the same matrix; the same object where nothing is to do."""
    matrix = matrix_of(frame)
    return frame.reformat(
        format=pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=range_of(frame),
        dst_color_range=dst_range,
        threads=1,
    )


def merged(native: av.VideoFrame, rgb: np.ndarray | None = None, touched: np.ndarray | None = None) -> av.VideoFrame:
    """A new planar frame: `rgb` where `touched`, the decoded samples everywhere else, bit for bit.

    rgb (H, W, 3) uint8 and touched (H, W) bool are as coded (turned back by the caller). A
    subsampled chroma sample is taken from rgb where any of its luma pixels is touched; alpha
    is always the source's.
    """
    source = planar(native)
    result = av.VideoFrame(source.width, source.height, source.format.name)
    replacing = rgb is not None and touched is not None and bool(touched.any())
    fresh = _fresh_planes(rgb, source) if replacing and rgb is not None else None
    blocks = VideoFormat(source.format.name, 64, 64).components
    for part, block in zip(source.format.components, blocks, strict=True):
        samples = plane_array(result, part.plane)
        samples[:] = plane_array(source, part.plane)
        if fresh is not None and touched is not None and not part.is_alpha:
            where = _any_in_blocks(touched, 64 // block.height, 64 // block.width)
            np.copyto(samples, fresh[part.plane], where=where)
    result.colorspace = native.colorspace
    result.color_range = range_of(native)
    result.color_primaries = native.color_primaries
    result.color_trc = native.color_trc
    return result


def _fresh_planes(rgb: np.ndarray, like: av.VideoFrame) -> list[np.ndarray]:
    """The planes of `rgb` in the format, matrix and range of `like`."""
    name = like.format.name
    if name in ("yuv420p", "yuv422p", "yuv444p") and range_of(like) == FULL:
        # libswscale cuts full-range chroma off instead of rounding, half a level down: round from 16 bits,
        # where luma runs over 255 * 257 and chroma lies 257 a level around 32768.
        deep = from_rgb(rgb, like, f"{name}16le")
        wide = [plane_array(deep, n).astype(np.int32) for n in range(3)]
        rounded = [(wide[0] + 128) // 257, *((part - 32768 + 128) // 257 + 128 for part in wide[1:])]
        return [np.clip(part, 0, 255).astype(np.uint8) for part in rounded]
    fresh = from_rgb(rgb, like, name)
    return [plane_array(fresh, n) for n in range(len(fresh.planes))]


def plane_array(frame: av.VideoFrame, index: int) -> np.ndarray:
    """A plane's samples (height, width), uint8 or uint16, as a view of the frame's memory."""
    plane = frame.planes[index]
    dtype = np.dtype("<u2") if frame.format.components[0].bits > 8 else np.dtype("u1")
    memory = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    rows = memory[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
    return rows[:, : plane.width * dtype.itemsize].view(dtype)


def _any_in_blocks(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Reduce (H, W) to blocks of rows x columns, True where any pixel of a block is."""
    if rows == columns == 1:
        return mask
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % rows), (0, -width % columns)))
    reduced = np.zeros((padded.shape[0] // rows, padded.shape[1] // columns), bool)
    for row in range(rows):
        for column in range(columns):
            reduced |= padded[row::rows, column::columns]
    return reduced
