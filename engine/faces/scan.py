"""Scan a clip: find, measure, follow and group its faces, and write the scan folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from ..durable import write_json
from ..errors import NoFaceError, UnderstudyError
from ..footage_stamp import FILE_NAME as SOURCE
from ..media.footage import footage_of
from ..media.pictures import unread_photographs
from ..media.reader import MediaInfo, probe, require_range
from ..protocol import Clip, PersonSummary, ScanSummary, project_of, to_json
from ..reporter import Part, Reporter
from .alignments import FILE_NAME, Alignments
from .detectors import checked_names
from .facesets.masks import FOLDER as MASKS
from .people.edits import write_people
from .people.roster import EDITS
from .people.summary import BOXES, SCHEMA, SUMMARY, boxes_of
from .tracking.assemble import assemble
from .tracking.observations import Store
from .tracking.observe import observe


def scan(
    clip: Clip,
    output: Path,
    reporter: Reporter,
    device: str = "cpu",
    project: Path | None = None,
    detectors: Sequence[str] = (),
) -> ScanSummary:
    """Find every face in a clip and who is who; `output` becomes the scan folder.

    Writes `alignments.safetensors`, `boxes.json`, a `person-<id>.jpg` for each person and `scan.json`;
    an earlier scan in `output` is replaced when all is done. What the networks see on each frame is kept in
    the project folder (None: the one `output` lies in) as the scan goes, and is not looked at again by this or
    any other scan of the file with the same `detectors` (names; none means the default). Raises NoFaceError,
    MediaError, ModelsMissingError, and UnderstudyError for unknown detectors, or when `output` is a folder with
    anything else in it; then `output` is as it was.
    """
    torch.set_flush_denormal(True)
    footage = footage_of(clip)
    path = footage.path
    info = probe(footage)
    end = require_range(info, clip.start, clip.end)
    clip = replace(clip, end=None if clip.end is None else end)
    if left := unread_photographs(path):
        reporter.log(
            f"{len(left)} HEIC or AVIF photographs of {path.name} are passed over: save them as JPEG.", "warning"
        )
    names = checked_names(detectors)
    with replace_folder(output) as folder:
        store = Store(project or project_of(output), footage, names)
        observe(footage, clip.start, end, store, Part(reporter, 0.0, 0.95), names, device)
        reporter.progress(0.95, "Sorting the faces into people")
        alignments = assemble(store.read(clip.start, end), clip, info)
        if not (alignments.person >= 0).any():
            raise NoFaceError(
                f"No face was found in frames {clip.start} to {end - 1} of {path.name}. Choose a range that shows "
                "a face, not from the side alone and more than about 20 pixels high."
            )
        reporter.check()
        alignments, listed = write_people(alignments, folder, output, project)
        summary = write_scan(folder, alignments, info, listed)
    count = len(summary.people)
    reporter.progress(1.0, f"Found {count} {'person' if count == 1 else 'people'}")
    return summary


def write_scan(folder: Path, alignments: Alignments, info: MediaInfo, people: list[PersonSummary]) -> ScanSummary:
    """Write a scan folder's tables, with its people as `settle` or `install` listed them."""
    clip = alignments.clip
    summary = ScanSummary(
        schema=SCHEMA,
        clip=clip,
        width=info.width,
        height=info.height,
        fps=[info.fps.numerator, info.fps.denominator],
        frames=(info.frames if clip.end is None else clip.end) - clip.start,
        variable_frame_rate=info.variable_frame_rate,
        people=people,
    )
    alignments.save(folder)
    write_json(folder / BOXES, boxes_of(alignments), indent=None)
    write_json(folder / SUMMARY, to_json(summary))
    return summary


@contextmanager
def replace_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `output` when all went well and vanishes otherwise."""
    foreign = [p for p in output.iterdir() if not _is_ours(p)] if output.is_dir() else []
    if foreign or (output.exists() and not output.is_dir()):
        raise UnderstudyError(f"{output} holds something other than a scan. Choose another folder for the scan.")
    made = [parent for parent in output.parents if not parent.exists()]
    partial, old = output.with_name(f".{output.name}.part"), output.with_name(f".{output.name}.old")
    try:
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise UnderstudyError(
            f"The scan cannot be written to {output} ({error.strerror}). Choose another folder."
        ) from None
    try:
        yield partial
        if (output / MASKS).is_dir():  # drawn by hand: they outlive a new scan
            shutil.copytree(output / MASKS, partial / MASKS)
        if output.exists():
            output.rename(old)
        partial.rename(output)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        raise


def _is_ours(path: Path) -> bool:
    return path.name in (FILE_NAME, SUMMARY, BOXES, EDITS, MASKS, SOURCE) or (
        path.name.startswith("person-") and path.suffix == ".jpg"
    )
