"""What is marked, remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import compat
from ..constants import STRIP_ID
from ..state import cast, people_store, project
from ..state.properties import NOBODY, SCHEMA
from . import recasts, strip_media, timeline

if TYPE_CHECKING:
    import bpy

    from ..state.properties import UnderstudyShot


def take(
    scene: bpy.types.Scene, strip: bpy.types.Strip, source: str, marked: timeline.MarkedRange, stored: int
) -> None:
    """Remember a marked range, with the people and the cast that are known of it."""
    state = scene.understudy
    shot = state.shot
    cast.remember(state)
    before = project.shot_clip(shot)
    shot.strip_id, shot.strip_name, shot.channel = strip_media.remember(strip), strip.name, strip.channel
    shot.start, shot.end, shot.stored_frames = marked.start, marked.end, stored
    shot.source, shot.source_start, shot.source_end = source, marked.source_start, marked.source_end
    shot.stream, shot.existing_frames = compat.picture_stream(strip), 0
    if before != project.shot_clip(shot):
        people_store.clear(shot.scan)
        state.swaps.clear()
        state.person = NOBODY
        _known_people(scene)
    state.error = ""
    state.schema = SCHEMA


def where(scene: bpy.types.Scene, hidden: bool = False) -> tuple[int, int, int] | None:
    """(first frame, frame after the last, channel) of the marked range as its strip lies on the timeline that is
    shown; None where it is not there, unless it may be `hidden` in a meta strip that is shut. Of a strip that was cut
    and moved apart it is what lies beside the piece that is acted on. Only reads: for drawing."""
    shot = scene.understudy.shot
    strip = (_acted_on(scene) or strip_media.find_shot(scene, shot)) if shot.strip_id else None
    if strip is None:
        return None
    inside = scene.sequence_editor.meta_stack
    if not hidden and strip.parent_meta() != (inside[-1] if len(inside) else None):
        return None
    try:
        timing = compat.strip_timing(scene, strip, stored_frames=shot.stored_frames)
        start, end = (shot.start, shot.end) if timing.still else timeline.marked_now(timing, _marked(shot))
    except timeline.RangeError:
        start, end = shot.start, shot.end
    spans = [compat.span(piece) for piece in strip_media.pieces(scene, strip)]
    left, right = min(span[0] for span in spans), max(span[1] for span in spans)
    start, end = max(start, left), min(end, right)
    return (start, end, strip.channel) if start < end else None


def _marked(shot: UnderstudyShot) -> timeline.MarkedRange:
    return timeline.MarkedRange(
        start=shot.start, end=shot.end, source_start=shot.source_start, source_end=shot.source_end
    )


def _acted_on(scene: bpy.types.Scene) -> bpy.types.Strip | None:
    """The piece of the marked strip that is acted on, or whose recast is."""
    strip = compat.active_picture(scene)
    source = recasts.source_of(scene, strip) if strip is not None else None
    return source if source is not None and source.get(STRIP_ID) == scene.understudy.shot.strip_id else None


def cut_to_scan(scene: bpy.types.Scene) -> bool:
    """Leave out of the marked range what has no picture: Blender counts on where sound or subtitles outlast it, and
    holds the last frame. Answers whether there was such a thing. Raises RangeError when nothing is left."""
    shot = scene.understudy.shot
    if shot.scan.clip_end >= shot.source_end:
        return False
    shot.existing_frames = shot.scan.clip_end
    strip = strip_media.find_shot(scene, shot)
    if strip is not None:
        timing = compat.strip_timing(scene, strip, stored_frames=shot.stored_frames)
        marked = timeline.mark(timing, (shot.start, shot.end), shot.existing_frames)
        shot.start, shot.end, shot.source_start = marked.start, marked.end, marked.source_start
    shot.source_end = shot.existing_frames
    return True


def _known_people(scene: bpy.types.Scene) -> None:
    """The people of frames that were looked through before, alone or among others, and who of them got whose face."""
    state = scene.understudy
    shot = state.shot
    clip = project.shot_clip(shot)
    folder = project.scan_folder(state, clip)
    if not (folder / "scan.json").is_file():
        found = people_store.scan_around(state, clip)
        if found is None:
            return
        folder, clip = found
    try:
        people_store.fill(shot.scan, clip, str(folder))
        cut_to_scan(scene)
    except people_store.ScanUnreadable:
        return  # it is looked through anew
    cast.settle(state)
