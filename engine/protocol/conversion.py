"""How a face is recast: a finished movie, or a preview of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .limits import limited
from .training import Identity

OutputFormat = Literal["same", "h264", "h265", "prores-hq", "prores-4444", "dnxhr", "ffv1", "png", "tiff", "exr"]
ColourMethod = Literal["light", "reinhard", "mkl", "histogram", "none"]
BlendMethod = Literal["multiband", "feather", "seamless"]
View = Literal["original", "recast", "matte", "landmarks"]

WIDTHS = "a part of the face's width"
SHARE = limited("a share", high=1.0)


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
    """How a recast face is fitted into the picture. Lengths are fractions of the face's width.

    erode             how far the mask is drawn in, at each side: top, right, bottom, left
    feather           width of the mask's soft edge
    colour            how the face takes on the colour of the one it replaces: light (low frequencies only),
                      reinhard (mean and spread), mkl (linear, least change), histogram, none
    blend             how the seam is hidden: multiband, feather, seamless (gradient domain)
    shape             0..1, how much of the source's own proportions the face gets; 0 keeps the target's
    smooth            0..1, how much of the landmarks' jitter is taken out over time
    match_sharpness   the face gets the softness and motion blur of the picture around it
    match_grain       the face gets the grain or noise of the picture around it
    keep_front        what stands in front of the face (a hand, a microphone) stays in front of the new one
    mark              a durable, invisible mark is put into the recast face; false needs `mark_reason`
    """

    erode: list[float] = field(
        default_factory=lambda: [0.0, 0.0, 0.0, 0.0],
        metadata=limited(WIDTHS, high=0.4, parts=("top", "right", "bottom", "left")),
    )
    feather: float = field(default=0.1, metadata=limited(WIDTHS, high=0.5))
    colour: ColourMethod = "mkl"
    blend: BlendMethod = "feather"
    shape: float = field(default=0.7, metadata=SHARE)
    smooth: float = field(default=1.0, metadata=SHARE)
    match_sharpness: bool = True
    match_grain: bool = True
    keep_front: bool = True
    mark: bool = True
    mark_reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ConvertSpec:
    """Recast the scanned clip; `output` is the finished movie's path, or a folder for picture sequences.

    `use_refiner` False converts with the draft even where a trained network is there. `start` and `end`
    narrow the range to a part of the scanned clip (None: all of it). `layer` writes only the recast face
    with straight alpha, and its matte beside it, in place of the whole frame. `overwrite` lets it take the place of a
    changed recast, or of a file that is no footage (`provenance.overwriting`).
    """

    scan: str
    model: str
    swaps: list[Swap]
    output: str
    use_refiner: bool = True
    start: int | None = None
    end: int | None = None
    format: OutputFormat = "same"
    layer: bool = False
    settings: ConvertSettings = field(default_factory=ConvertSettings)
    project: str = ""
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class PreviewSpec:
    """`POST /v1/preview`: one frame as it would be recast now.

    `model` may be empty: then a draft is made from `identities` alone. `width` bounds the picture's width.
    """

    scan: str
    swaps: list[Swap]
    frame: int
    model: str = ""
    identities: list[Identity] = field(default_factory=list)
    view: View = "recast"
    width: int = 1920
    settings: ConvertSettings = field(default_factory=ConvertSettings)
    project: str = ""


@dataclass(frozen=True, kw_only=True)
class PreviewResult:
    """The answer: `path` of a PNG; `steps` of training behind it (0: a draft); `seconds` it took."""

    path: str
    steps: int
    seconds: float
