"""Every branch on Blender's version (4.5 LTS, 5.0, 5.2 LTS), and nothing else."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import bpy

from .constants import SOURCE_HIDDEN, STRIP_RECORD
from .sequencer.picture_geometry import Placement
from .sequencer.timeline import RetimingKey, StripTiming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HIGHEST_CHANNEL = 128
PICTURES = {"MOVIE", "IMAGE", "META", "SCENE"}
"""The types of strips that show a picture of their own."""

_NEW_TIME_NAMES = bpy.app.version >= (5, 1, 0) and "content_start" in bpy.types.MovieStrip.bl_rna.properties


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene | None:
    """The scene whose strips the sequencer shows. From 5.0 on it may be none at all."""
    if bpy.app.version >= (5, 0, 0):
        return context.workspace.sequencer_scene if context.workspace else None
    return context.scene


def active_strip(scene: bpy.types.Scene) -> bpy.types.Strip | None:
    """The strip that was clicked last, inside a meta too."""
    return scene.sequence_editor.active_strip if scene.sequence_editor else None


def acted_on(scene: bpy.types.Scene, record: str, types: set[str]) -> bpy.types.Strip | None:
    """The strip that an operator acts on: the active one where it is selected, or nothing is. Else, as a cut leaves the
    half active that is not selected any more, of the selected ones: a strip with that custom property before one of
    those types before any other, the nearest to the playhead first."""
    strip, editor = active_strip(scene), scene.sequence_editor
    if editor is None or (strip is not None and strip.select):
        return strip
    opened = editor.meta_stack
    selected = [one for one in (opened[-1] if len(opened) else editor).strips if one.select]

    def rank(one: bpy.types.Strip) -> tuple[bool, bool, int]:
        left, right = span(one)
        away = max(left - scene.frame_current, scene.frame_current - right + 1, 0)
        return not one.get(record), one.type not in types, away

    return min(selected, key=rank, default=strip)


def active_picture(scene: bpy.types.Scene) -> bpy.types.Strip | None:
    """The strip that is acted on; where that is the sound of a film, the picture that is connected to it, else the one
    selected picture that lies over the same frames (Add > Movie leaves the sound active and both selected)."""
    strip = acted_on(scene, STRIP_RECORD, PICTURES)
    if strip is None or strip.type != "SOUND":
        return strip
    left, right = span(strip)
    connected = [one for one in getattr(strip, "connections", ()) if one.type in PICTURES]
    selected = [one for one in neighbours(scene, strip)[0] if one.select and one.type in PICTURES]
    beside = [one for one in selected if span(one)[0] < right and left < span(one)[1]]
    for found in (connected, beside):
        if found:
            return max(found, key=lambda one: min(right, span(one)[1]) - max(left, span(one)[0]))
    return strip


def connect(scene: bpy.types.Scene, strip: bpy.types.Strip, to: bpy.types.Strip) -> None:
    """Connect two strips, and what either is connected to, so that they are selected and moved together. Before
    Blender 5.2, and where no sequencer is open, there is nothing that connects."""
    if not hasattr(strip, "connections") or strip.parent_meta() != to.parent_meta():
        return
    together = {strip.name, to.name, *(one.name for one in (*strip.connections, *to.connections))}
    if strip.parent_meta() is None:
        _with_selected(scene, together, lambda: bpy.ops.sequencer.connect(toggle=False), bpy.ops.sequencer.connect.poll)


def copy_sound_modifiers(scene: bpy.types.Scene, strip: bpy.types.Strip, source: bpy.types.Strip) -> None:
    """Give a sound strip its source's modifiers (an equalizer), which only an operator can, and only at the top level
    with a sequencer open: otherwise there is none of them."""
    if not len(source.modifiers) or strip.parent_meta() is not None or source.parent_meta() is not None:
        return
    before = scene.sequence_editor.active_strip
    scene.sequence_editor.active_strip = source
    copy = bpy.ops.sequencer.strip_modifier_copy
    _with_selected(scene, {strip.name, source.name}, lambda: copy(type="REPLACE"), copy.poll)
    scene.sequence_editor.active_strip = before


def _with_selected(
    scene: bpy.types.Scene, names: set[str], act: Callable[[], object], possible: Callable[[], bool]
) -> None:
    """Run an operator on strips of the top level in an open sequencer of the scene; nothing where there is none."""
    found = sequencer_area()
    if found is None:
        return
    before = [one.name for one in strips(scene) if one.select]
    for one in strips(scene):
        one.select = one.name in names
    with bpy.context.temp_override(**found):
        if sequencer_scene(bpy.context) == scene and possible():
            act()
    for one in strips(scene):
        one.select = one.name in before


def is_dragging() -> bool:
    """Whether strips are being moved in some window: where copies lie until then tells nothing of what they are."""
    return any(
        operator.bl_idname.startswith(("TRANSFORM_OT_", "SEQUENCER_OT_"))
        for window in bpy.context.window_manager.windows
        for operator in window.modal_operators
    )


def sequencer_area() -> dict[str, Any] | None:
    """An open timeline of strips, as `temp_override` takes it; None where there is none."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR" and area.spaces.active.view_type != "PREVIEW":
                region = next((one for one in area.regions if one.type == "WINDOW"), None)
                if region is not None:
                    return {"window": window, "area": area, "region": region}
    return None


