"""What the user can do. Each operator translates a click into properties and jobs and returns at once.

Undo: operators that change what is chosen are one undo step each. Operators that start or stop a job are
none (their options hold no UNDO): a job runs outside Blender, cancelling is what takes it back. What a
finished job brings is one undo step made when it arrives (`jobs`).
"""

import bpy

from . import cancel, consent, convert, engine, identities, mark, people, place, scan, setup, train, view, whole_way

CLASSES = tuple(
    cls
    for part in (mark, scan, people, identities, consent, train, convert, place, view, cancel, engine, setup, whole_way)
    for cls in part.CLASSES
)


def register() -> None:
    """Make the operators known."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    people.register()
    whole_way.register()


def unregister() -> None:
    """Forget them."""
    whole_way.unregister()
    people.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
