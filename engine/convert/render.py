"""From frames to patches: faces are recast in batches, measured, averaged over their neighbours, composited."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ..media.float_view import Patch
from ..media.reader import Frame
from ..model.recast import Source
from .composite import EmbedMark, composite, paste_patches
from .face_batch import Face, TrackFacts, render_faces
from .frame_measures import AVERAGING_RADIUS, Measures, average_measures, measure_face
from .occluder import median_over_time
from .patch import Place, place_of
from .plan import Placement

FRAMES_PER_BATCH = 8
"""Frames that are recast together. Batches begin at frames that are multiples of it: a resumed conversion, or one of
another range, must make the very batches of an uninterrupted one, since a network's sums depend on its batch."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """A frame with its recast faces, where they lie, and what was measured of each."""

    frame: Frame
    faces: list[tuple[Face, Place, Measures]]


@dataclass(frozen=True)
class Work:
    """What a conversion is made of, the same for all of its frames."""

    plan: dict[int, list[Placement]]
    sources: dict[str, Source]
    device: torch.device
    mark: EmbedMark | None = None
    scan: Path | None = None
    tracks: Mapping[int, TrackFacts] = field(default_factory=dict)
    """Track → what is known of its face (`track_facts.learn_tracks`)."""
    people: Mapping[int, int] | None = None
    """Track → its person, where passes are wanted."""


def recast_still(frame: Frame, work: Work) -> tuple[np.ndarray, np.ndarray]:
    """One frame recast by itself: (H, W, 3) uint8 RGB, and its matte (H, W) float32 0..1."""
    (rendered,) = render([frame], work, None)
    patches = composite(frame.view, frame.index, rendered.faces, work.mark)
    return paste_patches(frame.rgb, patches)


def render(frames: list[Frame], work: Work, pool: Executor | None) -> list[Rendered]:
    """Recast and measure the faces of one batch."""
    return measure_batch(frames, recast_faces(frames, work), work, pool)


def recast_faces(frames: list[Frame], work: Work) -> dict[int, list[Face]]:
    """The device's part of a batch: frame index → its recast faces."""
    return render_faces(frames, work.plan, work.sources, work.device, work.scan, work.tracks)


def measure_batch(
    frames: list[Frame], made: dict[int, list[Face]], work: Work, pool: Executor | None
) -> list[Rendered]:
    """Measure the recast faces of a batch against their frames."""

    def look(frame: Frame) -> Rendered:
        faces = []
        height, width = frame.shape
        for face in made.get(frame.index, ()):
            place = place_of(face.placement.matrix, np.maximum(face.whole, face.moved), width, height)
            if place is not None:
                faces.append((face, place, measure_face(face, place, frame.part(place.box))))
        return Rendered(frame, faces)

    with_faces = [frame for frame in frames if frame.index in made]
    looked = {r.frame.index: r for r in (pool.map(look, with_faces) if pool else map(look, with_faces))}
    return [looked.get(frame.index) or Rendered(frame, []) for frame in frames]


def average_neighbours(rendered: Iterable[Rendered]) -> Iterator[Rendered]:
    """The same frames in their order, REACH frames later, with measures averaged over each face's neighbours."""
    window: deque[Rendered] = deque()
    waiting: deque[Rendered] = deque()

    def settle(middle: Rendered) -> Rendered:
        faces = []
        for face, place, _ in middle.faces:
            key = (face.placement.track, face.placement.source)
            near = {
                other.frame.index: (beside, measures)
                for other in window
                if abs(other.frame.index - middle.frame.index) <= AVERAGING_RADIUS
                for beside, _, measures in other.faces
                if (beside.placement.track, beside.placement.source) == key
            }
            here = middle.frame.index
            if face.hidden is not None:
                before, after = (near[n][0].hidden if n in near else None for n in (here - 1, here + 1))
                hidden = median_over_time(before, face.hidden, after)
                face = replace(face, mask=face.whole * (1 - hidden), hidden=hidden)
            faces.append((face, place, average_measures(here, list(near), [m for _, m in near.values()])))
        return Rendered(middle.frame, faces)

    for item in rendered:
        window.append(item)
        waiting.append(item)
        while waiting and item.frame.index - waiting[0].frame.index >= AVERAGING_RADIUS:
            yield settle(waiting.popleft())
        while window[0].frame.index < item.frame.index - 2 * AVERAGING_RADIUS:
            window.popleft()
    while waiting:
        yield settle(waiting.popleft())


def composite_frames(frames: Iterable[Rendered], work: Work, pool: Executor) -> Iterator[tuple[Frame, list[Patch]]]:
    """Every frame with its patches, in order; a few frames are composited at a time."""

    def finish(item: Rendered) -> list[Patch]:
        return composite(item.frame.view, item.frame.index, item.faces, work.mark, work.people)

    begun: deque[tuple[Frame, Future[list[Patch]] | None]] = deque()
    for item in frames:
        begun.append((item.frame, pool.submit(finish, item) if item.faces else None))
        while len(begun) > FRAMES_PER_BATCH:
            frame, future = begun.popleft()
            yield frame, future.result() if future else []
    for frame, future in begun:
        yield frame, future.result() if future else []
