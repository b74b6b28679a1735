"""The set-up as the interface sees it: the one installer, a timer while it works, and what the panels draw of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy

from ..i18n import tr
from ..state import hooks
from ..state.user_preferences import engine_python, wheels_folder
from . import environment
from .handles import InstallerHandle

if TYPE_CHECKING:
    from .reports import Progress

TICK_SECONDS = 0.25

installer = InstallerHandle()
_seen: Progress | None = None
_device = ""
_version: str | None = None


def begin(*, remove: bool = False) -> None:
    """Start to set up, or to remove; returns at once."""
    if remove:
        installer.remove()
    else:
        installer.start(wheels_folder())
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS, persistent=True)


def tick() -> float | None:
    """Draw the panels again when the set-up got further; runs only while it works."""
    global _seen, _version
    installer.hear()
    if installer.progress is not _seen:
        _seen, _version = installer.progress, None
        hooks.redraw_sequencers({"UI"})
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "PREFERENCES":
                    area.tag_redraw()
    return TICK_SECONDS if installer.busy else None


def needed() -> bool:
    """Whether there is no engine to be found at all."""
    return environment.find_python(engine_python()) is None


def outdated() -> bool:
    """Whether the engine that was set up is another version than this add-on's."""
    global _version
    if _version is None:
        _version = environment.set_up()
    ours = environment.find_python(engine_python()) == environment.python_of(environment.folder())
    return ours and bool(_version) and _version != environment.version()


def draw(layout: bpy.types.UILayout, say) -> None:  # type: ignore[no-untyped-def]
    """The set-up in a panel or the preferences; `say(text, icon)` draws a sentence there."""
    global _device
    progress = installer.progress
    if progress.state == "running":
        row = layout.row(align=True)
        row.progress(factor=progress.fraction, text=f"{progress.fraction:.0%}", translate=False)
        row.operator("understudy.cancel_setup", text="", icon="X")
        say(tr(progress.message), "NONE")
        return
    if progress.state == "failed":
        say(tr(progress.error), "ERROR")
    elif progress.message:
        say(tr(progress.message), "INFO")
    old = outdated()
    if old:
        say(tr("The engine is version {old}, the add-on {new}: update the engine.",
               old=_version, new=environment.version()), "ERROR")  # fmt: skip
    _device = _device or environment.device()
    say(
        tr("For {device}, about {size} MB are downloaded.", device=_device.upper(),
           size=environment.DOWNLOAD_MB[_device]), "NONE",
    )  # fmt: skip
    if old:
        layout.operator("understudy.setup", text="Update Engine", icon="FILE_REFRESH")
    else:
        layout.operator("understudy.setup", icon="IMPORT")
    if not bpy.app.online_access and not wheels_folder():
        say(tr("Allow Online Access in Preferences > System, or name a folder of wheels."), "INTERNET_OFFLINE")


def register() -> None:
    """Nothing to do until somebody presses the button."""


def unregister() -> None:
    """Stop a set-up that is under way; what was downloaded stays."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    installer.hear()  # that it was stopped: its process has ended with the others' (`jobs.unregister`)
