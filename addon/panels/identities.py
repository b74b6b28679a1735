"""Step 3: the people whose faces may appear."""

from __future__ import annotations

import bpy

from .. import steps
from .layout import SidebarPanel, gallery, missing, sentence


class UNDERSTUDY_PT_identities(SidebarPanel, bpy.types.Panel):
    """Whose face appears."""

    bl_label = "3  Identities"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        column = layout.column(align=True)
        column.operator("understudy.add_identity", icon="SEQ_SEQUENCER")
        column.operator("understudy.add_identity_file", icon="FILEBROWSER")
        if state is None:
            missing(layout, context, steps.NO_SCENE)
            return
        if not len(state.identities):
            missing(layout, context, "Add the footage of the person whose face is to appear.")
        for identity in state.identities:
            _draw_identity(layout.box(), context, state, identity)


def _draw_identity(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    state: bpy.types.PropertyGroup,
    identity: bpy.types.PropertyGroup,
) -> None:
    swap = steps.swap_of(state)
    chosen = swap is not None and swap.identity == identity.key
    row = layout.row(align=True)
    icon = "RADIOBUT_ON" if chosen else "RADIOBUT_OFF"
    row.operator("understudy.choose_identity", text="", icon=icon, depress=chosen).identity = identity.key
    row.prop(identity, "name", text="")
    row.operator("understudy.remove_identity", text="", icon="X").identity = identity.key
    if steps.scanning(state, identity.key):
        sentence(layout, context, "Its footage is being scanned.", "TIME")
    elif not identity.scan.folder:
        layout.operator("understudy.scan_identity", icon="VIEWZOOM").identity = identity.key
    elif not len(identity.scan.people):
        sentence(layout, context, "No face was found in its footage.", "ERROR")
    else:
        gallery(layout, identity.scan, identity.person, "understudy.choose_face", "Face", identity=identity.key)
