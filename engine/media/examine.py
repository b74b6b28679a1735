"""What footage is, what a recast keeps of it and loses, and what cannot be done with it: told before the work begins.

`understudy doctor --footage` and Blender's panel both say what `examine` finds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from av.codec import Codec
from av.video.format import VideoFormat

from ..errors import MediaError
from ..printing import shown
from ..protocol import Finding, FindingKind, OutputFormat
from ..reading import read_bytes
from ..reporter import Reporter, Silent
from .colour_spaces import UNSPECIFIED, usual_matrix
from .damage import Damage
from .exr import unread_parts
from .footage import Footage, as_footage
from .formats import TITLES, recipe_for, require_codec, suffix_of
from .frametable import frame_table
from .open import open_movie
from .pictures import are_photographs, holds_several, missing_numbers, picture_files, unread_photographs
from .planes import chroma_steps, planar_name
from .reader import MediaInfo, probe, read_frames, require_range
from .recipes import MATRIX_TAGS, Recipe, coded_size
from .sound import COPIED, QUICKTIME, channel_layout, readable
from .streams import unread_streams
from .tone_mapping import HLG, LINEAR, PQ
from .words import damaged_in_words, files_in_words, frames_in_words, many, unsound_in_words

GAP_STEPS, GAP_SHARE, GAPS = 4, 0.02, 5
"""A step of so many usual ones is a gap, where at most that share of the steps are; and how many gaps are told."""
FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)
CHROMA = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (4, 1): "4:1:1", (4, 4): "4:1:0"}
MATRICES = {0: "RGB", 1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020", 10: "BT.2020"}
TRANSFERS = {PQ: "PQ (HDR)", HLG: "HLG (HDR)", LINEAR: "scene-linear"}
"""AVColorSpace and AVColorTransferCharacteristic in an editor's words."""
CODECS = {"libx264": "H.264", "libx265": "H.265", "prores_ks": "ProRes", "dnxhd": "DNxHR", "ffv1": "FFV1"}


def examine(
    where: Path | Footage, start: int = 0, end: int | None = None, report: Reporter | None = None,
    seconds: float = math.inf,
) -> list[Finding]:  # fmt: skip
    """All that is to be known of frames `start` to `end` of footage before they are recast, by kind.

    Frames are decoded for at most `seconds`. What is wrong with the footage is found, not raised; raises Stopped when
    the reporter's check did.
    """
    footage, report = as_footage(where), report or Silent()
    found: list[Finding] = []
    try:
        info = probe(footage)
        end = require_range(info, start, end)
        photographs = are_photographs(footage.path)
        found += _found("is", _is(footage, info, photographs))
        if photographs:
            found.append(
                Finding(
                    kind="cannot",
                    text="Its pictures are of different sizes, so they cannot be recast as one movie; as a face each "
                    "counts by itself, and a scan names those that show nobody.",
                )
            )
        else:
            found += _written(info)
        found += _found("lost", _lost(footage, info))
        found += _decoded(footage, start, end, report, seconds, photographs)
    except MediaError as error:
        found += [*_stored(footage), Finding(kind="cannot", text=str(error))]
    order: tuple[FindingKind, ...] = get_args(FindingKind)
    told = dict.fromkeys(Finding(kind=one.kind, text=shown(one.text)) for one in found)  # names may be no text
    return sorted(told, key=lambda one: order.index(one.kind))


def _found(kind: FindingKind, texts: Iterator[str]) -> list[Finding]:
    return [Finding(kind=kind, text=text) for text in texts]


def _stored(footage: Footage) -> list[Finding]:
    """What footage is whose frames cannot be counted as they are played."""
    if not footage.played:
        return []
    try:
        plain = replace(footage, played=False)
        return _found("is", _is(plain, probe(plain), blender=False))
    except MediaError:
        return []


def _is(footage: Footage, info: MediaInfo, photographs: bool = False, blender: bool = True) -> Iterator[str]:
    name, size = footage.path.name, f"{info.width} × {info.height} pixels"
    if not info.is_still:
        rate = f"{'about ' if info.variable_frame_rate else ''}{_rate(float(info.fps))}"
        yield f"{name} is a movie of {many(info.frames, 'frame')} at {rate} a second, {size}."
    elif footage.path.is_dir():
        files = picture_files(footage.path)
        size = "of different sizes" if photographs else size
        yield f"{name} holds {many(len(files), 'picture')}, {files[0].name} to {files[-1].name}, {size}."
    else:
        yield f"{name} is a picture, {size}."
    yield f"{_coded(info)}."
    if info.field_order:
        yield f"It is interlaced, the {'upper' if info.field_order == 'tff' else 'lower'} field first."
    if info.rotation and not info.is_still:
        yield f"It is stored turned, and shown upright ({info.rotation}° counterclockwise)."
    if info.is_still and _is_turned(footage.path):
        yield (
            "EXIF turns it: as a face it is upright; an image strip shows it as it is stored, and is recast like that."
        )
    if not info.is_still:
        yield _sound(footage.path)
        if blender:
            yield from _as_blender_counts(footage)


