"""What a scene remembers: `Scene.understudy`; and how a window looks at it: `WindowManager.understudy`.

Data only; what it means is written where it is used. Paths are absolute in memory and relative in the .blend
(`project`). Frames as in `timeline`.
"""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ...engine import protocol
from . import doubts, hooks, settings_group, voice_properties

NOBODY = -1

SCHEMA = 2
"""Of the properties below; raised when an older add-on would misread them."""

PRESETS = (
    ("quick", "Quick", "A small network: minutes on a graphics card, good for a look"),
    ("standard", "Standard", "A larger network: sharper, and takes longer"),
    ("fine", "Fine", "The largest network: for the last percent, on a strong graphics card"),
)
NETWORKS = (
    ("refine", "Face Mesh", "Drafts warped through the face's mesh are refined: sharp within minutes"),
    ("shared", "Shared Encoder", "For full profiles and blur, where no mesh holds: it learns everything, for hours"),
)
VIEWS = (
    ("original", "Original", "The footage as it is"),
    ("recast", "Recast", "The footage with the new face"),
    ("matte", "Matte", "Where the new face covers the old one, white where it covers all"),
    ("landmarks", "Landmarks", "The points and boxes by which the face is followed"),
)
FORMATS = (
    ("same", "As Source", "The source's own codec and depth as far as possible"),
    ("h264", "H.264", "Small files that play everywhere"),
    ("h265", "H.265", "Smaller files, 10 bit"),
    ("prores-hq", "ProRes 422 HQ", "For editing, 10 bit"),
    ("prores-4444", "ProRes 4444", "For editing, with alpha"),
    ("dnxhr", "DNxHR HQX", "For editing, 10 bit"),
    ("ffv1", "FFV1", "Lossless"),
    ("png", "PNG Pictures", "A folder of pictures, lossless, with alpha"),
    ("tiff", "TIFF Pictures", "A folder of pictures, 16 bit"),
    ("exr", "OpenEXR Pictures", "A folder of pictures, half float"),
)
BASES = (
    ("own face", "Own Face", "It is my own face"),
    ("written permission", "Written Permission", "They agreed in writing"),
    ("licensed performer", "Licensed Performer", "Their contract allows it"),
    ("public domain or rights cleared", "Rights Cleared", "Public domain, or the rights were cleared"),
    ("test footage", "Test Footage", "Footage made for tests; the result is shown to nobody else"),
)
USUAL_BASIS = "written permission"
CROWDS = (
    ("LARGEST", "Largest", "The people whose faces are largest in the picture"),
    ("LONGEST", "Longest", "The people who show in most frames"),
    ("NAMED", "Named", "The people who have a name"),
)
MARKS = (
    ("STRIP", "Strip", "All that the strip shows between its handles"),
    ("PREVIEW", "Preview Range", "What the strip shows inside the preview range"),
    ("PLAYHEAD", "Playhead", "What the strip shows between the in and out point set at the playhead"),
    ("MARKERS", "Markers", "What the strip shows between the timeline markers around the playhead"),
)


class UnderstudyPerson(bpy.types.PropertyGroup):
    """One person that a scan found."""

    person: IntProperty(description="The person's number in the scan")
    name: StringProperty(
        name="Name", description="Who this is; other scans of the project know the face by it", update=hooks.renamed
    )
    frames: IntProperty(description="In how many frames the person shows")
    tracks: IntProperty()
    thumbnail: StringProperty(description="File name of the picture inside the scan folder")
    box: FloatVectorProperty(size=4, description="x0, y0, x1, y1 in source pixels on the best frame")
    best_frame: IntProperty(description="The source frame the picture was cut from")
    sharpness: FloatProperty()
    known: BoolProperty(description="The name is the project's, found by their face or given by the user")
    rejected: BoolProperty(description="Nobody: a poster, a false face")
    looks_like: IntProperty(default=NOBODY, description="The number of somebody else who looks the same")
    coverage: StringProperty(description="JSON: faces by pitch and yaw, row by row; empty while unknown")


