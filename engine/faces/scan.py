"""Scan a clip: find, measure, follow and group its faces, and write the scan folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch

from ..durable import make_folders, write_json
from ..errors import NoFaceError, UnderstudyError
from ..media.footage import footage_of
from ..media.pictures import are_photographs, unread_photographs
from ..media.reader import MediaInfo, probe, require_range
from ..media.words import files_in_words
from ..own_files import holds_only_ours, remove_ours, require_scan, vacant
from ..protocol import Clip, PersonSummary, ScanSummary, project_of, to_json
from ..reporter import Part, Reporter
from .alignments import Alignments
from .detectors import checked_names
from .facesets.masks import FOLDER as MASKS
from .people.edits import write_people
from .people.summary import BOXES, SCHEMA, SUMMARY, boxes_of
from .people.unnamed import unnamed_in_words
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
        told = files_in_words([one.name for one in left])
        reporter.log(f"Of {path.name} are passed over: {told}. Save them as JPEG or PNG.", "warning")
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
    if summary.unnamed:
        reporter.log(summary.unnamed, "warning" if are_photographs(path) else "info")
    count = len(summary.people)
    reporter.progress(1.0, f"Found {count} {'person' if count == 1 else 'people'}")
    return summary


def write_scan(folder: Path, alignments: Alignments, info: MediaInfo, people: list[PersonSummary]) -> ScanSummary:
    """Write a scan folder's tables, with its people as `settle` or `install` listed them."""
    clip = alignments.clip
    end = info.frames if clip.end is None else clip.end
    somebodys = [track for person in people for track in person.track_ids]
    summary = ScanSummary(
        schema=SCHEMA,
        clip=clip,
        width=info.width,
        height=info.height,
        fps=[info.fps.numerator, info.fps.denominator],
        frames=end - clip.start,
        variable_frame_rate=info.variable_frame_rate,
        people=people,
        unnamed=unnamed_in_words(alignments, info.path, range(clip.start, end), somebodys),
    )
    alignments.save(folder)
    write_json(folder / BOXES, boxes_of(alignments), indent=None)
    write_json(folder / SUMMARY, to_json(summary))
    return summary


@contextmanager
def replace_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `output` when all went well and vanishes otherwise.

    Raises UnderstudyError where `output` holds anything but a scan, asked again before it is replaced.
    """
    require_scan(output, output)
    made = [parent for parent in output.parents if not parent.exists()]
    try:
        replaced = output.with_name(f".{output.name}.old")
        if not output.exists() and holds_only_ours(replaced, "scan"):
            replaced.rename(output)  # a killed scan came no further
        partial = vacant(output.with_name(f".{output.name}.part"), "scan")
        make_folders(partial)
    except OSError as error:
        raise UnderstudyError(
            f"The scan cannot be written to {output} ({error.strerror}). Choose another folder."
        ) from None
    try:
        yield partial
        _copy_masks(output, partial)
        _put(partial, output)
    except BaseException:
        shutil.rmtree(partial / MASKS, ignore_errors=True)  # copies
        with suppress(OSError):
            remove_ours(partial, "scan")
        for parent in made:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        raise


def _put(partial: Path, output: Path) -> None:
    """Give a finished scan its name; what was put into an earlier one meanwhile keeps that where it is."""
    require_scan(output, output)
    if not output.exists():
        partial.rename(output)
        return
    old = vacant(output.with_name(f".{output.name}.old"), "scan")
    output.rename(old)
    try:
        require_scan(old, output)  # nobody finds it under this name
        partial.rename(output)
    except BaseException:
        old.rename(output)
        raise
    _copy_masks(old, output)
    shutil.rmtree(old / MASKS, ignore_errors=True)
    with suppress(OSError):  # what is in use goes with the next scan
        remove_ours(old, "scan")


def _copy_masks(scan: Path, other: Path) -> None:
    """Masks are drawn by hand: they outlive a new scan, and so does whatever lies beside them; links stay links."""

    def there(folder: str, names: list[str]) -> list[str]:
        copies = other / MASKS / Path(folder).relative_to(scan / MASKS)
        return [name for name in names if Path(folder, name).is_symlink() and os.path.lexists(copies / name)]

    if (scan / MASKS).is_dir():
        shutil.copytree(scan / MASKS, other / MASKS, symlinks=True, ignore=there, dirs_exist_ok=True)
