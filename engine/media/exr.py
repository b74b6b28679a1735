"""Whether an OpenEXR file is whole: FFmpeg shows a cut-off one in part and says nothing.

https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import struct

MAGIC = 20000630
SCANLINES = 0xFF  # no version flag: one part of scan lines, not tiled, not deep
LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}  # of a block, by compression


def is_whole(data: bytes) -> bool:
    """Whether the last block of a scan-line file lies inside it; of other layouts only the header is looked at."""
    try:
        magic, version = struct.unpack_from("<II", data)
        if magic != MAGIC:
            return False
        if version & ~(SCANLINES | 0x400):
            return True
        compression, top, bottom, position = 0, 0, -1, 8
        while data[position]:
            name, position = _text(data, position)
            _, position = _text(data, position)
            (size,) = struct.unpack_from("<I", data, position)
            position += 4
            if name == b"compression":
                compression = data[position]
            elif name == b"dataWindow":
                _, top, _, bottom = struct.unpack_from("<4i", data, position)
            position += size
        blocks = -(-(bottom - top + 1) // LINES[compression])
        last = max(struct.unpack_from(f"<{blocks}Q", data, position + 1))
        (size,) = struct.unpack_from("<I", data, last + 4)
    except (struct.error, IndexError, KeyError, ValueError):
        return False
    return bool(last + 8 + size <= len(data))


def _text(data: bytes, start: int) -> tuple[bytes, int]:
    end = data.index(0, start)
    return data[start:end], end + 1
