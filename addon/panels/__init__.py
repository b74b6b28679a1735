"""The tab “Understudy” in the sequencer's sidebar, from Range to Convert. Panels only read and draw."""

import bpy

from . import convert, identities, people, range, status, train

CLASSES = (
    status.UNDERSTUDY_PT_status,
    range.UNDERSTUDY_PT_range,
    people.UNDERSTUDY_PT_people,
    identities.UNDERSTUDY_PT_identities,
    train.UNDERSTUDY_PT_train,
    train.UNDERSTUDY_PT_train_advanced,
    convert.UNDERSTUDY_PT_convert,
    status.UNDERSTUDY_PT_engine,
)


def register() -> None:
    """Show the panels."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Hide them."""
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
