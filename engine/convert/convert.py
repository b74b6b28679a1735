"""Conversion: frames in, recast frames out, one pass, nothing on disk but the movie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from ..errors import DataError
from ..faces.alignments import load_alignments
from ..media.reader import Frame, probe, read_frames
from ..media.writer import MovieWriter, full_patch
from ..model.recast import Source
from ..protocol import ConvertSettings, Swap
from ..reporter import Reporter
from .faces import render_faces
from .paste import paste
from .plan import Placement, make_plan
from .settings import check_settings
from .sources import load_sources

DEFAULTS = ConvertSettings()
BATCH = 8
"""Frames that are recast together."""


@dataclass(frozen=True, eq=False)
class Recast:
    """A frame with recast faces: rgb (H, W, 3) uint8; alpha (H, W) float32 0..1, how much of a pixel is recast."""

    rgb: np.ndarray
    alpha: np.ndarray

    @property
    def touched(self) -> np.ndarray:
        """(H, W) bool; everywhere else the source's own pixels stand."""
        return self.alpha > 0


def convert(
    scan: Path,
    model: Path,
    swaps: list[Swap],
    output: Path,
    device: torch.device,
    report: Reporter,
    *,
    use_refiner: bool = True,
    settings: ConvertSettings = DEFAULTS,
) -> dict[str, int]:
    """Recast the scanned clip into the movie `output`; frame k of it is frame `clip.start + k` of the source.

    Returns {"frames": all, "recast": those with a recast face}. Every sample outside the masks is the
    source's own up to the movie's coding. Raises DataError, NoFaceError or MediaError and leaves no movie.
    """
    check_settings(settings)
    torch.set_flush_denormal(True)
    report.progress(0.0, "Getting ready to recast")
    alignments = load_alignments(scan)
    if not swaps:
        raise DataError("Nobody is to be recast. Choose a person and the identity that appears.")
    clip = alignments.clip
    info = probe(Path(clip.path))
    if (info.width, info.height) != (alignments.width, alignments.height):
        raise DataError(
            f"{info.path.name} is {info.width}×{info.height} now, but was {alignments.width}×{alignments.height} when "
            "it was scanned. Scan it again."
        )
    start, end = clip.start, info.frames if clip.end is None else clip.end
    sources = load_sources(model, {s.identity for s in swaps}, device, use_refiner)
    plan = make_plan(alignments, swaps, sources, settings.smooth, report, settings.shape)
    recast_frames = 0
    with MovieWriter(output, info, start, end) as writer:
        for batch in _batches(chain.from_iterable(read_frames(info.path, *span) for span in writer.missing())):
            report.check()
            finished = recast_batch(batch, plan, sources, device, settings)
            for frame in batch:
                if frame.index in finished:
                    made = finished[frame.index]
                    rgb, matte = made.rgb.astype(np.float32) / 255, made.touched.astype(np.float32)
                    writer.write(frame, full_patch(rgb, matte))
                else:
                    writer.write(frame)
            recast_frames += len(finished)
            report.progress((batch[-1].index + 1 - start) / (end - start), f"Recasting frame {batch[-1].index}")
    return {"frames": end - start, "recast": recast_frames}


def recast_batch(
    frames: list[Frame],
    plan: dict[int, list[Placement]],
    sources: dict[str, Source],
    device: torch.device,
    settings: ConvertSettings,
) -> dict[int, Recast]:
    """Recast the faces of a few frames: frame index → the finished frame, where there is a face to recast."""
    faces = render_faces(frames, plan, sources, device)
    results = {}
    for frame in frames:
        if frame.index in faces:
            picture, matte = frame.rgb.copy(), np.zeros(frame.rgb.shape[:2], np.float32)
            for face in faces[frame.index]:
                if face.moved.any():
                    paste(picture, matte, face.target.astype(np.float32), face.moved, face.placement.matrix)
                paste(picture, matte, face.face, face.mask, face.placement.matrix)
            results[frame.index] = Recast(picture, matte)
    return results


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
