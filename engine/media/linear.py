"""Any picture as scene-linear light for OpenEXR: BT.709 primaries, 1 at diffuse white."""

from __future__ import annotations

import av
import numpy as np

from .colour_spaces import FULL, matrix_of, transfer_of
from .planes import planar
from .signal import alpha_of, from_signal, signal_of
from .tone_mapping import HDR_OR_LINEAR, LINEAR, light_to_srgb, srgb_to_light, to_bt709_light


def to_linear(picture: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """A picture as gbrpf32le or gbrapf32le. A scene-linear one keeps its very samples.

    SDR footage is taken for sRGB, as Blender takes movies; HDR is light as displayed, over 203 cd/m².
    """
    source = planar(picture)
    signal = signal_of(source, (0, 0, source.width, source.height))
    light = linear_light(signal, transfer_of(picture), int(picture.color_primaries))
    result = from_signal(light, alpha_of(source), pixel_format, matrix_of(picture), FULL)
    result.color_trc = LINEAR
    return result


def linear_light(signal: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """R'G'B' (…, 3) as coded to light with BT.709 primaries."""
    return to_bt709_light(signal, transfer, primaries) if transfer in HDR_OR_LINEAR else srgb_to_light(signal)


def display_signal(light: np.ndarray) -> np.ndarray:
    """Scene-linear light (…, 3) to what movies are coded in: the sRGB curve, cut off at diffuse white."""
    return light_to_srgb(np.clip(np.nan_to_num(light), 0, 1))
