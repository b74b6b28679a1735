"""Between a movie's own pixels and RGB: the matrix and range it is tagged with, or the usual ones."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation

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
UNSPECIFIED = 2
LIMITED, FULL = 1, 2  # AVColorRange

# Exact rounding and chroma for every pixel: the fast paths lose a level or two on a round trip.
SCALER = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def matrix_of(frame: av.VideoFrame) -> Colorspace:
    """The YUV matrix of a frame: as tagged, else BT.709 for HD and BT.601 for smaller pictures."""
    tagged = MATRICES.get(int(frame.colorspace))
    if tagged is not None:
        return tagged
    return Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601


def range_of(frame: av.VideoFrame) -> int:
    """1 for studio range, 2 for full range; untagged YUV is studio range, RGB is full."""
    if frame.format.is_rgb or frame.format.name.startswith("yuvj") or frame.format.name == "pal8":
        return FULL
    return FULL if int(frame.color_range) == FULL else LIMITED


def to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a frame as it is coded (not turned by rotation metadata)."""
    matrix = matrix_of(frame)
    converted = frame.reformat(
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=range_of(frame),
        dst_color_range=FULL,
        interpolation=SCALER,
        threads=1,
    )
    return np.asarray(converted.to_ndarray())


def from_rgb(rgb: np.ndarray, like: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """A frame of `pixel_format` from (H, W, 3) uint8 RGB, with the matrix and range of `like`."""
    matrix = matrix_of(like)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(
        format=pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=FULL,
        dst_color_range=range_of(like),
        interpolation=SCALER,
        threads=1,
    )
