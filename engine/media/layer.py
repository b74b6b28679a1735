"""The layer: only the recast face, with straight alpha, and its matte; a grade goes over or under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import av
import numpy as np

from .colour_spaces import FULL, LIMITED, matrix_of, transfer_of, usual_matrix
from .float_view import Patch, view_of
from .linear import display_signal, linear_light
from .planes import planar, planar_name
from .recipes import Recipe
from .signal import from_signal
from .tone_mapping import LINEAR, ceiling, from_view

MIN_MATTE = 1 / 512  # of the matte: below it the face's own colour cannot be told, and the footage's is as good


def matte_recipe(recipe: Recipe) -> Recipe:
    """How the matte beside a layer is written: the layer's codec, one channel where it has one."""
    form = {"ffv1": "gray16le", "png": "gray16be", "tiff": "gray16le", "exr": "gbrpf32le", "prores_ks": "yuv422p10le"}
    options = {"profile": "3", "vendor": "apl0"} if recipe.codec == "prores_ks" else recipe.options
    colour = replace(recipe.colour, range=LIMITED if recipe.codec == "prores_ks" else FULL)
    return replace(recipe, pixel_format=form[recipe.codec], options=options, colour=colour)


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
        face = np.where(share > MIN_MATTE, under + (patch.rgb - under) / np.maximum(share, MIN_MATTE), under)
        face = np.clip(face, 0, np.maximum(under, ceiling(transfer)))
        inside = patch.matte > 0
        np.copyto(colour[y0:y1, x0:x1], from_view(face, transfer, primaries), where=inside[..., None])
        np.copyto(matte[y0:y1, x0:x1], share[..., 0], where=inside)
    return _coloured(native, colour, matte, recipe), _grey(native, matte, recipe)


def _coloured(native: av.VideoFrame, colour: np.ndarray, matte: np.ndarray, recipe: Recipe) -> av.VideoFrame:
    if recipe.codec == "exr":
        light = linear_light(colour, transfer_of(native), int(native.color_primaries))
        return from_signal(light, matte, "gbrapf32le", matrix_of(native), FULL)
    if transfer_of(native) == LINEAR:
        colour = display_signal(colour)
    matrix = usual_matrix(recipe.colour.matrix, native.width, native.height)
    return from_signal(colour, matte, planar_name(recipe.pixel_format), matrix, recipe.colour.range)


def _grey(native: av.VideoFrame, matte: np.ndarray, recipe: Recipe) -> av.VideoFrame:
    form = "gbrpf32le" if recipe.codec == "exr" else "gray16le"
    return from_signal(np.repeat(matte[..., None], 3, axis=-1), None, form, matrix_of(native), FULL)
