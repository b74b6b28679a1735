"""The fit of a placed recast: properties of the strip itself, which Blender keys, drives, cuts, copies and undoes.

They stand flat on the strip (`understudy_fit_amount`): Blender makes no animation path to a group of properties on one.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import bpy

from ...engine import protocol
from .. import compat
from ..constants import FIT_PREFIX, STRIP_RECORD
from ..state import settings_group
from . import recasts, timeline

SIGNATURE = "fit_keys"
"""In a strip's record: what its fit and keys were when its file was made; absent in those of older add-ons."""
EVEN = 1e-5
"""Values that run straight to so much need no key between them."""


def has_own(strip: bpy.types.Strip | None) -> bool:
    """Whether a strip is a recast with a fit of its own."""
    return strip is not None and bool(strip.get(STRIP_RECORD)) and SIGNATURE in strip[STRIP_RECORD].keys()  # noqa: SIM118


def settings_now(strip: bpy.types.Strip) -> protocol.ConvertSettings:
    """A strip's fit as it stands on the frame that the scene is at. Blender writes what drivers make of it to a strip
    only in a scene that a window shows; everywhere it is in the scene's evaluated copy."""
    if next(_drivers(strip), None) is not None:
        scene = strip.id_data
        evaluated = scene.evaluated_get(scene.view_layers[0].depsgraph)
        editor = evaluated.sequence_editor
        strip = (editor.strips_all.get(strip.name) if editor is not None else None) or strip
    return settings_group.read(strip, protocol.ConvertSettings, prefix=FIT_PREFIX)


def worked_on(state: bpy.types.PropertyGroup) -> bpy.types.Strip | None:
    """The recast of the marked range that Update and the panel act on, where it has a fit of its own."""
    strip = recasts.meant(state.id_data)
    if not has_own(strip) or strip[STRIP_RECORD].get("scan") != Path(state.shot.scan.folder).name:
        return None
    return strip


def of_the_range(state: bpy.types.PropertyGroup) -> protocol.ConvertSettings:
    """The fit that the marked range is seen with: that of the recast that is worked on as it stands at the playhead, or
    the one that the next recast gets. Of one that was cut it is the piece at the playhead that counts."""
    strip = worked_on(state)
    if strip is None:
        return settings_group.read(state.fit, protocol.ConvertSettings)
    return settings_now(_piece_at_playhead(state.id_data, strip))


