"""Look at the frames of a media file that nobody has looked at yet: decode, measure and keep them, run by run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...media.damage import Damage
from ...media.footage import Footage
from ...media.pictures import are_photographs, picture_files
from ...media.reader import Frame, read_frames
from ...media.words import unsound_in_words
from ...reporter import Reporter
from ..detectors import DEFAULT
from . import shots
from .measure import EMBED_EVERY, Measurer
from .observations import Observed, Store

RUN_FRAMES = 64
RUN_BYTES = 128_000_000
"""A run has this many frames, fewer where their pixels would be more than this; twice this is held at once."""


def observe(
    footage: Footage,
    start: int,
    end: int,
    store: Store,
    reporter: Reporter,
    detectors: Sequence[str] = DEFAULT,
    device: str = "cpu",
) -> None:
    """See to it that `store` has frames `start` to `end` (exclusive); what is there is not looked at again.

    Raises MediaError, ModelsMissingError, and Stopped when the reporter's check did; what was finished
    before is kept and need not be done again.
    """
    gaps = store.missing(start, end)
    if not gaps:
        return
    reporter.progress(0.0, "Loading the face networks")
    # a folder's pictures of one size and framing may be portraits of several people, though they look like one shot
    measurer = Measurer(detectors, device, reporter.check, 1 if footage.path.is_dir() else EMBED_EVERY)
    count = end - start
    done = count - sum(b - a for a, b in gaps)
    for first, last in gaps:
        for run in _runs(footage, first, last, store, measurer, reporter):
            store.write(run)
            seen = Counter(face.frame for face in run.faces)
            for frame in range(run.start, run.end):
                done += 1
                here = {0: "no face here", 1: "one face here"}.get(seen[frame], f"{seen[frame]} faces here")
                reporter.progress(done / count, f"Looking for faces: frame {done} of {count}, {here}")


def _runs(
    footage: Footage, first: int, last: int, store: Store, measurer: Measurer, reporter: Reporter
) -> Iterator[Observed]:
    """Runs of frames, measured; decoding the next one goes on meanwhile."""
    unknown = store.missing(max(first - shots.MEMORY_FRAMES, 0), first)
    known_from = unknown[-1][1] if unknown else max(first - shots.MEMORY_FRAMES, 0)
    earlier = store.read(known_from, first) if known_from < first else None
    photographs = are_photographs(footage.path)
    reading = read_frames(footage, first - 1 if earlier else first, last)
    before = next(reading).rgb if earlier else None
    frames = _Frames(_named(reading, footage, reporter), photographs)
    signatures = earlier.signatures if earlier else np.empty((0, shots.HEIGHT, shots.WIDTH, 3), np.uint8)
    faces = [face for face in earlier.faces if face.frame == first - 1] if earlier else []
    with ThreadPoolExecutor(1, "decode") as pool:
        coming = pool.submit(frames.take)
        while images := coming.result():
            coming = pool.submit(frames.take)
            reporter.check()
            signatures = np.concatenate([signatures, [shots.signature(image) for image in images]])
            divided = np.arange(len(signatures)) if photographs else np.cumsum(shots.cuts(signatures))
            here = divided[-len(images) :].tolist()
            goes_on = before is not None and divided[-len(images) - 1] == here[0]
            faces = measurer(first, images, here, (before, faces) if goes_on and before is not None else None)
            yield Observed(start=first, end=first + len(images), signatures=signatures[-len(images) :], faces=faces)
            first += len(images)
            before, faces = images[-1], [face for face in faces if face.frame == first - 1]
            signatures = signatures[-shots.MEMORY_FRAMES :]


def _named(frames: Iterator[Frame], footage: Footage, reporter: Reporter) -> Iterator[Frame]:
    """The frames; those that cannot be decoded are named, and at the end those that are not sound."""
    path, damage = footage.path, Damage(footage)
    for frame in frames:
        damage.add(frame)
        if frame.repeated:
            where = f"{picture_files(path)[frame.index].name} in" if path.is_dir() else f"Frame {frame.index} of"
            reporter.log(f"{where} {path.name} cannot be decoded and is passed over.", "warning")
        yield frame
    if unsound := damage.unsound():
        reporter.log(unsound_in_words(footage, unsound), "warning")


class _Frames:
    """Frames that are taken in runs of one size. Of photographs those that cannot be decoded are black."""

    def __init__(self, frames: Iterator[Frame], photographs: bool) -> None:
        self._frames, self._photographs = frames, photographs
        self._held: Frame | None = None

    def take(self) -> list[np.ndarray]:
        """The next run's pictures, all of one size; none at the end."""
        first = self._held or next(self._frames, None)
        self._held = None
        if first is None:
            return []
        images = [self._picture(first)]
        count = max(4, min(RUN_FRAMES, RUN_BYTES // images[0].nbytes))
        for frame in self._frames:
            if frame.rgb.shape != images[0].shape:
                self._held = frame
                break
            images.append(self._picture(frame))
            if len(images) == count:
                break
        return images

    def _picture(self, frame: Frame) -> np.ndarray:
        return np.zeros_like(frame.rgb) if self._photographs and frame.repeated else frame.rgb
