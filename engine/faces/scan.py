"""Scan a clip: find, measure, follow and group its faces, and write the scan folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..arrays import write_json
from ..errors import NoFaceError, UnderstudyError
from ..media.reader import MediaInfo, probe, read_frames
from ..protocol import Clip, ScanSummary, to_json
from ..reporter import Part, Reporter
from . import people, track
from .alignments import FILE_NAME, Alignments
from .edits import settle
from .follow import Face, Follower
from .mesh import box_of
from .roster import EDITS
from .summary import BOXES, SUMMARY, boxes_of

SCHEMA = 1
LONGEST_GAP = 0.5
"""Seconds over which a lost face is carried."""
SHORTEST = 0.2
"""Seconds a face must be seen to be a person of its own, unless its shot is not much longer."""
CLEAR = 0.7
"""Mean score of such a face."""


def scan(clip: Clip, output: Path, reporter: Reporter, device: str = "cpu") -> ScanSummary:
    """Find every face in a clip and who is who; `output` becomes the scan folder.

    Writes `alignments.safetensors`, `boxes.json`, a `person-<id>.jpg` for each person and `scan.json`;
    an earlier scan in `output` is replaced when all is done. No frame is kept, so the length of
    the clip does not matter. Raises NoFaceError, MediaError, ModelsMissingError, and
    UnderstudyError when `output` is a folder with anything else in it; then nothing is left
    behind.
    """
    torch.set_flush_denormal(True)
    path = Path(clip.path)
    info = probe(path)
    end = info.frames if clip.end is None else clip.end
    with _replacing(output) as folder:
        faces, shot_frames = _measure(replace(clip, end=end), Part(reporter, 0.0, 0.95), device)
        reporter.progress(0.95, "Sorting the faces into people")
        alignments = assemble(faces, shot_frames, clip, info)
        if not (alignments.person >= 0).any():
            raise NoFaceError(
                f"No face was found in frames {clip.start} to {end - 1} of {path.name}. Choose a range that shows "
                "a face, not from the side alone and more than about 20 pixels high."
            )
        reporter.check()
        alignments, listed = settle(alignments, folder, output)
        summary = ScanSummary(
            schema=SCHEMA,
            clip=clip,
            width=info.width,
            height=info.height,
            fps=[info.fps.numerator, info.fps.denominator],
            frames=end - clip.start,
            variable_frame_rate=info.variable_frame_rate,
            people=listed,
        )
        alignments.save(folder)
        write_json(folder / BOXES, boxes_of(alignments), indent=None)
        write_json(folder / SUMMARY, to_json(summary))
    count = len(summary.people)
    reporter.progress(1.0, f"Found {count} {'person' if count == 1 else 'people'}")
    return summary


def _measure(clip: Clip, reporter: Reporter, device: str) -> tuple[list[Face], Mapping[int, int]]:
    assert clip.end is not None
    reporter.progress(0.0, "Loading the face networks")
    follower = Follower(device)
    faces: list[Face] = []
    count = clip.end - clip.start
    for done, frame in enumerate(read_frames(Path(clip.path), clip.start, clip.end), 1):
        reporter.check()
        found = follower(frame.index, frame.rgb)
        faces += found
        here = sum(face.frame == frame.index for face in found)
        seen = {0: "no face here", 1: "one face here"}.get(here, f"{here} faces here")
        reporter.progress(done / count, f"Looking for faces: frame {done} of {count}, {seen}")
    return faces, follower.shot_frames


def assemble(faces: list[Face], shot_frames: Mapping[int, int], clip: Clip, info: MediaInfo) -> Alignments:
    """The table of a clip's measured faces: linked into tracks, gaps filled, calmed, grouped into persons.

    `shot_frames` gives the length of each face's shot.
    """
    faces = sorted(faces, key=lambda face: face.frame)
    unknown = np.full(128, np.nan, np.float32)
    frame = np.array([face.frame for face in faces], np.int32)
    embedding = np.array([unknown if face.embedding is None else face.embedding for face in faces]).reshape(-1, 128)
    tracks = track.link(
        frame,
        np.array([face.shot for face in faces], np.int32),
        np.array([face.box for face in faces]).reshape(-1, 4),
        embedding,
        round(LONGEST_GAP * info.fps),
    )
    columns: dict[str, list[np.ndarray]] = {}
    means, frames, good = [], [], []
    for number in range(tracks.max(initial=-1) + 1):
        rows = np.flatnonzero(tracks == number)
        table, mean = _track_table(number, [faces[row] for row in rows], embedding[rows])
        for name, column in table.items():
            columns.setdefault(name, []).append(column)
        least = min(max(3, round(SHORTEST * info.fps)), (shot_frames[faces[rows[0]].shot] + 1) // 2)
        score = float(np.mean([faces[row].score for row in rows]))
        good.append(len(rows) >= least and score >= CLEAR and bool(mean.any()))
        means.append(mean)
        frames.append(table["frame"])
    person = people.group(np.array(means).reshape(-1, 128), frames, np.array(good, bool))
    empty = _track_table(0, [], np.empty((0, 128), np.float32))[0] if not columns else {}
    joined = {name: np.concatenate(parts) for name, parts in columns.items()} or empty
    joined["person"] = person[joined["track"]] if len(person) else joined["track"]
    order = np.argsort(joined["frame"], kind="stable")
    return Alignments(
        clip=clip, width=info.width, height=info.height, fps=info.fps, **{k: v[order] for k, v in joined.items()}
    )


def _track_table(number: int, faces: list[Face], embedding: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A track's columns of the alignments, but for the person, and its mean embedding (zero: none was measured)."""
    known = ~np.isnan(embedding[:, 0])
    mean = embedding[known].mean(0) if known.any() else np.zeros(128, np.float32)
    if not faces:
        every, landmarks, measured = np.empty(0, np.int64), np.empty((0, 468, 3), np.float32), np.empty(0, np.int64)
    else:
        every, landmarks, measured = track.fill(
            np.array([face.frame for face in faces]), np.array([face.landmarks for face in faces])
        )
        landmarks = track.steady(landmarks)
    carried = measured < 0
    score = np.array([face.score for face in faces], np.float32)
    return {
        "frame": every.astype(np.int32),
        "box": box_of(landmarks).astype(np.float32),
        "landmarks": landmarks,
        # what was not measured is no better than the worse of its neighbours, and of unknown sharpness
        "score": np.where(carried, _worse_neighbour(score, measured), score[measured]).astype(np.float32),
        "sharpness": np.where(carried, 0, np.array([f.sharpness for f in faces], np.float32)[measured]).astype(
            np.float32
        ),
        "embedding": np.where((carried | ~known[measured])[:, None], mean, embedding[measured]).astype(np.float32),
        "track": np.full(len(every), number, np.int32),
        "carried": carried,
    }, mean


def _worse_neighbour(score: np.ndarray, measured: np.ndarray) -> np.ndarray:
    before = np.maximum.accumulate(measured)
    after = np.minimum(before + 1, len(score) - 1)
    return np.minimum(score[before], score[after])


@contextmanager
def _replacing(output: Path) -> Iterator[Path]:
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
    return path.name in (FILE_NAME, SUMMARY, BOXES, EDITS) or (
        path.name.startswith("person-") and path.suffix == ".jpg"
    )
