"""Face detectors: a file each, all called in the same way, by name.

A detector is made for a device and then called with frames of one size, several at a time:
RGB (height, width, 3) uint8, and the side in pixels of the smallest face worth finding. It
answers each frame with what it `Found`. The names are those of `ScanSpec.detectors`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ...errors import UnderstudyError
from .found import Found


class Detector(Protocol):
    """What every file of this folder offers."""

    def __call__(self, images: Sequence, smallest: float = 20.0) -> list[Found]:
        """Faces of n RGB images (height, width, 3) uint8 of one size, those under `smallest` pixels left out
        where that saves time. Coordinates are in the images' pixels."""


def _mtcnn(device: str) -> Detector:
    from .mtcnn import Mtcnn

    return Mtcnn(device)


def _blazeface(device: str) -> Detector:
    from .blazeface import BlazeFace

    return BlazeFace(device)


def _yunet(device: str) -> Detector:
    from .yunet import YuNet

    return YuNet()


DETECTORS: dict[str, Callable[[str], Detector]] = {"mtcnn": _mtcnn, "blazeface": _blazeface, "yunet": _yunet}
DEFAULT = ("mtcnn", "blazeface")
"""MTCNN for small faces, BlazeFace for profiles, turned heads and noise: what is installed with the engine."""


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Checked names of detectors, each once and in one order; none means the default.

    Raises UnderstudyError naming those there are.
    """
    unknown = [name for name in names if name not in DETECTORS]
    if unknown:
        raise UnderstudyError(f"There is no face detector {unknown[0]!r}. Choose from {', '.join(DETECTORS)}.")
    return tuple(name for name in DETECTORS if name in names) or DEFAULT
