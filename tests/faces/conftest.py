"""Real networks and real faces: fetched once into the repository's ignored folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from footage import footage  # noqa: E402
from understudy.engine.faces.networks import weights  # noqa: E402
from understudy.engine.reporter import Silent  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@pytest.fixture(scope="session")
def networks() -> Path:
    """The folder of the converted face networks."""
    os.environ.setdefault("UNDERSTUDY_HOME", str(ROOT / ".understudy"))
    weights.fetch(Silent())
    return weights.folder()


@pytest.fixture(scope="session")
def people() -> dict[str, Path]:
    return footage()


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="session")
def astronaut(people: dict[str, Path]) -> np.ndarray:
    """(512, 512, 3) uint8 RGB; the face is about 90 × 110 px around (225, 118)."""
    return read(people["astronaut"])


@pytest.fixture(scope="session")
def hopper(people: dict[str, Path]) -> np.ndarray:
    """(600, 512, 3) uint8 RGB; the face is about 180 × 230 px around (265, 225)."""
    return read(people["hopper"])


@pytest.fixture(scope="session")
def film() -> Callable[[Path, Iterable[np.ndarray]], Path]:
    """Write RGB pictures of one even size as a movie of 25 frames a second, nearly without loss."""

    def write(path: Path, pictures: Iterable[np.ndarray]) -> Path:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "6", "preset": "ultrafast"})
            stream.pix_fmt = "yuv444p"
            for picture in pictures:
                if not stream.codec_context.is_open:
                    stream.height, stream.width = picture.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
            container.mux(stream.encode(None))
        return path

    return write
