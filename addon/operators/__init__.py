"""What the user can do. Each operator translates a click into properties and jobs and returns at once.

Undo: operators that change what is chosen are one undo step each. Operators that start or stop a job are
none (their options hold no UNDO): a job runs outside Blender, cancelling is what takes it back. What a
finished job brings is one undo step made when it arrives (`jobs`).
"""

import bpy

from . import (
    announce,
    cancel,
    consent,
    convert,
    engine,
    identities,
    mark,
    people,
    pick_face,
    place,
    provenance,
    recast_with_defaults,
    review,
    scan,
    setup,
    train,
    view,
    voice,
    voice_consent,
    voice_recast,
)

CLASSES = tuple(
    cls
    for part in (
        mark,
        scan,
        people,
        identities,
        consent,
        provenance,
        train,
        convert,
        place,
        view,
        pick_face,
        voice,
        voice_consent,
        voice_recast,
        cancel,
        engine,
        setup,
        recast_with_defaults,
        review,
        announce,
    )
    for cls in part.CLASSES
)


def register() -> None:
    """Make the operators known."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    people.register()
    announce.register()
    place.register()
    recast_with_defaults.register()


def unregister() -> None:
    """Forget them."""
    recast_with_defaults.unregister()
    place.unregister()
    announce.unregister()
    people.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
