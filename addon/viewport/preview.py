"""The recast of the playhead's frame: what is wanted, asked of the engine, kept for when it is seen again.

The overlay pulls: while it draws it asks `shown` for the frame it stands on. What is not there yet is asked for and
the sequencer is drawn again when it comes, so that a preview nobody looks at costs nothing, and nothing has to
be told when the playhead moves, a swap changes or an edit is undone. The picture lives on the graphics card;
the image datablock it is loaded through is gone again one tick later and is never part of an undo step or file.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import bpy

from ...engine import protocol
from .. import compat
from ..engine_link.handles import TICK_BUDGET_SECONDS, PreviewerHandle
from ..engine_link.reports import Faces, Picture
from ..i18n import tr
from ..sequencer import picture_geometry, strip_fit, strip_media, timeline
from ..state import face_boxes, hooks, project, steps
from ..state.user_preferences import preferences
from . import aside, view_transform

if TYPE_CHECKING:
    from ..state.properties import UnderstudyState, UnderstudyView

TICK_SECONDS = 0.02
WIDTH_STEP = 320
WIDEST = 1920
ENGINE_WAIT_TICKS = 25
UNSEEN_TICKS = 150
RETRY_SECONDS = 3.0
IMAGE = ".understudy preview"


@dataclass(kw_only=True)
class Frame:
    """A frame that was answered. `image` names a datablock that waits to become `texture`; `stamp` tells how far
    training was."""

    stamp: Hashable
    steps: int = 0
    seconds: float = 0.0
    error: str = ""
    image: str = ""
    texture: Any = None
    bytes: int = 0
    waited: int = 0
    made: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, kw_only=True)
class Here:
    """Where the playhead stands in the shot: `frame` of the source, lying at `placement` in the preview, on `channel`
    of what is shown, of whose width a preview keeps `share`. `aside`: why the edit shows something else there, so that
    the live recast is not drawn; "" where it is. `seen` is not even the source where it is muted."""

    state: Any
    frame: int
    placement: picture_geometry.Placement
    channel: int
    aside: str = ""
    share: float = 1.0
    seen: bool = True


_previewer: PreviewerHandle | None = None
_frames: OrderedDict[Hashable, Frame] = OrderedDict()  # least recently seen first
_asked: tuple[Hashable, Hashable] | None = None  # (key, stamp) that the previewer is busy with or about to be
_faces: dict[str, dict[int, list[protocol.FaceBox]] | None] = {}  # scan folder → faces; None: being read
_spent_images: list[str] = []
_generation = 0
_engine_wait = 0


# -- read while drawing


def here(scene: bpy.types.Scene) -> Here | None:
    """Where the playhead stands in the marked shot, or None: outside of it, nothing scanned, the strip is gone."""
    state = scene.understudy
    shot = state.shot
    if not shot.scan.folder or steps.locked(state):
        return None
    strip = strip_media.find_shown(scene, shot, scene.frame_current)
    if strip is None:
        return None
    left, right = compat.span(strip)
    now = scene.frame_current
    if not left <= now < right:
        return None
    try:
        frame = timeline.source_frame(compat.strip_timing(scene, strip, stored_frames=shot.stored_frames), now)
    except timeline.RangeError:
        return None
    if not shot.source_start <= frame < shot.source_end:
        return None
    placement = compat.picture_placement(strip, shot.scan.width, shot.scan.height)
    return Here(
        state=state, frame=frame, placement=placement, channel=_channel(scene, strip),
        aside=aside.in_edit(scene, strip), seen=aside.seen(scene, strip),
    )  # fmt: skip


def _channel(scene: bpy.types.Scene, strip: bpy.types.Strip) -> int:
    """The strip's channel, or that of the outermost meta around it inside the one that is open."""
    opened = list(scene.sequence_editor.meta_stack)
    while (meta := strip.parent_meta()) is not None and meta not in opened:
        strip = meta
    return int(strip.channel)


