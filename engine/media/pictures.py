"""Still pictures and folders of them, as footage."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from av.codec import CodecContext
from av.packet import Packet

from ..errors import MediaError
from ..reading import open_regular
from . import tiff_tags
from .colour_spaces import FULL, LIMITED
from .exr import is_whole
from .open import LACKS_MEMORY, refuse_heif
from .planes import chroma_steps

# Those that may be deeper than 8 bits are decoded by FFmpeg as they are; cameras' and the web's by OpenCV, upright.
DEEP_CODECS = {".png": "png", ".tif": "tiff", ".tiff": "tiff", ".exr": "exr", ".dpx": "dpx"}
MAX_SAMPLED_FILES = 32
MAGIC_BYTES = {
    b"\x89PNG": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"\x76\x2f\x31\x01": "exr",
    b"SDPX": "dpx",
    b"XPDS": "dpx",
}
"""The first bytes of the files that FFmpeg decodes (of their formats' specifications)."""
HEIF_SUFFIXES = {".heic", ".heif", ".avif"}
UNREAD_SUFFIXES = {
    *HEIF_SUFFIXES,
    *(".gif", ".jp2", ".tga", ".sgi", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
}
"""Pictures that people have and that are not read."""
SUFFIXES = {".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp", *DEEP_CODECS}
MIRRORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda picture: picture[:, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.swapaxes(0, 1),
    7: lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
}
"""EXIF's orientations that mirror, and what makes an (H, W, C) picture upright."""


def is_pictures(path: Path) -> bool:
    """Whether `path` is one picture or a folder (which can only hold pictures)."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def picture_files(path: Path) -> list[Path]:
    """The pictures that `path` stands for, in natural order (shot2 before shot10).

    Raises MediaError when a folder holds none.
    """
    if not path.is_dir():
        return [path]
    found = [f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file() and not f.name.startswith(".")]
    if not found and (photographs := [f for f in unread_photographs(path) if f.suffix.lower() in HEIF_SUFFIXES]):
        refuse_heif(photographs[0], b"    ftypheic")
    if not found:
        kinds = ", ".join(sorted(s[1:] for s in SUFFIXES))
        raise MediaError(
            f"The folder {path} holds no pictures ({kinds}). Choose a folder of pictures, or a movie file."
        )
    return sorted(found, key=lambda f: _natural(f.name))


def unread_photographs(path: Path) -> list[Path]:
    """The pictures of a folder that are passed over, by what they are called: HEIC, AVIF, cameras' raw and others."""
    return sorted(f for f in path.iterdir() if f.suffix.lower() in UNREAD_SUFFIXES) if path.is_dir() else []


def are_photographs(path: Path) -> bool:
    """Whether a folder's pictures are of unlike sizes: photographs, each by itself, not a sequence of frames.

    At most MAX_SAMPLED_FILES of them, evenly spread, are looked at; those that are no pictures do not count.
    """
    if not path.is_dir():
        return False
    files, sizes = picture_files(path), set()
    for place in np.unique(np.linspace(0, len(files) - 1, MAX_SAMPLED_FILES).astype(int)):
        try:
            frame = read_picture(files[place])
        except MediaError:
            continue
        sizes.add((frame.width, frame.height))
        if len(sizes) > 1:
            return True
    return False


def missing_numbers(files: list[Path]) -> list[int]:
    """Numbers that lack between the first and the last of numbered pictures; none where names carry no number, or
    differ in more than that."""
    names = [re.fullmatch(r"(.*?)(\d+)(\D*)", f.stem) for f in files]
    found = [name.groups() for name in names if name]
    if len(found) < len(files) or len({(before, after) for before, _, after in found}) > 1:
        return []
    present = {int(number) for _, number, _ in found}
    return sorted(set(range(min(present), max(present) + 1)) - present) if len(present) == len(files) else []


def read_picture(path: Path, as_stored: bool = False) -> av.VideoFrame:
    """A picture with its own samples: 8 to 16 bit or floating point, alpha and colour tags kept.

    JPEG, WebP and BMP come as rgb24, the others as FFmpeg decodes them. Turned upright as EXIF says (by the frame's
    `rotation` or already), or not at all when they are wanted `as_stored`, which is how Blender shows them.
    Raises MediaError when the file is missing or not a picture.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}). Check that it is there and allowed.") from None
    refuse_heif(path, data[:12])
    codec, tags = _codec_of(data), tiff_tags.numbers(data)
    if tags.get(tiff_tags.PHOTOMETRIC) == tiff_tags.CIELAB:
        raise MediaError(f"{path} holds CIELab colours, which are not read. Export it again as RGB.")
    by_opencv = tags.get(tiff_tags.COMPRESSION) in tiff_tags.JPEG_COMPRESSIONS  # FFmpeg reads them as black
    frame = _decoded(data, codec) if codec and not by_opencv else None
    if frame is None and codec in (None, "tiff"):
        frame = _by_opencv(data, as_stored)
    if frame is None:
        raise MediaError(f"{path} is damaged or not a picture. Export it again as PNG or JPEG.")
    if codec in ("png", "tiff") and not by_opencv and tiff_tags.orientation(data) in MIRRORED:
        stored = _unturned(frame)
        return stored if as_stored else _unmirrored(stored, tiff_tags.orientation(data))
    return _unturned(frame) if as_stored and frame.rotation else frame


def _unmirrored(stored: av.VideoFrame, orientation: int) -> av.VideoFrame:
    """A picture that EXIF mirrors, which FFmpeg's rotation does not tell, upright."""
    form, turned = stored.format, orientation in (5, 7)
    size = (stored.height, stored.width) if turned else (stored.width, stored.height)
    if form.name == "pal8" or chroma_steps(form.name) not in ((1, 1), (2, 2)):
        return stored
    frame = av.VideoFrame(*size, form.name)
    packed = len(stored.planes) == 1
    for to, plane in zip(frame.planes, stored.planes, strict=True):
        bytes_each = form.padded_bits_per_pixel // 8 if packed else (form.components[0].bits + 7) // 8
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width * bytes_each]  # type: ignore[call-overload]
        upright = MIRRORED[orientation](rows.reshape(plane.height, plane.width, bytes_each))
        there = np.frombuffer(to, np.uint8).reshape(to.height, -1)  # type: ignore[call-overload]
        there[:, : to.width * bytes_each] = upright.reshape(to.height, -1)
    for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(frame, name, getattr(stored, name))
    return frame


def _unturned(turned: av.VideoFrame) -> av.VideoFrame:
    """The samples without what says that they are to be turned."""
    frame = av.VideoFrame(turned.width, turned.height, turned.format.name)
    for to, plane in zip(frame.planes, turned.planes, strict=True):
        rows, stored = (np.frombuffer(one, np.uint8).reshape(one.height, -1) for one in (to, plane))  # type: ignore[call-overload]
        width = min(rows.shape[1], stored.shape[1])
        rows[:, :width] = stored[:, :width]
    for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(frame, name, getattr(turned, name))
    return frame


def is_picture_file(path: Path) -> bool:
    """Whether a file begins as a picture does, whatever it is called."""
    try:
        with open_regular(path) as file:
            head = file.read(4)
    except OSError:
        return False
    return _codec_of(head) is not None or head.startswith((b"\xff\xd8", b"RIFF", b"BM"))  # JPEG, WebP, BMP


def holds_several(data: bytes) -> bool:
    """Whether a picture file holds more than the one that is read: an animated PNG or WebP, a TIFF of several pages."""
    if data.startswith(b"\x89PNG"):
        return b"acTL" in data[: data.find(b"IDAT")]
    if data.startswith(b"RIFF"):
        return data[8:16] == b"WEBPVP8X" and bool(data[20] & 2)  # the extended header's flags
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return False
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    if first + 2 > len(data):
        return False
    after = first + 2 + 12 * struct.unpack_from(f"{order}H", data, first)[0]  # a directory is a count and its entries
    return after + 4 <= len(data) and struct.unpack_from(f"{order}I", data, after)[0] != 0


def _codec_of(data: bytes) -> str | None:
    """FFmpeg's decoder for what a file holds, whatever it is named; None for what OpenCV reads."""
    return next((codec for head, codec in MAGIC_BYTES.items() if data.startswith(head)), None)


def _decoded(data: bytes, codec: str) -> av.VideoFrame | None:
    if not data or (codec == "exr" and not is_whole(data)):
        return None
    decoder = CodecContext.create(codec, "r")
    if codec == "png":
        decoder.options = {"err_detect": "explode"}  # its checksums count
    try:
        frames = [*decoder.decode(Packet(data)), *decoder.decode(None)]  # type: ignore[attr-defined]
    except LACKS_MEMORY:
        raise
    except (av.FFmpegError, ValueError):
        return None
    if not frames or frames[0].is_corrupt:
        return None
    if frames[0].color_range != LIMITED:
        frames[0].color_range = FULL  # pictures are, whether they say so or not
    return frames[0]


def _by_opencv(data: bytes, as_stored: bool) -> av.VideoFrame | None:
    """8-bit RGB; 32-bit floating-point TIFF as it is, which FFmpeg does not read."""
    if not data:
        return None
    try:
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if raw is not None and raw.dtype == np.float32 and raw.ndim == 3:
            return _planar_float(raw)
        how = cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_IGNORE_ORIENTATION if as_stored else 0)
        rgb = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        return None
    return None if rgb is None else av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb, np.uint8), format="rgb24")


def _planar_float(bgr: np.ndarray) -> av.VideoFrame:
    """OpenCV's (H, W, 3 or 4) float32 as a frame."""
    height, width, count = bgr.shape
    frame = av.VideoFrame(width, height, "gbrapf32le" if count == 4 else "gbrpf32le")
    for plane, channel in enumerate((1, 0, 2, 3)[:count]):  # planes are green, blue, red, alpha
        memory = np.frombuffer(frame.planes[plane], np.float32)  # type: ignore[call-overload]
        memory.reshape(height, -1)[:, :width] = bgr[..., channel]
    return frame


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in re.split(r"(\d+)", name) if part]
