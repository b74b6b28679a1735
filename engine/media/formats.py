"""What recast movies can be written as, and what suits which footage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
from av.codec import Codec, CodecContext
from av.video.format import VideoFormat
from av.video.reformatter import Colorspace

from ..errors import MediaError
from ..protocol import OutputFormat
from .colour import FULL, LIMITED, usual_matrix
from .planes import chroma_steps, planar_name
from .reader import MediaInfo
from .tone import HLG, LINEAR, PQ

KEY_FRAME_EVERY = 12  # frames: scrubbing in an editor decodes at most this many
MOVIES = {".mp4", ".m4v", ".mov", ".mkv"}
PICTURES = {".png": "png", ".tif": "tiff", ".tiff": "tiff", ".exr": "exr", ".dpx": "dpx"}
MATRIX_TAGS = {
    Colorspace.ITU709: 1,
    Colorspace.FCC: 4,
    Colorspace.ITU601: 6,
    Colorspace.SMPTE240M: 7,
    Colorspace.BT2020: 9,
}
RGB, SRGB = 0, 13  # AVColorSpace, AVColorTransferCharacteristic
WITH_ALPHA = ("prores-4444", "ffv1", "png", "tiff", "exr")
SAYS = {
    "h264": "H.264",
    "h265": "H.265",
    "prores-hq": "ProRes",
    "prores-4444": "ProRes 4444",
    "dnxhr": "DNxHR",
    "ffv1": "FFV1",
}


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What the encoded pixels say of themselves: FFmpeg's numbers; range 1 is studio, 2 full."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    range: int = 1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How frames are encoded.

    suffixes are the containers that hold it, the usual one first; none means a folder of pictures, whose files end
    in `picture`. `segment` is the container of its segments: one that keeps packets as they are.
    """

    name: str
    codec: str
    pixel_format: str
    options: dict[str, str] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()
    picture: str = ""
    segment: str = "mov"
    key_frame_every: int = 1
    tag: str = ""
    colour: Tags = Tags()


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
    return replace(recipe, colour=_tags(recipe, source, layer))


def _tags(recipe: Recipe, source: MediaInfo, layer: bool) -> Tags:
    """The footage's own tags, as far as the format can hold them."""
    if recipe.codec == "exr":
        return Tags(matrix=RGB, primaries=1, transfer=LINEAR, range=FULL)
    linear = source.transfer == LINEAR
    primaries, transfer = (1, SRGB) if linear else (source.primaries, source.transfer)
    if VideoFormat(recipe.pixel_format, 64, 64).is_rgb:
        return Tags(matrix=RGB, primaries=primaries, transfer=transfer, range=FULL)
    width, height = coded_size(source)
    named = MATRIX_TAGS[usual_matrix(source.matrix, width, height)]
    from_rgb = VideoFormat(source.pixel_format, 64, 64).is_rgb or source.pixel_format == "pal8"
    matrix = named if from_rgb or layer else source.matrix
    if recipe.codec == "dnxhd":
        matrix = 1  # the only one of the two that its own header can name
    studio = from_rgb or layer or recipe.codec in ("prores_ks", "dnxhd")
    kept = FULL if source.full_range and not studio else LIMITED
    return Tags(matrix=matrix, primaries=primaries, transfer=transfer, range=kept)


def coded_size(source: MediaInfo) -> tuple[int, int]:
    """Width and height before rotation."""
    return (source.height, source.width) if source.rotation % 180 else (source.width, source.height)


def _codec(name: str, source: MediaInfo, layer: bool) -> Recipe:
    if layer and name not in WITH_ALPHA:
        raise MediaError(
            f"A layer needs transparency, which {SAYS.get(name, name)} does not have; choose ProRes 4444, FFV1, or "
            "PNG, TIFF or EXR pictures."
        )
    form = planar_name(source.pixel_format)
    alpha = layer or source.alpha
    if name in ("png", "tiff", "exr", "dpx"):
        return _pictures(name, form, source, layer)
    if name == "ffv1":
        return _ffv1(form, layer)
    if name == "png-movie":
        deep = source.bits > 8
        form = ("rgba64be" if deep else "rgba") if alpha else ("rgb48be" if deep else "rgb24")
        return Recipe(name=name, codec="png", pixel_format=form, suffixes=(".mov",))
    if name.startswith("prores"):
        return _prores(name, source, alpha)
    if name == "dnxhr":
        return _dnxhr(form, source)
    return _h26x(name, form, source)


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
        return "dnxhr"
    return _compressed(source)


