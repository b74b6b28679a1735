"""Our keys, and where they are changed: the add-on's preferences, or Blender's own page of keys."""

from __future__ import annotations

from typing import Any

import bpy

_ours: list[tuple[Any, Any]] = []


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Our keys as the preferences show them."""
    import rna_keymap_ui

    user = context.window_manager.keyconfigs.user
    for ours, item in _ours:
        keymap = user.keymaps.get(ours.name) if user else None
        mine = next((one for one in keymap.keymap_items if one.idname == item.idname), None) if keymap else None
        if mine is not None:
            layout.context_pointer_set("keymap", keymap)
            rna_keymap_ui.draw_kmi([], user, keymap, mine, layout, 0)


def register() -> None:
    """Give the preview its key; a Blender without a window has no keys."""
    keys = bpy.context.window_manager.keyconfigs.addon
    if keys is None:
        return
    keymap = keys.keymaps.new("Preview", space_type="SEQUENCE_EDITOR", region_type="WINDOW")
    _ours.append((keymap, keymap.keymap_items.new("understudy.compare", "V", "PRESS")))


def unregister() -> None:
    """Take it back."""
    while _ours:
        keymap, item = _ours.pop()
        keymap.keymap_items.remove(item)
