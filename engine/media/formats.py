"""What recast movies can be written as, and what suits which footage."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.codec import CodecContext

from ..errors import MediaError
from ..protocol import OutputFormat
from .open import LACKS_MEMORY
from .planes import planar_name
from .reader import MediaInfo
from .recipes import (
    MOVIES,
    PICTURES,
    WITH_ALPHA,
    Recipe,
    coded_size,
    dnxhr,
    ffv1,
    h26x,
    passes,
    pictures,
    prores,
    tags_of,
)
from .tone_mapping import HLG, PQ

TITLES = {
    "h264": "H.264",
    "h265": "H.265",
    "prores-hq": "ProRes",
    "prores-4444": "ProRes 4444",
    "dnxhr": "DNxHR",
    "ffv1": "FFV1",
}


def suffix_of(format: OutputFormat, source: MediaInfo, layer: bool = False) -> str:
    """The usual suffix of a recast of `source` in this format; empty where it is a folder of pictures.

    Raises MediaError when the format cannot be (a layer without alpha).
    """
    suffixes = recipe_for(format, source, layer).suffixes
    own = source.path.suffix.lower()
    return own if own in suffixes else suffixes[0] if suffixes else ""


def recipe_for(format: OutputFormat, source: MediaInfo, layer: bool = False, suffix: str = "") -> Recipe:
    """How `source` is encoded in this format. `suffix` is the output's: "same" becomes what that container holds.

    Raises MediaError when a layer is asked for in a format without alpha.
    """
    if format == "same":
        recipe = _recipe(_same(source, layer), source, layer)
        if suffix.lower() not in MOVIES or suffix.lower() in recipe.suffixes or (layer and suffix.lower() != ".mov"):
            return recipe
        return _recipe("prores-4444" if layer else _compressed(source), source, layer)
    return _recipe(str(format), source, layer)


def _recipe(name: str, source: MediaInfo, layer: bool) -> Recipe:
    recipe = _codec(name, source, layer)
    fields = "" if recipe.picture else source.field_order
    if fields and recipe.codec in ("libx265", "dnxhd"):
        says = TITLES["dnxhr" if recipe.codec == "dnxhd" else "h265"]
        raise MediaError(
            f"{source.path.name} is interlaced, which {says} is not written as; choose H.264, ProRes or FFV1."
        )
    return replace(recipe, colour=tags_of(recipe, source, layer), fields=fields)


def _codec(name: str, source: MediaInfo, layer: bool) -> Recipe:
    if name == "passes":
        if layer:
            raise MediaError("Passes hold the face and its matte already; leave the layer out.")
        return passes()
    if layer and name not in WITH_ALPHA:
        raise MediaError(
            f"A layer needs transparency, which {TITLES.get(name, name)} does not have; choose ProRes 4444, FFV1, or "
            "PNG, TIFF or EXR pictures."
        )
    form = planar_name(source.pixel_format)
    alpha = layer or source.alpha
    if name in ("png", "tiff", "exr", "dpx"):
        return pictures(name, form, source, layer)
    if name == "ffv1":
        return ffv1(form, layer)
    if name == "png-movie":
        deep = source.bits > 8
        form = ("rgba64be" if deep else "rgba") if alpha else ("rgb48be" if deep else "rgb24")
        return Recipe(name=name, codec="png", pixel_format=form, suffixes=(".mov",))
    if name.startswith("prores"):
        return prores(name, source, alpha)
    if name == "dnxhr":
        return dnxhr(form, source)
    return h26x(name, form, source)


def _same(source: MediaInfo, layer: bool) -> str:
    """The format nearest to what the footage is."""
    if source.is_still:
        return PICTURES.get(f".{source.codec}", "png") if not layer or source.codec != "dpx" else "exr"
    if layer:
        return "ffv1" if source.codec == "ffv1" else "prores-4444"
    if source.codec == "prores":
        return f"prores {source.profile}"
    if source.codec in ("png", "qtrle") or (source.codec == "rawvideo" and "rgb" in source.pixel_format):
        return "png-movie"
    if source.codec in ("ffv1", "v210", "rawvideo", "huffyuv", "ffvhuff", "utvideo"):
        return "ffv1"
    if source.codec == "dnxhd":
        return "prores hq" if source.field_order else "dnxhr"
    return _compressed(source)


def _compressed(source: MediaInfo) -> str:
    if source.field_order:
        return "h264"
    return "h265" if source.codec == "hevc" or (source.bits > 10 and not source.is_still) else "h264"


def check_output(output: Path, source: MediaInfo, format: OutputFormat = "same", layer: bool = False) -> Recipe:
    """How `output` is going to be written. Raises MediaError when it is no name for that, or is the footage itself."""
    recipe = recipe_for(format, source, layer, output.suffix)
    suffix = output.suffix.lower()
    if recipe.suffixes and suffix not in recipe.suffixes:
        usual = [s for s in recipe.suffixes if s != ".m4v"]
        kinds = " or ".join([", ".join(usual[:-1]), usual[-1]]) if len(usual) > 1 else usual[0]
        codec = next((says for name, says in TITLES.items() if recipe.name.startswith(name)), recipe.name)
        raise MediaError(f"{output.name} is no name for a movie in {codec}; end it in {kinds}.")
    kind = "OpenEXR" if recipe.name == "passes" else recipe.name.upper()
    if not recipe.suffixes and (suffix in MOVIES or suffix in PICTURES or output.is_file()):
        raise MediaError(f"{output.name} is to be a folder of {kind} pictures; give it a name without an ending.")
    if output.exists() and source.path.exists() and output.samefile(source.path):
        raise MediaError(f"{output} is the footage itself. Choose another name for the recast movie.")
    if recipe.picture:
        _require_own_folder(output, recipe)
    require_codec(recipe, source)
    return recipe


def require_codec(recipe: Recipe, source: MediaInfo) -> None:
    """Raise MediaError when what `source` is encoded as cannot hold it."""
    if recipe.codec in ("tiff", "dpx") and source.transfer in (PQ, HLG):
        raise MediaError(f"{recipe.codec.upper()} pictures cannot say that they are HDR; choose PNG or EXR.")
    _require_encoder(recipe, source)


def _require_own_folder(output: Path, recipe: Recipe) -> None:
    """An earlier sequence of the same kind may be replaced, a folder with anything else in it may not."""
    own = {recipe.picture, ".c2pa"}  # credentials lie beside pictures that cannot carry them
    if output.is_dir() and any(file.suffix not in own for file in output.iterdir()):
        raise MediaError(f"The folder {output} holds other files, too. Choose a folder of its own for the pictures.")


def _require_encoder(recipe: Recipe, source: MediaInfo) -> None:
    """Encode one empty picture: an encoder that cannot do this size says so before hours of work."""
    width, height = coded_size(source)
    coder = CodecContext.create(recipe.codec, "w")
    coder.width, coder.height, coder.pix_fmt = width, height, recipe.pixel_format  # type: ignore[attr-defined]
    coder.time_base, coder.options = Fraction(1, 24), dict(recipe.options)
    frame = av.VideoFrame(width, height, recipe.pixel_format)
    frame.pts, frame.color_range = 0, recipe.colour.range
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))  # what lay in memory may be too much for a rate control
    try:
        if recipe.codec not in ("libx264", "libx265"):  # which take every size, and their time to start
            coder.encode(frame)  # type: ignore[attr-defined]
    except LACKS_MEMORY:
        raise
    except (av.FFmpegError, ValueError):
        codec = next((says for name, says in TITLES.items() if recipe.name.startswith(name)), recipe.codec.upper())
        raise MediaError(
            f"{codec} cannot hold pictures of {width}×{height} ({recipe.pixel_format}). Choose another format."
        ) from None
