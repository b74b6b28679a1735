"""The doubtful frames of a placed recast: what they are, and buttons through them."""

from __future__ import annotations

import bpy

from .. import compat
from ..constants import STRIP_RECORD
from ..i18n import tr
from ..layout import sentence
from ..operators import review
from ..state import doubts
from . import progress


def draw(layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip) -> None:
    """One button while nothing is known; else where one stands in the list, why, and a tick."""
    scene = compat.sequencer_scene(context)
    state = scene.understudy
    if running := progress.of_step(state, "review"):
        progress.draw(layout, context, running[0])
        return
    known = doubts.of(state, str(strip[STRIP_RECORD].get("job", "")))
    if not known:
        layout.operator("understudy.review", icon="VIEWZOOM")
        return
    here, left = review.current(scene, strip), sum(not one.seen for one in known)
    row = layout.row(align=True)
    row.operator("understudy.doubt_step", text="", icon="TRIA_LEFT").step = -1
    said = tr("{n} doubtful, {left} not looked at", n=len(known), left=left)
    row.label(text=said, translate=False)
    row.operator("understudy.doubt_step", text="", icon="TRIA_RIGHT").step = 1
    row.operator("understudy.doubt_markers", text="", icon="MARKER_HLT")
    row.operator("understudy.review", text="", icon="FILE_REFRESH")
    if here is None:
        sentence(layout, context, tr("The arrows go to them, the worst first."))
        return
    row = layout.row()
    row.prop(here, "seen", text="")
    row.label(text=doubts.why(here.cause), translate=False)
