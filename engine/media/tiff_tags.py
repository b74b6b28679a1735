"""Single numbers of a TIFF file's first directory, and the orientation that EXIF gives a TIFF or PNG picture."""

from __future__ import annotations

import struct

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
COMPRESSION, PHOTOMETRIC, ORIENTATION = 259, 262, 274
"""Tags of TIFF 6.0."""
JPEG_COMPRESSIONS, CIELAB = {6, 7}, 8
MOST_TAGS = 4096


def numbers(data: bytes) -> dict[int, int]:
    """The tags of the first directory that are one SHORT or LONG, by their numbers; none for what is no TIFF."""
    order = ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        return {}
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    if first + 2 > len(data):
        return {}
    (count,) = struct.unpack_from(f"{order}H", data, first)
    found = {}
    for at in range(first + 2, min(first + 2 + 12 * min(count, MOST_TAGS), len(data) - 11), 12):
        tag, kind, many = struct.unpack_from(f"{order}HHI", data, at)
        if many == 1 and kind in (3, 4):
            (found[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", data, at + 8)
    return found


def orientation(data: bytes) -> int:
    """EXIF's orientation, 1 to 8, of a TIFF or PNG file; 1 where there is none."""
    if data.startswith(b"\x89PNG"):
        at = data.find(b"eXIf", 8, data.find(b"IDAT") + 1 or len(data))
        if at < 0:
            at = data.find(b"eXIf", 8)  # it may also come after the picture
        data = data[at + 4 :] if at > 0 else b""
    found = numbers(data).get(ORIENTATION, 1)
    return found if 1 <= found <= 8 else 1
