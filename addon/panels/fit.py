"""How a face is fitted into the picture, and how that is stored: of the next recast, or of one that is placed."""

from __future__ import annotations

import bpy

from ..constants import FIT_PREFIX
from ..i18n import tr
from ..layout import fields, sentence
from ..sequencer import strip_fit

REGIONS = ("forehead", "brows", "eyes", "nose", "mouth", "jaw")
SIDES = ("top", "right", "bottom", "left")


def draw(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    state: bpy.types.PropertyGroup,
    strip: bpy.types.Strip | None,
) -> None:
    """The fold with all settings; those of a placed recast are its strip's own and can be keyed."""
    from ..state.presets import UNDERSTUDY_PT_fit_presets

    header, body = layout.panel("UNDERSTUDY_fit", default_closed=True)
    placed = strip if strip_fit.has_own(strip) else None
    header.label(text="Fit of the Strip" if placed is not None else "Fit and Format")
    if body is None:
        return
    if placed is not None:
        changed = strip_fit.is_changed(placed)  # in place of the other sentence: nothing moves under the mouse
        said = (
            tr("Changed since it was recast: Update recasts what that changes.")
            if changed
            else tr("Of this strip alone. Every value can be keyed and driven.")
        )
        sentence(body, context, said, "INFO" if changed else "KEYFRAME")
        _draw_settings(body, placed, FIT_PREFIX, keyed=True)
        return
    UNDERSTUDY_PT_fit_presets.draw_panel_header(header)
    column = fields(body)
    column.prop(state, "format")
    column.prop(state, "layer")
    _draw_settings(body, state.fit, "", keyed=False)


def _draw_settings(layout: bpy.types.UILayout, owner: bpy.types.bpy_struct, prefix: str, keyed: bool) -> None:
    def column(within: bpy.types.UILayout) -> bpy.types.UILayout:
        made = fields(within)
        made.use_property_decorate = keyed
        return made

    def props(within: bpy.types.UILayout, *names: str) -> None:
        for name in names:
            within.prop(owner, prefix + name)

    props(column(layout), "amount", "shape", "colour", "blend", "feather", "smooth")
    props(column(layout), "match_sharpness", "match_grain", "keep_front", "spectacles")
    for identifier, title, names in (
        ("regions", tr("Parts of the Face"), [f"regions_{part}" for part in REGIONS]),
        ("own", tr("At Rest"), ["own_lids", "own_brows", "own_mouth"]),
        ("pose", tr("Eyes and Mouth"), ["gaze_right", "gaze_up", "lids", "mouth"]),
        ("erode", tr("Erode Mask"), [f"erode_{side}" for side in SIDES]),
    ):
        header, body = layout.panel(f"UNDERSTUDY_fit_{identifier}", default_closed=True)
        header.label(text=title, translate=False)
        if body is not None:
            props(column(body).column(align=True), *names)
