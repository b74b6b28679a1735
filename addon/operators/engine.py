"""Start and stop the engine by hand; jobs start it by themselves."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...engine import reading
from ..engine_link.sidecar import SIDECAR
from ..i18n import tr
from ..jobs import jobs
from ..state.user_preferences import engine_python, preferences

LONGEST_TOKEN = 4096
"""Bytes of a token file; ours has 65."""


class UNDERSTUDY_OT_start_engine(bpy.types.Operator):
    """Start the engine and take up this file's jobs. Not an undo step: nothing of the .blend changes."""

    bl_idname = "understudy.start_engine"
    bl_label = "Start Engine"
    bl_description = "Start the engine, the program beside Blender that does the work, and take up running jobs"
    bl_options = set()

    def execute(self, context: bpy.types.Context) -> set[str]:
        SIDECAR.forgive()
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


class UNDERSTUDY_OT_use_remote(bpy.types.Operator):
    """Have another machine's engine do the work. Not an undo step: nothing of the .blend changes."""

    bl_idname = "understudy.use_remote"
    bl_label = "Use Remote Engine"
    bl_description = (
        "Have footage scanned, trained and recast by the engine at the other end of the tunnel: "
        "what it lacks is sent there once, what it makes comes back"
    )
    bl_options = set()

    def execute(self, context: bpy.types.Context) -> set[str]:
        address, file = preferences().remote_address.strip(), bpy.path.abspath(preferences().remote_token_file)
        try:
            token = reading.read_text(Path(file), "ascii", LONGEST_TOKEN).strip() if file else ""
        except (OSError, ValueError):
            token = ""
        if not address or not token:
            self.report({"ERROR"}, tr("Name the tunnel's address, and a copy of the remote engine's token file."))
            return {"CANCELLED"}
        jobs.poller().use_remote(engine_python(), address, token)
        return {"FINISHED"}


class UNDERSTUDY_OT_use_this_computer(bpy.types.Operator):
    """Have this computer's engine do the work. Not an undo step: nothing of the .blend changes."""

    bl_idname = "understudy.use_this_computer"
    bl_label = "Use This Computer"
    bl_description = "Have this computer's own engine do the work again"
    bl_options = set()

    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.poller().use_remote(engine_python(), "", "")
        return {"FINISHED"}


CLASSES = (
    UNDERSTUDY_OT_start_engine,
    UNDERSTUDY_OT_stop_engine,
    UNDERSTUDY_OT_use_remote,
    UNDERSTUDY_OT_use_this_computer,
)