class UnderstudyScan(bpy.types.PropertyGroup):
    """A clip that was looked through for faces. `folder` is empty until that is done."""

    clip_path: StringProperty()
    clip_stream: IntProperty()
    clip_start: IntProperty()
    clip_end: IntProperty(description="Not past the last frame that exists")
    width: IntProperty()
    height: IntProperty()
    folder: StringProperty()
    unnamed: StringProperty(description="Which faces are nobody's, and which photographs show none")
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
    stream: IntProperty(description="Which of the source's pictures")
    stored_frames: IntProperty(description="How many frames Blender counts in the source")
    existing_frames: IntProperty(description="How many of them have a picture; 0 while all are thought to")
    scan: PointerProperty(type=UnderstudyScan)


class UnderstudyMaterial(bpy.types.PropertyGroup):
    """Footage that shows an identity."""

    key: StringProperty()
    clip_path: StringProperty()
    clip_stream: IntProperty(description="Which of the file's pictures")
    clip_start: IntProperty()
    clip_end: IntProperty(description="0: to the last frame")
    scan: PointerProperty(type=UnderstudyScan)
    person: IntProperty(default=NOBODY, description="Which person of the scan it is")


class UnderstudyIdentity(bpy.types.PropertyGroup):
    """A named human being whose face is used, and the material that shows them."""

    key: StringProperty(description="Name in models and files: never changes")
    name: StringProperty(name="Name", description="Who this is", update=hooks.identity_renamed)
    materials: CollectionProperty(type=UnderstudyMaterial)


class UnderstudySwap(bpy.types.PropertyGroup):
    """A person of the shot gets the face of an identity."""

    person: IntProperty(default=NOBODY)
    identity: StringProperty(description="The identity's key")
    target: StringProperty(description="The replaced person's name in models and consent files: never changes")


class UnderstudyCast(bpy.types.PropertyGroup):
    """The cast of a range that was marked once."""

    scan: StringProperty(description="Name of the scan's folder, which tells the frames")
    swaps: StringProperty(default="[]", description="JSON: [person, identity, target] of each swap")


class UnderstudyJob(bpy.types.PropertyGroup):
    """A job of the engine, remembered so that it is taken up again when the .blend is opened later."""

    id: StringProperty()
    kind: StringProperty(description="One of protocol.JobKind")
    about: StringProperty(description="JSON: what the result is for, in ids, names and frames")
    model: StringProperty(description="The model's folder")
    output: StringProperty(description="Where the result will be")
    state: StringProperty(default="queued")
    progress: FloatProperty(subtype="FACTOR", min=0.0, max=1.0)
    message: StringProperty()
    seconds_left: FloatProperty(default=-1.0, description="Negative while unknown")
    loss: FloatProperty(default=-1.0, description="Negative until there is one")
    step: IntProperty()
    curve: StringProperty(description="JSON: [step, loss] of an ended training here and there, for its curve")
    preview: StringProperty(description="The newest preview picture")
    verdict: StringProperty(description="How the training stands, in words")
    warning: StringProperty(description="The last warning, one sentence")
    error: StringProperty()
    priority: IntProperty(description="Jobs of higher priority run first")
    last_seq: IntProperty(description="The last event of the engine that was seen")


class UnderstudyFit(bpy.types.PropertyGroup):
    """How a recast face is fitted into the picture: `protocol.ConvertSettings`."""

    __annotations__ = settings_group.properties_of(protocol.ConvertSettings)


class UnderstudyConsentRow(bpy.types.PropertyGroup):
    """One of several people in the dialog that asks for all of them."""

    identity: StringProperty(description="Whose consent, as the project knows them")
    called: StringProperty(description="Their name in the panel")
    person: StringProperty(name="Full Name", description="The human being's full name")
    basis: EnumProperty(name="Basis", description="Why their face may be used", items=BASES, default=USUAL_BASIS)
    file: StringProperty(name="Document", description="A file that proves it; may stay empty", subtype="FILE_PATH")
    role: StringProperty(description="FACE: their face appears; SHOWN: they are replaced in the footage")


