"""Why the edit shows something else than the plain source at the playhead: the live recast steps aside there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import compat
from ..constants import STRIP_ID, STRIP_RECORD
from ..i18n import tr

if TYPE_CHECKING:
    import bpy

_COVERING = {"REPLACE", "ALPHA_OVER", "OVER_DROP", "CROSS", "GAMMA_CROSS"}
"""The blends in which an opaque picture hides what lies below and is itself unchanged."""
_TRUE = 1e-4  # of a factor that is to be 1
_SHARES = {"PROXY_25": 0.25, "PROXY_50": 0.5, "PROXY_75": 0.75}


def in_edit(scene: bpy.types.Scene, source: bpy.types.Strip) -> str:
    """Why the timeline does not show the plain source at the playhead, "" where it does: of the strip itself, and of
    every meta strip around it up to the one that is open."""
    around, inside = _around(scene, source)
    if not inside:
        why = tr("the meta strip that is open does not hold its source.")
        return tr("The live recast is not shown: {why}", why=why)
    for strip in around:
        if why := _hidden(scene, strip) or _changed(strip, source) or _covered(scene, strip, source):
            return tr("The live recast is not shown: {why}", why=why)
    return ""


def seen(scene: bpy.types.Scene, source: bpy.types.Strip) -> bool:
    """Whether anything of the source can be seen at the playhead: neither it nor a meta strip around it is muted, or
    lies below a cutaway."""
    around, inside = _around(scene, source)
    return inside and not any(_hidden(scene, strip) or _cut_away(scene, strip, source) for strip in around)


def _around(scene: bpy.types.Scene, source: bpy.types.Strip) -> tuple[list[bpy.types.Strip], bool]:
    """The source and the meta strips around it up to the one that is open, and whether that holds it."""
    stack = scene.sequence_editor.meta_stack
    opened = stack[-1] if len(stack) else None
    around, strip = [], source
    while strip is not None and strip != opened:
        around.append(strip)
        strip = strip.parent_meta()
    return around, strip == opened


def in_view(scene: bpy.types.Scene, space: bpy.types.SpaceSequenceEditor, channel: int) -> str:
    """Why a preview does not show a strip of that channel although the edit does; "" where it does."""
    why = ""
    if space.proxy_render_size == "NONE":
        why = tr("the preview's size is set to No Display.")
    elif 0 < space.display_channel < channel:
        why = tr("the preview shows the channels up to {number} only.", number=space.display_channel)
    return tr("The live recast is not shown: {why}", why=why) if why else ""


def share(scene: bpy.types.Scene, space: bpy.types.SpaceSequenceEditor) -> float:
    """How much of a picture's width the preview's size leaves of it, 0 to 1: proxies are no sharper."""
    if space.proxy_render_size == "SCENE":
        return min(float(scene.render.resolution_percentage) / 100, 1.0)
    return _SHARES.get(space.proxy_render_size, 1.0)


def _hidden(scene: bpy.types.Scene, strip: bpy.types.Strip) -> str:
    _, channels = compat.neighbours(scene, strip)
    left, right = compat.span(strip)
    if strip.mute:
        return tr("“{name}” is muted.", name=strip.name)
    if channels[strip.channel].mute:
        return tr("the channel of “{name}” is muted.", name=strip.name)
    return "" if left <= scene.frame_current < right else tr("“{name}” does not reach here.", name=strip.name)


def _changed(strip: bpy.types.Strip, source: bpy.types.Strip) -> str:
    """What is done to the strip's picture that a placed recast has, too, and the live one has not."""
    if any(not modifier.mute for modifier in strip.modifiers):
        return tr("“{name}” has modifiers. A placed recast has them, too.", name=strip.name)
    if abs(strip.blend_alpha - 1) > _TRUE:
        return tr("“{name}” is not fully opaque.", name=strip.name)
    if strip.blend_type not in _COVERING:
        return tr("“{name}” is blended with what lies below.", name=strip.name)
    if any(abs(getattr(strip, name, 1.0) - 1) > _TRUE for name in ("color_saturation", "color_multiply")):
        return tr("the colours of “{name}” are changed. A placed recast has that, too.", name=strip.name)
    if strip != source and _moved(strip):
        return tr("the meta strip “{name}” moves or crops its picture.", name=strip.name)
    return ""


def _moved(strip: bpy.types.Strip) -> bool:
    place, crop = strip.transform, strip.crop
    still = (place.offset_x, place.offset_y, place.rotation, place.scale_x - 1, place.scale_y - 1)
    cut = (crop.min_x, crop.max_x, crop.min_y, crop.max_y)
    return any(abs(value) > _TRUE for value in still) or any(cut) or strip.use_flip_x or strip.use_flip_y


def _cut_away(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip) -> bool:
    """Whether a movie or a colour lies over the whole of a strip; not its own recasts."""
    return any(
        other.type in {"MOVIE", "COLOR"}
        and other.channel > strip.channel
        and not _hidden(scene, other)
        and other.blend_type in _COVERING
        and abs(other.blend_alpha - 1) <= _TRUE
        and not _moved(other)
        and not (other.get(STRIP_RECORD) and other[STRIP_RECORD].get("strip_id") == source.get(STRIP_ID))
        for other in compat.neighbours(scene, strip)[0]
    )


def _covered(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip) -> str:
    """What lies over the strip, or takes it as an effect; not its own recasts, which the live one is compared with."""
    holder, channels = compat.neighbours(scene, strip)
    for other in holder:
        left, right = compat.span(other)
        if not left <= scene.frame_current < right or other.type == "SOUND":
            continue
        if other.mute or channels[other.channel].mute:
            continue
        if other.get(STRIP_RECORD) and other[STRIP_RECORD].get("strip_id") == source.get(STRIP_ID):
            continue
        effect = strip in (getattr(other, "input_1", None), getattr(other, "input_2", None))
        if effect or other.channel > strip.channel:
            return tr("“{name}” lies over it.", name=other.name)
    return ""