def _rate(rate: float) -> str:
    return f"{rate:.3f}".rstrip("0").rstrip(".")


def _coded(info: MediaInfo) -> str:
    """Codec, depth and colours."""
    title = info.codec.upper() if info.is_still else Codec(info.codec, "r").long_name.split(" (")[0].split(" / ")[0]
    depth = f"{info.bits}-bit" if info.bits < 32 else "floating-point"
    parts = [f"{title} {info.profile}".strip(), f"{depth} {_samples(info.pixel_format)}"]
    if not _is_rgb(info.pixel_format):
        if info.matrix == UNSPECIFIED:
            assumed = MATRIX_TAGS[usual_matrix(info.matrix, *coded_size(info))]
            parts.append(f"colours untagged and taken as {MATRICES[assumed]}")
        else:
            parts.append(MATRICES.get(info.matrix, f"matrix {info.matrix}"))
        parts.append("full range" if info.full_range else "studio range")
    if info.transfer in TRANSFERS:
        parts.append(TRANSFERS[info.transfer])
    return ", ".join([*parts, *(["alpha"] if info.alpha else [])])


def _samples(pixel_format: str) -> str:
    form = planar_name(pixel_format)
    if _is_rgb(form):
        return "RGB"
    return "grey" if form.startswith(("gray", "ya")) else CHROMA.get(chroma_steps(form), "YUV")


def _is_rgb(pixel_format: str) -> bool:
    return VideoFormat(pixel_format, 64, 64).is_rgb or pixel_format == "pal8"


def _is_turned(path: Path) -> bool:
    """Whether EXIF turns a picture, or the first of a folder."""
    stored, upright = (next(read_frames(Footage(path=path, played=played))) for played in (True, False))
    return bool(upright.rotation) or not np.array_equal(stored.rgb, upright.rgb)


def _sound(path: Path) -> str:
    with open_movie(path) as container:
        tracks = [container.streams.audio[number] for number in readable(container)]
        told = [f"{t.codec_context.codec.canonical_name} {t.rate} Hz {channel_layout(t)}" for t in tracks]
    return f"Sound: {'; '.join(told)}." if told else "It has no sound."


def _as_blender_counts(footage: Footage) -> Iterator[str]:
    """Where Blender counts other frames than those that are stored."""
    try:
        table = frame_table(replace(footage, played=True))
    except MediaError as error:
        yield f"In Blender it cannot be recast: {error}"
        return
    if table.order is None:
        return
    held = (np.flatnonzero(np.diff(table.order) == 0) + 1).tolist()
    left = np.setdiff1d(np.arange(len(table.times)), table.order).tolist()
    counted, late = len(table.order), int(np.sum(table.order == 0)) - 1
    how = [f"shows the picture before at {_those(held)}"] if held else []
    how += [f"leaves out {_those(left)} of the file"] if left else []
    if late > 0 and np.array_equal(table.order[late:], np.arange(counted - late)):
        how = [f"shows it {many(late, 'frame')} late"]
    yield (
        f"Blender plays it at a constant {_rate(float(table.rate))} frames a second"
        f"{': it ' + ' and '.join(how) if how else ''}. A strip of it is recast as Blender shows it."
    )


def _those(frames: list[int]) -> str:
    return f"{'frame' if len(frames) == 1 else 'frames'} {frames_in_words(frames)}"


def _written(info: MediaInfo) -> list[Finding]:
    """What a recast keeps, what its formats lose, and which of them it cannot have."""
    refused: list[str] = []
    for name in FORMATS:
        try:
            require_codec(recipe_for(name, info), info)
        except MediaError as error:
            refused.append(str(error))
    found = _found("cannot", iter(refused))
    try:
        recipe = recipe_for("same", info)
    except MediaError:
        return found
    kept = ["size", "number of frames", *(["frame rate"] if not info.is_still else [])]
    kept += [
        word
        for word, told in (
            ("times of the frames", info.variable_frame_rate),
            ("rotation", info.rotation),
            ("field order", recipe.fields),
            ("timecode", info.timecode),
            ("alpha", info.alpha and _alpha(recipe)),
            ("colour tags", info.matrix != UNSPECIFIED or info.transfer != UNSPECIFIED),
            ("HDR10 metadata", (info.mastering or info.light) and recipe.codec.startswith("libx26")),
        )
        if told
    ]
    found += _found("kept", _kept(info, recipe, kept))
    return found + _found("lost", _lost_by(info, recipe))


