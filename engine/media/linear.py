"""Any picture as scene-linear light for OpenEXR: BT.709 primaries, 1 at diffuse white."""

from __future__ import annotations

import av
import numpy as np
from av.video.format import VideoFormat

from .colour import transfer_of
from .planes import planar, plane_array, span_of
from .tone import HDR_OR_LINEAR, srgb_to_light, to_bt709_light
from .view import signal_of


def to_linear(picture: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """A picture as gbrpf32le or gbrapf32le. A scene-linear one keeps its very samples.

    SDR footage is taken for sRGB, as Blender takes movies; HDR is light as displayed, over 203 cd/m².
    """
    source = planar(picture)
    result = av.VideoFrame(source.width, source.height, pixel_format)
    transfer = transfer_of(picture)
    signal = signal_of(source, (0, 0, source.width, source.height))
    light = (
        to_bt709_light(signal, transfer, int(picture.color_primaries))
        if transfer in HDR_OR_LINEAR
        else srgb_to_light(signal)
    )
    parts = VideoFormat(pixel_format, 64, 64).components
    for number in range(3):
        plane_array(result, parts[number].plane)[:] = light[..., number]
    if len(parts) > 3:
        own = next((part for part in source.format.components if part.is_alpha), None)
        alpha = plane_array(result, parts[3].plane)
        alpha[:] = 1.0 if own is None else plane_array(source, own.plane) / np.float32(_unit(source))
    result.color_trc = 8
    return result


def _unit(frame: av.VideoFrame) -> float:
    bits = frame.format.components[0].bits
    return 1.0 if span_of(frame)[1] == 1.0 else float((1 << bits) - 1)
