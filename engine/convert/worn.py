"""Whose spectacles are kept: what each track's face wears, learned from frames all over the track."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from ..faces.facesets.spectacles import Spectacles, learn_spectacles, wears_spectacles
from ..faces.networks.parser import parse
from ..media.footage import Footage
from ..media.reader import Frame, read_frames
from ..reporter import Reporter, Silent
from .face_batch import crop_of
from .plan import Placement

FRAMES_LOOKED_AT = 16
"""Frames of a track that tell what its face wears; more would only take longer."""
FIRST_FRAMES = 2
"""Frames that are looked at first: who wears no spectacles in any of them wears none."""


def spectacles_of(
    footage: Path | Footage,
    plan: dict[int, list[Placement]],
    frames: Iterable[int],
    device: torch.device,
    report: Reporter | None = None,
) -> dict[int, Spectacles]:
    """Track → the spectacles of its face, of the tracks that are recast in `frames`; those without are left out.

    A track is looked at all over, in whichever of its frames it is recast: a part of a take is made as the whole is.
    """
    report = report or Silent()
    wanted = {p.track for frame in frames for p in plan.get(frame, ())}
    tracks: dict[int, list[tuple[int, Placement]]] = {}
    for frame in sorted(plan):
        for placement in plan[frame]:
            if placement.track in wanted and not placement.carried:
                tracks.setdefault(placement.track, []).append((frame, placement))
    found = {}
    for track, placed in sorted(tracks.items()):
        evenly = np.linspace(0, len(placed) - 1, min(FRAMES_LOOKED_AT, len(placed))).round().astype(int).tolist()
        first = {evenly[len(evenly) * (2 * n + 1) // (2 * FIRST_FRAMES)] for n in range(FIRST_FRAMES)}
        seen = {n: _looked(footage, placed[n], device, report) for n in sorted(first)}
        if not any(wears_spectacles(told, landmarks) for _, landmarks, told in seen.values()):
            continue
        seen |= {n: _looked(footage, placed[n], device, report) for n in evenly if n not in seen}
        pixels, landmarks, told = (np.stack(x) for x in zip(*(seen[n] for n in evenly), strict=True))
        if (worn := learn_spectacles(pixels, landmarks, told)) is not None:
            found[track] = worn
    return found


def _looked(
    footage: Path | Footage, placed: tuple[int, Placement], device: torch.device, report: Reporter
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A face's crop, its landmarks in it, and what the parser tells of it."""
    report.check()
    index, placement = placed
    frame: Frame = next(iter(read_frames(footage, index, index + 1)))
    pixels = crop_of(frame, placement)
    return pixels, placement.measured, parse(pixels[None], placement.measured[None], device)[0]
