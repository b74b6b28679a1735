"""Start and stop the engine by hand; jobs start it by themselves."""

from __future__ import annotations

import bpy

from .. import jobs
from ..preferences import engine_python


class UNDERSTUDY_OT_start_engine(bpy.types.Operator):
    """Start the engine and take up this file's jobs. Not an undo step: nothing of the .blend changes."""

    bl_idname = "understudy.start_engine"
    bl_label = "Start Engine"
    bl_description = "Start the engine, the program beside Blender that does the work, and take up running jobs"
    bl_options = set()

    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.poller().start_engine(engine_python())
        jobs.resume()
        return {"FINISHED"}


class UNDERSTUDY_OT_stop_engine(bpy.types.Operator):
    """Stop the engine. Not an undo step: its jobs go on when it is started again."""

    bl_idname = "understudy.stop_engine"
    bl_label = "Stop Engine"
    bl_description = "Stop the engine; running jobs go on when it is started again"
    bl_options = set()

    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.poller().stop_engine()
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_start_engine, UNDERSTUDY_OT_stop_engine)