def scroll_to(strip: bpy.types.Strip) -> None:
    """Bring a strip of the top level into every timeline that does not show it; the zoom stays."""
    if strip.parent_meta() is not None:
        return
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "SEQUENCE_EDITOR" or area.spaces.active.view_type == "PREVIEW":
                continue
            region = next((one for one in area.regions if one.type == "WINDOW"), None)
            if region is None or region.width < 2:
                continue
            left, right = span(strip)
            x0, y0 = region.view2d.view_to_region(left, strip.channel, clip=False)
            x1, y1 = region.view2d.view_to_region(right, strip.channel + 1, clip=False)
            across = _into_view(x0, x1, region.width)
            up = _into_view(y0, y1, region.height)
            if across or up:
                with bpy.context.temp_override(window=window, area=area, region=region):
                    bpy.ops.view2d.pan(deltax=across, deltay=up)


def _into_view(low: int, high: int, size: int) -> int:
    """How many pixels to scroll so that `[low, high)` lies in `[0, size)`; what is longer is shown from its begin."""
    margin = min(size // 8, 40)
    if low < margin or high - low > size - 2 * margin:
        return 0 if 0 <= low < size // 2 else low - margin
    return max(high - size + margin, 0)


def strips(scene: bpy.types.Scene) -> Iterable[bpy.types.Strip]:
    """The strips of the scene's top level, inside no meta."""
    return scene.sequence_editor.strips if scene.sequence_editor else ()


def all_strips(scene: bpy.types.Scene) -> Iterable[bpy.types.Strip]:
    """Every strip of the scene, inside metas too."""
    return scene.sequence_editor.strips_all if scene.sequence_editor else ()


def neighbours(scene: bpy.types.Scene, strip: bpy.types.Strip | None) -> tuple[bpy.types.Collection, Iterable]:
    """The collection that holds `strip` (its meta's, or the top level's), and the channels there."""
    meta = strip.parent_meta() if strip is not None else None
    holder = meta if meta is not None else scene.sequence_editor
    return holder.strips, holder.channels


def span(strip: bpy.types.Strip) -> tuple[int, int]:
    """The strip's handles, `[left, right)` in timeline frames."""
    if _NEW_TIME_NAMES:
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


def set_span(strip: bpy.types.Strip, left: int, right: int) -> None:
    """Move the handles; the content stays where it is. Neither is put past the other on the way."""
    names = ("left_handle", "right_handle") if _NEW_TIME_NAMES else ("frame_final_start", "frame_final_end")
    order = (0, 1) if left < span(strip)[1] else (1, 0)
    for which in order:
        setattr(strip, names[which], (left, right)[which])


def content(strip: bpy.types.Strip) -> tuple[int, int, int, int]:
    """(timeline frame of the first content frame, content frames, trimmed at the start, at the end)."""
    if _NEW_TIME_NAMES:
        return (
            round(strip.content_start),
            int(strip.content_duration),
            int(getattr(strip, "content_trim_start", 0)),
            int(getattr(strip, "content_trim_end", 0)),
        )
    return (
        round(strip.frame_start),
        int(strip.frame_duration),
        int(getattr(strip, "animation_offset_start", 0)),
        int(getattr(strip, "animation_offset_end", 0)),
    )


def strip_timing(scene: bpy.types.Scene, strip: bpy.types.Strip, *, stored_frames: int = 0) -> StripTiming:
    """Read how `strip` shows its source.

    `stored_frames`, how many frames the source has, spares opening the file where it is known: a movie is opened
    when its frame rate may not be the scene's, and when it is retimed.
    """
    left, right, outer = _seen_through_metas(strip)
    start, frames, trim_start, trim_end = content(strip)
    keys = _retiming_keys(strip)
    rate, available = 1.0, frames
    if strip.type == "IMAGE":
        available = max(len(strip.elements) - trim_start - trim_end, 1)
    elif strip.type == "MOVIE":
        if not stored_frames:
            stored_frames = _stored_frames(scene, strip, frames + trim_start + trim_end)
        available = max(stored_frames - trim_start - trim_end, 1)
        rate = _rate(scene, strip, frames, available, keys)
    return StripTiming(
        name=strip.name,
        type=strip.type,
        left=left,
        right=right,
        content_start=start,
        content_frames=frames,
        source_frames=available,
        trim_start=trim_start,
        still=strip.type == "IMAGE" and len(strip.elements) == 1,
        reversed=bool(getattr(strip, "use_reverse_frames", False)),
        strobe=float(getattr(strip, "strobe", 1.0)),
        rate=rate,
        keys=keys,
        factor_frames=available if bpy.app.version >= (5, 0, 0) else available - 1,
        outer=outer,
        speed_control=_speed_control(scene, strip),
    )


def _speed_control(scene: bpy.types.Scene, strip: bpy.types.Strip) -> str:
    """The name of a Speed Control over a strip, or over a meta around it; "" without one."""
    inside: list[bpy.types.Strip] = []
    while strip is not None:
        inside.append(strip)
        strip = strip.parent_meta()
    return next(
        (one.name for one in all_strips(scene) if one.type == "SPEED" and one.input_1 in inside and not one.mute), ""
    )


def _seen_through_metas(strip: bpy.types.Strip) -> tuple[int, int, str]:
    """The strip's handles cut to those of its metas, and the name of a meta whose own time is changed."""
    left, right = span(strip)
    meta, outer = strip.parent_meta(), ""
    while meta is not None:
        meta_left, meta_right = span(meta)
        left, right = max(left, meta_left), min(right, meta_right)
        if len(getattr(meta, "retiming_keys", ())) or getattr(meta, "use_reverse_frames", False) or meta.strobe > 1.0:
            outer = meta.name
        meta = meta.parent_meta()
    return left, right, outer


class _Key(ctypes.Structure):
    """The head of Blender's `SeqRetimingKey`; 4.5 has room between flag and factor, 5.0 to 5.2 have none."""

    _fields_ = (
        ("strip_frame_index", ctypes.c_double),
        ("flag", ctypes.c_int),
        *((("_room", ctypes.c_int),) if bpy.app.version < (5, 0, 0) else ()),
        ("retiming_factor", ctypes.c_float),
    )


def _retiming_keys(strip: bpy.types.Strip) -> tuple[RetimingKey, ...]:
    """The keys with what Python is not told of them: which part of the source each one shows.

    Read out of Blender's own structure, as no property holds it (Python knows a key's timeline frame only).
    """
    read = [_Key.from_address(key.as_pointer()) for key in getattr(strip, "retiming_keys", ())]
    return tuple(RetimingKey(index=k.strip_frame_index, factor=k.retiming_factor, flag=k.flag) for k in read)


def picture_stream(strip: bpy.types.Strip) -> int:
    """Which of its file's pictures a strip shows (`protocol.Clip.stream`)."""
    return int(getattr(strip, "stream_index", 0)) if strip.type == "MOVIE" else 0


def stored_frames(scene: bpy.types.Scene, strip: bpy.types.Strip) -> int:
    """How many frames the strip's source has; opens a movie."""
    _, frames, trim_start, trim_end = content(strip)
    if strip.type == "IMAGE":
        return len(strip.elements)
    return _stored_frames(scene, strip, frames + trim_start + trim_end) if strip.type == "MOVIE" else 0


def animated(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bool:
    """Whether anything of a strip has keyframes or drivers, but for those that hide it below its recast."""
    found = scene.animation_data
    if found is None:
        return False
    curves = [*found.drivers, *(curve for bag in curve_bags(found.action) for curve in bag)]
    path = animation_path(strip)
    hidden = f"{path}.mute" if strip.get(SOURCE_HIDDEN) else None
    return any(path in curve.data_path and not (hidden and curve.data_path.endswith(hidden)) for curve in curves)


def animation_path(strip: bpy.types.Strip) -> str:
    """What the data path of anything animated of a strip holds."""
    return f'strips_all["{bpy.utils.escape_identifier(strip.name)}"]'


def curve_bags(action: bpy.types.Action | None) -> list[Any]:
    """The collections that hold an action's curves; before 5.0 it is one."""
    if action is None:
        return []
    if hasattr(action, "fcurves"):  # gone in 5.0
        return [action.fcurves]
    return [bag.fcurves for layer in action.layers for part in layer.strips for bag in part.channelbags]


def remove_strip(holder: Any, strip: bpy.types.Strip) -> None:
    """Take a strip out of the collection that holds it.

    From 5.2 on Blender prefetches frames on a thread of its own unless told not to, and removing a strip by script
    frees it under that thread (a crash, seen within twenty removals). What its own operators do first, stop
    prefetching, naming a strip does too: it waits for the frame that is being prefetched. The next drawing begins it
    again.
    """
    strip.name = strip.name
    holder.remove(strip)


def _stored_frames(scene: bpy.types.Scene, strip: bpy.types.MovieStrip, shown: int) -> int:
    """A movie's frames: `shown` where it plays at the scene's own rate; else what a strip made through the API has,
    which shows each frame once, whatever its rate."""
    scene_fps = scene.render.fps / scene.render.fps_base
    if not len(strip.retiming_keys) and abs(float(strip.fps) - scene_fps) <= 0.001:
        return shown
    probe = new_movie(scene.sequence_editor.strips, "understudy probe", strip.filepath, HIGHEST_CHANNEL, 1)
    try:
        probe.stream_index = strip.stream_index
        return content(probe)[1]
    finally:
        remove_strip(scene.sequence_editor.strips, probe)


def _rate(
    scene: bpy.types.Scene, strip: bpy.types.MovieStrip, frames: int, available: int, keys: tuple[RetimingKey, ...]
) -> float:
    """Source frames that pass with a timeline frame: 1, or the ratio of rates where Blender adjusts them."""
    if not keys and frames == available:
        return 1.0
    ratio = float(strip.fps) / (scene.render.fps / scene.render.fps_base)
    if not keys:
        return ratio
    last = keys[-1].index  # counted in frames of the source's rate where that is adjusted
    return ratio if abs(last / ratio - frames) < abs(last - frames) else 1.0


def new_movie(holder: bpy.types.Collection, name: str, path: str, channel: int, start: int) -> bpy.types.MovieStrip:
    """A movie strip that shows every frame of `path` once, in its own size. RuntimeError if it cannot be read."""
    return holder.new_movie(name=name, filepath=path, channel=channel, frame_start=start, fit_method="ORIGINAL")


def new_sound(holder: bpy.types.Collection, name: str, path: str, channel: int, start: int) -> bpy.types.SoundStrip:
    """A sound strip of all that sounds in `path`, its waveform drawn. RuntimeError if it cannot be read."""
    strip = holder.new_sound(name=name, filepath=path, channel=channel, frame_start=start)
    strip.show_waveform = True
    return strip


def content_start(strip: bpy.types.Strip) -> float:
    """The timeline frame at which the content begins: of sounds not always a whole one."""
    return float(strip.content_start if _NEW_TIME_NAMES else strip.frame_start)


def set_content(strip: bpy.types.Strip, start: float, trims: tuple[int, int]) -> None:
    """Let a strip's content begin at a timeline frame, with frames of it trimmed away at its start and end."""
    names = ("content_trim_start", "content_trim_end", "content_start")
    if not _NEW_TIME_NAMES:
        names = ("animation_offset_start", "animation_offset_end", "frame_start")
    for name, value in zip(names, (*trims, start), strict=True):
        if getattr(strip, name) != value:
            setattr(strip, name, value)


def new_pictures(
    holder: bpy.types.Collection, name: str, files: list[str], channel: int, start: int
) -> bpy.types.ImageStrip:
    """An image strip that shows the named files one by one, some perhaps more than once, in their own size."""
    strip = holder.new_image(name=name, filepath=files[0], channel=channel, frame_start=start, fit_method="ORIGINAL")
    for file in files[1:]:
        strip.elements.append(file.replace("\\", "/").rpartition("/")[2])
    set_span(strip, start, start + len(files))
    return strip


def texture(image: bpy.types.Image, form: str = "RGBA8") -> Any:
    """The image's samples as they are stored on the graphics card, smoothed between pixels. Only while drawing.

    From 5.1 on they are handed over as numbers: the first `from_image` of a session keeps the window for more than a
    second. Before, a texture that is made so cannot be smoothed.
    """
    import gpu

    if not hasattr(gpu.types.GPUTexture, "filter_mode"):
        return gpu.texture.from_image(image)
    width, height = image.size
    samples = gpu.types.Buffer("FLOAT", width * height * 4)
    image.pixels.foreach_get(samples)
    made = gpu.types.GPUTexture((width, height), format=form, data=samples)
    made.filter_mode(True)
    return made


def picture_placement(strip: bpy.types.Strip, width: int, height: int) -> Placement:
    """Where the strip's picture of `width` × `height` source pixels lies in the preview."""
    transform, crop = strip.transform, strip.crop
    return Placement(
        width=width,
        height=height,
        offset=(transform.offset_x, transform.offset_y),
        scale=(transform.scale_x, transform.scale_y),
        rotation=transform.rotation,
        origin=(transform.origin[0], transform.origin[1]),
        crop=(crop.min_x, crop.max_x, crop.min_y, crop.max_y),
        flip_x=strip.use_flip_x,
        flip_y=strip.use_flip_y,
    )
