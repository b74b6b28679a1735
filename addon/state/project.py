"""Where a .blend keeps its scans, models and recast movies, and how paths survive saving and moving.

In memory every path of ours is absolute. While a .blend is written they are relative to it (`//…`), so that
the .blend and the project folder can be moved together: `before_save` and `after_save_or_load` are handlers.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from ...engine import protocol
from . import project_files
from .user_preferences import preferences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .properties import UnderstudyShot, UnderstudyState

_saving_to = ""  # the .blend being written, which a saved copy does not make the open one


def folder(state: UnderstudyState) -> Path:
    """This .blend's project folder: the one it has had since its first job, else one named in the preferences, or
    beside the .blend, or kept until it is saved. A .blend saved under another name goes on with the same folder, and so
    does another scene of it.
    """
    if not bpy.data.filepath and not _unsaved(state):
        known = [one.project_id for one in _states(state) if _unsaved(one)]
        state.project_id = known[0] if known else uuid.uuid4().hex
    return folder_if_named(state) or protocol.home() / "unsaved" / state.project_id


def folder_if_named(state: UnderstudyState) -> Path | None:
    """The same, None where a .blend that was never saved has none yet. Only reads: for panels."""
    states, beside = _states(state), _beside(bpy.data.filepath) if bpy.data.filepath else None
    named = [one.project for one in states if project_files.is_folder(one.project) and _is_project(one.project)]
    if named and named[0] == state.project:
        return Path(state.project)
    if beside is not None and (not named or project_files.is_folder(beside)):
        return beside  # another scene may have been appended from another film
    return Path(named[0]) if named else next((old for one in states if (old := _unsaved(one))), None)


def _states(state: UnderstudyState) -> list[UnderstudyState]:
    """The scene's own first, then those of the other scenes of the .blend."""
    return [state, *(scene.understudy for scene in _ours() if scene != state.id_data)]


def _unsaved(state: UnderstudyState) -> Path | None:
    """Where a .blend's project lay before it was saved; None for an id that is not ours: files come from anybody."""
    return protocol.home() / "unsaved" / state.project_id if re.fullmatch(r"[0-9a-f]{32}", state.project_id) else None


def _is_project(path: str) -> bool:
    """Whether a .blend may name this folder as its project: one that is called so, no link, or one of ours at home."""
    if project_files.is_linked_project(Path(path)):
        return False
    found = project_files.resolved(Path(path))
    return found.suffix == ".understudy" or found.parent == (protocol.home() / "unsaved").resolve()


def _beside(blend: str) -> Path:
    elsewhere = preferences().project_location
    if elsewhere:
        return Path(bpy.path.abspath(elsewhere)) / (Path(blend).stem + ".understudy")
    return Path(blend).with_suffix(".understudy")


def clip(path: str, start: int, end: int | None, stream: int) -> protocol.Clip:
    """Frames of a file as Blender shows them; where all are meant (no `end`), those that are stored."""
    return protocol.Clip(path=path, start=start, end=end, stream=stream, played=end is not None)


def shot_clip(shot: UnderstudyShot) -> protocol.Clip:
    """The frames that are marked."""
    return clip(shot.source, shot.source_start, shot.source_end, shot.stream)


def scan_folder(state: UnderstudyState, clip: protocol.Clip) -> Path:
    """The scan of these frames of this file as it is now: the same frames again are the same folder."""
    path = Path(clip.path)
    facts = f"{clip.path}|{clip.start}|{clip.end}" + (f"|{clip.stream}" if clip.stream else "")
    if project_files.is_file(path):
        facts += f"|{path.stat().st_size}|{path.stat().st_mtime_ns}"
    return folder(state) / "scans" / f"{scan_stem(clip)}-{hashlib.sha1(facts.encode()).hexdigest()[:8]}"


def scan_stem(clip: protocol.Clip) -> str:
    """What the folders of all scans of a file begin with."""
    return slug(Path(clip.path).stem)


def new_recast(state: UnderstudyState, name: str, promised: set[str], ending: str) -> Path:
    """A name in the project that no recast and no job that still runs (`promised`) has; a folder's has no `ending`."""
    recasts, number = folder(state) / "recasts", 1
    taken = {Path(path).stem for path in promised} | {
        path.stem for path in (recasts.iterdir() if recasts.is_dir() else ())
    }
    # no dot but the ending's: a folder whose name has one looks like a file
    while (stem := f"{slug(name).replace('.', '-')}-{number:02d}") in taken:
        number += 1
    return recasts / f"{stem}{ending}"


def slug(name: str) -> str:
    """`name` as a file name that every system takes."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60].lower() or "clip"


def not_utf8(path: str) -> str:
    """A path that cannot be written into files and properties (its bytes are no UTF-8) as it can be shown; "" for
    others."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return ""


def absolute(path: str) -> str:
    """A path as Blender keeps it (`//` is the .blend's folder) as the engine wants it."""
    return str(project_files.resolved(Path(bpy.path.abspath(path)))) if path else ""


