"""An XMP packet that says "parts of this were made by a trained network", for tools that read no content credentials.

Written where each format keeps XMP (Adobe, "XMP Specification Part 3: Storage in Files", 2020), and read back.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from ..errors import MediaError
from ..reading import open_regular, read_bytes

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
MOVIES, PNG, TIFF, JPEG = {".mp4", ".m4v", ".mov", ".m4a"}, {".png"}, {".tif", ".tiff"}, {".jpg", ".jpeg"}
_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_APP1 = b"http://ns.adobe.com/xap/1.0/\0"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" Iptc4xmpExt:DigitalSourceType="{source_type}" xmp:CreatorTool="{tool}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def can_carry(path: Path) -> bool:
    """Whether a file of this name has a place for XMP that is written here."""
    return path.suffix.lower() in MOVIES | PNG | TIFF | JPEG


def add_xmp(path: Path, tool: str) -> None:
    """Put the packet into a finished file, in place; `path` is still a temporary name. One that has it is left alone.

    Raises MediaError when the file is not what its name says.
    """
    if read_source_type(path) == DIGITAL_SOURCE_TYPE:
        return
    packet = _PACKET.format(source_type=DIGITAL_SOURCE_TYPE, tool=tool).encode()
    suffix = path.suffix.lower()
    try:
        if suffix in MOVIES:
            with path.open("ab") as file:
                file.write(struct.pack(">I4s16s", 24 + len(packet), b"uuid", _BOX) + packet)
        elif suffix in TIFF:
            _add_to_tiff(path, packet)
        elif suffix in PNG:
            text = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
            chunk = struct.pack(">I", len(text)) + b"iTXt" + text + struct.pack(">I", zlib.crc32(b"iTXt" + text))
            _insert(path, b"\x89PNG\r\n\x1a\n", 33, chunk)  # behind the header
        elif suffix in JPEG:
            segment = _APP1 + packet
            _insert(path, b"\xff\xd8", 2, b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment)
    except struct.error:
        raise MediaError(f"{path.name} is damaged. Export it again.") from None


def read_source_type(path: Path) -> str | None:
    """The IPTC digital source type that a file's XMP states, None where it has none. Looks at both ends of it."""
    with open_regular(path) as file:
        found = file.read(1 << 20)
        size = path.stat().st_size
        file.seek(max(len(found), size - (1 << 20)))
        found += file.read()
    match = re.search(rb'DigitalSourceType(?:="|>)([^"<]+)', found)
    return match[1].decode(errors="replace") if match else None


def _insert(path: Path, magic: bytes, at: int, what: bytes) -> None:
    data = read_bytes(path)
    if not data.startswith(magic):
        raise MediaError(f"{path.name} is not what its name says. Export it again.")
    path.write_bytes(data[:at] + what + data[at:])


def _add_to_tiff(path: Path, packet: bytes) -> None:
    """Append the packet and a copy of the first directory that names it; all else stays where it is."""
    with path.open("r+b") as file:
        head = file.read(8)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
        if order is None:
            raise MediaError(f"{path.name} is no TIFF that can be marked. Export it again.")
        file.seek(struct.unpack(order + "I", head[4:])[0])
        (count,) = struct.unpack(order + "H", file.read(2))
        body = file.read(12 * count)
        entries = [body[i : i + 12] for i in range(0, len(body), 12)]
        following = file.read(4)
        at = file.seek(0, 2)
        at += file.write(b"\0" * (at % 2))
        file.write(packet + b"\0" * (len(packet) % 2))
        entries = [entry for entry in entries if struct.unpack(order + "H", entry[:2])[0] != 700]
        entries.append(struct.pack(order + "HHII", 700, 1, len(packet), at))
        entries.sort(key=lambda entry: struct.unpack(order + "H", entry[:2])[0])
        directory = file.tell()
        file.write(struct.pack(order + "H", len(entries)) + b"".join(entries) + following)
        file.seek(4)
        file.write(struct.pack(order + "I", directory))
