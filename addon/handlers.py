"""Blender's events that Understudy listens to."""

from __future__ import annotations

import bpy

from .jobs import follow, jobs
from .sequencer import recasts, voice_placing
from .state import project
from .viewport import preview


@bpy.app.handlers.persistent
def _loaded(*_: object) -> None:
    project.after_load()
    for scene in bpy.data.scenes:
        if not scene.library:
            recasts.drop_damaged(scene)
            voice_placing.drop_damaged(scene)
    jobs.resume()


@bpy.app.handlers.persistent
def _undone(*_: object) -> None:
    preview.drop_images()
    jobs.restore_after_undo()
    follow.undone()


@bpy.app.handlers.persistent
def _before(*_: object) -> None:
    preview.drop_images()


_HANDLERS = (
    ("undo_pre", _before),
    ("redo_pre", _before),
    ("save_pre", _before),
    ("save_pre", project.before_save),
    ("save_post", project.after_save),
    ("save_post_fail", project.after_save),
    ("load_post", _loaded),
    ("blend_import_post", project.after_import),
    ("undo_post", _undone),
    ("redo_post", _undone),
)


def register() -> None:
    """Listen."""
    for event, handler in _HANDLERS:
        getattr(bpy.app.handlers, event).append(handler)


def unregister() -> None:
    """Stop listening: Blender 4.5 hangs as it quits when a handler is left."""
    for event, handler in _HANDLERS:
        listening = getattr(bpy.app.handlers, event)
        if handler in listening:
            listening.remove(handler)
