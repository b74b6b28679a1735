"""How a source strip looks, which its recast shares: where it lies, how it blends, its modifiers.

A recast remembers how its source looked when it was placed (LOOK in its record), so that what was changed on the
source since can be told, and taken over.
"""

from __future__ import annotations

import json
from typing import Any

import bpy

from .. import compat
from ..constants import STRIP_ID, STRIP_RECORD
from ..state import kept_json
from . import copies, hidden_sources, in_step, recasts

LOOK = "look"
# What the recast strip has to share with its source so that it lies exactly over it.
_SETTINGS = (
    "blend_type", "blend_alpha", "use_flip_x", "use_flip_y", "use_deinterlace", "use_float", "alpha_mode",
    "color_multiply", "color_saturation", "multiply_alpha",
)  # fmt: skip
_TRANSFORM = ("offset_x", "offset_y", "scale_x", "scale_y", "rotation", "origin", "filter")
_CROP = ("min_x", "max_x", "min_y", "max_y")
_LAYER = {"blend_type": "ALPHA_OVER", "alpha_mode": "STRAIGHT"}
_DIGITS = 5


def look_like(strip: bpy.types.Strip, source: bpy.types.Strip, layer: bool) -> None:
    """Give a new recast the look of its source; of a `layer` (the face alone) its alpha counts."""
    strip.mute = hidden_sources.is_muted(source)
    for name in _SETTINGS:
        if hasattr(source, name) and hasattr(strip, name):
            setattr(strip, name, getattr(source, name))
    if strip.type == "IMAGE" or strip.use_reverse_frames:
        # the pictures lie in the timeline's order; flips of time are in that already
        strip.strobe = 1.0
    if layer:
        for name, value in _LAYER.items():
            setattr(strip, name, value)
    for name in _TRANSFORM:
        setattr(strip.transform, name, getattr(source.transform, name))
    for name in _CROP:
        setattr(strip.crop, name, getattr(source.crop, name))
    _copy_modifiers(strip, source)
    if _same_encoding(strip, source):
        strip.colorspace_settings.name = source.colorspace_settings.name


def _same_encoding(strip: bpy.types.Strip, source: bpy.types.Strip) -> bool:
    """Whether a recast holds the source's own numbers: EXR is written scene-linear of what was not, and the other way
    round."""
    return _is_exr(strip) == _is_exr(source)


def _is_exr(strip: bpy.types.Strip) -> bool:
    return strip.type == "IMAGE" and strip.elements[0].filename.lower().endswith(".exr")


def told(source: bpy.types.Strip) -> str:
    """How a source looks now, as its recast remembers it: JSON."""
    return json.dumps({
        "settings": {name: _plain(getattr(source, name)) for name in _SETTINGS if hasattr(source, name)},
        "transform": {name: _plain(getattr(source.transform, name)) for name in _TRANSFORM},
        "crop": {name: getattr(source.crop, name) for name in _CROP},
        "modifiers": [
            [one.name, one.type, _properties(one)] for one in getattr(source, "modifiers", ())
        ],
        "colour": source.colorspace_settings.name if hasattr(source, "colorspace_settings") else "",
    })  # fmt: skip


def changed(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip) -> set[str]:
    """What of a recast's source was changed since: of "place", "blend", "grade"; nothing of these where the source is
    animated, or was placed by an older add-on. "time" where it is out of step by `in_step.frames_off`, "speed" where it
    cannot be in step. Only reads: panels call it."""
    if source == strip:
        return set()
    off = in_step.frames_off(scene, strip, source)
    out = set() if off == 0 or _is_shown_twice(scene, strip, source) else {"speed" if off is None else "time"}
    was = _remembered(strip[STRIP_RECORD])
    if not was or compat.animated(scene, source):
        return out
    now = json.loads(told(source))
    kinds = {"settings": "blend", "transform": "place", "crop": "place", "modifiers": "grade", "colour": "grade"}
    return out | {kind for part, kind in kinds.items() if was.get(part, now[part]) != now[part]}


def _is_shown_twice(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip) -> bool:
    """Whether another strip of the same recast is in step over that source with frames of this one: a duplicate that
    lies elsewhere is meant to."""
    of = strip[STRIP_RECORD]
    return any(
        other != strip
        and (record := other.get(STRIP_RECORD))
        and (record.get("job"), record.get("strip_id")) == (of.get("job"), of.get("strip_id"))
        and not copies.apart(strip, other)
        and in_step.frames_off(scene, other, source) == 0
        for other in compat.all_strips(scene)
    )