def _kept(info: MediaInfo, recipe: Recipe, kept: list[str]) -> Iterator[str]:
    yield f"S{', '.join(kept)[1:]}; away from the faces every sample, up to the coding."
    parts = VideoFormat(recipe.pixel_format, 64, 64).components
    depth = "floating-point" if recipe.codec == "exr" else f"{parts[0].bits}-bit"
    suffix = suffix_of("same", info)
    where = f"{suffix[1:]} file" if suffix else f"folder of {recipe.picture[1:]} files"
    title = CODECS.get(recipe.codec, recipe.codec.upper())
    yield f"As Source, it is written as {title}, {depth} {_samples(recipe.pixel_format)} ({where})."
    if info.has_audio and not recipe.picture:
        with open_movie(info.path) as container:
            codecs = {container.streams.audio[n].codec_context.codec.canonical_name for n in readable(container)}
            copied = "mp4" in container.format.name and codecs <= COPIED and suffix in QUICKTIME
        how = "copied where the whole movie is recast, else" if copied else "cut to the range,"
        yield f"Sound: {how} as AAC in mp4 and PCM in mov and mkv."


def _alpha(recipe: Recipe) -> bool:
    return any(part.is_alpha for part in VideoFormat(recipe.pixel_format, 64, 64).components)


def _lost_by(info: MediaInfo, recipe: Recipe) -> Iterator[str]:
    """What the format As Source does not hold."""
    title, bits = (
        TITLES.get(recipe.name, recipe.codec.upper()),
        VideoFormat(recipe.pixel_format, 64, 64).components[0].bits,
    )
    other = next((TITLES[name] for name in ("ffv1", "prores-4444") if _holds(info, name)), "OpenEXR pictures")
    if info.bits > bits:
        yield f"{CODECS.get(recipe.codec, title)} holds {bits} bits of {info.bits}; choose {other} to keep them."
    if info.alpha and not _alpha(recipe):
        yield f"{CODECS.get(recipe.codec, title)} holds no alpha; choose {other} to keep it."
    if info.transfer == LINEAR and recipe.codec != "exr":
        yield "Scene-linear values are written for a display; choose OpenEXR pictures to keep them."
    if info.has_audio and recipe.picture:
        yield "Sound: pictures have none."


def _holds(info: MediaInfo, name: OutputFormat) -> bool:
    recipe = recipe_for(name, info)
    bits = VideoFormat(recipe.pixel_format, 64, 64).components[0].bits
    return bits >= min(info.bits, 16) and (_alpha(recipe) or not info.alpha)


def _lost(footage: Footage, info: MediaInfo) -> Iterator[str]:
    """What no recast holds."""
    if not info.is_still:
        yield from _gaps(footage)
        yield from unread_streams(footage, info.frames / float(info.fps))
        return
    files = picture_files(footage.path)
    if left := unread_photographs(footage.path):
        yield f"Beside them, not read: {files_in_words([one.name for one in left])}. Save them as JPEG or PNG."
    if several := next((file.name for file in files if holds_several(read_bytes(file))), ""):
        yield f"{several} holds several pictures, an animation or pages: only the first is used."
    if lacking := missing_numbers(files):
        yield f"Missing among its numbers: {frames_in_words(lacking)}. The pictures after them move up."
    if files[0].suffix.lower() == ".exr" and (parts := unread_parts(read_bytes(files[0]))):
        yield f"OpenEXR: {parts}."
    yield "EXIF and other metadata of single pictures."


def _gaps(footage: Footage) -> Iterator[str]:
    """Where frames are missing in a movie whose others come at even times: a file with a hole in it."""
    table = frame_table(replace(footage, played=False))
    steps = np.diff(table.times) * float(table.time_base) if table.seekable else np.empty(0)
    usual = float(np.median(steps)) if len(steps) else 0.0
    wide = np.flatnonzero(steps > GAP_STEPS * usual)
    if 0 < len(wide) <= len(steps) * GAP_SHARE:
        told = " and ".join(f"{steps[at] - usual:.2f} s after frame {at}" for at in wide[:GAPS])
        yield f"By the times of its frames some are missing, {told}{' and others' if len(wide) > GAPS else ''}."


def _decoded(
    footage: Footage, start: int, end: int, report: Reporter, seconds: float, photographs: bool
) -> list[Finding]:
    """What decoding the frames shows."""
    until, found, done = time.monotonic() + seconds, [], start
    damage = Damage(footage)
    report.progress(0.0, "Decoding")
    try:
        for frame in read_frames(footage, start, end):
            report.check()
            done = frame.index + 1
            damage.add(frame)
            report.progress((done - start) / (end - start), f"Decoding frame {done - start} of {end - start}")
            if time.monotonic() > until:
                break
    except MediaError as error:
        found.append(Finding(kind="cannot", text=str(error)))
    if damage.lost:
        found.append(Finding(kind="lost", text=damaged_in_words(footage, damage.lost, photographs)))
    if unsound := damage.unsound():
        found.append(Finding(kind="lost", text=unsound_in_words(footage, unsound)))
    if done < end and not found:
        text = f"Frames {start} to {done - 1} were decoded for this; a scan tells of those after them."
        found.append(Finding(kind="is", text=text))
    return found
