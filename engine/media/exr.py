"""What an OpenEXR file holds: FFmpeg shows a cut-off one in part and says nothing, and leaves out layers.

https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import struct

MAGIC = 20000630
SCANLINES = 0xFF  # no version flag: one part of scan lines, not tiled, not deep
PARTS = 0x1000  # version flag: several parts
NAMED = 8
"""So many channels are named."""
LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}  # of a block, by compression


def is_whole(data: bytes) -> bool:
    """Whether the last block of a scan-line file lies inside it; of other layouts only the header is looked at."""
    try:
        magic, version = struct.unpack_from("<II", data)
        if magic != MAGIC:
            return False
        if version & ~(SCANLINES | 0x400):
            return True
        told, position = _header(data)
        _, top, _, bottom = struct.unpack("<4i", told[b"dataWindow"])
        blocks = -(-(bottom - top + 1) // LINES[told[b"compression"][0]])
        last = max(struct.unpack_from(f"<{blocks}Q", data, position))
        (size,) = struct.unpack_from("<I", data, last + 4)
    except (struct.error, IndexError, KeyError, ValueError):
        return False
    return bool(last + 8 + size <= len(data))


def unread_parts(data: bytes) -> str:
    """What of a whole OpenEXR file a recast does not hold, in words: other channels than R, G, B, A, other parts."""
    found = []
    try:
        (version,) = struct.unpack_from("<I", data, 4)
        told, _ = _header(data)
        channels, position, others = told.get(b"channels", b"\0"), 0, []
        while channels[position]:
            name, position = _text(channels, position)
            position += 16  # type, linear, sampling
            others += [name.decode("utf-8", "replace")] if name not in (b"R", b"G", b"B", b"A", b"Y") else []
    except (struct.error, IndexError, ValueError):
        return ""
    if version & PARTS:
        found.append("parts after the first")
    if others:
        shown = ", ".join(others[:NAMED]) + (" and others" if len(others) > NAMED else "")
        found.append(f"channels other than R, G, B, A ({shown})")
    return " and ".join(found)


def attributes(data: bytes) -> dict[bytes, bytes]:
    """The attributes of the first part. Raises struct.error, IndexError or ValueError where it is not whole."""
    return _header(data)[0]


def _header(data: bytes) -> tuple[dict[bytes, bytes], int]:
    """The attributes of the first part, and where they end. Raises struct.error, IndexError or ValueError."""
    told, position = {}, 8
    while data[position]:
        name, position = _text(data, position)
        _, position = _text(data, position)
        (size,) = struct.unpack_from("<I", data, position)
        position += 4
        told[name] = data[position : position + size]
        position += size
    return told, position + 1


def _text(data: bytes, start: int) -> tuple[bytes, int]:
    end = data.index(0, start)
    return data[start:end], end + 1
