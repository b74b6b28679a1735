"""The tab “Understudy” in the sequencer's sidebar, from Range to Recast. Panels only read and draw."""

import bpy

from . import convert, identities, people, preview, range, status, train, voice

CLASSES = (
    identities.UNDERSTUDY_MT_add_identity,
    identities.UNDERSTUDY_MT_add_material,
    status.UNDERSTUDY_PT_status,
    range.UNDERSTUDY_PT_range,
    people.UNDERSTUDY_PT_people,
    identities.UNDERSTUDY_PT_identities,
    preview.UNDERSTUDY_PT_preview,
    train.UNDERSTUDY_PT_train,
    convert.UNDERSTUDY_PT_convert,
    voice.UNDERSTUDY_MT_add_voice,
    voice.UNDERSTUDY_MT_add_recording,
    voice.UNDERSTUDY_PT_voice,
    convert.UNDERSTUDY_PT_provenance,
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