def relative(path: str) -> str:
    """`path` as the open .blend should keep it: relative to it, where it is saved and on the same drive."""
    return _relative_to(path, bpy.data.filepath)


def _relative_to(path: str, blend: str) -> str:
    if not path or not blend or path.startswith("//"):
        return path
    try:
        return bpy.path.relpath(path, start=str(Path(blend).parent))
    except ValueError:  # another drive
        return path


def _absolute_from(path: str, blend: str) -> str:
    if not blend or not path:
        return path
    return str(project_files.resolved(Path(bpy.path.abspath(path, start=str(Path(blend).parent)))))


def _rewrite(change: Callable[[str], str], scenes: Iterable[bpy.types.Scene] | None = None) -> None:
    for scene in _ours() if scenes is None else scenes:
        state = scene.understudy
        holders = [
            (state, "project"),
            (state.shot, "source"),
            (state.shot.scan, "folder"),
            (state.shot.scan, "clip_path"),
            (state.speech, "source"),
            *((one, "path") for voice in state.voices for one in voice.recordings),
        ]
        for one in (one for identity in state.identities for one in identity.materials):
            holders += [(one, "clip_path"), (one.scan, "folder"), (one.scan, "clip_path")]
        for job in state.jobs:
            holders += [(job, "output"), (job, "model")]
        for holder, name in holders:
            if path := getattr(holder, name):
                setattr(holder, name, change(path))


@bpy.app.handlers.persistent
def before_save(blend: str, *_: object) -> None:
    """Handler for save_pre: make our paths relative to where the .blend goes."""
    global _saving_to
    _saving_to = blend or bpy.data.filepath
    _rewrite(lambda path: _relative_to(path, _saving_to))


@bpy.app.handlers.persistent
def after_save(*_: object) -> None:
    """Handler for save_post and save_post_fail: make our paths absolute again."""
    _rewrite(lambda path: _absolute_from(path, _saving_to))
    adopt()


@bpy.app.handlers.persistent
def after_load(*_: object) -> None:
    """Handler for load_post: make our paths absolute from where the .blend lies now."""
    _rewrite(lambda path: _absolute_from(path, bpy.data.filepath))
    for scene in _ours():
        _mend(scene)


@bpy.app.handlers.persistent
def after_import(imported: bpy.types.BlendImportContext, *_: object) -> None:
    """Handler for blend_import_post: the paths of scenes that were appended are told from where their .blend lies."""
    for item in imported.import_items:
        scene, library = item.id, item.source_library
        if isinstance(scene, bpy.types.Scene) and not scene.library and library is not None:
            blend = bpy.path.abspath(library.filepath)
            _rewrite(lambda path, of=blend: _absolute_from(path, of) if path.startswith("//") else path, [scene])


# -- what was made before the .blend was first saved


def adopt() -> None:
    """Move what was made before the first save into the project folder; not while a job writes there.

    Called after each save, and when a job has ended. Strips and properties follow. On one drive this is a rename;
    from drive to drive the files stay where they are, where they work as well.
    """
    if not bpy.data.filepath:
        return
    for state in [scene.understudy for scene in _ours()]:
        old = _unsaved(state)
        together = [scene for scene in _ours() if scene.understudy.project_id == state.project_id]
        busy = any(job.state not in protocol.FINAL_STATES for scene in together for job in scene.understudy.jobs)
        if old is None or not old.is_dir() or old.is_symlink() or busy:
            continue
        new = _beside(bpy.data.filepath)
        if new.exists():
            continue  # another film of this name: ours stays where it is
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            old.rename(new)
        except OSError:
            continue
        for scene in together:
            _follow(scene, str(old), str(new))


def _mend(scene: bpy.types.Scene) -> None:
    """The file was written before its project was moved into place: find it there."""
    old = _unsaved(scene.understudy)
    if old and bpy.data.filepath and not old.is_dir():
        new = _beside(bpy.data.filepath)
        if new.is_dir():
            _follow(scene, str(old), str(new))


def _follow(scene: bpy.types.Scene, old: str, new: str) -> None:
    """The paths of a scene's properties and strips that lead into `old` lead into `new`."""

    def moved(path: str) -> str:
        return new + path[len(old) :] if path == old or path.startswith((old + "/", old + "\\")) else path

    _rewrite(moved, [scene])
    for strip in scene.sequence_editor.strips_all if scene.sequence_editor else ():
        holder = strip.sound if strip.type == "SOUND" else strip
        name = {"MOVIE": "filepath", "SOUND": "filepath", "IMAGE": "directory"}.get(strip.type)
        # Blender's own relative paths may lead up and down again (//../home/…)
        path = os.path.normpath(bpy.path.abspath(getattr(holder, name))) if name and holder is not None else ""
        if path and moved(path) != path:
            setattr(holder, name, relative(moved(path)) + ("/" if name == "directory" else ""))


def _ours() -> list[bpy.types.Scene]:
    """The scenes that are not linked from another file."""
    return [scene for scene in bpy.data.scenes if not scene.library]
