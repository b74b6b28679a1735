"""Frames that are likely to be sent back: found, gone through, ticked, marked on the timeline."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import IntProperty

from ...engine import protocol
from .. import compat
from ..constants import STRIP_RECORD
from ..i18n import tr
from ..jobs import jobs
from ..sequencer import placing, strip_fit
from ..state import doubts, project, steps
from .common import Outside
from .convert import active_recast, missing_recast

MARKER = "? "
"""What the timeline markers of doubtful frames begin with."""


class UNDERSTUDY_OT_review(Outside, bpy.types.Operator):
    """Look through a recast. Not undoable: cancel stops it; the list that it brings is an undo step of its own."""

    bl_idname = "understudy.review"
    bl_label = "Find Doubtful Frames"
    bl_description = (
        "Measure every face of this recast again and list the frames that are likely to be sent back, worst first, "
        "with why"
    )

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        if missing := missing_recast(context):
            return missing
        waiting = any(job.kind == "review" for job in steps.unfinished(steps.state_of(context)))
        return tr("A recast is looked through already.") if waiting else ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        strip = active_recast(context)
        folder, record = project.folder(scene.understudy), strip[STRIP_RECORD]
        scan, movie = folder / "scans" / str(record["scan"]), Path(placing.file_of(strip))
        for needed in (scan, movie):
            if not needed.exists():
                return self.refuse(tr("{path} is not there any more: recast the range anew.", path=needed))
        spec = protocol.ReviewSpec(recast=str(movie), scan=str(scan), project=str(folder))
        jobs.start(scene, "review", spec, about={"of": str(record.get("job", "")), "strip_name": strip.name})
        return {"FINISHED"}


def current(scene: bpy.types.Scene, strip: bpy.types.Strip) -> doubts.UnderstudyDoubt | None:
    """The doubtful frames that the playhead stands in; the worst where there are several."""
    about = placing.about_of(strip)
    frame = next((source for _, source in strip_fit.frames_shown(scene, strip, about, scene.frame_current)), None)
    known = doubts.of(scene.understudy, str(about.get("job", "")))
    return next((one for one in known if frame is not None and one.start <= frame < one.end), None)


class UNDERSTUDY_OT_doubt_step(Outside, bpy.types.Operator):
    """Go to a doubtful frame. No undo step: the playhead is no edit."""

    bl_idname = "understudy.doubt_step"
    bl_label = "Go to Doubtful Frame"
    bl_description = "Set the playhead to the next doubtful frame that was not looked at, the worst first"

    step: IntProperty(default=1, options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return tr(cls.bl_description) if properties.step > 0 else tr("Set the playhead to the doubtful frame before")

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        return _missing(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, strip = compat.sequencer_scene(context), active_recast(context)
        about = placing.about_of(strip)
        places: dict[int, int] = {}
        for frame, source in strip_fit.frames_shown(scene, strip, about):
            places.setdefault(source, frame)
        known = doubts.of(scene.understudy, str(about.get("job", "")))
        here = current(scene, strip)
        shown = [one for one in known if one.frame in places and (not one.seen or one == here)]
        if not shown:
            return self.refuse(tr("All doubtful frames of this recast were looked at."))
        at = shown.index(here) + self.step if here in shown else (0 if self.step > 0 else -1)
        scene.frame_set(places[shown[at % len(shown)].frame])
        return {"FINISHED"}


def _missing(context: bpy.types.Context) -> str:
    strip, scene = active_recast(context), compat.sequencer_scene(context)
    if strip is None or not doubts.of(scene.understudy, str(strip[STRIP_RECORD].get("job", ""))):
        return tr("Find the doubtful frames of a recast first.")
    return ""


class UNDERSTUDY_OT_doubt_markers(bpy.types.Operator):
    """Markers at the doubtful frames, or away with them. One undo step."""

    bl_idname = "understudy.doubt_markers"
    bl_label = "Mark Doubtful Frames"
    bl_description = (
        "Set a timeline marker at each doubtful frame that was not looked at; where they stand already, remove them"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = _missing(context)
        cls.poll_message_set(missing)
        return not missing

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, strip = compat.sequencer_scene(context), active_recast(context)
        about = placing.about_of(strip)
        wanted = {one.frame: one for one in doubts.of(scene.understudy, str(about.get("job", ""))) if not one.seen}
        shown = list(strip_fit.frames_shown(scene, strip, about))
        span = {frame for frame, _ in shown}
        there = [m for m in scene.timeline_markers if m.name.startswith(MARKER) and m.frame in span]
        for marker in there:
            scene.timeline_markers.remove(marker)
        if not there:
            for frame, source in shown:
                if (one := wanted.pop(source, None)) is not None:
                    scene.timeline_markers.new(MARKER + doubts.why(one.cause), frame=frame)
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_review, UNDERSTUDY_OT_doubt_step, UNDERSTUDY_OT_doubt_markers)
