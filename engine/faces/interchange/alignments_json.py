"""Alignments for other programs and from them: all of them as JSON (docs/user/interchange.md), boxes and 68 points for
faceswap; faces that faceswap and DeepFaceLab found, see `foreign`."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...durable import SHARED, Allow, write_json, writing
from ...errors import DataError, MediaError, NoFaceError
from ...media.footage import footage_of
from ...media.reader import probe
from ...protocol import Clip, ScanSummary, from_json, parse_json, project_of, to_json
from ...reading import read_text
from ...reporter import Part, Reporter
from ..alignments import SHAPES, Alignments, load_alignments
from ..people import roster as who
from ..people.edits import install_people, write_people
from ..people.summary import read_summary
from ..scan import replace_folder, write_scan
from ..tracking.assemble import assemble
from . import other_programs

FORMAT = "understudy alignments"
SCHEMA = 1
_POINTS = """
162 234 93 58 172 136 149 148 152 377 378 365 397 288 323 454 389 71 63 105 66 107 336 296 334 293 301 168 197 5 4
75 97 2 326 305 33 160 158 133 153 144 362 385 387 263 373 380 61 39 37 0 267 269 291 405 314 17 84 181 78 82 13 312
308 317 14 87
"""
TO_68 = np.array(_POINTS.split(), np.int64)
"""(68,) the mesh vertices nearest to the 68 points of the iBUG scheme."""


def export_json(scan: Path, target: Path, report: Reporter, allow: Allow | None = None) -> int:
    """Write a scan's alignments as one JSON file; how many faces. Numbers are rounded to a thousandth of a pixel.

    `allow` is asked about what lies there by then, as `durable.put` does.
    """
    alignments, summary = load_alignments(scan), read_summary(scan)
    head = {
        "format": FORMAT,
        "schema": SCHEMA,
        "clip": to_json(alignments.clip),
        "width": alignments.width,
        "height": alignments.height,
        "fps": [alignments.fps.numerator, alignments.fps.denominator],
        "people": [
            {"id": p.id, "name": p.name if p.known else "", "rejected": p.rejected, "tracks": p.track_ids}
            for p in summary.people
        ],
    }
    with writing(target, SHARED, allow) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "faces": [')
        for row in range(len(alignments)):
            report.check()
            report.progress((row + 1) / len(alignments), "Writing the faces")
            face = {name: _plain(getattr(alignments, name)[row]) for name in SHAPES}
            file.write((",\n" if row else "\n") + json.dumps(face))
        file.write("\n]}\n")
    return len(alignments)


def _plain(value: np.ndarray) -> Any:
    if value.dtype == np.float32:
        digits = 3 if value.ndim != 1 or value.shape == (4,) else 7  # an embedding's numbers are small
        return np.round(value.astype(np.float64), digits if value.ndim else 6).tolist()
    return value.tolist()


def import_faces(source: Path, output: Path, report: Reporter, media: Path | None = None) -> ScanSummary:
    """Make a scan folder of a JSON file, Understudy's or faceswap's, or of a DeepFaceLab aligned folder.

    An earlier scan there is replaced. `media` is the footage; Understudy's own JSON says itself where it was. Raises
    DataError that names what is wrong with the source, or that it cannot be read and why, NoFaceError when its faces
    are not in the footage, MediaError for the footage.
    """
    if source.is_dir():
        return _import_foreign(other_programs.deepfacelab_places(source, report), source, output, report, media)
    if source.suffix == ".fsa" or source.suffix == ".pkl":
        raise DataError(
            f"{source.name} is a pickle, a program that would run as it is read, so Understudy does not read it. In "
            "faceswap, run the alignments tool's job export, which writes a JSON file, and import that."
        )
    data = _json(source)
    if other_programs.is_faceswap(data):
        return _import_foreign(other_programs.faceswap_places(source, data), source, output, report, media)
    return import_json(source, output, report, media)


def _import_foreign(
    places: list[other_programs.ForeignFace], source: Path, output: Path, report: Reporter, media: Path | None
) -> ScanSummary:
    if media is None:
        raise DataError(f"{source.name} does not say which footage its faces are of. Name it with --footage.")
    info = probe(media.resolve())
    seen = other_programs.measure_faces(info, other_programs.points_by_frame(places, info), Part(report, 0.0, 0.95))
    alignments = assemble(seen, Clip(path=str(info.path), start=0, end=info.frames), info)
    if not (alignments.person >= 0).any():
        raise NoFaceError(f"{info.path.name} shows no face where {source.name} has some. Name the footage they are of.")
    with replace_folder(output) as folder:
        alignments, people = write_people(alignments, folder, output)
        summary = write_scan(folder, alignments, info, people)
    report.progress(1.0, "Imported")
    return summary


def import_json(source: Path, output: Path, report: Reporter, media: Path | None = None) -> ScanSummary:
    """Make a scan folder of what `export_json` (or another program) wrote; an earlier scan there is replaced.

    `media` is where the footage is now, None where the file says. Raises DataError that names what is wrong with
    the file, MediaError when the footage is not there or of another size.
    """
    data = _read(source)
    alignments = _alignments(source, data, media)
    clip = alignments.clip
    info = probe(footage_of(clip))
    if (info.width, info.height) != (alignments.width, alignments.height):
        raise MediaError(
            f"{info.path.name} is {info.width}×{info.height}, but {source.name} is for {alignments.width}×"
            f"{alignments.height}. Name the footage it was made of."
        )
    end = info.frames if clip.end is None else clip.end
    if not (clip.start <= int(alignments.frame[0]) and int(alignments.frame[-1]) < end <= info.frames):
        raise DataError(f"{source.name} has faces on frames that {info.path.name} has not in its range. Correct it.")
    roster = _roster(source, data, alignments)
    report.progress(0.3, "Writing the scan")
    with replace_folder(output) as folder:
        alignments, people = install_people(alignments, roster, folder, project_of(output))
        summary = write_scan(folder, alignments, info, people)
    report.progress(1.0, "Imported")
    return summary


def _json(source: Path) -> Any:
    try:
        return parse_json(read_text(source))
    except (OSError, ValueError) as error:
        raise DataError(f"{source} cannot be read as JSON ({error}). Export the alignments again.") from None


def _read(source: Path) -> dict[str, Any]:
    data = _json(source)
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("schema") != SCHEMA:
        raise DataError(f"{source.name} is no {FORMAT} file of version {SCHEMA}; see docs/user/interchange.md.")
    return data


def _alignments(source: Path, data: dict[str, Any], media: Path | None) -> Alignments:
    try:
        clip = from_json(Clip, data["clip"])
        faces = sorted(data["faces"], key=lambda face: int(face["frame"]))
        columns: dict[str, np.ndarray] = {
            name: np.array([face[name] for face in faces], dtype).reshape(len(faces), *shape)
            for name, (dtype, shape) in SHAPES.items()
        }
        table = Alignments(
            clip=replace(clip, path=str(media.resolve())) if media else clip,
            width=int(data["width"]),
            height=int(data["height"]),
            fps=Fraction(*data["fps"]),
            **columns,
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise DataError(f"{source.name} is not as docs/user/interchange.md says ({error}). Correct it.") from None
    finite = all(np.isfinite(getattr(table, f.name)).all() for f in fields(table) if f.name in SHAPES)
    if not len(table) or not finite or table.track.min() < 0 or table.frame.min() < 0:
        raise DataError(f"{source.name} holds no faces, or numbers that are none. Correct it.")
    return table


def _roster(source: Path, data: dict[str, Any], alignments: Alignments) -> who.Roster:
    people = {person.id: person for person in who.from_alignments(alignments).people}
    try:
        for entry in data.get("people", []):
            number, tracks = int(entry["id"]), tuple(int(t) for t in entry.get("tracks", ()))
            known = people.get(number, who.Person(id=number, tracks=tracks))
            name = str(entry.get("name", ""))
            people[number] = replace(known, name=name, given=bool(name), rejected=bool(entry.get("rejected", False)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{source.name}: its people are not as docs/user/interchange.md says ({error}).") from None
    owned = [track for person in people.values() for track in person.tracks]
    if len(set(owned)) < len(owned) or not set(owned) <= set(alignments.track.tolist()):
        raise DataError(f"{source.name}: a track belongs to two people, or to no face. Correct it.")
    return who.Roster(people=tuple(people.values()), edited=True, highest=max(people, default=-1))


def export_faceswap(
    scan: Path, target: Path, report: Reporter, person: int | None = None, allow: Allow | None = None
) -> int:
    """Write boxes and 68 points for faceswap, as its alignments tool exports them and its extraction takes them back.

    `person` None means everybody. Frames are named as faceswap names those of a movie, its name with the number from
    1. Its coordinates have pixel centres at integers. Tracks, persons, depth and embeddings have no place there.
    `allow` is asked about what lies there by then, as `durable.put` does.
    """
    alignments = load_alignments(scan)
    rows = np.flatnonzero(alignments.person >= 0) if person is None else alignments.of_person(person)
    if not len(rows):
        raise DataError(f"Person {person} is not in the scan {scan}. `understudy people {scan}` lists who is.")
    movie = Path(alignments.clip.path)
    data: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        report.check()
        name = f"{movie.stem}_{int(alignments.frame[row]) + 1:06d}{movie.suffix}"
        points = np.round(alignments.landmarks[row, TO_68, :2].astype(np.float64) - 0.5, 3)
        box = [round(float(v)) for v in alignments.box[row]]
        data.setdefault(name, []).append({"detected": box, "landmarks_2d": points.tolist()})
    write_json(target, data, SHARED, None, allow)
    report.progress(1.0, "Exported")
    return len(rows)
