"""Put a recast onto the timeline, frame for frame above its source; keep several as takes of each other.

A placed strip carries what made it (STRIP_RECORD). Tries at the same cast over the same frames of a source are takes
(`recasts`): one of them is seen, the others are muted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy

from .. import compat
from ..constants import STRIP_ID, STRIP_RECORD
from ..i18n import tr
from ..state import kept_json, project, project_files
from . import hidden_sources, recasts, source_look, stack, strip_animation, strip_fit, strip_media, timeline

_OWN = ("covers", source_look.LOOK, "inserted", "hides")
"""What a placed strip's record holds of this strip, whatever it shows."""


_NOT_KEPT = {"update", "signatures", *_OWN}


class CannotPlace(Exception):
    """The recast does not fit the timeline; the message is one sentence. No strip is left behind."""


def place(scene: bpy.types.Scene, made: str, about: dict[str, Any]) -> bpy.types.Strip:
    """A new strip of `made` (a movie, or a folder of pictures) that covers exactly the marked range, on a free
    channel above the source; takes that were there before are muted. Over a source that was cut it is cut likewise, so
    that each piece moves with, and looks like, what lies below it; of a recast that is there in part only the rest is
    placed. Answers the piece at the playhead, or the first.

    `about` is what the conversion's job was started with (`operators.convert`): the source strip and
    the marked frames, and the facts that are written on the strip. The range moves with the source strip
    when that was moved since; when it was deleted the range is where it was marked.
    """
    if not project_files.is_there(made):
        raise CannotPlace(tr("The recast is not at {path}: recast again.", path=made))
    recasts.own_ids(scene)
    start, end, channel = about["start"], about["end"], about["channel"]
    source = strip_media.find(
        scene, about["strip_id"], about["strip_name"], about["source_start"], about.get("stored_frames", 0)
    )
    if source is not None:
        moved = _moved(scene, source, about)
        start, end, channel = start + moved, end + moved, source.channel
    wanted = _not_there(scene, source, _pieces_below(scene, source, start, end), about)
    if not wanted or is_there(scene, about):
        raise CannotPlace(tr("All of this recast is on the timeline already."))
    scene.sequence_editor_create()
    holder, _ = compat.neighbours(scene, source)
    first, last = wanted[0][0][0], wanted[-1][0][1]
    try:
        free, inserted = strip_media.free_channel(scene, source, channel, first, last), 0
        if source is not None:
            free, inserted = stack.channel_above(scene, source, first, last, free)
        roomy = strip_media.free_channel(scene, source, free - 1, start, end)  # until it is cut to what is wanted
    except timeline.RangeError as error:
        raise CannotPlace(tr(error.template, **error.facts)) from None
    try:
        strip = _new(holder, made, roomy, start, about)
    except CannotPlace:
        stack.close(scene, source, inserted)
        raise
    below, strips = [piece for _, piece in wanted], [strip]
    try:
        _fit(strip, start, end, about)
        strips += _cut(strip, [span for span, _ in wanted])
        for one in strips:
            if one.channel != free:
                one.channel = free
        for one, piece in zip(strips, below, strict=True):
            strip_animation.clear(scene, one)
            one.color_tag = "COLOR_05"
            one[STRIP_RECORD] = _record(about)
            if piece is not None:
                source_look.look_like(one, piece, bool(about.get("layer")))
                strip_animation.copy(scene, one, piece)
                one[STRIP_RECORD][source_look.LOOK] = source_look.told(piece)
                one[STRIP_RECORD]["inserted"] = bool(inserted)
                hidden_sources.note(scene, one, piece)
            strip_fit.give(one, about.get("fit"))
    except Exception:
        for one in strips:
            compat.remove_strip(holder, one)
        stack.close(scene, source, inserted)
        raise
    recasts.own_ids(scene)
    muted = [one.mute for one in strips]  # as their sources are
    for one in strips:
        recasts.show_take(scene, one)
    for one, was in zip(strips, muted, strict=True):
        one.mute = was
    _cover(scene, strips)
    for one, piece in zip(strips, below, strict=True):
        if piece is not None:
            compat.connect(scene, one, piece)
            hidden_sources.settle(scene, piece)
    now, before = scene.frame_current, compat.active_picture(scene)
    strip = next((one for one in strips if compat.span(one)[0] <= now < compat.span(one)[1]), strip)
    around = before is not None and before.get(STRIP_RECORD) and any(recasts.overlap(before, one) for one in strips)
    if before in {None, source, *below} or around:
        for other in compat.all_strips(scene):
            other.select = other in strips
        scene.sequence_editor.active_strip = strip
    return strip