def _piece_at_playhead(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.Strip:
    """What shows the same recast of the same source where the playhead is; the strip itself where it does, or nothing
    does."""
    of, now = strip[STRIP_RECORD], scene.frame_current
    there = [
        one
        for one in recasts.placed(scene)
        if all(one[STRIP_RECORD].get(name) == of.get(name) for name in ("job", "strip_id"))
        and compat.span(one)[0] <= now < compat.span(one)[1]
        and has_own(one)
    ]
    return strip if strip in there else max(there, key=lambda one: (not one.mute, one.channel), default=strip)


def give(strip: bpy.types.Strip, fit: Any) -> None:
    """Write the fit that a strip's file was made with onto it, and remember it; nothing where `fit`, a JSON text of the
    job's, is none of ours: it may come from anybody's .blend."""
    try:
        settings = protocol.from_json(protocol.ConvertSettings, protocol.parse_json(str(fit)))
    except ValueError:
        return
    settings_group.write(strip, settings, prefix=FIT_PREFIX)
    strip[STRIP_RECORD][SIGNATURE] = ""
    strip[STRIP_RECORD][SIGNATURE] = signature(strip)


def signature(strip: bpy.types.Strip) -> str:
    """Tells a fit, with its keyframes and drivers, from any other. Cheap enough to draw with.

    Keyframes count from where the strip's content begins: they move with it and mean the same. What drivers and
    modifiers do hangs on the frame itself. What is as usual is not in it: a later version's further settings change no
    fit.
    """
    start = compat.content(strip)[0]
    keyed = {name: _told(curve, start) for name, curve in _curves(strip)}
    driven = {name: [_told(curve, start), _driver_told(curve.driver), start] for name, curve in _drivers(strip)}
    still = {
        name: value
        for name in settings_group.properties_of(protocol.ConvertSettings)
        if name not in keyed and name not in driven
        for value, usual in [(_plain(getattr(strip, FIT_PREFIX + name)), _plain(_property(strip, name).default))]
        if value != usual
    }
    return f"{zlib.crc32(json.dumps([still, keyed, driven], sort_keys=True).encode()):08x}"


def _property(strip: bpy.types.Strip, name: str) -> bpy.types.Property:
    return strip.bl_rna.properties[FIT_PREFIX + name]


def _plain(value: Any) -> Any:
    return round(value, settings_group.PLACES) if isinstance(value, float) else value


def _told(curve: bpy.types.FCurve, start: int) -> list[Any]:
    """All that an F-curve's values hang on, as JSON; frames count from `start`."""
    points = [
        [
            *(round(point.co[0] - start, 2), round(point.co[1], 5), point.interpolation, point.easing),
            *(round(point.handle_left[0] - start, 2), round(point.handle_left[1], 4)),
            *(round(point.handle_right[0] - start, 2), round(point.handle_right[1], 4)),
            *(round(value, 4) for value in (point.amplitude, point.back, point.period)),
        ]
        for point in curve.keyframe_points
    ]
    modifiers = [
        {
            prop.identifier: str(getattr(modifier, prop.identifier))
            for prop in modifier.bl_rna.properties
            if not prop.is_readonly and prop.identifier not in {"name", "active", "show_expanded"}
        }
        | {"type": modifier.type}
        for modifier in curve.modifiers
    ]
    return [points, curve.extrapolation, modifiers, start if modifiers else 0]


def _driver_told(driver: bpy.types.Driver) -> list[Any]:
    variables = [
        [
            variable.name,
            variable.type,
            *([one.id.name if one.id else "", one.data_path, one.bone_target, one.transform_type, one.transform_space]
              for one in variable.targets),
        ]
        for variable in driver.variables
    ]  # fmt: skip
    return [driver.type, driver.expression, variables]


def is_changed(strip: bpy.types.Strip) -> bool:
    """Whether a recast's fit is another one by now than its file was made with."""
    return has_own(strip) and strip[STRIP_RECORD][SIGNATURE] != signature(strip)


def asked(scene: bpy.types.Scene, strip: bpy.types.Strip, about: dict[str, Any]) -> dict[str, str]:
    """What the update of a recast asks for, for its `about`: `fit` and `curves`, JSON of `protocol.ConvertSettings` and
    `protocol.Curves`, and the signature of each of its pieces. Goes through the frames where drivers need it, and back.

    A frame of the source that is shown twice is made as it is shown first.
    """
    every = recasts.pieces(scene, strip)
    shown: dict[int, dict[str, Any]] = {}
    for piece in sorted(every, key=compat.span):
        for frame, values in _sampled(scene, piece, about):
            shown.setdefault(frame, values)
    base, curves = _as_curves(shown)
    settings = protocol.to_json(protocol.ConvertSettings())
    for name, value in base.items():
        head, _, part = name.partition(".")
        if part:
            settings[head][_part(head, part)] = value
        else:
            settings[head] = value
    known = {recasts.id_of(piece): signature(piece) for piece in every if has_own(piece)}
    return {"fit": json.dumps(settings), "curves": json.dumps(curves), "signatures": json.dumps(known)}


def updated(strip: bpy.types.Strip, about: dict[str, Any]) -> None:
    """Remember that a strip's file was made with the fit that it had when the update was asked for; one that had none
    of its own gets that one."""
    try:
        strip[STRIP_RECORD][SIGNATURE] = str(protocol.parse_json(about["signatures"])[recasts.id_of(strip)])
    except (KeyError, TypeError, ValueError):
        give(strip, about.get("fit"))


def _sampled(
    scene: bpy.types.Scene, strip: bpy.types.Strip, about: dict[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each frame of the source that a strip shows, and its settings there by name and part."""
    if not has_own(strip):
        still = _by_part(protocol.to_json(settings_group.read(scene.understudy.fit, protocol.ConvertSettings)))
        yield from ((source, still) for _, source in frames_shown(scene, strip, about))
        return
    curves = dict(_curves(strip))
    if (driven := dict(_drivers(strip))) or _layered(scene):
        now, part = scene.frame_current, scene.frame_subframe
        for curve in driven.values():  # a cut makes drivers that Blender knows of only when it is told
            curve.driver.expression = curve.driver.expression
        try:
            for frame, source in frames_shown(scene, strip, about):
                scene.frame_set(frame)
                yield source, _by_part(protocol.to_json(settings_now(strip)))
        finally:
            scene.frame_set(now, subframe=part)
        return
    still = _by_part(protocol.to_json(settings_now(strip)))
    if not curves:
        yield from ((source, still) for _, source in frames_shown(scene, strip, about))
        return
    for frame, source in frames_shown(scene, strip, about):
        values = dict(still)
        for name, curve in curves.items():
            values[_named(name)] = _allowed(strip.bl_rna.properties[FIT_PREFIX + name], curve.evaluate(frame))
        yield source, values


def frames_shown(
    scene: bpy.types.Scene, strip: bpy.types.Strip, about: dict[str, Any], only: int | None = None
) -> Iterator[tuple[int, int]]:
    """Each frame of the timeline that a recast shows, or the one that is asked for, with the frame of its source seen
    there. Where a handle was pulled past the footage its first or last frame is held: those come last."""
    timing = compat.strip_timing(scene, strip)
    first, last = about["source_start"], about["source_end"] - 1
    mapped = about.get("frames") or []
    begin, end = (0, 0) if timing.still else (timing.content_start, timing.content_start + timing.content_frames)
    span: Iterable[int] = range(*compat.span(strip))
    if not timing.still:
        span = sorted(span, key=lambda frame: not begin <= frame < end)
    for frame in span if only is None else (n for n in (only,) if n in span):
        at = timeline.source_frame(timing, frame if timing.still else min(max(frame, begin), end - 1))
        if about.get("order") == "mapped" and mapped:
            source = mapped[min(max(at, 0), len(mapped) - 1)]
        elif about.get("order") == "reversed" and strip.type == "IMAGE":
            source = last - at
        else:
            source = first + at
        yield frame, min(max(int(source), first), last)


def _as_curves(shown: dict[int, dict[str, Any]]) -> tuple[dict[str, Any], protocol.Curves]:
    """What is the same on all frames, and the keys of what is not; straight runs have keys at their ends only."""
    frames = sorted(shown)
    base: dict[str, Any] = {}
    curves: protocol.Curves = {}
    for name in shown[frames[0]] if frames else ():
        values = [shown[frame][name] for frame in frames]
        if all(value == values[0] for value in values):
            base[name] = values[0]
        else:
            curves[name] = _thinned(frames, values)
    return base, curves


def _thinned(frames: list[int], values: list[Any]) -> list[list[Any]]:
    keys = [[frames[0], values[0]]]
    for n in range(1, len(frames) - 1):
        before, here, after = values[n - 1 : n + 2]
        if isinstance(here, float):
            run = frames[n - 1] + 1 == frames[n] == frames[n + 1] - 1
            needed = not run or abs((after - here) - (here - before)) > EVEN
        else:
            needed = here != before
        if needed:
            keys.append([frames[n], here])
    if len(frames) > 1:
        keys.append([frames[-1], values[-1]])
    return keys


def _by_part(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by the names of curves: a list is one for each of its parts."""
    found: dict[str, Any] = {}
    for one in protocol.settings_of(protocol.ConvertSettings):
        if one.label:
            parts = one.limits.parts if one.limits else ()
            value = settings[one.name]
            found |= {f"{one.name}.{part}": value[n] for n, part in enumerate(parts)} if parts else {one.name: value}
    return found


def _part(name: str, part: str) -> int:
    limits = protocol.limits_of(protocol.ConvertSettings)[name]
    return limits.parts.index(part)


def _named(name: str) -> str:
    """A property's name, "erode_top", as a curve's: "erode.top"."""
    for one in protocol.settings_of(protocol.ConvertSettings):
        for part in one.limits.parts if one.limits else ():
            if name == f"{one.name}_{part}":
                return f"{one.name}.{part}"
    return name


def _allowed(prop: bpy.types.Property, value: float) -> Any:
    """What an F-curve's value means for a property, within its limits; its default where it is no number."""
    if not math.isfinite(value):
        return prop.default
    if prop.type == "ENUM":
        numbers = {item.value: item.identifier for item in prop.enum_items}
        return numbers.get(int(value), prop.default)
    if prop.type == "BOOLEAN":
        return value >= 0.5  # as Blender rounds it
    return round(min(max(float(value), prop.hard_min), prop.hard_max), settings_group.PLACES)


def _curves(strip: bpy.types.Strip) -> Iterator[tuple[str, bpy.types.FCurve]]:
    """The F-curves of a strip's fit, by the setting's name, that are not muted."""
    found = strip.id_data.animation_data
    for bag in compat.curve_bags(found.action) if found else ():
        for curve in bag:
            if not curve.mute and (name := _ours(strip, curve.data_path)):
                yield name, curve


def _drivers(strip: bpy.types.Strip) -> Iterator[tuple[str, bpy.types.FCurve]]:
    found = strip.id_data.animation_data
    for driver in found.drivers if found else ():
        if not driver.mute and (name := _ours(strip, driver.data_path)):
            yield name, driver


def _ours(strip: bpy.types.Strip, path: str) -> str:
    """The setting that a data path is of; "" for anything else."""
    _, its, name = path.partition(f"{compat.animation_path(strip)}.{FIT_PREFIX}")
    return name if its and hasattr(strip, FIT_PREFIX + name) else ""


def _layered(scene: bpy.types.Scene) -> bool:
    """Whether more than the action's curves make a frame's values: the NLA, or an action that counts in part."""
    found = scene.animation_data
    return found is not None and (len(found.nla_tracks) > 0 or found.action_influence < 1)


def register() -> None:
    """Give every strip the properties."""
    for name, prop in settings_group.properties_of(protocol.ConvertSettings).items():
        setattr(bpy.types.Strip, FIT_PREFIX + name, prop)


def unregister() -> None:
    """Take them away again; what a .blend holds stays in it."""
    for name in settings_group.properties_of(protocol.ConvertSettings):
        delattr(bpy.types.Strip, FIT_PREFIX + name)
