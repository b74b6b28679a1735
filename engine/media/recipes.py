"""How each codec takes footage: pixel format, options, and what the pixels say of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from av.codec import Codec
from av.video.format import VideoFormat
from av.video.reformatter import Colorspace

from .colour_spaces import FULL, LIMITED, usual_matrix
from .planes import chroma_steps
from .reader import MediaInfo
from .tone_mapping import LINEAR

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
    in `picture`. `segment` is the container of its segments: one that keeps packets as they are. `fields` is the
    order in which interlaced frames are shown, "tff" or "bff".
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
    fields: str = ""


def tags_of(recipe: Recipe, source: MediaInfo, layer: bool) -> Tags:
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


def passes() -> Recipe:
    """Passes for a compositor: OpenEXR pictures of several layers, which `media.passes` writes."""
    options = {"compression": "zip16", "format": "half"}
    return Recipe(name="passes", codec="exr", pixel_format="gbrapf32le", options=options, picture=".exr")


def coded_size(source: MediaInfo) -> tuple[int, int]:
    """Width and height before rotation."""
    return (source.height, source.width) if source.rotation % 180 else (source.width, source.height)


def prores(name: str, source: MediaInfo, alpha: bool) -> Recipe:
    """ProRes of the profile that the name ends in, 422 HQ where it is none."""
    profiles = {"proxy": "0", "lt": "1", "standard": "2", "hq": "3", "4444": "4", "xq": "5", "4444xq": "5"}
    profile = profiles.get(name.removeprefix("prores").strip(" -").lower().replace(" ", ""), "3")
    full = profile in ("4", "5")
    form = ("yuva444p10le" if alpha else "yuv444p10le") if full else "yuv422p10le"
    options = {"profile": profile, "vendor": "apl0"}
    if full and alpha:
        options["alpha_bits"] = "16"
    return Recipe(name=name, codec="prores_ks", pixel_format=form, options=options, suffixes=(".mov",))


def dnxhr(form: str, source: MediaInfo) -> Recipe:
    """DNxHR HQ, HQX for more than 8 bits, 444 for RGB and full chroma; `form` is the planar pixel format."""
    across, _ = chroma_steps(form)
    if across == 1 and not form.startswith("gray"):
        profile, form = "dnxhr_444", "yuv444p10le"
    elif source.bits > 8:
        profile, form = "dnxhr_hqx", "yuv422p10le"
    else:
        profile, form = "dnxhr_hq", "yuv422p"
    return Recipe(name="dnxhr", codec="dnxhd", pixel_format=form, options={"profile": profile}, suffixes=(".mov",))


def ffv1(form: str, layer: bool) -> Recipe:
    """FFV1 of the planar pixel format `form`, or the nearest that holds it."""
    taken = {f.name for f in Codec("ffv1", "w").video_formats or ()}
    is_rgb = VideoFormat(form, 64, 64).is_rgb
    if layer:
        bits = VideoFormat(form, 64, 64).components[0].bits
        name = "gbrap16le" if is_rgb or bits > 12 else "yuva444p10le" if bits <= 10 else "yuva444p12le"
    else:
        name = {"gbrp": "bgr0", "gbrap": "bgra"}.get(form, form)  # how FFV1 takes 8-bit RGB
    if name not in taken or "f" in name:  # floating point is experimental in FFV1, and its encoder refuses it
        name = ("gbrap16le" if form.startswith("gbra") else "gbrp16le") if is_rgb else "yuv444p16le"
    return Recipe(
        name="ffv1",
        codec="ffv1",
        pixel_format=name,
        options={"level": "3", "slicecrc": "1"},
        suffixes=(".mkv",),
        segment="nut",
    )


def h26x(name: str, form: str, source: MediaInfo) -> Recipe:
    """H.264 or H.265, visually without loss, of the footage's depth and chroma as far as the encoder takes them."""
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
        extra = {
            # x264's tree of macroblocks reads memory that it never wrote: of a hundred encodings of the same frames
            # one is another, and a resumed conversion would not be the uninterrupted one's
            "mbtree=0": True,
            f"{source.field_order}=1": bool(source.field_order),
            f"mastering-display={source.mastering}": bool(source.mastering),
            f"cll={source.light}": bool(source.light),
        }
        wanted = ":".join(text for text, told in extra.items() if told)
        options = {"crf": "13", "preset": "fast", "bf": "0", "x264-params": wanted}
        return replace(common, codec="libx264", options=options)
    extra = {
        f"master-display={source.mastering}": bool(source.mastering),
        f"max-cll={source.light}": bool(source.light),
        "repeat-headers=0": True,
    }
    wanted = ":".join(text for text, told in extra.items() if told)
    x265 = f"log-level=error:bframes=0:open-gop=0:info=0:{wanted}"
    options = {"crf": "14", "preset": "fast", "x265-params": x265}
    return replace(common, codec="libx265", options=options, tag="hvc1")


def pictures(name: str, form: str, source: MediaInfo, layer: bool) -> Recipe:
    """A sequence: 16 bits (OpenEXR: half), but the footage's own depth where it is of the same kind."""
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