def _compressed(source: MediaInfo) -> str:
    return "h265" if source.codec == "hevc" or (source.bits > 10 and not source.is_still) else "h264"


def _prores(name: str, source: MediaInfo, alpha: bool) -> Recipe:
    profiles = {"proxy": "0", "lt": "1", "standard": "2", "hq": "3", "4444": "4", "xq": "5", "4444xq": "5"}
    profile = profiles.get(name.removeprefix("prores").strip(" -").lower().replace(" ", ""), "3")
    full = profile in ("4", "5")
    form = ("yuva444p10le" if alpha else "yuv444p10le") if full else "yuv422p10le"
    options = {"profile": profile, "vendor": "apl0"}
    if full and alpha:
        options["alpha_bits"] = "16"
    return Recipe(name=name, codec="prores_ks", pixel_format=form, options=options, suffixes=(".mov",))


def _dnxhr(form: str, source: MediaInfo) -> Recipe:
    across, _ = chroma_steps(form)
    if across == 1 and not form.startswith("gray"):
        profile, form = "dnxhr_444", "yuv444p10le"
    elif source.bits > 8:
        profile, form = "dnxhr_hqx", "yuv422p10le"
    else:
        profile, form = "dnxhr_hq", "yuv422p"
    return Recipe(name="dnxhr", codec="dnxhd", pixel_format=form, options={"profile": profile}, suffixes=(".mov",))


def _ffv1(form: str, layer: bool) -> Recipe:
    taken = {f.name for f in Codec("ffv1", "w").video_formats or ()}
    is_rgb = VideoFormat(form, 64, 64).is_rgb
    if layer:
        bits = VideoFormat(form, 64, 64).components[0].bits
        name = "gbrap16le" if is_rgb or bits > 12 else "yuva444p10le" if bits <= 10 else "yuva444p12le"
    else:
        name = {"gbrp": "bgr0", "gbrap": "bgra"}.get(form, form)  # how FFV1 takes 8-bit RGB
    if name not in taken:
        name = "gbrp16le" if is_rgb else "yuv444p16le"
    return Recipe(
        name="ffv1",
        codec="ffv1",
        pixel_format=name,
        options={"level": "3", "slices": "4", "slicecrc": "1"},
        suffixes=(".mkv",),
        segment="nut",
    )


def _h26x(name: str, form: str, source: MediaInfo) -> Recipe:
    if VideoFormat(form, 64, 64).is_rgb:
        chroma = "420" if source.is_still else "444"
    elif form.startswith("gray"):
        chroma = "420"
    else:
        chroma = {(1, 1): "444", (2, 1): "422", (2, 2): "420"}.get(chroma_steps(form), "444")
    across, down = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}[chroma]
    width, height = coded_size(source)
    if width % across or height % down:
        chroma = "444"  # the encoders take odd sizes only without subsampling
    deep = "" if source.bits <= 8 else "12le" if source.bits > 10 and name == "h265" else "10le"
    common = Recipe(
        name=name,
        codec="",
        pixel_format=f"yuv{chroma}p{deep}",
        suffixes=(".mp4", ".mov", ".mkv", ".m4v"),
        segment="nut",
        key_frame_every=KEY_FRAME_EVERY,
    )
    # No B-frames: every frame is at hand when scrubbing.
    if name == "h264":
        return replace(common, codec="libx264", options={"crf": "12", "preset": "fast", "bf": "0"})
    options = {"crf": "14", "preset": "fast", "x265-params": "log-level=error:bframes=0:open-gop=0:info=0"}
    return replace(common, codec="libx265", options=options, tag="hvc1")


