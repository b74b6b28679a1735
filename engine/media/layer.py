"""The layer: only the recast face, with straight alpha, and its matte; a grade goes over or under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import av
import numpy as np
from av.video.format import VideoFormat

from .colour import FULL, LIMITED, LUMA, matrix_of, transfer_of
from .encode import matrix_tag
from .formats import Recipe
from .planes import planar, plane_array, span_of
from .tone import HDR_OR_LINEAR, ceiling, from_view, srgb_to_light, to_bt709_light
from .view import Patch, view_of

FAINT = 1 / 512  # of the matte: below it the face's own colour cannot be told, and the footage's is as good


def matte_recipe(recipe: Recipe) -> Recipe:
    """How the matte beside a layer is written: the layer's codec, one channel where it has one."""
    form = {"ffv1": "gray16le", "png": "gray16be", "tiff": "gray16le", "exr": "gbrpf32le", "prores_ks": "yuv422p10le"}
    options = {"profile": "3", "vendor": "apl0"} if recipe.codec == "prores_ks" else recipe.options
    return replace(recipe, pixel_format=form[recipe.codec], options=options)


def layer_pictures(
    native: av.VideoFrame, patches: Sequence[Patch], recipe: Recipe
) -> tuple[av.VideoFrame, av.VideoFrame]:
    """The layer in the recipe's pixel format or one that holds it, and the matte as full-range gray16le or gbrpf32le.

    Straight alpha: laid over the footage with the matte, the layer's colour gives the patches' pictures. The colour
    has the footage's own transfer and primaries (OpenEXR: scene-linear). Where there is no matte it is black.
    """
    source = planar(native)
    colour = np.zeros((source.height, source.width, 3), np.float32)
    matte = np.zeros((source.height, source.width), np.float32)
    transfer, primaries = transfer_of(native), int(native.color_primaries)
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        under = view_of(source, patch.box)
        share = np.clip(patch.matte, 0, 1)[..., None]
        face = np.where(share > FAINT, under + (patch.rgb - under) / np.maximum(share, FAINT), under)
        face = np.clip(face, 0, np.maximum(under, ceiling(transfer)))
        inside = patch.matte > 0
        np.copyto(colour[y0:y1, x0:x1], from_view(face, transfer, primaries), where=inside[..., None])
        np.copyto(matte[y0:y1, x0:x1], share[..., 0], where=inside)
    return _coloured(native, colour, matte, recipe), _grey(native, matte, recipe)


def _coloured(native: av.VideoFrame, colour: np.ndarray, matte: np.ndarray, recipe: Recipe) -> av.VideoFrame:
    height, width = matte.shape
    target = VideoFormat(recipe.pixel_format)
    if recipe.codec == "exr":
        transfer, primaries = transfer_of(native), int(native.color_primaries)
        hdr = transfer in HDR_OR_LINEAR
        result = av.VideoFrame(width, height, "gbrapf32le")
        _fill(result, to_bt709_light(colour, transfer, primaries) if hdr else srgb_to_light(colour), matte)
        result.color_trc = 8
        return result
    result = av.VideoFrame(width, height, "gbrap16le" if target.is_rgb else recipe.pixel_format)
    if target.is_rgb:
        result.color_range, result.colorspace = FULL, 0
        _fill(result, colour * 65535, matte * 65535)
    else:
        result.color_range, result.colorspace = LIMITED, matrix_tag(native)
        red, blue = LUMA[matrix_of(native)]
        luma = colour @ np.array([red, 1 - red - blue, blue], np.float32)
        (zero, unit), (middle, reach) = span_of(result), span_of(result, chroma=True)
        parts = [
            luma * unit + zero,
            (colour[..., 2] - luma) / (2 * (1 - blue)) * reach + middle,
            (colour[..., 0] - luma) / (2 * (1 - red)) * reach + middle,
        ]
        _fill(result, np.stack(parts, axis=-1), matte * ((1 << target.components[0].bits) - 1))
    result.color_primaries, result.color_trc = native.color_primaries, native.color_trc
    return result


def _grey(native: av.VideoFrame, matte: np.ndarray, recipe: Recipe) -> av.VideoFrame:
    height, width = matte.shape
    if recipe.codec == "exr":
        result = av.VideoFrame(width, height, "gbrpf32le")
        for number in range(3):
            plane_array(result, number)[:] = matte
        result.color_trc = 8
        return result
    result = av.VideoFrame(width, height, "gray16le")
    plane_array(result, 0)[:] = np.round(matte * 65535)
    result.color_range, result.colorspace = FULL, native.colorspace
    return result


def _fill(frame: av.VideoFrame, colour: np.ndarray, alpha: np.ndarray) -> None:
    """Write (H, W, 3) components and (H, W) alpha, in codes, into a planar frame."""
    parts = frame.format.components
    for number in range(4):
        samples = plane_array(frame, parts[number].plane)
        values = alpha if number == 3 else colour[..., number]
        if samples.dtype.kind == "u":
            values = np.clip(np.round(values), 0, (1 << parts[0].bits) - 1)
        samples[:] = values
