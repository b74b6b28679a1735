"""What the user can do. Each operator translates a click into properties and jobs and returns at once.

Undo: operators that change what is chosen are one undo step each. Operators that start or stop a job are
none (their options hold no UNDO): a job runs outside Blender, cancelling is what takes it back. What a
finished job brings is one undo step made when it arrives (`jobs`).
"""

import bpy

from . import cancel, choose, convert, engine, identities, mark, place, scan, train

CLASSES = (
    mark.UNDERSTUDY_OT_mark_range,
    scan.UNDERSTUDY_OT_scan_shot,
    scan.UNDERSTUDY_OT_scan_identity,
    identities.UNDERSTUDY_OT_add_identity,
    identities.UNDERSTUDY_OT_add_identity_file,
    identities.UNDERSTUDY_OT_remove_identity,
    choose.UNDERSTUDY_OT_choose_person,
    choose.UNDERSTUDY_OT_choose_identity,
    choose.UNDERSTUDY_OT_choose_face,
    train.UNDERSTUDY_OT_train,
    convert.UNDERSTUDY_OT_convert,
    place.UNDERSTUDY_OT_place,
    cancel.UNDERSTUDY_OT_cancel,
    cancel.UNDERSTUDY_OT_dismiss_error,
    engine.UNDERSTUDY_OT_start_engine,
    engine.UNDERSTUDY_OT_stop_engine,
)


def register() -> None:
    """Make the operators known."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Forget them."""
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
