"""A movie frame's samples as arrays, one component a plane, unchanged."""

from __future__ import annotations

import av
import numpy as np
from av.video.format import VideoFormat

from .colour_spaces import FULL, is_float, matrix_of, range_of

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
    "rgb48le": "gbrp16le",
    "rgb48be": "gbrp16le",
    "rgba64le": "gbrap16le",
    "rgba64be": "gbrap16le",
    "gbrp10be": "gbrp10le",
    "gbrp12be": "gbrp12le",
    "gray16be": "gray16le",
    "rgbf32le": "gbrpf32le",
    "rgbaf32le": "gbrapf32le",
    "ya8": "gbrap",
    "ya16le": "gbrap16le",
    "ya16be": "gbrap16le",
    "monow": "gray",
    "monob": "gray",
}


def planar_name(pixel_format: str) -> str:
    """The format that holds the samples of `pixel_format` with one component a plane.

    Formats that PLANAR does not list become 16-bit 4:4:4, which holds them to rounding.
    """
    if pixel_format in PLANAR:
        return PLANAR[pixel_format]
    form = VideoFormat(pixel_format, 64, 64)
    parts = form.components
    apart = len({part.plane for part in parts}) == len(parts)
    if apart and not (form.is_big_endian and parts[0].bits > 8) and not form.is_bit_stream:
        return pixel_format
    return "gbrp16le" if form.is_rgb else "yuv444p16le"


def planar(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with one component a plane, samples unchanged (see `planar_name`)."""
    return reformatted(frame, planar_name(frame.format.name), range_of(frame))


def reformatted(frame: av.VideoFrame, pixel_format: str, dst_range: int) -> av.VideoFrame:
    """Another pixel format with the same matrix; the same object where nothing is to do."""
    if pixel_format == frame.format.name and dst_range == range_of(frame):
        return frame
    matrix = matrix_of(frame)
    return frame.reformat(
        format=pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=range_of(frame),
        dst_color_range=dst_range,
        threads=1,
    )


def plane_array(frame: av.VideoFrame, index: int) -> np.ndarray:
    """A plane's samples (height, width), uint8, uint16, float16 or float32, as a view of the frame's memory."""
    plane = frame.planes[index]
    bits = frame.format.components[0].bits
    kind = "f" if is_float(frame) else "u"
    dtype = np.dtype("u1") if bits <= 8 else np.dtype(f"<{kind}{4 if bits == 32 else 2}")
    memory = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    rows = memory[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
    return rows[:, : plane.width * dtype.itemsize].view(dtype)


def chroma_steps(pixel_format: str) -> tuple[int, int]:
    """Luma pixels across and down that share a chroma sample; (1, 1) for RGB and grey."""
    parts = VideoFormat(pixel_format, 64, 64).components
    return (64 // parts[1].width, 64 // parts[1].height) if len(parts) > 1 else (1, 1)


def span_of(frame: av.VideoFrame, chroma: bool = False) -> tuple[float, float]:
    """(zero, unit): the code of 0 and the codes from 0 to 1 (chroma: from -0.5 to 0.5) of a frame's samples."""
    if is_float(frame):
        return 0.0, 1.0
    bits = frame.format.components[0].bits
    if frame.format.is_rgb or range_of(frame) == FULL:
        return (float(1 << bits - 1) if chroma else 0.0), float((1 << bits) - 1)
    shift = 1 << bits - 8
    return (128.0 * shift, 224.0 * shift) if chroma else (16.0 * shift, 219.0 * shift)
