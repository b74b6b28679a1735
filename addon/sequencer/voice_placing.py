"""Put a recast voice onto the timeline, in sync with its source, which falls silent; hear one or the other; takes.

A voice is recast in a range, but its file is the whole track, sample for sample, and what lies outside the range is
what it was: so the placed strip covers all that its source plays, and the source is muted. A placed strip carries what
made it (VOICE_RECORD). Strips over the same sound are takes of each other: one of them is heard.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy

from .. import compat
from ..constants import STRIP_ID, VOICE_RECORD
from ..i18n import tr
from ..state import kept_json, project
from . import sound_strips, strip_animation, strip_media, timeline
from .placing import CannotPlace

_SETTINGS = ("volume", "pan", "sound_offset", "pitch_correction", "mute")
_ANIMATED = ("volume", "pan")
_NUMBERS: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("channel", int), ("start", int), ("end", int), ("left", int), ("right", int), ("trim_start", int),
    ("trim_end", int), ("content_start", (int, float)), ("source_start", (int, float)), ("source_end", (int, float)),
)  # fmt: skip
_TEXTS = ("strip_id", "strip_name", "ranges", "job", "identity", "identity_name", "target", "consent", "credentials")
_NEEDED = {"strip_id", "strip_name", "job", *(name for name, _ in _NUMBERS)}


def placed(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """The sound strips that Understudy made, inside metas too."""
    return [strip for strip in compat.all_strips(scene) if strip.get(VOICE_RECORD)]


def drop_damaged(scene: bpy.types.Scene) -> None:
    """Take the record off strips whose own is none that we write: a .blend may come from anybody. They stay strips."""
    for strip in compat.all_strips(scene):
        if VOICE_RECORD in strip.keys() and not _is_whole(strip, strip[VOICE_RECORD]):  # noqa: SIM118
            del strip[VOICE_RECORD]


def _is_whole(strip: bpy.types.Strip, record: Any) -> bool:
    if strip.type != "SOUND" or not hasattr(record, "items") or not set(record.keys()) >= _NEEDED:
        return False
    kinds = {**dict.fromkeys(_TEXTS, str), **dict(_NUMBERS)}
    return all(isinstance(value, kinds[name]) for name, value in record.items() if name in kinds)


def place_of(strip: bpy.types.Strip) -> dict[str, Any]:
    """Where a source lies, for when it is gone by the time its recast is placed: plain values."""
    left, right = compat.span(strip)
    _, _, trim_start, trim_end = compat.content(strip)
    start = compat.content_start(strip)
    return {"left": left, "right": right, "content_start": start, "trim_start": trim_start, "trim_end": trim_end}


def place(scene: bpy.types.Scene, made: str, about: dict[str, Any]) -> bpy.types.Strip:
    """A new sound strip of the file `made` on a free channel above its source, as long as that and in sync with it to
    the sample; the source and earlier takes are muted.

    `about` is what the job was started with (`operators.voice`). Where the source was moved, trimmed or changed since,
    the new strip is as it is now; where it was deleted, as it was. Raises CannotPlace; then nothing is left.
    """
    if not Path(made).is_file():
        raise CannotPlace(tr("The recast is not at {path}: recast again.", path=made))
    source = sound_strips.find(scene, about["strip_id"], about["strip_name"], about["source_start"])
    lies = place_of(source) if source is not None else about
    channel = source.channel if source is not None else about["channel"]
    scene.sequence_editor_create()
    holder, _ = compat.neighbours(scene, source)
    try:
        free = strip_media.free_channel(scene, source, channel, lies["left"], lies["right"])
        strip = compat.new_sound(holder, name_of(about), project.relative(made), free, round(lies["content_start"]))
    except timeline.RangeError as error:
        raise CannotPlace(tr(error.template, **error.facts)) from None
    except RuntimeError:
        raise CannotPlace(tr("Blender cannot read the recast {path}: recast again.", path=made)) from None
    try:
        strip_animation.clear(scene, strip)
        if source is not None:
            _sound_like(scene, strip, source, made)
        compat.set_content(strip, lies["content_start"], (lies["trim_start"], lies["trim_end"]))
        compat.set_span(strip, lies["left"], lies["right"])
        if strip.channel != free:
            strip.channel = free
    except Exception:
        compat.remove_strip(holder, strip)
        raise
    strip.color_tag = "COLOR_05"
    strip[VOICE_RECORD] = _record(about)
    muted = strip.mute  # as its source was
    hear(scene, strip)
    strip.mute = muted
    if source is not None:
        compat.connect(scene, strip, source)
    _select(scene, strip, source)
    return strip


def _sound_like(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip, made: str) -> None:
    """The source's volume, panning, their animation, and how Blender lays its samples between frames."""
    own = strip.sound
    sound = source.sound.copy()  # it keeps what Python is not told: where between frames it begins
    sound.name, sound.filepath = Path(made).stem, project.relative(made)
    strip.sound = sound
    if own.users == 0:
        bpy.data.sounds.remove(own)
    for name in _SETTINGS:
        if hasattr(source, name):
            setattr(strip, name, getattr(source, name))
    heard = takes_of(scene, source)
    if source.mute and any(not take.mute for take in heard):
        strip.mute = False  # the source is muted because an earlier take is heard
    strip_animation.copy(scene, strip, source, _ANIMATED)
    compat.copy_sound_modifiers(scene, strip, source)


