"""HDR10's static metadata: the display a film was graded on, and its brightest light."""

from __future__ import annotations

import struct

import av
from av.sidedata.sidedata import SideData, Type

from .tone_mapping import PQ


def mastering_of(frame: av.VideoFrame) -> tuple[str, str]:
    """(mastering display, content light) of a decoded frame as x265 and x264 write them; "" where untold.

    Only PQ footage is asked, and never a still picture: PyAV 18 frees a second time what it lists of side data that
    has metadata (EXIF, in PNG and TIFF files).

    SMPTE ST 2086: chromaticities in 0.00002, luminance in 0.0001 cd/m²; CTA-861.3: MaxCLL and MaxFALL in cd/m².
    """
    display = light = ""
    if int(frame.color_trc) != PQ:
        return display, light
    side_data = frame.side_data
    for number in range(len(side_data)):
        data: SideData = side_data[number]  # type: ignore[literal-required]
        if data.type == Type.MASTERING_DISPLAY_METADATA and data.buffer_size >= 88:
            numbers = struct.unpack("<22i", bytes(data)[:88])
            ratios = [n / d if d else 0.0 for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
            if numbers[20] and numbers[21]:
                rx, ry, gx, gy, bx, by, wx, wy = (round(value * 50000) for value in ratios[:8])
                low, high = (round(value * 10000) for value in ratios[8:10])
                display = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
        elif data.type == Type.CONTENT_LIGHT_LEVEL and data.buffer_size >= 8:
            light = "{},{}".format(*struct.unpack("<II", bytes(data)[:8]))
    return display, light
