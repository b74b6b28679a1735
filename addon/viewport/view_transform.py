"""The scene's view transform for what is drawn over the preview.

The sequencer shows its frames through the scene's view transform; what a draw handler draws passes none. So Blender
itself is asked once per setting what becomes of a grid of colours (`table_of`), and a shader looks every pixel's
colour up in it. With Standard as it comes nothing changes, and there is no table.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import bpy

from .. import compat
from ..sequencer.source_look import copy_curves

SIZE = 52
"""Colours a side of the grid, so many that they fall on whole bytes (5 apart)."""
IMAGE = ".understudy preview table"
SETTLED_SECONDS = 0.15  # a slider that is being dragged makes no tables
_PLAIN = ("Standard", "None", 0.0, 1.0)

_table: tuple[Hashable, str, Any] | None = None  # (settings, name of an image that waits to become a texture, texture)
_asked: Hashable = None
_shader: Any = None


def settings_of(scene: bpy.types.Scene) -> Hashable | None:
    """All that decides how the scene's frames are shown; None where they are shown as they are stored."""
    view = scene.view_settings
    white = ()
    if getattr(view, "use_white_balance", False):
        white = (view.white_balance_temperature, view.white_balance_tint)
    curves = ()
    if view.use_curve_mapping:
        mapping = view.curve_mapping
        points = [(*p.location, p.handle_type) for curve in mapping.curves for p in curve.points]
        curves = (*points, *mapping.black_level, *mapping.white_level)
    space = scene.sequencer_colorspace_settings.name
    chosen = (view.view_transform, view.look, round(view.exposure, 6), round(view.gamma, 6))
    if chosen == _PLAIN and not white and not curves and space == "sRGB":
        return None
    return (*chosen, white, curves, space, scene.display_settings.display_device)


def table_of(scene: bpy.types.Scene) -> bpy.types.Image:
    """What the view transform makes of a grid of SIZE³ stored colours: an image of SIZE² × SIZE pixels whose column is
    red + SIZE · blue and whose row, from below, is green. The caller removes it.

    Not while drawing: it writes a small file, by a scene that is there for that long, because a scene's format decides
    how Blender saves through its view transform.
    """
    ramp = [number / (SIZE - 1) for number in range(SIZE)]
    grid = array("f")
    for green in ramp:
        for blue in ramp:
            for red in ramp:
                grid.extend((red, green, blue, 1.0))
    before = bpy.data.images.new(IMAGE, SIZE * SIZE, SIZE)  # of bytes: floats would be taken for scene-linear
    aside = bpy.data.scenes.new(IMAGE)
    try:
        _show_like(aside, scene)
        before.colorspace_settings.name = scene.sequencer_colorspace_settings.name
        before.pixels.foreach_set(grid)
        form = aside.render.image_settings
        if "media_type" in form.bl_rna.properties:
            form.media_type = "IMAGE"
        form.file_format, form.color_mode, form.color_depth = "PNG", "RGB", "16"
        form.color_management = "FOLLOW_SCENE"
        with tempfile.TemporaryDirectory(prefix="understudy-") as folder:
            path = str(Path(folder) / "table.png")
            before.save_render(path, scene=aside)
            after = bpy.data.images.load(path, check_existing=False)
            after.name = IMAGE
            after.colorspace_settings.name = "Non-Color"
            after.pixels[0]  # read while the file is there
    finally:
        bpy.data.scenes.remove(aside)
        bpy.data.images.remove(before)
    return after


def _show_like(aside: bpy.types.Scene, scene: bpy.types.Scene) -> None:
    aside.display_settings.display_device = scene.display_settings.display_device
    ours, theirs = aside.view_settings, scene.view_settings
    for name in (
        "view_transform", "look", "exposure", "gamma", "use_curve_mapping", "use_white_balance",
        "white_balance_temperature", "white_balance_tint",
    ):  # fmt: skip
        if hasattr(theirs, name):
            setattr(ours, name, getattr(theirs, name))
    if theirs.use_curve_mapping:
        copy_curves(ours.curve_mapping, theirs.curve_mapping)
        ours.curve_mapping.black_level = theirs.curve_mapping.black_level
        ours.curve_mapping.white_level = theirs.curve_mapping.white_level


