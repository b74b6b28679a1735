"""The marked ranges on the timeline, of picture and of sound: a frame around the marked part of the strip."""

from __future__ import annotations

from typing import Any

import bpy

from .. import compat
from ..sequencer import marking, sound_strips
from . import overlay

_handlers: list[Any] = []


def _draw() -> None:
    context = bpy.context
    scene, space, region = compat.sequencer_scene(context), context.space_data, context.region
    if scene is None or space is None or not space.show_overlays:
        return
    for found in (marking.where(scene), sound_strips.where(scene)):
        if found is not None:
            _outline(region, context.preferences.system.ui_scale, *found)


def _outline(region: bpy.types.Region, scale: float, start: int, end: int, channel: int) -> None:
    # a strip fills most of its channel's height, and lies between frames
    left, low = region.view2d.view_to_region(start, channel, clip=False)
    right, high = region.view2d.view_to_region(end, channel + 1, clip=False)
    if right < 0 or left > region.width or right - left < 1:
        return
    corners = [(left, low), (right, low), (right, high), (left, high)]
    overlay.lines([*corners, corners[0]], overlay.CHOSEN, 2.0 * scale)


def register() -> None:
    """Draw over every timeline of strips."""
    _handlers.append(bpy.types.SpaceSequenceEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    """Draw nothing any more."""
    while _handlers:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_handlers.pop(), "WINDOW")
