"""What is marked, remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..state import people_store
from ..state.properties import NOBODY, SCHEMA
from . import strip_media

if TYPE_CHECKING:
    import bpy

    from . import timeline


def take(
    state: bpy.types.PropertyGroup, strip: bpy.types.Strip, source: str, marked: timeline.MarkedRange, stored: int
) -> None:
    """Remember a marked range; people found in other frames than these are forgotten."""
    shot = state.shot
    before = (shot.source, shot.source_start, shot.source_end)
    shot.strip_id, shot.strip_name, shot.channel = strip_media.remember(strip), strip.name, strip.channel
    shot.start, shot.end, shot.stored_frames = marked.start, marked.end, stored
    shot.source, shot.source_start, shot.source_end = source, marked.source_start, marked.source_end
    if before != (shot.source, shot.source_start, shot.source_end):
        people_store.clear(shot.scan)
        for swap in state.swaps:
            swap.person, swap.target = NOBODY, ""
    state.error = ""
    state.schema = SCHEMA
