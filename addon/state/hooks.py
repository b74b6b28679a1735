"""What happens when a property is changed by hand. Kept apart so that `properties` needs nothing of the rest."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import bpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..engine_link.reports import EngineReport

rename: Callable[[bpy.types.Scene, bpy.types.PropertyGroup], None] | None = None
"""Set by `operators.people`: tell the engine that a person got another name."""

rename_strips: Callable[[bpy.types.Scene, bpy.types.PropertyGroup], None] | None = None
"""Set by `operators.place`: an identity got another name, which strips are called after."""

go_on: Callable[[bpy.types.Scene, str], None] | None = None
"""Set by `operators.recast_with_defaults`: a job of a scene on its whole way has ended so; take the next step."""

announce: Callable[[str, bool], None] | None = None
"""Set by `operators.announce`: say a sentence in the status bar, and whether something went wrong."""

engine_report: Callable[[], EngineReport]
"""Set by `jobs`: how the engine is, as it was last heard."""

start_engine: Callable[[], None]
"""Set by `jobs`: start the engine where none runs."""

_quiet = False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Properties that are set inside are set by us, not by the user."""
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before


def say(text: str, bad: bool = False) -> None:
    """Say a sentence in the status bar."""
    if announce is not None:
        announce(text, bad)


def redraw_sequencers(regions: set[str] | None = None) -> None:
    """Have the named regions of every sequencer drawn again, None: all of them."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "SEQUENCE_EDITOR":
                continue
            for region in area.regions:
                if regions is None or region.type in regions:
                    region.tag_redraw()


def renamed(person: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A person's name was written into the panel."""
    if rename is not None and not _quiet:
        rename(person.id_data, person)


def identity_renamed(identity: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """An identity's name was written into the panel."""
    if rename_strips is not None and not _quiet:
        rename_strips(identity.id_data, identity)


def look_changed(view: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """The view over the preview changed."""
    redraw_sequencers({"PREVIEW", "UI"})