def _select(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip | None) -> None:
    """Make the new strip the active one, if the work was on what it comes from."""
    before = compat.active_strip(scene)
    if before is None or before == source or before.get(VOICE_RECORD) or (before.type == "MOVIE" and before.select):
        for other in compat.all_strips(scene):
            other.select = other == strip
        scene.sequence_editor.active_strip = strip


def name_of(about: dict[str, Any]) -> str:
    """What a placed strip is called: who is heard first, for names are cut off at their end."""
    return f"{about['identity_name']} · {about['quality']} · {about['strip_name']}"


def file_of(strip: bpy.types.Strip) -> str:
    """The file that a placed strip plays, absolute."""
    return project.absolute(strip.sound.filepath) if strip.sound is not None else ""


def ranges(record: Any) -> list[tuple[float, float]]:
    """The seconds of its source that are recast in a placed strip: (from, to) each."""
    return kept_json.rows(record.get("ranges", ""), float, float)


def _record(about: dict[str, Any]) -> dict[str, Any]:
    plain = {k: v for k, v in about.items() if isinstance(v, (str, int, float, bool)) and k != "base"}
    return {"synthetic": True, **plain}


# -- which is heard


def source_of(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.Strip | None:
    """The strip that a placed one was made of, None where it is gone; any other strip is its own."""
    if not strip.get(VOICE_RECORD):
        return strip
    of = strip[VOICE_RECORD]
    second = sound_strips.second_of(scene, strip, compat.span(strip)[0])
    return sound_strips.find(scene, of["strip_id"], of["strip_name"], second)


def no_source(strip: bpy.types.Strip) -> str:
    """Said where the strip that a placed one was made of is gone."""
    return tr("The sound that “{name}” was made of is not on the timeline any more: undo its removal.", name=strip.name)


def takes_of(scene: bpy.types.Scene, source: bpy.types.Strip) -> list[bpy.types.Strip]:
    """The recasts of what a source plays, by channel."""
    return _over(scene, source, source[STRIP_ID]) if source.get(STRIP_ID) else []


def takes(scene: bpy.types.Scene, strip: bpy.types.Strip) -> list[bpy.types.Strip]:
    """The placed strips over the same sound as a placed one, itself among them, by channel."""
    return _over(scene, strip, strip[VOICE_RECORD].get("strip_id"))


def _over(scene: bpy.types.Scene, strip: bpy.types.Strip, source_id: str | None) -> list[bpy.types.Strip]:
    """The recasts of a source of that id which share frames with a strip, by channel."""
    left, right = compat.span(strip)
    found = [
        one
        for one in placed(scene)
        if one[VOICE_RECORD].get("strip_id") == source_id
        and compat.span(one)[0] < right and left < compat.span(one)[1]
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.channel)


def _chosen(found: list[bpy.types.Strip]) -> bpy.types.Strip | None:
    """Of several recasts the one that is heard, else the one that was heard last, else the uppermost."""
    return max(found, key=lambda one: (not one.mute, bool(one[VOICE_RECORD].get("chosen")), one.channel), default=None)


def _alternatives(scene: bpy.types.Scene, strip: bpy.types.Strip) -> list[bpy.types.Strip]:
    """All that is placed over what a placed strip's source plays, where the strip was cut, too."""
    source = source_of(scene, strip)
    return takes_of(scene, source) if source is not None else takes(scene, strip)


def _together(a: bpy.types.Strip, b: bpy.types.Strip) -> bool:
    """Whether two placed strips are pieces that one was cut into."""
    apart = compat.span(a)[1] <= compat.span(b)[0] or compat.span(b)[1] <= compat.span(a)[0]
    return a == b or (apart and a[VOICE_RECORD].get("job") == b[VOICE_RECORD].get("job"))


def hear(scene: bpy.types.Scene, strip: bpy.types.Strip) -> None:
    """Of a placed strip's takes and its source only this one is heard, with the pieces that it was cut into."""
    for take in _alternatives(scene, strip):
        take.mute = not _together(take, strip)
        take[VOICE_RECORD]["chosen"] = not take.mute
    if (source := source_of(scene, strip)) is not None:
        source.mute = True


def hear_source(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.Strip | None:
    """Of a placed strip's takes and its source only the source is heard; it is answered, None where it is gone."""
    source = source_of(scene, strip)
    if source is not None:
        for take in _alternatives(scene, strip):
            take.mute = True
        source.mute = False
    return source


def meant(scene: bpy.types.Scene) -> bpy.types.Strip | None:
    """The placed strip that takes, Hear and Remove act on: the one that is acted on, else the chosen take of the sound
    that is, else of what sounds at the playhead; None where there is none."""
    strip = compat.acted_on(scene, VOICE_RECORD, {"SOUND"})
    if strip is not None and strip.get(VOICE_RECORD):
        return strip
    found: list[bpy.types.Strip] = []
    if strip is not None and strip.type in {"SOUND", "MOVIE"}:
        try:
            found = takes_of(scene, sound_strips.sound_of(scene, strip))
        except timeline.RangeError:
            found = []
    now = scene.frame_current
    here = [one for one in found or placed(scene) if compat.span(one)[0] <= now < compat.span(one)[1]]
    return _chosen(here or found)


def heard(scene: bpy.types.Scene, source: bpy.types.Strip) -> bpy.types.Strip | None:
    """The recast of a source that is heard, or would be if the source were not heard instead; None without any."""
    return _chosen(takes_of(scene, source))


def remove(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.Strip | None:
    """Take a placed strip off the timeline; if it was heard, the take below it or its source is heard in its place,
    which is answered."""
    source, was_heard = source_of(scene, strip), not strip.mute
    others = [take for take in takes(scene, strip) if take != strip]
    of, sound = dict(strip[VOICE_RECORD].items()), strip.sound
    strip_animation.clear(scene, strip)
    compat.remove_strip(compat.neighbours(scene, strip)[0], strip)
    if sound is not None and sound.users == 0:
        bpy.data.sounds.remove(sound)
    if others:
        if was_heard:
            hear(scene, others[-1])
        return others[-1]
    if source is not None:
        if was_heard:
            source.mute = False
        if scene.understudy.speech.strip_id != of["strip_id"] and not takes_of(scene, source):
            del source[STRIP_ID]
    return source


def base_of(scene: bpy.types.Scene, source: bpy.types.Strip, start: float, end: float) -> bpy.types.Strip | None:
    """The heard recast of a source that a recast of other seconds of it goes on from, so that both are heard in the new
    one; None where there is none, or it has these seconds recast already: then the source itself is recast anew."""
    of = heard(scene, source)
    if of is None or of.mute or not Path(file_of(of)).is_file():
        return None
    done = ranges(of[VOICE_RECORD])
    return of if done and all(to <= start or end <= at for at, to in done) else None


def ranges_in_words(scene: bpy.types.Scene, strip: bpy.types.Strip) -> str:
    """The recast frames of a placed strip as it lies now, for the panel."""
    found = [
        (sound_strips.frame_of(scene, strip, at), sound_strips.frame_of(scene, strip, to) - 1)
        for at, to in ranges(strip[VOICE_RECORD])
    ]
    return ", ".join(f"{first}–{last}" for first, last in sorted(found))


def with_range(base: bpy.types.Strip | None, start: float, end: float) -> str:
    """The ranges of a recast that goes on from `base`, as its record keeps them."""
    done = ranges(base[VOICE_RECORD]) if base is not None else []
    return json.dumps([list(map(float, one)) for one in [*done, (start, end)]])
