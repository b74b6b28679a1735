"""Between a movie's own pixels and RGB: the matrix and range it is tagged with, or the usual ones."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
import av.filter
import numpy as np
from av.video.reformatter import Colorspace, Interpolation

from .tone_mapping import HDR_OR_LINEAR, LINEAR, view8

# AVColorSpace (what frames are tagged with) to the matrix libswscale is to use.
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
# The matrix to its share of red and of blue in luma.
LUMA = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
UNSPECIFIED = 2
LIMITED, FULL = 1, 2  # AVColorRange

CROP_STEP = 16  # pixels; a rectangle grows to whole ones and one more, so that its edges are not seen in it

# Exact rounding and chroma for every pixel: the fast paths lose a level or two on a round trip.
SCALER = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def matrix_of(frame: av.VideoFrame) -> Colorspace:
    """The YUV matrix of a frame: as tagged, else BT.709 for HD and BT.601 for smaller pictures."""
    return usual_matrix(int(frame.colorspace), frame.width, frame.height)


def usual_matrix(tag: int, width: int, height: int) -> Colorspace:
    """The matrix that an AVColorSpace means for a coded picture of this size."""
    tagged = MATRICES.get(tag)
    if tagged is not None:
        return tagged
    return Colorspace.ITU709 if width >= 1280 or height > 576 else Colorspace.ITU601


def range_of(frame: av.VideoFrame) -> int:
    """1 for studio range, 2 for full range; untagged YUV is studio range, RGB and grey are full, as in FFmpeg."""
    if frame.format.is_rgb or frame.format.name.startswith("yuvj") or frame.format.name == "pal8":
        return FULL
    if frame.format.name.startswith(("gray", "mono", "ya")) and int(frame.color_range) != LIMITED:
        return FULL
    return FULL if int(frame.color_range) == FULL else LIMITED


def transfer_of(frame: av.VideoFrame) -> int:
    """AVColorTransferCharacteristic; floating point that is not tagged is scene-linear."""
    tagged = int(frame.color_trc)
    return LINEAR if tagged == UNSPECIFIED and is_float(frame) else tagged


def is_float(frame: av.VideoFrame) -> bool:
    """Whether samples are floating-point numbers."""
    name = frame.format.name
    return name.removesuffix("le").removesuffix("be").endswith(("f16", "f32"))


def to_rgb(frame: av.VideoFrame, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """(H, W, 3) uint8 RGB, the SDR view of a YUV or RGB frame of whole numbers as it is coded (not turned).

    `box` x0, y0, x1, y1: only that rectangle, the same samples; the frame has to be `as_croppable`.
    """
    transfer = transfer_of(frame)
    matrix = matrix_of(frame)  # of an untagged picture it depends on the size of the whole
    x0, y0, x1, y1 = box or (0, 0, frame.width, frame.height)
    left, top = (max(edge // CROP_STEP - 1, 0) * CROP_STEP for edge in (x0, y0))
    right, bottom = (
        min((x1 // CROP_STEP + 2) * CROP_STEP, frame.width),
        min((y1 // CROP_STEP + 2) * CROP_STEP, frame.height),
    )
    source = frame if box is None else _crop(frame, left, top, right, bottom)
    hdr = transfer in HDR_OR_LINEAR
    converted = source.reformat(
        format="gbrp16le" if hdr else "rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=range_of(frame),
        dst_color_range=FULL,
        interpolation=SCALER,
        threads=1,
    )
    pixels = np.asarray(converted.to_ndarray())[y0 - top : y1 - top, x0 - left : x1 - left]
    return view8(pixels, _white16(frame), transfer, int(frame.color_primaries)) if hdr else pixels


def as_croppable(frame: av.VideoFrame) -> av.VideoFrame | None:
    """The frame if a rectangle of it converts to the very samples of the whole; None if it may not."""
    name = frame.format.name
    even = frame.width % 2 == frame.height % 2 == 0
    plain = name.startswith(("yuv4", "yuvj4")) and "be" not in name and "a" not in name
    return frame if plain and even and not frame.interlaced_frame and frame.rotation % 90 == 0 else None


def _crop(frame: av.VideoFrame, left: int, top: int, right: int, bottom: int) -> av.VideoFrame:
    """A rectangle of a frame, edges at whole chroma samples. FFmpeg's filter keeps what a frame says of itself."""
    graph = av.filter.Graph()
    whole = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 24)
    )
    crop = graph.add("crop", f"{right - left}:{bottom - top}:{left}:{top}:exact=1")
    sink = graph.add("buffersink")
    whole.link_to(crop)
    crop.link_to(sink)
    graph.configure()
    graph.push(frame)
    return cast(av.VideoFrame, graph.pull())


def _white16(frame: av.VideoFrame) -> int:
    """The code at which libswscale puts white in 16-bit RGB: it shifts depths, and rounds studio range its own way."""
    bits = frame.format.components[0].bits
    if range_of(frame) == LIMITED and not frame.format.is_rgb:
        return 65283
    return 65535 if bits >= 16 else ((1 << bits) - 1) << (16 - bits)
