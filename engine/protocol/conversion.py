"""How a face is recast: a finished movie, or a preview of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .paths import absolute_path
from .settings import Limits, setting
from .training import Identity

OutputFormat = Literal[
    "same", "h264", "h265", "prores-hq", "prores-4444", "dnxhr", "ffv1", "png", "tiff", "exr", "passes"
]
ColourMethod = Literal["light", "reinhard", "mkl", "histogram", "none"]
BlendMethod = Literal["multiband", "feather", "seamless"]
SpectaclesPolicy = Literal["keep", "remove", "wear"]
View = Literal["original", "recast", "matte", "landmarks"]

REGIONS = ("forehead", "brows", "eyes", "nose", "mouth", "jaw")
"""Parts of the face that may stay the footage's."""
Curves = dict[str, list[list[Any]]]
"""Settings that change over time: name → its keys, [frame of the source, value] each, in the frames' order.

A setting with parts is named with the part: "erode.top". Numbers run evenly from key to key, switches (true, false) and
choices hold until the next; before the first key its value holds, after the last one that."""
WIDTHS = "a part of the face's width"
SHARE = Limits(unit="a share", high=1.0)


@dataclass(frozen=True, kw_only=True)
class Swap:
    """A person of the scanned shot gets the face of an identity of the model.

    `target` names whose face is replaced, the identity whose consent is on record.
    """

    person: int
    identity: str
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class ConvertSettings:
    """How a recast face is fitted into the picture. Lengths are fractions of the face's width."""

    erode: list[float] = setting(
        [0.0, 0.0, 0.0, 0.0],
        "{part}",
        "How far the face's edge is drawn in at the {part}, in parts of the face's width",
        limits=Limits(unit=WIDTHS, high=0.4, parts=("top", "right", "bottom", "left")),
    )
    feather: float = setting(
        0.1, "Feather", "Width of the soft edge, in parts of the face's width", limits=Limits(unit=WIDTHS, high=0.5)
    )
    colour: ColourMethod = setting(
        "mkl",
        "Colour",
        "How the face takes on the colour of the one below",
        choices={
            "light": ("Light", "Take on the light of the face below, shade by shade"),
            "reinhard": ("Mean and Spread", "Take on the mean and spread of the colours below"),
            "mkl": (
                "Linked Mean and Spread",
                "Take on the mean and spread of the colours below, red, green and blue together",
            ),
            "histogram": ("Histogram", "Take on the distribution of the colours below"),
            "none": ("None", "Keep the face's own colours"),
        },
    )
    blend: BlendMethod = setting(
        "feather",
        "Blend",
        "How the seam is hidden",
        choices={
            "feather": ("Feather", "A soft edge"),
            "multiband": ("Multiband", "Coarse detail blends wide, fine detail narrow"),
            "seamless": ("Seamless", "Gradients are joined so that no edge remains"),
        },
    )
    shape: float = setting(
        0.7,
        "Own Shape",
        "How much of their own proportions the new face keeps; 0: those of the face below",
        limits=SHARE,
    )
    own: list[float] = setting(
        [1.0, 1.0, 1.0],
        "Own {part}",
        "How much of the new face's own {part} at rest is kept; 0: as the footage has them. Less helps where somebody "
        "frowns, stares or smiles in all of the material",
        limits=Limits(unit="a share", high=1.0, parts=("lids", "brows", "mouth")),
    )
    amount: float = setting(1.0, "Amount", "How much of the recast is seen; 0: the footage as it is", limits=SHARE)
    regions: list[float] = setting(
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        "{part}",
        "How much of the new {part} is seen; 0: the footage's own",
        limits=Limits(unit="a share", high=1.0, parts=REGIONS),
    )
    gaze: list[float] = setting(
        [0.0, 0.0],
        "Gaze {part}",
        "By how many degrees the eyes look farther {part}, as the picture shows them, than the footage's",
        limits=Limits(unit="degrees", low=-30.0, high=30.0, parts=("right", "up")),
    )
    lids: float = setting(
        0.0,
        "Lids",
        "How much wider the eyes are open than the footage's; -1: shut",
        limits=Limits(unit="a share", low=-1.0, high=1.0),
    )
    mouth: float = setting(
        0.0,
        "Mouth",
        "How much wider the mouth is open than the footage's; -1: shut",
        limits=Limits(unit="a share", low=-1.0, high=1.0),
    )
    smooth: float = setting(1.0, "Steady", "How much of the jitter from frame to frame is taken out", limits=SHARE)
    match_sharpness: bool = setting(
        True, "Match Softness", "Give the face the softness and motion blur of the picture around it"
    )
    match_grain: bool = setting(True, "Match Grain", "Give the face the grain or noise of the picture around it")
    keep_front: bool = setting(
        True, "Keep What Is in Front", "Hands and microphones in front of the face stay in front of it"
    )
    spectacles: SpectaclesPolicy = setting(
        "keep",
        "Spectacles",
        "What becomes of spectacles",
        choices={
            "keep": ("Keep", "Whoever wears spectacles in the footage keeps them, over the new face"),
            "remove": ("Take Off", "Spectacles in the footage are taken off"),
            "wear": ("The New Face's", "Spectacles in the footage are taken off; the new face wears its own, if any"),
        },
    )
    mark: bool = setting(True, help="Put a durable, invisible mark into the recast face; false needs mark_reason")
    mark_reason: str = setting("", help="Why there is no mark; kept in the project's record")


@dataclass(frozen=True, kw_only=True)
class ConvertSpec:
    """Recast the scanned clip; `output` is the finished movie's path, or a folder for picture sequences.

    `use_refiner` False converts with the draft even where a trained network is there. `start` and `end`
    narrow the range to a part of the scanned clip (None: all of it). `curves` change some
    of the `settings` over time. `layer` writes only the recast face
    with straight alpha, and its matte beside it, in place of the whole frame. `overwrite` lets it take the place of a
    changed recast, or of a file that is no footage (`provenance.overwriting`).
    """

    scan: str = absolute_path()
    model: str = absolute_path()
    swaps: list[Swap]
    output: str = absolute_path()
    use_refiner: bool = True
    start: int | None = None
    end: int | None = None
    format: OutputFormat = "same"
    layer: bool = False
    settings: ConvertSettings = field(default_factory=ConvertSettings)
    curves: Curves = field(default_factory=dict)
    project: str = absolute_path("")
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class PreviewSpec:
    """`POST /v1/preview`: one frame as it would be recast now.

    `model` may be empty: then a draft is made from `identities` alone. `width` bounds the picture's width.
    """

    scan: str = absolute_path()
    swaps: list[Swap]
    frame: int
    model: str = absolute_path("")
    identities: list[Identity] = field(default_factory=list)
    view: View = "recast"
    width: int = 1920
    settings: ConvertSettings = field(default_factory=ConvertSettings)
    project: str = absolute_path("")


@dataclass(frozen=True, kw_only=True)
class PreviewResult:
    """The answer: `path` of a PNG; `steps` of training behind it (0: a draft); `seconds` it took."""

    path: str
    steps: int
    seconds: float