def spec_for(state: UnderstudyState, view: UnderstudyView, frame: int, width: int) -> protocol.PreviewSpec | None:
    """What to ask for, or None while nobody is to be recast, or their consent is not on record. The fit is that of the
    range's recast where one is worked on, as it stands at the playhead."""
    identities, swaps = steps.cast(state)
    if not swaps or not all(identity.material for identity in identities):
        return None
    if view.view == "recast" and steps.lacking_consent(state):
        return None
    model = steps.known_model(state, state.preset)
    return protocol.PreviewSpec(
        scan=state.shot.scan.folder,
        swaps=swaps,
        frame=frame,
        model=model,
        identities=[] if model else identities,
        view=view.view,
        width=width,
        settings=strip_fit.of_the_range(state),
        project=str(project.folder(state)) if bpy.data.filepath or state.project_id else "",
    )


def shown(spec: protocol.PreviewSpec) -> Frame | None:
    """The frame as it was last answered, or None; asks for it when it is missing or was made before the last step
    of training that a checkpoint or picture was heard of."""
    key, stamp = _key(spec), (_generation, spec.model)
    found = _frames.get(key)
    if found is not None:
        _frames.move_to_end(key)
    stale = found is None or found.stamp != stamp
    if stale or (found.error and time.monotonic() - found.made > RETRY_SECONDS):
        _ask(key, stamp, spec)
    return found


def faces(folder: str, frame: int) -> list[protocol.FaceBox]:
    """Who is where on a source frame; nobody until the scan's file is read."""
    if folder not in _faces:
        _faces[folder] = None
        previewer().want_faces(folder)
        _wake()
    return (_faces[folder] or {}).get(frame, [])


def faces_now(folder: str, frame: int) -> list[protocol.FaceBox]:
    """The same for an operator, which reads the scan's file where nobody has yet."""
    if _faces.get(folder) is None:
        _faces[folder] = face_boxes.read(folder)
    return faces(folder, frame)


def width_for(pixels: float, source: int) -> int:
    """The width to ask for where the picture takes `pixels` on the screen: in steps, so that a small zoom asks
    for nothing new."""
    wanted = -(-int(pixels) // WIDTH_STEP) * WIDTH_STEP
    return max(min(wanted, source or WIDEST, WIDEST), min(WIDTH_STEP, source or WIDTH_STEP))


def error_here() -> str:
    """Why the frame that was last asked for could not be shown, "" when it could."""
    newest = next(reversed(_frames.values()), None)
    return newest.error if newest is not None else ""


def pending() -> bool:
    """Whether an answer is awaited."""
    return _asked is not None


def _key(spec: protocol.PreviewSpec) -> Hashable:
    """What must be the same for one picture to stand in for another; the model is its stamp's."""
    facts = protocol.to_json(spec)
    return json.dumps({**facts, "model": "", "identities": []}, sort_keys=True)


# -- asking


def previewer() -> PreviewerHandle:
    """The session's previewer; the process that it works in is started when first needed."""
    global _previewer
    if _previewer is None:
        _previewer = PreviewerHandle()
    return _previewer


def _ask(key: Hashable, stamp: Hashable, spec: protocol.PreviewSpec) -> None:
    global _asked
    if _asked == (key, stamp):
        return
    _asked = (key, stamp)
    previewer().want(_asked, spec)
    _wake()


def _wake() -> None:
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS)


def learned() -> None:
    """Training got further, or the people changed: frames are asked for anew when they are next looked at."""
    global _generation
    _generation += 1
    if bpy.context.window_manager.understudy.show:
        hooks.redraw_sequencers({"PREVIEW"})


