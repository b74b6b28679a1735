"""Step 2: the people in the shot, and who of them is recast."""

from __future__ import annotations

import bpy

from .. import steps
from .layout import SidebarPanel, gallery, missing, sentence


class UNDERSTUDY_PT_people(SidebarPanel, bpy.types.Panel):
    """Who is in the shot."""

    bl_label = "2  People"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, steps.state_of(context)
        layout.operator("understudy.scan_shot", icon="VIEWZOOM")
        missing(layout, context, steps.missing_for_scan(state))
        if state is None or not state.shot.scan.folder:
            return
        scan, swap = state.shot.scan, steps.swap_of(state)
        if not len(scan.people):
            sentence(layout, context, "No face was found in the marked range.", "ERROR")
            return
        layout.label(text="Recast")
        gallery(layout, scan, swap.person if swap else -1, "understudy.choose_person", "Person")
