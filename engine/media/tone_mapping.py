"""A display-referred SDR view of HDR and scene-linear pictures, and the way back.

Networks and blending work on what a standard display shows: R'G'B' with BT.709 primaries, 1 at diffuse white.
SDR footage is that already. Light that goes beyond diffuse white is drawn in by a shoulder that never quite
reaches 1, so that the view can be turned back whatever the footage holds.

PQ: Rec. ITU-R BT.2100 (SMPTE ST 2084); HLG: BT.2100 with the 1000 cd/m² system gamma of 1.2; diffuse white at
203 cd/m² as BT.2408 has it; a scene-linear picture (OpenEXR) has its diffuse white at 1.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

PQ, HLG, LINEAR = 16, 18, 8  # AVColorTransferCharacteristic
HDR_OR_LINEAR = (PQ, HLG, LINEAR)
DIFFUSE_WHITE = 203.0  # cd/m²
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2
SHOULDER_START = 0.75  # of diffuse white: the shoulder begins here, skin lies well below
CEILING = 4.0  # times diffuse white: no new face is made brighter than this, unless the footage was
DISPLAY_GAMMA = 2.4  # BT.1886

# AVColorPrimaries to the chromaticities x, y of red, green, blue; D65 white.
CHROMATICITIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # DCI-P3, taken with D65
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
D65 = (0.3127, 0.3290)

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073


def to_view(signal: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """(…, 3) float32 R'G'B' as coded to the SDR view; the same array where the footage is SDR."""
    if transfer not in HDR_OR_LINEAR:
        return signal
    light = _change_primaries(to_light(signal, transfer), primaries, back=False)
    return _signed(_encode_display(_shoulder(np.abs(light)), transfer), light)