def is_there(scene: bpy.types.Scene, about: dict[str, Any]) -> bool:
    """Whether all frames of a recast are on the timeline, wherever its pieces were moved to."""
    shown = [
        compat.span(one)
        for one in recasts.placed(scene)
        if about.get("job") and all(one[STRIP_RECORD].get(name) == about[name] for name in ("job", "strip_id"))
    ]
    return sum(right - left for left, right in shown) >= about["end"] - about["start"]


def _pieces_below(
    scene: bpy.types.Scene, source: bpy.types.Strip | None, start: int, end: int
) -> list[tuple[tuple[int, int], bpy.types.Strip | None]]:
    """The pieces of a source that lie in these frames, in order, each with the frames of it; the source itself with all
    of them where it was not cut."""
    pieces = strip_media.pieces(scene, source) if source is not None else []
    within = [one for one in pieces if compat.span(one)[0] < end and start < compat.span(one)[1]]
    if len(within) < 2:
        return [((start, end), source)]
    return [
        ((max(start, left), min(end, right)), one)
        for one in sorted(within, key=compat.span)
        for left, right in (compat.span(one),)
    ]


def _not_there(
    scene: bpy.types.Scene, source: bpy.types.Strip | None,
    below: list[tuple[tuple[int, int], bpy.types.Strip | None]], about: dict[str, Any],
) -> list[tuple[tuple[int, int], bpy.types.Strip | None]]:  # fmt: skip
    """Of these frames those that no strip of the same recast shows there: one that was cut may have lost a piece."""
    there = [
        compat.span(one)
        for one in recasts.placed(scene)
        if about.get("job") and one[STRIP_RECORD].get("job") == about["job"]
        and one[STRIP_RECORD].get("strip_id") == about["strip_id"]
        and (source is None or recasts.in_step(scene, one))
    ]  # fmt: skip
    found = []
    for (start, end), piece in below:
        left = start
        for begin, finish in sorted(there):
            if left < begin < end:
                found.append(((left, begin), piece))
            left = max(left, finish) if begin < end else left
        if left < end:
            found.append(((left, end), piece))
    return found


def _cut(strip: bpy.types.Strip, spans: list[tuple[int, int]]) -> list[bpy.types.Strip]:
    """Cut a new recast so that it lies on these frames alone. Answers what is cut off `strip`, in order."""
    made = [strip]
    for left, _ in spans[1:]:
        made.append(made[-1].split(frame=left, split_method="SOFT"))
    for one, (left, right) in zip(made, spans, strict=True):
        begin, end = compat.span(one)
        if (begin, end) != (left, right):
            compat.set_span(one, max(begin, left), min(end, right))
    return made[1:]


def _cover(scene: bpy.types.Scene, strips: list[bpy.types.Strip]) -> None:
    """Mute recasts of other casts that lie under the whole of a new one, all its pieces together, and remember them for
    `remove`."""
    left, right = min(compat.span(one)[0] for one in strips), max(compat.span(one)[1] for one in strips)
    covered = [
        other
        for other in recasts.placed(scene)
        if other not in strips and not other.mute and any(recasts.overlap(other, one) for one in strips)
        and left <= compat.span(other)[0] and compat.span(other)[1] <= right
    ]  # fmt: skip
    for other in covered:
        other.mute = True
    for one in strips:
        jobs = [str(other[STRIP_RECORD].get("job", "")) for other in covered if recasts.overlap(other, one)]
        one[STRIP_RECORD]["covers"] = " ".join(jobs)


