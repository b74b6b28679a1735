"""The one way to open a movie: a local file that leads to no other one, whatever its name and content."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer

from ..errors import MediaError
from ..reading import NO_FILE, is_readable_kind, open_regular

FORMATS = (
    "mov matroska avi mpeg mpegts mpegtsraw mpegvideo m4v h264 hevc vvc av1 obu ivf mjpeg mxf mxf_opatom gxf lxf "
    "asf flv ogg nut dv rm wtv yuv4mpegpipe v210 v210x dnxhd vc1 vc1test dirac cavsvideo r3d cine film_cpk flic gif "
    "apng wav w64 aiff caf mp3 aac ac3 eac3 dts dtshd truehd flac wv ape tta amr au voc image2pipe png_pipe jpeg_pipe "
    "tiff_pipe webp_pipe bmp_pipe exr_pipe dpx_pipe jpegxl_pipe jpegxl_anim smjpeg roq bink smk mlv"
)
"""FFmpeg's demuxers that read what is in the one file. Playlists and lists of parts (HLS, concat, DASH, IMF, SDP,
numbered pictures) are not among them: they would open whatever a stranger's file names."""


HEIF = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif"}
"""Major brands of photographs in ISO/IEC 23008-12 files. Theirs are tiles, turned by a property of their own."""


def refuse_heif(path: Path, head: bytes) -> None:
    """Raise MediaError when a file's first 12 bytes are those of a HEIC or AVIF photograph: FFmpeg reads one tile."""
    if head[4:8] == b"ftyp" and head[8:12] in HEIF:
        kind = "an AVIF" if head[8:12] == b"avif" else "a HEIC"
        raise MediaError(
            f"{path} is {kind} photograph, which Understudy does not read. Save it as JPEG or PNG and use that "
            "(iPhones record JPEG with Settings > Camera > Formats > Most Compatible)."
        )


LACKS_MEMORY = (MemoryError, BlockingIOError)
"""By what FFmpeg tells of a lack of memory, for itself or for its threads: no fault of a file's."""


INDEX_BYTES = 64 << 20
"""What the index of a film of hours takes, and more."""


def url_of(path: Path) -> str:
    """The `file:` URL of a path: a colon in a name is no protocol then."""
    return f"file:{path.absolute()}"


def open_movie(path: Path) -> InputContainer:
    """Open a movie for reading. Raises MediaError when it is missing or not one."""
    if not path.exists():
        raise MediaError(f"{path} is not there. Check the path, or whether the disk is connected.")
    if not is_readable_kind(path.stat()):
        raise MediaError(f"{path} is {NO_FILE}. Choose a movie.")
    with contextlib.suppress(OSError), open_regular(path) as file:
        refuse_heif(path, file.read(12))
    closed = {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS.split())}
    try:
        return av.open(url_of(path), "r", metadata_errors="replace", options=closed)
    except LACKS_MEMORY as error:
        if not isinstance(error, MemoryError) or not _has_memory():
            raise
        raise _not_footage(path, "it tells of more parts than it can have") from None
    except (av.FFmpegError, OSError, UnicodeError) as error:
        raise _not_footage(path, getattr(error, "strerror", "") or "unknown format") from error


def _not_footage(path: Path, reason: str) -> MediaError:
    return MediaError(
        f"{path} cannot be read as footage ({reason}); it is damaged, incomplete, a playlist or no movie. "
        "Copy or export it again."
    )


def _has_memory() -> bool:
    """Whether there is memory for the index of any movie: then it was the file that asked for too much."""
    try:
        bytearray(INDEX_BYTES)
    except MemoryError:
        return False
    return True


def create_movie(path: Path, **how: Any) -> OutputContainer:
    """Open a movie for writing, as `av.open` does. Raises av.FFmpegError or OSError."""
    return av.open(url_of(path), "w", **how)