def from_view(view: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """The inverse of `to_view`; values of 1 and more stand for the brightest that the shoulder knows."""
    if transfer not in HDR_OR_LINEAR:
        return view
    bent = np.minimum(_decode_display(np.abs(view), transfer), 1 - 1e-5)
    over = np.maximum(bent - SHOULDER_START, 0) / (1 - SHOULDER_START)
    light = _signed(np.where(over > 0, SHOULDER_START + (1 - SHOULDER_START) * over / (1 - over), bent), view)
    return from_light(_change_primaries(light, primaries, back=True), transfer)


def ceiling(transfer: int) -> float:
    """The view's value of the brightest that is painted where the footage is not brighter itself."""
    if transfer not in HDR_OR_LINEAR:
        return 1.0
    return float(_encode_display(_shoulder(np.array([CEILING], np.float32)), transfer)[0])


def to_light(signal: np.ndarray, transfer: int) -> np.ndarray:
    """R'G'B' (…, 3) as coded to light in its own primaries, 1 at diffuse white. PQ and HLG: as displayed."""
    signal = np.nan_to_num(signal, nan=0.0, posinf=65504.0, neginf=-65504.0)
    if transfer == LINEAR:
        return signal
    magnitude = np.abs(signal)
    if transfer == PQ:
        root = np.minimum(magnitude, 1.1) ** np.float32(1 / _M2)
        light = (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** np.float32(1 / _M1) * (10000 / DIFFUSE_WHITE)
        return _signed(light, signal)
    scene = np.where(magnitude <= 0.5, magnitude**2 / 3, (np.exp((magnitude - _C) / _A) + _B) / 12)
    scene = _signed(scene, signal)
    luminance = np.maximum(scene @ np.array([0.2627, 0.6780, 0.0593], np.float32), 1e-6)
    return scene * (luminance ** np.float32(HLG_GAMMA - 1) * (HLG_PEAK / DIFFUSE_WHITE))[..., None]


def from_light(light: np.ndarray, transfer: int) -> np.ndarray:
    """The inverse of `to_light`."""
    if transfer == LINEAR:
        return light
    if transfer == PQ:
        power = (np.abs(light) * (DIFFUSE_WHITE / 10000)) ** np.float32(_M1)
        return _signed(((_C1 + _C2 * power) / (1 + _C3 * power)) ** np.float32(_M2), light)
    light = light * (DIFFUSE_WHITE / HLG_PEAK)
    luminance = np.maximum(light @ np.array([0.2627, 0.6780, 0.0593], np.float32), 1e-6**HLG_GAMMA)
    scene = light * (luminance ** np.float32(1 / HLG_GAMMA - 1))[..., None]
    magnitude = np.abs(scene)
    upper = _A * np.log(np.maximum(12 * magnitude - _B, 1e-6)) + _C
    return _signed(np.where(magnitude <= 1 / 12, np.sqrt(3 * magnitude), upper), scene)


def to_bt709_light(signal: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """R'G'B' (…, 3) of HDR or linear footage to light with BT.709 primaries, 1 at diffuse white; may be negative."""
    return signal if transfer == LINEAR else _change_primaries(to_light(signal, transfer), primaries, back=False)


def srgb_to_light(signal: np.ndarray) -> np.ndarray:
    """SDR R'G'B' to light by the sRGB curve; what lies below 0 is mirrored."""
    return _signed(_decode_display(np.abs(signal), LINEAR), signal)


def light_to_srgb(light: np.ndarray) -> np.ndarray:
    """0..1 light to R'G'B' by the sRGB curve."""
    return _encode_display(light, LINEAR).astype(np.float32, copy=False)


def _shoulder(light: np.ndarray) -> np.ndarray:
    over = np.maximum(light - SHOULDER_START, 0) / (1 - SHOULDER_START)
    return np.where(over > 0, SHOULDER_START + (1 - SHOULDER_START) * over / (1 + over), light)


def _encode_display(light: np.ndarray, transfer: int) -> np.ndarray:
    """0..1 light to R'G'B': BT.1886, or sRGB for scene-linear pictures (as Blender shows them)."""
    if transfer != LINEAR:
        return light ** np.float32(1 / DISPLAY_GAMMA)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)


def _decode_display(view: np.ndarray, transfer: int) -> np.ndarray:
    if transfer != LINEAR:
        return view ** np.float32(DISPLAY_GAMMA)
    return np.where(view <= 0.04045, view / 12.92, ((view + 0.055) / 1.055) ** np.float32(2.4))


def _signed(magnitude: np.ndarray, sign: np.ndarray) -> np.ndarray:
    return np.copysign(magnitude, sign).astype(np.float32, copy=False)


def _change_primaries(light: np.ndarray, primaries: int, back: bool) -> np.ndarray:
    """Light in the footage's primaries to BT.709's, or `back`."""
    if primaries not in CHROMATICITIES:
        return light
    flat = np.ascontiguousarray(light.reshape(-1, 1, 3))
    return np.asarray(cv2.transform(flat, primaries_matrix(primaries, back))).reshape(light.shape)


@lru_cache
def primaries_matrix(primaries: int, back: bool = False) -> np.ndarray:
    """(3, 3) float64 from linear light in these primaries to BT.709, or `back`."""
    matrix = np.linalg.inv(_to_xyz(BT709)) @ _to_xyz(CHROMATICITIES.get(primaries, BT709))
    return np.linalg.inv(matrix) if back else matrix


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([D65[0] / D65[1], 1, (1 - D65[0] - D65[1]) / D65[1]])
    return columns * np.linalg.solve(columns, white)


def view8(signal: np.ndarray, white: int, transfer: int, primaries: int) -> np.ndarray:
    """(H, W, 3) uint16 R'G'B', `white` at 1, to the SDR view in uint8, by tables: what `to_view` gives, rounded."""
    light = _light_table(transfer, white)[signal]
    if transfer == HLG:
        luminance = np.maximum(light @ np.array([0.2627, 0.6780, 0.0593], np.float32), 1e-6)
        light *= (luminance ** np.float32(HLG_GAMMA - 1) * (HLG_PEAK / DIFFUSE_WHITE))[..., None]
    light = np.maximum(_change_primaries(light, primaries, back=False), 0)
    light /= light + 1
    np.sqrt(light, out=light)  # as finely divided near black as eyes are
    light *= 65535
    return _view_table(transfer)[light.astype(np.uint16)]


@lru_cache
def _light_table(transfer: int, white: int) -> np.ndarray:
    codes = np.arange(65536, dtype=np.float32) / np.float32(white)
    if transfer == HLG:  # before the system gamma, which needs all three
        return np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - _C) / _A) + _B) / 12).astype(np.float32)
    return to_light(np.repeat(codes[:, None], 3, 1), transfer)[:, 0].copy()


@lru_cache
def _view_table(transfer: int) -> np.ndarray:
    share = ((np.arange(65536, dtype=np.float32) + 0.5) / 65536) ** 2
    view = _encode_display(_shoulder(share / (1 - share)), transfer)
    return np.round(np.clip(view, 0, 1) * 255).astype(np.uint8)