def _pictures(name: str, form: str, source: MediaInfo, layer: bool) -> Recipe:
    alpha = layer or source.alpha
    own = PICTURES.get(f".{source.codec}") == name
    deep = layer or source.bits > 8 or not own
    if name == "exr":
        half = source.is_still and "f16" in source.pixel_format
        form, options = "gbrapf32le" if alpha else "gbrpf32le", {"compression": "zip16"}
        options["format"] = "half" if half or source.bits <= 16 else "float"
    elif name == "dpx":
        form, options = {"gbrp10le": "gbrp10le", "gbrp12le": "gbrp12le", "gbrp": "rgb24"}.get(form, "rgb48le"), {}
    elif name == "tiff":
        form = ("rgba64le" if deep else "rgba") if alpha else ("rgb48le" if deep else "rgb24")
        options = {"compression_algo": "deflate"}
    else:
        form = ("rgba64be" if deep else "rgba") if alpha else ("rgb48be" if deep else "rgb24")
        options = {"compression_level": "4", "pred": "mixed"}
    suffix = source.codec if own else name
    return Recipe(name=name, codec=name, pixel_format=form, options=options, picture=f".{suffix}")


def check_output(output: Path, source: MediaInfo, format: OutputFormat = "same", layer: bool = False) -> Recipe:
    """How `output` is going to be written. Raises MediaError when it is no name for that, or is the footage itself."""
    recipe = recipe_for(format, source, layer, output.suffix)
    suffix = output.suffix.lower()
    if recipe.suffixes and suffix not in recipe.suffixes:
        usual = [s for s in recipe.suffixes if s != ".m4v"]
        kinds = " or ".join([", ".join(usual[:-1]), usual[-1]]) if len(usual) > 1 else usual[0]
        codec = next((says for name, says in SAYS.items() if recipe.name.startswith(name)), recipe.name)
        raise MediaError(f"{output.name} is no name for a movie in {codec}; end it in {kinds}.")
    if not recipe.suffixes and (suffix in MOVIES or suffix in PICTURES or output.is_file()):
        raise MediaError(
            f"{output.name} is to be a folder of {recipe.name.upper()} pictures; give it a name without an ending."
        )
    if output.exists() and source.path.exists() and output.samefile(source.path):
        raise MediaError(f"{output} is the footage itself. Choose another name for the recast movie.")
    if recipe.picture:
        _require_own_folder(output, recipe)
    if recipe.codec in ("tiff", "dpx") and source.transfer in (PQ, HLG):
        raise MediaError(f"{recipe.codec.upper()} pictures cannot say that they are HDR; choose PNG or EXR.")
    _try_out(recipe, source)
    return recipe


def _require_own_folder(output: Path, recipe: Recipe) -> None:
    """An earlier sequence of the same kind may be replaced, a folder with anything else in it may not."""
    if output.is_dir() and any(file.suffix != recipe.picture for file in output.iterdir()):
        raise MediaError(f"The folder {output} holds other files, too. Choose a folder of its own for the pictures.")


def _try_out(recipe: Recipe, source: MediaInfo) -> None:
    """Encode one empty picture: an encoder that cannot do this size says so before hours of work."""
    width, height = coded_size(source)
    coder = CodecContext.create(recipe.codec, "w")
    coder.width, coder.height, coder.pix_fmt = width, height, recipe.pixel_format  # type: ignore[attr-defined]
    coder.time_base, coder.options = Fraction(1, 24), dict(recipe.options)
    frame = av.VideoFrame(width, height, recipe.pixel_format)
    frame.pts, frame.color_range = 0, recipe.colour.range
    try:
        if recipe.codec not in ("libx264", "libx265"):  # which take every size, and their time to start
            coder.encode(frame)  # type: ignore[attr-defined]
    except (av.FFmpegError, ValueError):
        codec = next((says for name, says in SAYS.items() if recipe.name.startswith(name)), recipe.codec.upper())
        raise MediaError(
            f"{codec} cannot hold pictures of {width}×{height} ({recipe.pixel_format}). Choose another format."
        ) from None
