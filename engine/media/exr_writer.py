"""Write OpenEXR files of many named channels, which FFmpeg's encoder does not.

One part of scan lines, ZIP compression. https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np

from .exr import LINES, MAGIC, attributes

ZIP = 3
LEVEL = 4  # of zlib: as OpenEXR's own library has it
LONG_NAMES = 0x400  # version flag: names of more than 31 bytes


def exr_bytes(channels: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> bytes:
    """An OpenEXR file of channels (H, W), float16 or float32 each, named "A" or "layer.A"; `texts` are attributes.

    Raises ValueError where channels differ in size or are of another type.
    """
    names = sorted(channels, key=str.encode)
    height, width = channels[names[0]].shape
    listed = b""
    for name in names:
        if channels[name].shape != (height, width) or channels[name].dtype not in (np.float16, np.float32):
            raise ValueError(f"the channel {name} is of another size or type")
        listed += (
            name.encode() + b"\0" + struct.pack("<iB3xii", 1 if channels[name].dtype == np.float16 else 2, 0, 1, 1)
        )
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    head = [
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", bytes([ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        *((name, "string", text.encode()) for name, text in texts.items()),
    ]
    long = LONG_NAMES if any(len(name) > 31 for name in (*names, *texts)) else 0
    header = struct.pack("<II", MAGIC, 2 | long)
    for name, kind, value in head:
        header += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(value)) + value
    header += b"\0"
    blocks = [_block(channels, names, top) for top in range(0, height, LINES[ZIP])]
    first = len(header) + 8 * len(blocks)
    places = first + np.cumsum([0, *map(len, blocks[:-1])])
    return b"".join([header, struct.pack(f"<{len(blocks)}Q", *places.tolist()), *blocks])


def _block(channels: Mapping[str, np.ndarray], names: list[str], top: int) -> bytes:
    """Sixteen lines: each holds a row of every channel, in the order of their names."""
    rows = [np.ascontiguousarray(channels[name][top : top + LINES[ZIP]]) for name in names]
    little = [part.astype(part.dtype.newbyteorder("<")).view(np.uint8).reshape(len(part), -1) for part in rows]
    raw = np.concatenate(little, 1).ravel()
    halves = np.concatenate([raw[0::2], raw[1::2]])
    steps = halves.astype(np.int16)
    steps[1:] = steps[1:] - halves[:-1].astype(np.int16) + 128
    packed = zlib.compress((steps & 255).astype(np.uint8).tobytes(), LEVEL)
    data = packed if len(packed) < len(raw) else raw.tobytes()
    return struct.pack("<iI", top, len(data)) + data


def text_of(data: bytes, name: str) -> str:
    """A text attribute of an OpenEXR file, or of the beginning of one. Raises ValueError where it has none."""
    try:
        return attributes(data)[name.encode()].decode()
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"no attribute {name}") from error
