"""The panel follows the selection: a recast that becomes active shows its range, its people, its cast and training."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import compat
from ..constants import STRIP_RECORD
from ..sequencer import recasts
from ..state import cast, hooks, kept_json, people_store, project, project_files, steps
from ..state.properties import NOBODY, PRESETS

_followed: dict[str, str] = {}  # scene's name → the active strip and the recast that were shown last
_shown: dict[str, frozenset[tuple[str, str]]] = {}  # scene's name → the cast of the recast that was shown last


def follow() -> None:
    """Show what was made active since the last call in the scene of the sequencer; called by the timer."""
    scene = compat.sequencer_scene(bpy.context)
    if scene is None or steps.locked(scene.understudy) or compat.is_dragging():
        return
    before = _followed.get(scene.name)
    strip = compat.active_picture(scene)
    if strip is not None and recasts.is_copy(strip):
        recasts.own_ids(scene)
    _note(scene)
    if strip is not None and _followed[scene.name] != before:  # a copy, perhaps
        recasts.own_ids(scene)
        _note(scene)
    if strip is not None and _followed[scene.name] != before and (recast := _recast_to_show(scene, strip)) is not None:
        show(scene, recast)
        hooks.redraw_sequencers()


def _recast_to_show(scene: bpy.types.Scene, active: bpy.types.Strip) -> bpy.types.Strip | None:
    """The recast that became active, or the one under the playhead of a source or meta strip that did, unless frames
    there are marked already with a cast of the user's own."""
    recast, state = recasts.meant(scene), scene.understudy
    if recast is None or not recast.get(STRIP_RECORD) or recast == active:
        return recast if recast == active and active.get(STRIP_RECORD) else None
    marked = state.shot.strip_id == recast[STRIP_RECORD]["strip_id"]
    kept = marked and state.shot.start <= scene.frame_current < state.shot.end
    return None if kept and _cast(state) != _shown.get(scene.name) else recast


def _cast(state: bpy.types.PropertyGroup) -> frozenset[tuple[str, str]]:
    """The cast of the panel, as `recasts.cast_of` has that of a recast."""
    return frozenset((swap.target, swap.identity) for swap in state.swaps)


def followed(scene: bpy.types.Scene, strip: bpy.types.Strip) -> None:
    """What is active is shown already: the recast that was placed has the range and cast it was made with."""
    _note(scene)
    _shown[scene.name] = recasts.cast_of(strip[STRIP_RECORD])


def undone() -> None:
    """After an undo or redo: what became active by it has the cast that the panel had with it then, which may have been
    changed from that of the recast; and who was named by a job, which is no undo step, keeps the name."""
    for scene in bpy.data.scenes:
        if not scene.library:
            _note(scene)
            people_store.name_again(scene.understudy.shot.scan)


def _note(scene: bpy.types.Scene) -> None:
    strip = compat.active_picture(scene)
    _followed[scene.name] = (recasts.id_of(strip) or strip.name) if strip is not None else ""


def show(scene: bpy.types.Scene, strip: bpy.types.Strip) -> None:
    """Make a recast's range the marked one, and its cast the cast, where its scan is still there."""
    state, of = scene.understudy, strip[STRIP_RECORD]
    shot, name = state.shot, of.get("scan", "")
    marked = (shot.strip_id, shot.source_start, shot.source_end)
    meant = (of["strip_id"], of["source_start"], of["source_end"])
    if Path(shot.scan.folder).name == name and shot.scan.folder and marked == meant:
        if not recasts.same_cast(state, of):
            cast.use(state, kept_json.swaps(of.get("swaps", "")))
        _shown[scene.name] = _cast(state)
        _take_settings(state, of)
        return
    folder = project.folder_if_named(state)
    if folder is None or not name or Path(name).name != name:
        return
    try:
        told = project_files.read_json(folder / "scans" / name / "scan.json")["clip"]
        clip = project.clip(told["path"], of["source_start"], of["source_end"], int(told.get("stream", 0)))
        scanned = project.clip(told["path"], int(told["start"]), None, clip.stream)
        cast.remember(state)
        people_store.fill(shot.scan, scanned, str(folder / "scans" / name))
    except (OSError, ValueError, KeyError, TypeError, people_store.ScanUnreadable):
        return
    source = recasts.source_of(scene, strip)
    moved = compat.span(strip)[0] - of["start"] if source == strip else 0
    shot.strip_id, shot.strip_name, shot.channel = of["strip_id"], of["strip_name"], of["channel"]
    shot.start, shot.end, shot.stored_frames = of["start"] + moved, of["end"] + moved, of.get("stored_frames", 0)
    shot.existing_frames, shot.stream = of.get("existing_frames", 0), clip.stream
    shot.source, shot.source_start, shot.source_end = clip.path, of["source_start"], of["source_end"]
    state.person = NOBODY
    cast.use(state, kept_json.swaps(of.get("swaps", "")))
    cast.settle(state)
    _shown[scene.name] = _cast(state)
    if len(state.swaps):
        state.person = state.swaps[0].person
    _take_settings(state, of)


def _take_settings(state: bpy.types.PropertyGroup, of: bpy.types.PropertyGroup) -> None:
    if of.get("preset") in {name for name, *_ in PRESETS}:  # a draft has none
        state.preset = of["preset"]


def forget() -> None:
    """Another file was opened."""
    _followed.clear()
    _shown.clear()