def remove(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.Strip | None:
    """Take a recast off the timeline; what it hid is seen again. Answers the strip that is in its place: a take, a
    recast of another cast, or its source."""
    of, was_seen, was_at = about_of(strip), not strip.mute, strip.channel
    others = [take for take in recasts.takes(scene, strip) if take != strip]
    covered = str(of.get("covers", "")).split()
    below = recasts.source_of(scene, strip)
    source = below if below != strip else None
    under = [  # a cut one is seen again where this piece was
        other
        for other in recasts.placed(scene)
        if other != strip and other[STRIP_RECORD].get("job") in covered and recasts.overlap(other, strip)
    ]
    stack.give_back(scene, strip, others[-1] if others else source)
    strip_animation.clear(scene, strip)
    compat.remove_strip(compat.neighbours(scene, strip)[0], strip)
    if source is not None:
        hidden_sources.settle(scene, source)
        if of.get("inserted"):
            stack.close(scene, source, was_at)
    if was_seen and others and all(take.mute for take in others):
        recasts.show_take(scene, others[-1])
        others[-1][STRIP_RECORD]["covers"] = " ".join(covered)
    elif was_seen and not others:
        for other in under:
            other.mute = False
    forget_source(scene, of)
    return others[-1] if others else under[-1] if under else source


def update(strip: bpy.types.Strip, made: str, about: dict[str, Any]) -> None:
    """Show `made` in a strip that was placed before; where it lies, and what was done to it, stay as they are."""
    if not project_files.is_there(made):
        raise CannotPlace(tr("The recast is not at {path}: recast again.", path=made))
    pictures = _pictures(made)
    if (strip.type == "IMAGE") != bool(pictures):
        raise CannotPlace(tr("The new recast is stored in another way: it is placed as a take of its own."))
    if pictures:
        wanted = _in_order(pictures, about)
        if len(wanted) != len(strip.elements):
            raise CannotPlace(_wrong_length(len(wanted), len(strip.elements)))
        strip.directory = project.relative(str(Path(made))) + "/"
        for element, file in zip(strip.elements, wanted, strict=True):
            element.filename = file.name
    else:
        before = compat.content(strip)[1], strip.filepath
        strip.filepath = project.relative(made)
        if (now := compat.content(strip)[1]) != before[0]:
            strip.filepath = before[1]
            raise CannotPlace(_wrong_length(now, before[0]))
    kept = {name: strip[STRIP_RECORD][name] for name in _OWN if name in strip[STRIP_RECORD]}
    strip.name = name_of(about)
    strip[STRIP_RECORD] = {**_record(about), **kept}
    strip_fit.updated(strip, about)


def file_of(strip: bpy.types.Strip) -> str:
    """The movie or folder that a placed strip shows, absolute."""
    return project.absolute(strip.filepath if strip.type == "MOVIE" else strip.directory)


def about_of(strip: bpy.types.Strip) -> dict[str, Any]:
    """What a placed strip was made from, as `place` and `update` take it."""
    record = strip[STRIP_RECORD]
    about = dict(record.items())
    about["layer"] = bool(about.get("layer"))
    if "frames_json" in about:
        about["frames"] = kept_json.numbers(about.pop("frames_json"))
    return about


def forget_source(scene: bpy.types.Scene, record: Any) -> None:
    """Leave no mark on a source strip that no recast belongs to any more, unless it is the marked one."""
    if scene.understudy.shot.strip_id == record["strip_id"]:
        return
    if any(strip[STRIP_RECORD].get("strip_id") == record["strip_id"] for strip in recasts.placed(scene)):
        return
    for strip in compat.all_strips(scene):
        if strip.get(STRIP_ID) == record["strip_id"]:
            del strip[STRIP_ID]


def in_view(scene: bpy.types.Scene) -> bpy.types.Strip | None:
    """The recast of the marked strip that the timeline itself shows at the playhead."""
    now, strip_id = scene.frame_current, scene.understudy.shot.strip_id
    seen = [
        strip
        for strip in recasts.placed(scene)
        if strip[STRIP_RECORD].get("strip_id") == strip_id
        and compat.span(strip)[0] <= now < compat.span(strip)[1]
        and not (strip.mute or compat.neighbours(scene, strip)[1][strip.channel].mute)
    ]
    return max(seen, key=lambda strip: strip.channel, default=None)


def take_in_view(scene: bpy.types.Scene) -> str:
    """Which recast of the marked strip the timeline itself shows at the playhead, in words; "" where it shows none."""
    top = in_view(scene)
    if top is None:
        return ""
    among = recasts.takes(scene, top)
    if len(among) == 1:
        return tr("Placed Recast")
    return tr("Take {number} of {n}", number=among.index(top) + 1, n=len(among))


def name_of(about: dict[str, Any]) -> str:
    """What a placed strip is called: whose faces first, for names are cut off at their end."""
    return f"{about['identity_name']} · {about['preset']} · {about['strip_name']}"


def _moved(scene: bpy.types.Scene, source: bpy.types.Strip, about: dict[str, Any]) -> int:
    """How far the source strip was moved since it was marked."""
    timing = compat.strip_timing(scene, source, stored_frames=about.get("stored_frames", 0))
    if timing.still:
        return 0
    if timing.plain and about.get("order", "plain") == "plain":
        return timeline.timeline_frame(timing, about["source_start"]) - about["start"]
    return timing.content_start - about.get("content_start", timing.content_start)


def _new(holder: bpy.types.Collection, made: str, channel: int, start: int, about: dict[str, Any]) -> bpy.types.Strip:
    pictures = _pictures(made)
    try:
        if pictures:
            files = _in_order(pictures, about)
            relative = project.relative(str(Path(made)))
            return compat.new_pictures(holder, name_of(about), [f"{relative}/{f.name}" for f in files], channel, start)
        strip = compat.new_movie(holder, name_of(about), project.relative(made), channel, start)
    except RuntimeError:
        raise CannotPlace(tr("Blender cannot read the recast {path}: recast again.", path=made)) from None
    strip.use_reverse_frames = about.get("order") == "reversed"
    return strip


def _pictures(made: str) -> list[Path]:
    """The files of a recast that is a folder of pictures, in order; none for a movie."""
    folder = Path(made)
    if not folder.is_dir():
        return []
    files = [f for f in folder.iterdir() if f.suffix.lower() in {".png", ".tif", ".tiff", ".exr", ".dpx"}]
    return sorted(files, key=lambda file: timeline.natural_order(file.name))


def _in_order(pictures: list[Path], about: dict[str, Any]) -> list[Path]:
    """The picture of every frame of the timeline."""
    wanted = about["source_end"] - about["source_start"]
    if len(pictures) != wanted:
        raise CannotPlace(_wrong_length(len(pictures), wanted))
    if about.get("order") == "reversed":
        return pictures[::-1]
    if about.get("order") == "mapped":
        return [pictures[frame - about["source_start"]] for frame in about["frames"]]
    return pictures


def _wrong_length(frames: int, wanted: int) -> str:
    return tr("The recast has {frames} frames where {wanted} were marked: recast again.", frames=frames, wanted=wanted)


def _fit(strip: bpy.types.Strip, start: int, end: int, about: dict[str, Any]) -> None:
    if strip.type == "MOVIE":
        frames, wanted = compat.content(strip)[1], about["source_end"] - about["source_start"]
        if frames != wanted:
            raise CannotPlace(_wrong_length(frames, wanted))
    if compat.span(strip) != (start, end):  # a still picture, held for as long as it was marked
        compat.set_span(strip, start, end)


def _record(about: dict[str, Any]) -> dict[str, Any]:
    plain = {k: v for k, v in about.items() if isinstance(v, (str, int, float, bool)) and k not in _NOT_KEPT}
    if about.get("frames"):
        plain["frames_json"] = json.dumps(about["frames"])
    return {"synthetic": True, **plain}