class UnderstudyState(bpy.types.PropertyGroup):
    """Everything Understudy remembers of a scene."""

    schema: IntProperty(description="SCHEMA of the add-on that wrote this; 0: nothing was written yet")
    project_id: StringProperty(description="Names the folder of a .blend that was never saved")
    project: StringProperty(description="The project folder since the first job")
    shot: PointerProperty(type=UnderstudyShot)
    mark_by: EnumProperty(name="Mark by", description="What bounds the range that is marked", items=MARKS)
    playhead_in: IntProperty(name="In", description="First frame of the range", default=-1_000_000)
    playhead_out: IntProperty(name="Out", description="Last frame of the range", default=-1_000_000)
    person: IntProperty(default=NOBODY, description="The person of the shot whose details are shown")
    identities: CollectionProperty(type=UnderstudyIdentity)
    identity: StringProperty(description="Key of the identity whose details are shown")
    swaps: CollectionProperty(type=UnderstudySwap)
    casts: CollectionProperty(type=UnderstudyCast)
    crowd: EnumProperty(
        name="Show", description="Who of a crowd has a row; who gets a face always has one", items=CROWDS
    )
    jobs: CollectionProperty(type=UnderstudyJob)
    doubts: CollectionProperty(type=doubts.UnderstudyDoubt)
    error: StringProperty(description="The last thing that went wrong, one sentence")
    recast_with_defaults: BoolProperty(description="One step follows the other by itself, until the recast is queued")
    preset: EnumProperty(name="Quality", description="How good and how slow the training is", items=PRESETS)
    network: EnumProperty(name="Network", description="What is trained to make the new face", items=NETWORKS)
    until_converged: BoolProperty(
        name="Until Converged", description="Train until the face gets no better, however long that takes"
    )
    minutes: FloatProperty(
        name="Minutes",
        description="How long to train, all runs together; training again with more goes on where it stopped",
        default=10.0,
        min=0.1,
        soft_max=600.0,
        precision=1,
    )
    fit: PointerProperty(type=UnderstudyFit)
    speech: PointerProperty(type=voice_properties.UnderstudySpeech)
    voices: CollectionProperty(type=voice_properties.UnderstudyVoice)
    format: EnumProperty(name="Format", description="How the recast movie is stored", items=FORMATS)
    layer: BoolProperty(
        name="Face Only", description="Place only the recast face, with alpha, over the footage that stays below"
    )


class UnderstudyView(bpy.types.PropertyGroup):
    """How the preview shows the recast; kept with the window, no part of the edit."""

    show: BoolProperty(
        name="Preview Recast", description="Show the recast over the sequencer's preview, on the frame of the playhead",
        update=hooks.look_changed,
    )  # fmt: skip
    view: EnumProperty(
        name="View", description="What is shown over the preview", items=VIEWS, default="recast",
        update=hooks.look_changed,
    )  # fmt: skip
    use_wipe: BoolProperty(
        name="Wipe", description="Show the footage to the left of a line and the recast to its right",
        update=hooks.look_changed,
    )  # fmt: skip
    wipe: FloatProperty(
        name="Wipe Position", description="Where the line between footage and recast stands",
        default=0.5, min=0.0, max=1.0, subtype="FACTOR", update=hooks.look_changed,
    )  # fmt: skip
    badges: BoolProperty(
        name="Names", description="Show who is who in the preview", default=True, update=hooks.look_changed
    )
    compare: BoolProperty(options={"HIDDEN", "SKIP_SAVE"}, description="The footage is shown as long as a key is held")


CLASSES = (
    UnderstudyPerson,
    UnderstudyScan,
    UnderstudyShot,
    UnderstudyMaterial,
    UnderstudyIdentity,
    UnderstudySwap,
    UnderstudyCast,
    UnderstudyJob,
    doubts.UnderstudyDoubt,
    UnderstudyFit,
    UnderstudyConsentRow,
    *voice_properties.CLASSES,
    UnderstudyState,
    UnderstudyView,
)


def register() -> None:
    """Give every scene its `understudy`, and the window its view of it."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.understudy = PointerProperty(type=UnderstudyState)
    bpy.types.WindowManager.understudy = PointerProperty(type=UnderstudyView)


def unregister() -> None:
    """Take them away again; what a .blend holds stays in it."""
    del bpy.types.WindowManager.understudy
    del bpy.types.Scene.understudy
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
