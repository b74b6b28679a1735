"""What is learned of each track before it is recast, from frames all over it: spectacles, and the face at rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from ..faces.facesets.faceset import Faceset
from ..faces.facesets.masks import face_masks
from ..faces.facesets.spectacles import Spectacles, learn_spectacles, wears_spectacles
from ..faces.networks.parser import parse
from ..media.footage import Footage
from ..media.reader import Frame, read_frames
from ..model.draft.folds import RestFace, rest_face
from ..model.draft.texture import SIDE
from ..model.draft.views import make_views
from ..model.recast import Source
from ..reporter import Reporter, Silent
from .face_batch import TrackFacts, crop_of
from .plan import Placement

SAMPLES = 16
"""Frames of a track that tell what its face is like; more would only take longer."""
EVERY = 6
"""A short track tells no more by more than one frame in so many."""
FEWEST = 4
"""Fewer faces than this do not tell one at rest from one that is not."""
FIRST = 2
"""Frames that are looked at first: who wears no spectacles in any of them wears none."""


@dataclass(frozen=True, eq=False)
class _Samples:
    """N crops of a track's face, (N, S, S, 3) uint8 RGB, and their landmarks (N, 468, 3) in crop pixels."""

    pixels: np.ndarray
    landmarks: np.ndarray


def learn_tracks(
    footage: Path | Footage,
    plan: dict[int, list[Placement]],
    frames: Iterable[int],
    sources: Mapping[str, Source],
    device: torch.device,
    report: Reporter | None = None,
    *,
    spectacles: bool = True,
) -> dict[int, TrackFacts]:
    """Track → what is known of its face, of the tracks that are recast in `frames`.

    A track is looked at all over, in whichever of its frames it is recast: a part of a take is made as the whole is.
    A face that a network makes from the picture alone asks for none of it. Without `spectacles` nobody is taken to wear
    any.
    """
    report = report or Silent()
    wanted = {p.track for frame in frames for p in plan.get(frame, ()) if not sources[p.source].meshless}
    tracks: dict[int, list[tuple[int, Placement]]] = {}
    for frame in sorted(plan):
        for placement in plan[frame]:
            if placement.track in wanted and not placement.carried:
                tracks.setdefault(placement.track, []).append((frame, placement))
    found = {}
    for track, placed in sorted(tracks.items()):
        count = min(len(placed), max(FEWEST, min(SAMPLES, len(placed) // EVERY)))
        evenly = np.linspace(0, len(placed) - 1, count).round().astype(int)
        samples = _sample(footage, [placed[n] for n in evenly], report)
        worn = _spectacles(samples, device) if spectacles else None
        rest = _rest(samples, device) if count >= FEWEST else None
        found[track] = TrackFacts(worn, rest)
    return found


def _sample(footage: Path | Footage, placed: list[tuple[int, Placement]], report: Reporter) -> _Samples:
    crops = []
    for index, placement in placed:
        report.check()
        frame: Frame = next(iter(read_frames(footage, index, index + 1)))
        crops.append(crop_of(frame, placement))
    return _Samples(np.stack(crops), np.stack([placement.measured for _, placement in placed]))


def _spectacles(samples: _Samples, device: torch.device) -> Spectacles | None:
    count = len(samples.pixels)
    first = sorted({count * (2 * n + 1) // (2 * FIRST) for n in range(FIRST)})
    told = parse(samples.pixels[first], samples.landmarks[first], device)
    if not any(wears_spectacles(t, samples.landmarks[n]) for t, n in zip(told, first, strict=True)):
        return None
    return learn_spectacles(samples.pixels, samples.landmarks, parse(samples.pixels, samples.landmarks, device))


def _rest(samples: _Samples, device: torch.device) -> RestFace | None:
    size = samples.pixels.shape[1]
    side = min(SIDE, size)
    pixels, landmarks = samples.pixels, samples.landmarks
    if side < size:
        pixels = np.stack([cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pixels])
        landmarks = (landmarks * (side / size)).astype(np.float32)
    own, in_front = face_masks(pixels, landmarks, device)
    count = len(pixels)
    ones, zeros = np.ones(count, np.float32), np.zeros(count, np.float32)
    faceset = Faceset(
        name="track",
        pixels=pixels,
        masks=np.minimum(own, 255 - in_front),
        landmarks=landmarks,
        shot=np.zeros(count, np.int32),
        frame=np.arange(count, dtype=np.int32),
        sharpness=ones,
        exposure=ones,
        enlarged=ones,
        coarse=np.zeros(count, bool),
        hidden=zeros,
    )
    return rest_face(make_views(faceset, device))