def left_behind(scene: bpy.types.Scene) -> bpy.types.Strip | None:
    """A seen recast of the source that is acted on that is out of step with it, wherever the playhead stands."""
    source = compat.active_picture(scene)
    if source is None or source.get(STRIP_RECORD) or not source.get(STRIP_ID):
        return None
    for strip in recasts.placed(scene):
        of_it = strip[STRIP_RECORD].get("strip_id") == source[STRIP_ID] and not strip.mute
        if of_it and recasts.source_of(scene, strip) == source and changed(scene, strip, source) & {"time", "speed"}:
            return strip
    return None


def take_over(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip) -> None:
    """Change on a recast what was changed on its source since, but where it lies in time (`in_step.follow`); what was
    changed on the recast itself stays otherwise."""
    record = strip[STRIP_RECORD]
    was, now = _remembered(record), json.loads(told(source))
    if not was:
        return
    kept = set(_LAYER) if record.get("layer") else set()
    for part, to, of in (
        ("settings", strip, source), ("transform", strip.transform, source.transform), ("crop", strip.crop, source.crop)
    ):  # fmt: skip
        for name, value in now[part].items():
            if was[part].get(name) != value and hasattr(to, name) and name not in kept:
                setattr(to, name, getattr(of, name))
    if was["modifiers"] != now["modifiers"]:
        for modifier in list(strip.modifiers):
            strip.modifiers.remove(modifier)
        _copy_modifiers(strip, source)
    if was.get("colour", now["colour"]) != now["colour"] and _same_encoding(strip, source):
        strip.colorspace_settings.name = now["colour"]
    record[LOOK] = json.dumps(now)


def _remembered(record: Any) -> dict[str, Any]:
    """How a recast's source looked when it was placed; empty where its record does not say, or says something else."""
    was = kept_json.mapping(record.get(LOOK, ""))
    whole = "modifiers" in was and all(isinstance(was.get(part), dict) for part in ("settings", "transform", "crop"))
    return was if whole else {}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    return value if isinstance(value, (str, int)) else [round(float(part), _DIGITS) for part in value]


def _properties(holder: bpy.types.bpy_struct) -> dict[str, Any]:
    """What a modifier does, in plain values; how its panel is drawn is left out."""
    found: dict[str, Any] = {}
    for prop in holder.bl_rna.properties:
        name = prop.identifier
        if name in {"rna_type", "name", "type", "is_active"} or name.startswith(("show_", "open_")):
            continue
        value = getattr(holder, name)
        if prop.type == "POINTER" and value is not None:
            if isinstance(value, (bpy.types.ID, bpy.types.Strip)):
                found[name] = value.name
            elif isinstance(value, bpy.types.CurveMapping):
                found[name] = [[_plain(point.location) for point in curve.points] for curve in value.curves]
            else:
                found[name] = _properties(value)
        elif prop.type == "ENUM" and prop.is_enum_flag:
            found[name] = sorted(value)
        elif prop.type in {"FLOAT", "INT", "BOOLEAN", "STRING", "ENUM"} and not prop.is_readonly:
            found[name] = _plain(value)
    return found


def _copy_modifiers(strip: bpy.types.Strip, source: bpy.types.Strip) -> None:
    for modifier in getattr(source, "modifiers", ()):
        copy = strip.modifiers.new(modifier.name, modifier.type)
        if copy is not None:
            _copy_properties(copy, modifier)


def _copy_properties(to: bpy.types.bpy_struct, source: bpy.types.bpy_struct) -> None:
    for prop in source.bl_rna.properties:
        name = prop.identifier
        if name in {"rna_type", "name", "type"}:
            continue
        value = getattr(source, name)
        if prop.type == "POINTER" and value is not None and not isinstance(value, bpy.types.ID):
            if isinstance(value, bpy.types.Strip):
                if not prop.is_readonly:
                    setattr(to, name, value)
            elif isinstance(value, bpy.types.CurveMapping):
                copy_curves(getattr(to, name), value)
            else:
                _copy_properties(getattr(to, name), value)
        elif not prop.is_readonly and prop.type != "COLLECTION":
            setattr(to, name, value)


def copy_curves(to: bpy.types.CurveMapping, source: bpy.types.CurveMapping) -> None:
    """Give `to` the curves of `source`."""
    for mine, theirs in zip(to.curves, source.curves, strict=False):
        while len(mine.points) < len(theirs.points):
            mine.points.new(0.5, 0.5)
        for point, wanted in zip(mine.points, theirs.points, strict=False):
            point.location, point.handle_type = wanted.location, wanted.handle_type
    to.update()
