"""What is marked, remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine import protocol
from ..state import cast, people_store, project
from ..state.properties import NOBODY, SCHEMA
from . import strip_media

if TYPE_CHECKING:
    import bpy

    from . import timeline


def take(
    state: bpy.types.PropertyGroup, strip: bpy.types.Strip, source: str, marked: timeline.MarkedRange, stored: int
) -> None:
    """Remember a marked range, with the people and the cast that are known of it."""
    shot = state.shot
    cast.remember(state)
    before = (shot.source, shot.source_start, shot.source_end)
    shot.strip_id, shot.strip_name, shot.channel = strip_media.remember(strip), strip.name, strip.channel
    shot.start, shot.end, shot.stored_frames = marked.start, marked.end, stored
    shot.source, shot.source_start, shot.source_end = source, marked.source_start, marked.source_end
    if before != (shot.source, shot.source_start, shot.source_end):
        people_store.clear(shot.scan)
        state.swaps.clear()
        state.person = NOBODY
        _known_people(state)
    state.error = ""
    state.schema = SCHEMA


def _known_people(state: bpy.types.PropertyGroup) -> None:
    """The people of frames that were looked through before, and who of them got whose face."""
    shot = state.shot
    clip = protocol.Clip(path=shot.source, start=shot.source_start, end=shot.source_end)
    folder = project.scan_folder(state, clip)
    if not (folder / "scan.json").is_file():
        return
    try:
        people_store.fill(shot.scan, clip, str(folder))
    except people_store.ScanUnreadable:
        return  # it is looked through anew
    cast.settle(state)
