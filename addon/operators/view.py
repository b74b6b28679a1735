"""Look at the recast in the preview: drag the wipe, hold to compare. None of it is part of the edit; the modal ones
last as long as a drag does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

from .. import compat
from ..i18n import tr
from ..sequencer import picture_geometry
from ..state import hooks, steps
from ..viewport import overlay, preview
from .common import Outside

LEAVING = {"ESC", "RIGHTMOUSE"}
PASSED = {"MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "TRACKPADPAN", "TRACKPADZOOM"}


def preview_at(window: bpy.types.Window, event: bpy.types.Event) -> tuple[Any, float, float] | None:
    """The preview region under the mouse and the position in it."""
    for area in window.screen.areas:
        if area.type != "SEQUENCE_EDITOR":
            continue
        for region in area.regions:
            x, y = event.mouse_x - region.x, event.mouse_y - region.y
            if region.type == "PREVIEW" and 0 <= x < region.width and 0 <= y < region.height:
                return region, x, y
    return None


def previews(window: bpy.types.Window) -> Iterator[bpy.types.Region]:
    """The preview regions of a window that have a size."""
    for area in window.screen.areas:
        if area.type == "SEQUENCE_EDITOR":
            yield from (r for r in area.regions if r.type == "PREVIEW" and r.width > 1 and r.height > 1)


def missing_for_look(context: bpy.types.Context) -> str:
    """What there is to do before the preview can be looked at; "" where it can."""
    state = steps.state_of(context)
    if missing := steps.missing_for_people(state):
        return missing
    if context.window is not None and not any(previews(context.window)):
        return tr("Open the sequencer's preview: View Type, in its header.")
    return ""


class UNDERSTUDY_OT_wipe(Outside, bpy.types.Operator):
    """Drag the wipe. Not an undo step: it is how one looks, no edit."""

    bl_idname = "understudy.wipe"
    bl_label = "Drag Wipe"
    bl_description = "Drag the line between footage and recast over the preview; a click or Enter leaves it there"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return missing_for_look(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        view = context.window_manager.understudy
        self.before = (view.use_wipe, view.wipe)
        view.show = view.use_wipe = True
        overlay.dragging = True
        context.window.cursor_modal_set("MOVE_X")
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(tr("Move: wipe. Click or Enter: leave it there. Esc: as before"))
        hooks.redraw_sequencers({"PREVIEW"})
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        view = context.window_manager.understudy
        if event.type == "MOUSEMOVE":
            found = preview_at(context.window, event)
            scene = compat.sequencer_scene(context)
            here = preview.here(scene) if scene else None
            if found and here:
                region, x, y = found
                view.wipe = wipe_at(here.placement, *region.view2d.region_to_view(x, y))
            return {"RUNNING_MODAL"}
        if event.type in LEAVING:
            view.use_wipe, view.wipe = self.before
            return self._end(context, {"CANCELLED"})
        if event.type in {"LEFTMOUSE", "RET", "NUMPAD_ENTER"} and event.value == "PRESS":
            return self._end(context, {"FINISHED"})
        return {"PASS_THROUGH"} if event.type in PASSED or event.type.startswith("TIMER") else {"RUNNING_MODAL"}

    def _end(self, context: bpy.types.Context, result: set[str]) -> set[str]:
        overlay.dragging = False
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)
        hooks.redraw_sequencers()
        return result


def wipe_at(placement: picture_geometry.Placement, vx: float, vy: float) -> float:
    """The wipe's position (0..1 of the picture's width) for a view position, off the picture too."""
    middle = placement.height / 2
    (left, below), (right, above) = placement.to_view(0, middle), placement.to_view(placement.width, middle)
    dx, dy = right - left, above - below
    length = dx * dx + dy * dy
    part = ((vx - left) * dx + (vy - below) * dy) / length if length else 0.5
    return min(max(part, 0.0), 1.0)


class UNDERSTUDY_OT_compare(Outside, bpy.types.Operator):
    """See the footage as long as it is held. Not an undo step: it is how one looks, no edit."""

    bl_idname = "understudy.compare"
    bl_label = "Hold to Compare"
    bl_description = (
        "Show the footage in place of the recast as long as the key is held (V over the preview, another one in the "
        "preferences of Understudy); from this button, until the next click"
    )

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return missing_for_look(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        scene = compat.sequencer_scene(context)
        strip = compat.active_strip(scene) if scene else None
        if event.value == "PRESS" and strip is not None and strip.type == "TEXT":
            return {"PASS_THROUGH"}  # it may be a letter of the title
        # a button runs on release, a key on press
        self.key = event.type if event.value == "PRESS" else ""
        context.window_manager.understudy.compare = True
        context.window_manager.modal_handler_add(self)
        hooks.redraw_sequencers({"PREVIEW"})
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.key:
            over = event.type == self.key and event.value == "RELEASE"
        else:
            over = event.value == "PRESS" and event.type not in PASSED
        if not over and event.type != "ESC":
            return {"PASS_THROUGH"}
        context.window_manager.understudy.compare = False
        hooks.redraw_sequencers({"PREVIEW"})
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_wipe, UNDERSTUDY_OT_compare)
