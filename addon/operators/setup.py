"""Set the engine up, and take it away again. No undo steps: it lies outside the .blend."""

from __future__ import annotations

import bpy

from ...engine import protocol
from ..engine_link import engine_setup
from ..i18n import tr
from ..jobs import jobs
from ..state.user_preferences import wheels_folder


class _Setup:
    bl_options = set()

    @classmethod
    def missing(cls) -> str:
        """What has to come first."""
        return tr("The set-up is under way.") if engine_setup.installer.busy else ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        missing = cls.missing()
        cls.poll_message_set(missing)
        return not missing


class UNDERSTUDY_OT_setup(_Setup, bpy.types.Operator):
    """Set the engine up in an environment of its own."""

    bl_idname = "understudy.setup"
    bl_label = "Set Up Engine"
    bl_description = (
        "Download the engine's packages into an environment of their own and check it; Blender's Python is not touched"
    )

    @classmethod
    def missing(cls) -> str:
        if missing := super().missing():
            return missing
        if not bpy.app.online_access and not wheels_folder():
            return tr("Allow Online Access in Preferences > System, or name a folder of wheels.")
        return ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        engine_setup.begin()
        return {"FINISHED"}


class UNDERSTUDY_OT_cancel_setup(_Setup, bpy.types.Operator):
    """Stop the set-up; what was downloaded stays."""

    bl_idname = "understudy.cancel_setup"
    bl_label = "Cancel Set-up"
    bl_description = "Stop the set-up; started again, it goes on from what was downloaded"

    @classmethod
    def missing(cls) -> str:
        return "" if engine_setup.installer.busy else tr("No set-up is under way.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        engine_setup.installer.cancel()
        return {"FINISHED"}


class UNDERSTUDY_OT_remove_engine(_Setup, bpy.types.Operator):
    """Remove all that was set up, after asking."""

    bl_idname = "understudy.remove_engine"
    bl_label = "Remove Engine"
    bl_description = "Stop the engine and remove all of it: environment, networks, queue and logs; projects stay"

    @classmethod
    def missing(cls) -> str:
        if missing := super().missing():
            return missing
        return "" if protocol.home().is_dir() else tr("Nothing is set up.")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event, message=tr("Remove the engine and its networks?"))

    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.poller().stop_engine()
        engine_setup.begin(remove=True)
        return {"FINISHED"}


CLASSES = (UNDERSTUDY_OT_setup, UNDERSTUDY_OT_cancel_setup, UNDERSTUDY_OT_remove_engine)