def tick() -> float | None:
    """Take answers in; runs only while one is awaited or a picture waits to be let go."""
    global _engine_wait
    _drop_spent_images()
    heard = False
    until = time.perf_counter() + TICK_BUDGET_SECONDS
    while _previewer is not None and (answer := _previewer.hear(until)) is not None:
        heard = True
        if isinstance(answer, Faces):
            _faces[answer.key] = answer.faces
        else:
            _take_in(answer)
    if heard:
        hooks.redraw_sequencers()
    _engine_wait = max(_engine_wait - 1, 0)
    for key in [key for key, frame in _frames.items() if frame.image]:
        _frames[key].waited += 1
        if _frames[key].waited > UNSEEN_TICKS:  # no preview is drawn any more
            _spent_images.append(_frames.pop(key).image)
    waiting = (
        _asked is not None
        or _spent_images
        or any(found is None for found in _faces.values())
        or any(frame.image for frame in _frames.values())
    )
    return TICK_SECONDS if waiting else None


def _take_in(answer: Picture) -> None:
    global _asked, _engine_wait
    key, stamp = answer.key
    if _asked == answer.key:
        _asked = None
    if answer.dropped:
        return
    if answer.engine_gone:
        engine = hooks.engine_report()
        if engine.state == "failed":
            _keep(key, Frame(stamp=stamp, error=engine.error))
        elif engine.state != "starting" and not _engine_wait:
            hooks.start_engine()
            _engine_wait = ENGINE_WAIT_TICKS
        return
    if answer.error:
        _keep(key, Frame(stamp=stamp, error=answer.error))
        return
    try:
        image = bpy.data.images.load(answer.path, check_existing=False)
    except RuntimeError:
        _keep(key, Frame(stamp=stamp, error=tr("The preview picture cannot be read.")))
        return
    image.name = IMAGE
    # drawn as it is stored: the sequencer's preview is display-referred, a decoded texture would come out too dark
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    frame = Frame(stamp=stamp, steps=answer.steps, seconds=answer.seconds, image=image.name)
    frame.bytes = width * height * 4
    _keep(key, frame)


def _keep(key: Hashable, frame: Frame) -> None:
    old = _frames.pop(key, None)
    if old is not None and old.image:
        _spent_images.append(old.image)
    _frames[key] = frame
    while sum(f.bytes for f in _frames.values()) > _room() and len(_frames) > 1:
        _, dropped = _frames.popitem(last=False)
        if dropped.image:
            _spent_images.append(dropped.image)


def _room() -> int:
    """Bytes that frames may take."""
    return int(preferences().preview_cache) * 1024 * 1024


def texture(frame: Frame) -> Any:
    """The frame's picture on the graphics card, or None. Only while drawing: it needs a window's context."""
    if frame.texture is None and frame.image:
        image = bpy.data.images.get(frame.image)
        if image is not None:
            frame.texture = compat.texture(image)
            _spent_images.append(frame.image)
            _wake()
        frame.image = ""
    return frame.texture


def _drop_spent_images() -> None:
    while _spent_images:
        image = bpy.data.images.get(_spent_images.pop())
        if image is not None:
            bpy.data.images.remove(image)


def drop_images() -> None:
    """Before a file is written, and around an undo: no datablock of ours may be in it."""
    for key in [key for key, frame in _frames.items() if frame.image]:
        _spent_images.append(_frames.pop(key).image)
    _drop_spent_images()
    view_transform.forget()
    for image in [image for image in bpy.data.images if image.name.startswith(IMAGE) and not image.users]:
        bpy.data.images.remove(image)  # brought back by an undo


# -- the end


def forget_faces() -> None:
    """Who is where is read again: a scan has written it anew."""
    _faces.clear()


def forget() -> None:
    """Let go of everything: another file was opened, or an identity was forgotten."""
    global _asked
    _asked = None
    if _previewer is not None:
        _previewer.forget()
    drop_images()
    _frames.clear()
    _faces.clear()


def register() -> None:
    """Nothing to do until a frame is looked at."""


def unregister() -> None:
    """Free the pictures."""
    global _previewer
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    forget()
    _previewer = None
