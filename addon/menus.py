"""Our entries in Blender's own menus: Strip, Add, and the context menus of timeline and preview."""

from __future__ import annotations

import bpy

from .operators.convert import active_recast


class UNDERSTUDY_MT_strip(bpy.types.Menu):
    """What can be done with the active strip."""

    bl_label = "Understudy"
    bl_description = "Recast the faces of this strip"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("understudy.recast_with_defaults", icon="PLAY")
        layout.operator("understudy.mark_range", icon="SEQUENCE")
        layout.operator("understudy.scan_shot", icon="VIEWZOOM")
        layout.operator("understudy.add_identity", icon="USER")
        layout.separator()
        layout.operator("understudy.train", icon="PLAY")
        layout.operator("understudy.convert", icon="RENDER_ANIMATION")
        layout.operator("understudy.convert", text="Draft, without Training", icon="SHADERFX").draft = True
        if active_recast(context) is not None:
            layout.separator()
            layout.operator("understudy.update", icon="FILE_REFRESH")
            layout.operator("understudy.next_take", icon="TRIA_RIGHT")
            layout.operator("understudy.remove_recast", icon="X")
        layout.separator()
        layout.operator("understudy.mark_sound", icon="SPEAKER")
        layout.operator("understudy.hear_voice", icon="PLAY_SOUND")
        layout.separator()
        layout.operator("understudy.credentials", icon="FAKE_USER_ON")


def _in_strip_menus(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.menu("UNDERSTUDY_MT_strip", icon="COMMUNITY")


def _in_add_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.operator("understudy.place", icon="COMMUNITY")


def _in_preview_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    layout = self.layout
    layout.separator()
    layout.prop(context.window_manager.understudy, "show")
    layout.operator("understudy.pick_face", icon="EYEDROPPER")
    layout.operator("understudy.wipe", icon="ARROW_LEFTRIGHT")
    layout.operator("understudy.compare")


_MENUS = (
    ("SEQUENCER_MT_strip", _in_strip_menus),
    ("SEQUENCER_MT_context_menu", _in_strip_menus),
    ("SEQUENCER_MT_add", _in_add_menu),
    ("SEQUENCER_MT_preview_context_menu", _in_preview_menu),
)


def register() -> None:
    """Add our entries."""
    bpy.utils.register_class(UNDERSTUDY_MT_strip)
    for name, draw in _MENUS:
        getattr(bpy.types, name).append(draw)


def unregister() -> None:
    """Take them out again."""
    for name, draw in _MENUS:
        getattr(bpy.types, name).remove(draw)
    bpy.utils.unregister_class(UNDERSTUDY_MT_strip)
