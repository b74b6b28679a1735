"""Every branch on Blender's version (4.5 LTS, 5.0, 5.2 LTS), and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy

from .timeline import StripTiming

if TYPE_CHECKING:
    from collections.abc import Iterable

HIGHEST_CHANNEL = 128

_NEW_TIME_NAMES = bpy.app.version >= (5, 1, 0) and "content_start" in bpy.types.MovieStrip.bl_rna.properties


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene | None:
    """The scene whose strips the sequencer shows. From 5.0 on it may be none at all."""
    if bpy.app.version >= (5, 0, 0):
        return context.workspace.sequencer_scene if context.workspace else None
    return context.scene


def strips(scene: bpy.types.Scene) -> Iterable[bpy.types.Strip]:
    """The strips of the scene's top level, inside no meta."""
    return scene.sequence_editor.strips if scene.sequence_editor else ()


def span(strip: bpy.types.Strip) -> tuple[int, int]:
    """The strip's handles, `[left, right)` in timeline frames."""
    if _NEW_TIME_NAMES:
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


def set_span(strip: bpy.types.Strip, left: int, right: int) -> None:
    """Move the handles; the content stays where it is."""
    if _NEW_TIME_NAMES:
        strip.left_handle, strip.right_handle = left, right
    else:
        strip.frame_final_start, strip.frame_final_end = left, right


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


def strip_timing(scene: bpy.types.Scene, strip: bpy.types.Strip, *, rates: bool = True) -> StripTiming:
    """Read how `strip` shows its source.

    Opens the movie, and once more when its frame rate is not the scene's. Without `rates` no file is opened, and
    `rate_adjusted` is unknown (False): enough to tell which frame shows where.
    """
    left, right = span(strip)
    start, frames, trim_start, trim_end = content(strip)
    scene_fps = scene.render.fps / scene.render.fps_base
    source_fps = float(getattr(strip, "fps", 0.0)) if rates and strip.type == "MOVIE" else 0.0
    adjusted = False
    if source_fps and abs(source_fps - scene_fps) > 0.001 and not len(strip.retiming_keys):
        adjusted = _frames_as_stored(scene, strip) != frames + trim_start + trim_end
    return StripTiming(
        name=strip.name,
        type=strip.type,
        left=left,
        right=right,
        content_start=start,
        content_frames=frames,
        trim_start=trim_start,
        still=strip.type == "IMAGE" and len(strip.elements) == 1,
        retimed=len(getattr(strip, "retiming_keys", ())) > 0,
        reversed=bool(getattr(strip, "use_reverse_frames", False)),
        strobe=float(getattr(strip, "strobe", 1.0)),
        in_meta=not any(other == strip for other in strips(scene)),
        rate_adjusted=adjusted,
        source_fps=source_fps,
        scene_fps=scene_fps,
    )


def _frames_as_stored(scene: bpy.types.Scene, strip: bpy.types.MovieStrip) -> int:
    """How many frames the movie has: a strip made through the API shows each once, whatever its rate."""
    probe = new_movie(scene, "understudy probe", strip.filepath, HIGHEST_CHANNEL, 1)
    try:
        return content(probe)[1]
    finally:
        scene.sequence_editor.strips.remove(probe)


def new_movie(scene: bpy.types.Scene, name: str, path: str, channel: int, start: int) -> bpy.types.MovieStrip:
    """A movie strip that shows every frame of `path` once, in its own size. RuntimeError if it cannot be read."""
    return scene.sequence_editor.strips.new_movie(
        name=name, filepath=path, channel=channel, frame_start=start, fit_method="ORIGINAL"
    )
