"""What a scene remembers: `Scene.understudy`. Data only; what it means is written where it is used.

Paths are absolute in memory and relative in the .blend (`project`). Frames as in `timeline`.
"""

from __future__ import annotations

import datetime

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

NOBODY = -1

PRESETS = (
    ("quick", "Quick", "A small network: minutes on a graphics card, good for a look"),
    ("standard", "Standard", "A larger network: sharper, and takes longer"),
)


def _consent_given(state: UnderstudyState, context: bpy.types.Context) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    state.consent_date = now if state.consent else ""


class UnderstudyPerson(bpy.types.PropertyGroup):
    """One person that a scan found."""

    person: IntProperty(description="The person's number in the scan")
    name: StringProperty(name="Name")
    frames: IntProperty(description="In how many frames the person shows")
    thumbnail: StringProperty(description="File name of the picture inside the scan folder")
    box: bpy.props.FloatVectorProperty(size=4, description="x0, y0, x1, y1 in source pixels on the best frame")
    best_frame: IntProperty(description="The source frame the picture was cut from")


class UnderstudyScan(bpy.types.PropertyGroup):
    """A clip that was looked through for faces. `folder` is empty until that is done."""

    clip_path: StringProperty()
    clip_start: IntProperty()
    clip_end: IntProperty()
    folder: StringProperty()
    people: CollectionProperty(type=UnderstudyPerson)


class UnderstudyShot(bpy.types.PropertyGroup):
    """The marked frames of the strip to recast; nothing is marked while `strip_id` is empty."""

    strip_id: StringProperty(description="Custom property that the strip is found by")
    strip_name: StringProperty()
    channel: IntProperty()
    start: IntProperty()
    end: IntProperty()
    source: StringProperty(description="The movie, picture or folder of pictures")
    source_start: IntProperty()
    source_end: IntProperty()
    scan: PointerProperty(type=UnderstudyScan)


class UnderstudyIdentity(bpy.types.PropertyGroup):
    """A named human being whose face is used, and the material that shows them."""

    key: StringProperty(description="Name in models and files: never changes")
    name: StringProperty(name="Name", description="Who this is")
    clip_path: StringProperty()
    clip_start: IntProperty()
    clip_end: IntProperty(description="0: to the last frame")
    scan: PointerProperty(type=UnderstudyScan)
    person: IntProperty(default=NOBODY, description="Which person of the scan it is")


class UnderstudySwap(bpy.types.PropertyGroup):
    """A person of the shot gets the face of an identity."""

    person: IntProperty(default=NOBODY)
    identity: StringProperty(description="The identity's key")


class UnderstudyJob(bpy.types.PropertyGroup):
    """A job of the engine, remembered so that it is taken up again when the .blend is opened later."""

    id: StringProperty()
    kind: StringProperty(description="scan, train or convert")
    about: StringProperty(description="JSON: what the result is for, in ids, names and frames")
    model: StringProperty(description="The model's folder")
    output: StringProperty(description="Where the result will be")
    state: StringProperty(default="queued")
    progress: FloatProperty(subtype="FACTOR", min=0.0, max=1.0)
    message: StringProperty()
    seconds_left: FloatProperty(default=-1.0, description="Negative while unknown")
    loss: FloatProperty(default=-1.0, description="Negative until there is one")
    step: IntProperty()
    preview: StringProperty(description="The newest preview picture")
    warning: StringProperty(description="The last warning, one sentence")
    error: StringProperty()
    last_seq: IntProperty(description="The last event of the engine that was seen")


class UnderstudyState(bpy.types.PropertyGroup):
    """Everything Understudy remembers of a scene."""

    project_id: StringProperty(description="Names the folder of a .blend that was never saved")
    shot: PointerProperty(type=UnderstudyShot)
    identities: CollectionProperty(type=UnderstudyIdentity)
    swaps: CollectionProperty(type=UnderstudySwap)
    jobs: CollectionProperty(type=UnderstudyJob)
    error: StringProperty(description="The last thing that went wrong, one sentence")
    preset: EnumProperty(name="Quality", description="How good and how slow the training is", items=PRESETS)
    minutes: FloatProperty(
        name="Minutes",
        description="How long to train, all runs together; training again with more goes on where it stopped",
        default=10.0,
        min=0.1,
        soft_max=600.0,
        precision=1,
    )
    consent: BoolProperty(
        name="They agreed",
        description="The people shown have agreed to this use of their faces, or the footage is yours to recast. "
        "The date is kept in the .blend",
        update=_consent_given,
    )
    consent_date: StringProperty(description="When the box was ticked, UTC")


CLASSES = (
    UnderstudyPerson,
    UnderstudyScan,
    UnderstudyShot,
    UnderstudyIdentity,
    UnderstudySwap,
    UnderstudyJob,
    UnderstudyState,
)


def register() -> None:
    """Give every scene its `understudy`."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.understudy = PointerProperty(type=UnderstudyState)


def unregister() -> None:
    """Take it away again; what a .blend holds stays in it."""
    del bpy.types.Scene.understudy
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
