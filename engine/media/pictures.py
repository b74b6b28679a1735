"""Still pictures and folders of them, as footage."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from ..errors import MediaError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def is_pictures(path: Path) -> bool:
    """Whether `path` is one picture or a folder (which can only hold pictures)."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def picture_files(path: Path) -> list[Path]:
    """The pictures that `path` stands for, in natural order (shot2 before shot10).

    Raises MediaError when a folder holds none.
    """
    if not path.is_dir():
        return [path]
    found = [f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file() and not f.name.startswith(".")]
    if not found:
        kinds = ", ".join(sorted(s[1:] for s in SUFFIXES))
        raise MediaError(
            f"The folder {path} holds no pictures ({kinds}). Choose a folder of pictures, or a movie file."
        )
    return sorted(found, key=lambda f: _natural(f.name))


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned upright as its EXIF orientation says; alpha is dropped.

    Raises MediaError when the file is missing or not a picture.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}). Check that it is there and allowed.") from None
    try:
        rgb = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if len(data) else None
    except cv2.error:
        rgb = None
    if rgb is None:
        raise MediaError(f"{path} is damaged or not a picture. Export it again as PNG or JPEG.")
    return np.asarray(rgb)


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in re.split(r"(\d+)", name) if part]
