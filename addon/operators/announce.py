"""Say in the status bar what happened outside Blender: a timer cannot report, an operator can."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import compat
from ..state import hooks


class UNDERSTUDY_OT_announce(bpy.types.Operator):
    """Report a sentence. No undo step: nothing is changed."""

    bl_idname = "understudy.announce"
    bl_label = "Announce"
    bl_description = "Say in the status bar what a job of the engine came to"
    bl_options = {"INTERNAL"}

    text: StringProperty(options={"SKIP_SAVE", "HIDDEN"}, description="The sentence")
    bad: BoolProperty(options={"SKIP_SAVE", "HIDDEN"}, description="It went wrong")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        # what an operator that Python calls reports goes to Python: it is said in the first event after the call
        self.timer = context.window_manager.event_timer_add(0.01, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.event_timer_remove(self.timer)
        self.report({"WARNING" if self.bad else "INFO"}, self.text)
        return {"FINISHED", "PASS_THROUGH"}


def announce(text: str, bad: bool = False) -> None:
    """Have a sentence said in the status bar, where there is one."""
    found = compat.sequencer_area()
    if found is None or bpy.app.background:
        return
    with bpy.context.temp_override(**found):
        bpy.ops.understudy.announce("INVOKE_DEFAULT", text=text, bad=bad)


CLASSES = (UNDERSTUDY_OT_announce,)


def register() -> None:
    """Be told what to say."""
    hooks.announce = announce


def unregister() -> None:
    """Say no more."""
    hooks.announce = None