def texture(scene: bpy.types.Scene) -> Any:
    """The table on the graphics card, None where none is needed or while it is made. Only while drawing."""
    global _table, _asked
    wanted = settings_of(scene)
    if wanted is None:
        return None
    if _table is None or _table[0] != wanted:
        if _asked != wanted:
            _asked = wanted
            name = scene.name
            bpy.app.timers.register(lambda: _make(name, wanted), first_interval=SETTLED_SECONDS)
        return None
    _, image, made = _table
    if made is None and image in bpy.data.images:
        made = compat.texture(bpy.data.images[image], "RGBA16")
        _table = (wanted, "", made)
        bpy.app.timers.register(lambda: _drop(image), first_interval=0.0)
    return made


def _make(name: str, wanted: Hashable) -> None:
    from ..state import hooks

    global _table, _asked
    scene = bpy.data.scenes.get(name)
    if _asked == wanted:
        _asked = None
    if scene is not None and settings_of(scene) == wanted:
        _table = (wanted, table_of(scene).name, None)
        hooks.redraw_sequencers({"PREVIEW"})  # where it has changed meanwhile, drawing asks anew


def _drop(image: str) -> None:
    if image in bpy.data.images:
        bpy.data.images.remove(bpy.data.images[image])


def forget() -> None:
    """A table whose image is not on the graphics card yet is made anew when next looked at: its image goes."""
    global _table
    if _table is not None and _table[2] is None:
        _table = None


def shader() -> Any:
    """Draws `image` (texCoord at pos) with every colour looked up in `table`. Only while drawing."""
    global _shader
    import gpu

    if _shader is None:
        between = gpu.types.GPUStageInterfaceInfo("understudy_table")
        between.smooth("VEC2", "uv")
        info = gpu.types.GPUShaderCreateInfo()
        info.push_constant("MAT4", "ModelViewProjectionMatrix")
        # Blender sets it when the shader is bound: whether what is drawn into encodes as sRGB by itself. The
        # sequencer's preview does, and the picture must not be encoded twice
        info.push_constant("BOOL", "srgbTarget")
        info.sampler(0, "FLOAT_2D", "image")
        info.sampler(1, "FLOAT_2D", "table")
        info.vertex_in(0, "VEC2", "pos")
        info.vertex_in(1, "VEC2", "texCoord")
        info.vertex_out(between)
        info.fragment_out(0, "VEC4", "colour")
        info.vertex_source(
            "void main() { uv = texCoord; gl_Position = ModelViewProjectionMatrix * vec4(pos, 0.0, 1.0); }"
        )
        info.fragment_source(_FRAGMENT.replace("SIZE", str(SIZE)))
        _shader = gpu.shader.create_from_info(info)
    return _shader


_FRAGMENT = """
vec3 entry(ivec3 at) { return texelFetch(table, ivec2(at.r + SIZE * at.b, at.g), 0).rgb; }
void main()
{
  vec4 stored = texture(image, uv);
  vec3 at = clamp(stored.rgb, 0.0, 1.0) * float(SIZE - 1);
  ivec3 low = min(ivec3(at), ivec3(SIZE - 2));
  vec3 part = at - vec3(low);
  vec3 slices[2];
  for (int b = 0; b < 2; b++) {
    ivec3 here = low + ivec3(0, 0, b);
    vec3 below = mix(entry(here), entry(here + ivec3(1, 0, 0)), part.r);
    vec3 above = mix(entry(here + ivec3(0, 1, 0)), entry(here + ivec3(1, 1, 0)), part.r);
    slices[b] = mix(below, above, part.g);
  }
  vec3 shown = mix(slices[0], slices[1], part.b);
  if (srgbTarget) {
    shown = mix(shown / 12.92, pow((shown + 0.055) / 1.055, vec3(2.4)), step(0.04045, shown));
  }
  colour = vec4(shown, stored.a);
}
"""


def register() -> None:
    """Nothing to do until a frame is looked at."""


def unregister() -> None:
    """Let go of table and shader."""
    global _table, _asked, _shader
    _table = _asked = _shader = None
