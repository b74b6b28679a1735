"""Where a .blend keeps its scans, models and recast movies, and how paths survive saving and moving.

In memory every path of ours is absolute. While a .blend is written they are relative to it (`//…`), so that
the .blend and the project folder can be moved together: `before_save` and `after_save_or_load` are handlers.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from ..engine import protocol
from .preferences import preferences

if TYPE_CHECKING:
    from collections.abc import Callable

    from .properties import UnderstudyState

_saving_to = ""  # the .blend being written, which a saved copy does not make the open one


def folder(state: UnderstudyState) -> Path:
    """This .blend's project folder: named in the preferences, or beside the .blend, or kept until it is saved."""
    elsewhere = preferences().project_location
    blend = bpy.data.filepath
    if blend and not elsewhere:
        return Path(blend).with_suffix(".understudy")
    if blend:
        return Path(bpy.path.abspath(elsewhere)) / (Path(blend).stem + ".understudy")
    if not state.project_id:
        state.project_id = uuid.uuid4().hex
    return protocol.home() / "unsaved" / state.project_id


def folder_if_named(state: UnderstudyState) -> Path | None:
    """This .blend's project folder, None where a .blend that was never saved has none yet. Only reads: for panels."""
    return folder(state) if bpy.data.filepath or state.project_id else None


def scan_folder(state: UnderstudyState, clip: protocol.Clip) -> Path:
    """The scan of these frames of this file as it is now: the same frames again are the same folder."""
    path = Path(clip.path)
    facts = f"{clip.path}|{clip.start}|{clip.end}"
    if path.is_file():
        facts += f"|{path.stat().st_size}|{path.stat().st_mtime_ns}"
    return folder(state) / "scans" / f"{slug(path.stem)}-{hashlib.sha1(facts.encode()).hexdigest()[:8]}"


def new_recast(state: UnderstudyState, name: str, promised: set[str], ending: str) -> Path:
    """A name in the project that no recast and no job that still runs (`promised`) has; a folder's has no `ending`."""
    recasts, number = folder(state) / "recasts", 1
    while True:
        path = recasts / f"{slug(name)}-{number:02d}{ending}"
        if not any(path.parent.glob(f"{path.stem}.*")) and not path.exists() and str(path) not in promised:
            return path
        number += 1


def slug(name: str) -> str:
    """`name` as a file name that every system takes."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60].lower() or "clip"


def absolute(path: str) -> str:
    """A path as Blender keeps it (`//` is the .blend's folder) as the engine wants it."""
    return str(Path(bpy.path.abspath(path)).resolve()) if path else ""


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
    return str(Path(bpy.path.abspath(path, start=str(Path(blend).parent))).resolve()) if blend and path else path


def _rewrite(change: Callable[[str], str]) -> None:
    for scene in bpy.data.scenes:
        state = scene.understudy
        holders = [(state.shot, "source"), (state.shot.scan, "folder"), (state.shot.scan, "clip_path")]
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


@bpy.app.handlers.persistent
def after_load(*_: object) -> None:
    """Handler for load_post: make our paths absolute from where the .blend lies now."""
    _rewrite(lambda path: _absolute_from(path, bpy.data.filepath))
