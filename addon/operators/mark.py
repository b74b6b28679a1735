"""Mark what is to be recast."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty

from .. import compat
from ..i18n import tr
from ..jobs import known_footage
from ..layout import frames_in_words
from ..sequencer import marking, recasts, scene_strips, stack, strip_media, timeline
from ..state import project, steps
from ..state.properties import MARKS
from .common import Outside, Undoable

_UNSET = -1_000_000


def limits(scene: bpy.types.Scene, by: str, strip: bpy.types.Strip) -> tuple[int, int] | None:
    """The range on the timeline that bounds the mark, None for all the strip shows. RangeError when there is none."""
    state = scene.understudy
    if by == "PREVIEW":
        if not scene.use_preview_range:
            raise timeline.RangeError("No preview range is set: set one with P in the timeline.")
        return scene.frame_preview_start, scene.frame_preview_end + 1
    if by == "PLAYHEAD":
        start, end = state.playhead_in, state.playhead_out
        if start == _UNSET and end == _UNSET:
            raise timeline.RangeError("Neither in nor out is set: move the playhead and press In or Out.")
        left, right = compat.span(strip)
        start, end = (left if start == _UNSET else start), (right - 1 if end == _UNSET else end)
        if end < start:
            raise timeline.RangeError("Out lies before in: set one of them anew.")
        return start, end + 1
    if by == "MARKERS":
        left, right = compat.span(strip)
        frames = sorted({marker.frame for marker in scene.timeline_markers})
        if not frames:
            raise timeline.RangeError("There are no markers: set one with M in the timeline.")
        now = min(max(scene.frame_current, left), right - 1)
        return max([f for f in frames if f <= now], default=left), min([f for f in frames if f > now], default=right)
    return None


def footage_of(strip: bpy.types.Strip, frame: int) -> bpy.types.Strip:
    """The strip itself, or of a meta the uppermost movie or image strip that shows at `frame`, else its first one."""
    if strip.type != "META":
        return strip
    inside = [s for s in strip.strips if s.type in {"MOVIE", "IMAGE", "META"} and not s.mute]
    if not inside:
        raise timeline.RangeError("“{name}” holds no movie or image strip.", name=strip.name)
    showing = [s for s in inside if compat.span(s)[0] <= frame < compat.span(s)[1]]
    return footage_of(max(showing or inside, key=lambda s: s.channel), frame)


def mark(scene: bpy.types.Scene, strip: bpy.types.Strip, by: str) -> str:
    """Mark what a strip shows, a scene strip once it is rendered. Answers why not, "" when it is marked."""
    if strip.type == "SCENE":
        return scene_strips.begin(scene, strip)
    recasts.own_ids(scene)
    strip = recasts.source_of(scene, strip)
    try:
        strip = recasts.source_of(scene, footage_of(strip, scene.frame_current))
        stored = compat.stored_frames(scene, strip)
        timing = compat.strip_timing(scene, strip, stored_frames=stored)
        marked = timeline.mark(timing, limits(scene, by, strip))
        source = strip_media.source_path(strip)
        stack.check(scene, strip, marked.start, marked.end)
    except timeline.RangeError as error:
        return tr(error.template, **error.facts)
    project.folder(scene.understudy)  # an unsaved .blend gets its folder's name here, where writing is allowed
    marking.take(scene, strip, source, marked, stored)
    known_footage.mark(scene.understudy.shot)
    return ""


class UNDERSTUDY_OT_mark_range(Undoable, bpy.types.Operator):
    """Mark the frames to recast: what the active strip shows, bounded as chosen."""

    bl_idname = "understudy.mark_range"
    bl_label = "Mark Range"
    bl_description = "Mark the frames to recast: what the active strip shows, inside the bounds chosen below"

    by: EnumProperty(
        name="By", description="What bounds the range; unset: what the panel says", items=(*MARKS, ("PANEL", "", "")),
        default="PANEL", options={"SKIP_SAVE", "HIDDEN"},
    )  # fmt: skip

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return steps.missing_for_mark(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        strip, shot = compat.active_picture(scene), scene.understudy.shot
        if strip.type == "SCENE":
            return bpy.ops.understudy.render_scene_strip()
        if why := mark(scene, strip, scene.understudy.mark_by if self.by == "PANEL" else self.by):
            return self.refuse(why)
        self.report(
            {"INFO"},
            tr("Marked {frames} of “{name}”", frames=frames_in_words(shot.end - shot.start), name=shot.strip_name),
        )
        return {"FINISHED"}


class UNDERSTUDY_OT_set_in(Undoable, bpy.types.Operator):
    """Set the range's first frame."""

    bl_idname = "understudy.set_in"
    bl_label = "Set In Point"
    bl_description = "Let the range begin at the playhead"

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        scene.understudy.playhead_in = scene.frame_current
        scene.understudy.mark_by = "PLAYHEAD"
        return {"FINISHED"}


class UNDERSTUDY_OT_set_out(Undoable, bpy.types.Operator):
    """Set the range's last frame."""

    bl_idname = "understudy.set_out"
    bl_label = "Set Out Point"
    bl_description = "Let the range end with the playhead's frame"

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        scene.understudy.playhead_out = scene.frame_current
        scene.understudy.mark_by = "PLAYHEAD"
        return {"FINISHED"}


class UNDERSTUDY_OT_render_scene_strip(Undoable, bpy.types.Operator):
    """Render what a scene strip shows, then mark that. What comes of it can be undone like any strip."""

    bl_idname = "understudy.render_scene_strip"
    bl_label = "Render Scene Strip"
    bl_description = "Render what this scene strip shows to a movie, in a Blender of its own, and mark that"
    bl_options = {"UNDO"}

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := steps.missing_for_mark(context):
            return missing
        strip = compat.active_picture(compat.sequencer_scene(context))
        return "" if strip.type == "SCENE" and strip.scene else tr("Select a scene strip first.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        why = scene_strips.begin(scene, compat.active_picture(scene))
        return self.refuse(why) if why else {"FINISHED"}


class UNDERSTUDY_OT_cancel_rendering(Outside, bpy.types.Operator):
    """Stop rendering the scene strip. Not undoable: mark it again."""

    bl_idname = "understudy.cancel_rendering"
    bl_label = "Stop Rendering"
    bl_description = "Stop rendering the scene strip; nothing of it is kept"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return "" if scene_strips.rendering else tr("Nothing is being rendered.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene_strips.cancel()
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_render_scene_strip,
    UNDERSTUDY_OT_cancel_rendering,
    UNDERSTUDY_OT_mark_range,
    UNDERSTUDY_OT_set_in,
    UNDERSTUDY_OT_set_out,
)
