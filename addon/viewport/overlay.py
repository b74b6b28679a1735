"""What is drawn over the sequencer's preview: the recast frame, the wipe's line, who is who.

Two handlers on the preview region: the picture in view coordinates (render pixels, origin at the frame's centre),
lines and words in region pixels. They draw what is there and let `preview` ask for what is not; nothing here runs
unless Blender draws the preview anyway.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy

from .. import compat
from ..constants import STRIP_RECORD
from ..i18n import tr
from ..layout import CHARACTER_PIXELS, wrapped
from ..sequencer import placing, recasts
from ..state import kept_json, people_store, steps
from . import aside, preview, view_transform

picking = False
"""A face is being clicked: boxes are drawn whether or not names are switched on."""
hovered: int | None = None
"""The person under the mouse meanwhile."""
dragging = False
"""The wipe is being dragged."""

CHOSEN, OTHER, HOVERED = (1.0, 0.62, 0.2, 1.0), (0.85, 0.85, 0.85, 0.8), (1.0, 1.0, 1.0, 1.0)
LINE = (1.0, 1.0, 1.0, 0.9)
SHADE = (0.0, 0.0, 0.0, 0.55)

_handlers: list[Any] = []


def _look() -> tuple[Any, Any, preview.Here] | None:
    """(scene, how the window looks at it, where the playhead stands), or None when there is nothing to draw."""
    context = bpy.context
    scene = compat.sequencer_scene(context)
    view = context.window_manager.understudy
    space = context.space_data
    if space is None or space.display_mode != "IMAGE" or not space.show_overlays:
        return None  # a scope is no picture
    if scene is None or not (view.show or view.badges or picking):
        return None
    here = preview.here(scene)
    if here is None:
        return None
    elsewhere = aside.in_view(scene, space, here.channel)
    seen, share = here.seen and not elsewhere, aside.share(scene, space)
    return scene, view, replace(here, aside=here.aside or elsewhere, share=share, seen=seen)


def frame_to_show(view: Any, here: preview.Here, region: Any) -> preview.Frame | None:
    """The recast of this frame as far as it is there; asks for it where it is not."""
    if not view.show or view.compare or view.view == "original" or here.aside:
        return None
    placement = here.placement
    x0, _ = region.view2d.view_to_region(*placement.to_view(0, 0), clip=False)
    x1, _ = region.view2d.view_to_region(*placement.to_view(placement.width, 0), clip=False)
    width = preview.width_for(abs(x1 - x0), round(placement.width * here.share))
    spec = preview.spec_for(here.state, view, here.frame, width)
    return preview.shown(spec) if spec else None


def _draw_picture() -> None:
    found = _look()
    if found is None:
        return
    scene, view, here = found
    frame = frame_to_show(view, here, bpy.context.region)
    texture = preview.texture(frame) if frame else None
    if texture is None:
        return
    import gpu
    from gpu_extras.batch import batch_for_shader

    corners = here.placement.corners(left=view.wipe if view.use_wipe else 0.0)
    if not corners:
        return
    # a matte is no picture: it is shown as it is
    table = view_transform.texture(scene) if view.view != "matte" else None
    shader = view_transform.shader() if table else gpu.shader.from_builtin("IMAGE")
    batch = batch_for_shader(
        shader, "TRIS", {"pos": [p for p, _ in corners], "texCoord": [t for _, t in corners]},
        indices=((0, 1, 2), (0, 2, 3)),
    )  # fmt: skip
    gpu.state.blend_set("ALPHA")
    shader.bind()
    shader.uniform_sampler("image", texture)
    if table:
        shader.uniform_sampler("table", table)
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def _draw_words() -> None:
    found = _look()
    if found is None:
        return
    scene, view, here = found
    region, scale = bpy.context.region, bpy.context.preferences.system.ui_scale

    def place(x: float, y: float) -> tuple[float, float]:
        return region.view2d.view_to_region(*here.placement.to_view(x, y), clip=False)

    if view.show:
        frame = frame_to_show(view, here, region)
        if view.use_wipe and not view.compare and view.view != "original":
            _draw_wipe(here, place, view.wipe, scale)
        text = note(view, frame, placing.take_in_view(scene))
        if frame is None and view.view != "original" and not view.compare:
            why = steps.missing_for_swap(here.state) if view.view == "recast" else steps.missing_for_faces(here.state)
            text = here.aside or why or text
        _draw_note(text, place(0, 0), scale)
    if here.seen and (view.badges or picking):
        _draw_badges(scene, here, place, scale)


def note(view: Any, frame: preview.Frame | None, below: str) -> str:
    """What the picture is: a draft, so many steps, on its way, or why there is none; and the take that is covered by
    it, or seen in its place (`below`, "" where the timeline shows the footage)."""
    if view.compare or view.view == "original":
        return below or tr("Original")
    if frame is None:
        return tr("Recasting this frame…") if preview.pending() else ""
    if frame.error:
        return frame.error
    what = tr("Step {n}", n=frame.steps) if frame.steps else tr("Draft: not trained yet")
    return tr("{picture} (live, over {take})", picture=what, take=below) if below else what


def _draw_wipe(here: preview.Here, place: Any, wipe: float, scale: float) -> None:
    x = wipe * here.placement.width
    top, bottom = place(x, 0), place(x, here.placement.height)
    lines([top, bottom], LINE, 2.0 * scale)
    middle = ((top[0] + bottom[0]) / 2, (top[1] + bottom[1]) / 2)
    size = (11.0 if dragging else 8.0) * scale
    around = [(0, size), (size, 0), (0, -size), (-size, 0)]
    _fill([(middle[0] + dx, middle[1] + dy) for dx, dy in around], CHOSEN if dragging else LINE)


def _draw_note(text: str, corner: tuple[float, float], scale: float) -> None:
    region = bpy.context.region
    said = wrapped(text, max(int((region.width / scale - 16) / CHARACTER_PIXELS), 16))
    # above the picture, but never outside of what is seen
    low = min(corner[1] + 8 * scale, region.height - 22 * scale * len(said))
    for above, line in enumerate(reversed(said)):
        _label(line, corner[0] + 4 * scale, low + above * 22 * scale, scale, LINE)


def _draw_badges(scene: bpy.types.Scene, here: preview.Here, place: Any, scale: float) -> None:
    state, scan, gets = here.state, here.state.shot.scan, faces_given(scene, here.state)
    for face in preview.faces(scan.folder, here.frame):
        person = people_store.person_of(scan, face.person)
        if person is None or person.rejected:
            continue
        identity = steps.identity_named(state, gets.get(face.person, ""))
        colour = HOVERED if picking and face.person == hovered else CHOSEN if face.person in gets else OTHER
        x0, y0, x1, y1 = face.box
        corners = [place(x0, y0), place(x1, y0), place(x1, y1), place(x0, y1)]
        lines([*corners, corners[0]], colour, (3.0 if face.person == hovered else 1.5) * scale)
        text = people_store.called(person) + (f" → {identity.name}" if identity else "")
        left, right = min(x for x, _ in corners), max(x for x, _ in corners)
        bottom, top = min(y for _, y in corners), max(y for _, y in corners)
        region = bpy.context.region
        if right > 0 and left < region.width and top > 0 and bottom < region.height:
            _label(text, left, bottom - 18 * scale, scale, colour)


def faces_given(scene: bpy.types.Scene, state: Any) -> dict[int, str]:
    """Who gets the face of which identity: by the panel; where that tells of a muted recast while another one of the
    same people is seen, by that one."""
    meant, seen = recasts.meant(scene), placing.in_view(scene)
    told = meant.get(STRIP_RECORD) if meant is not None and meant.mute else None
    if seen is None or not told or seen[STRIP_RECORD].get("scan") != told.get("scan"):
        return {swap.person: swap.identity for swap in state.swaps}
    return {one["person"]: one["identity"] for one in kept_json.swaps(seen[STRIP_RECORD].get("swaps", ""))}


def _label(text: str, x: float, y: float, scale: float, colour: tuple[float, ...]) -> None:
    import blf

    font, pad = 0, 4 * scale
    blf.size(font, 12 * scale)
    width, height = blf.dimensions(font, text)
    # never outside of what is seen, however far the face reaches
    x = max(min(x, bpy.context.region.width - width - 2 * pad), 2 * pad)
    y = max(min(y, bpy.context.region.height - height - 2 * pad), 2 * pad)
    right, top = x + width + pad, y + height + pad
    _fill([(x - pad, y - pad), (right, y - pad), (right, top), (x - pad, top)], SHADE)
    blf.color(font, *colour)
    blf.position(font, x, y, 0)
    blf.draw(font, text)


def lines(points: list[tuple[float, float]], colour: tuple[float, ...], width: float) -> None:
    """A line through `points`, in pixels of the region that is drawn."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, "LINE_STRIP", {"pos": [(x, y, 0.0) for x, y in points]})
    gpu.state.blend_set("ALPHA")
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", width)
    shader.uniform_float("color", colour)
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def _fill(points: list[tuple[float, float]], colour: tuple[float, ...]) -> None:
    """The quadrangle of four `points`, in pixels of the region that is drawn."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    batch = batch_for_shader(shader, "TRIS", {"pos": points}, indices=((0, 1, 2), (0, 2, 3)))
    gpu.state.blend_set("ALPHA")
    shader.bind()
    shader.uniform_float("color", colour)
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def register() -> None:
    """Draw over every sequencer's preview."""
    for draw, when in ((_draw_picture, "POST_VIEW"), (_draw_words, "POST_PIXEL")):
        _handlers.append(bpy.types.SpaceSequenceEditor.draw_handler_add(draw, (), "PREVIEW", when))


def unregister() -> None:
    """Draw nothing any more."""
    while _handlers:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_handlers.pop(), "PREVIEW")
