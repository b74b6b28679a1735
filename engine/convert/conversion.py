"""Conversion: frames in, recast frames out, one pass, nothing on disk but finished segments and the movie."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

from ..errors import DataError
from ..faces.alignments import Alignments, load_alignments
from ..faces.facesets.masks import check_drawn
from ..media.damage import Damage
from ..media.float_view import Patch
from ..media.footage import Footage, footage_of
from ..media.reader import Frame, MediaInfo, probe, read_frames
from ..media.segments import SEGMENT_FRAMES
from ..media.sound import lost_tracks
from ..media.words import damaged_in_words, unsound_in_words
from ..media.writer import MovieWriter
from ..memory import give_back
from ..protocol import ConvertSpec
from ..reporter import Reporter
from ..settings import check_settings
from .composite import EmbedMark
from .convert_settings import earlier_results, save_settings
from .face_batch import Face, crop_of
from .face_passes import save_faces
from .frame_measures import AVERAGING_RADIUS
from .pipeline import prefetch
from .plan import Placement, make_plan
from .render import FRAMES_PER_BATCH, Rendered, Work, average_neighbours, composite_frames, measure_batch, recast_faces
from .segment_key import segment_key
from .source_identities import load_sources
from .track_facts import learn_tracks

Certify = Callable[[dict[str, int], Mapping[Path, Path]], Mapping[Path, Path]]
"""Signs and records a finished conversion before it gets its name: the facts that `convert` returns, and what
`media.partial_output.Certify` takes and gives."""


def convert(
    spec: ConvertSpec,
    device: torch.device,
    report: Reporter,
    mark: EmbedMark | None = None,
    certify: Certify | None = None,
) -> dict[str, int]:
    """Recast a scanned clip, or frames `spec.start` to `spec.end` of it, into `spec.output`.

    Frame k of the result is frame `start + k` of the source. Returns {"frames": all, "recast": those with a face
    to recast}. Every sample where there is no new face is the source's own up to the movie's coding; `mark` puts
    the durable mark into each face. Stopped or killed, it goes on after its last finished segment when it is
    called again, and the result is the same, byte for byte, before `certify` signs it. Beside the result lies
    what made it (`settings.save_settings`). Raises DataError, NoFaceError or MediaError, or what `certify` raises, and
    leaves the movie that was there, or none.
    """
    settings = spec.settings
    check_settings(settings)
    torch.set_flush_denormal(True)
    report.progress(0.0, "Getting ready to recast")
    alignments = load_alignments(Path(spec.scan))
    if not spec.swaps:
        raise DataError("Nobody is to be recast. Choose a person and the identity that appears.")
    info = probe(footage_of(alignments.clip))
    if (info.width, info.height) != (alignments.width, alignments.height):
        raise DataError(
            f"{info.path.name} is {info.width}×{info.height} now, but was {alignments.width}×{alignments.height} when "
            "it was scanned. Scan it again."
        )
    if not info.is_still and (lost := lost_tracks(info.path)):
        tracks = "1 sound track" if lost == 1 else f"{lost} sound tracks"
        report.log(f"{tracks} of {info.path.name} cannot be decoded, so the recast is without.", "warning")
    start, end = range_of(spec, alignments, info)
    sources = load_sources(Path(spec.model), {s.identity for s in spec.swaps}, device, spec.use_refiner)
    plan = make_plan(alignments, spec.swaps, sources, settings, spec.curves, report)
    people = dict(zip(alignments.track.tolist(), alignments.person.tolist(), strict=True))
    passes = spec.format == "passes"
    del alignments  # an hour of it is half a gigabyte, and the plan has what is needed
    check_drawn(Path(spec.scan), (f for f in range(start, end) if f in plan), info.height, info.width)
    wanted = range(start, end)
    front = any(
        p.settings.keep_front or p.settings.spectacles != "keep" for frame in wanted for p in plan.get(frame, ())
    )
    known = learn_tracks(info.footage, plan, wanted, sources, device, report, spectacles=front)
    work = Work(plan, sources, device, mark, Path(spec.scan), known, people if passes else None)
    counts = {"frames": end - start, "recast": sum(frame in plan for frame in range(start, end))}
    writer = MovieWriter(
        Path(spec.output),
        info,
        start,
        end,
        format=spec.format,
        layer=spec.layer,
        key=segment_key(spec, plan, start, end),
        earlier=earlier_results(Path(spec.output)),
        certify=certify and partial(certify, counts),
        people=[swap.person for swap in spec.swaps],
    )
    damages: list[Damage] = []
    with writer:
        missing = list(writer.missing())
        if kept := end - start - sum(last - first for first, last in missing):
            report.log(f"{kept} of {end - start} frames are as they were in an earlier recast, and taken from it.")
        for first, last in missing:
            damages.append(Damage(info.footage))
            with _stages(info.footage, first, last, start, end, work) as frames:
                for frame, patches in frames:
                    report.check()
                    writer.write(frame, patches)
                    damages[-1].add(frame)
                    report.progress((frame.index + 1 - start) / (end - start), f"Recasting frame {frame.index}")
                    if frame.index % SEGMENT_FRAMES == 0:
                        give_back()
    doubt = {frame: max(p.doubt for p in plan[frame]) for frame in range(start, end) if plan.get(frame)}
    if repeated := [frame for damage in damages for frame in damage.lost]:
        report.log(damaged_in_words(info.footage, repeated), "warning")
    if unsound := [frame for damage in damages for frame in damage.unsound()]:
        report.log(unsound_in_words(info.footage, unsound), "warning")
    if passes:
        save_faces(spec)
    save_settings(spec, writer.record(), doubt)
    return counts


def range_of(spec: ConvertSpec, alignments: Alignments, info: MediaInfo) -> tuple[int, int]:
    """The frames that a conversion is of. Raises DataError when they are not among the scanned ones."""
    clip = alignments.clip
    first, last = clip.start, info.frames if clip.end is None else clip.end
    start, end = first if spec.start is None else spec.start, last if spec.end is None else spec.end
    if not first <= start < end <= last:
        raise DataError(
            f"Frames {start} to {end} (exclusive) are not in what was scanned, {first} to {last}. "
            "Choose a range inside it, or scan more."
        )
    return start, end


@contextlib.contextmanager
def _stages(
    footage: Footage, first: int, last: int, start: int, end: int, work: Work
) -> Iterator[Iterable[tuple[Frame, list[Patch]]]]:
    """Frames `first` to `last` of the range `start` to `end`, with their patches.

    Reading, the network, measuring, compositing and the caller's writing each run in a thread of their own. Frames
    beside the ones asked for are read and measured, too, where a face goes on into them.
    """
    begin = first - AVERAGING_RADIUS if first - AVERAGING_RADIUS >= start and _crosses(work.plan, first) else first
    beyond = min(end, last + AVERAGING_RADIUS) if _crosses(work.plan, last) else last

    def batches() -> Iterator[list[Frame]]:
        batch: list[Frame] = []
        for frame in read_frames(footage, begin, beyond):
            for placement in work.plan.get(frame.index, ()):
                crop_of(frame, placement)  # makes the bytes of it here, beside the network
            batch.append(frame)
            if frame.index % FRAMES_PER_BATCH == FRAMES_PER_BATCH - 1:
                yield batch
                batch = []
        if batch:
            yield batch

    def recast(read: Iterable[list[Frame]]) -> Iterator[tuple[list[Frame], dict[int, list[Face]]]]:
        torch.set_flush_denormal(True)  # every thread has its own
        for batch in read:
            yield batch, recast_faces(batch, work)

    def rendered(made: Iterable[tuple[list[Frame], dict[int, list[Face]]]], pool: Executor) -> Iterator[Rendered]:
        for batch, faces in made:
            yield from measure_batch(batch, faces, work, pool)
            for frame in batch:  # a picture waits for its neighbours as it was decoded, not twice
                frame.let_go()

    workers = max(1, min(4, (os.cpu_count() or 2) - 1))
    with (
        ThreadPoolExecutor(workers, "understudy-composite") as pool,
        prefetch(batches()) as read,
        prefetch(recast(read)) as made,
        prefetch(rendered(made, pool), FRAMES_PER_BATCH) as seen,
        prefetch(
            composite_frames((i for i in average_neighbours(seen) if first <= i.frame.index < last), work, pool),
            FRAMES_PER_BATCH,
        ) as finished,
    ):
        yield finished


def _crosses(plan: dict[int, list[Placement]], frame: int) -> bool:
    """Whether what is measured before a frame counts in it or after it, or the other way round."""
    before, after = (
        {p.track for n in frames for p in plan.get(n, ())}
        for frames in (range(frame - AVERAGING_RADIUS, frame), range(frame, frame + AVERAGING_RADIUS))
    )
    return bool(before & after)
