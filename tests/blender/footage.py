"""Footage whose frames tell their number, made and read by Blender itself.

A frame is 64 x 64: eight vertical bars are the bits of its number, white for 1, lowest bit left. The lower half
of a marked frame has black and white swapped, so that a recast is told from its source.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

SIZE, BAR = 64, 8


def picture(number: int, marked: bool) -> np.ndarray:
    """(64, 64, 4) float RGBA, bottom row first as Blender keeps images."""
    bits = [(number >> bit) & 1 for bit in range(SIZE // BAR)]
    row = np.repeat(np.array(bits, np.float32), BAR)
    pixels = np.ones((SIZE, SIZE, 4), np.float32)
    pixels[..., :3] = row[None, :, None]
    if marked:
        pixels[: SIZE // 2, :, :3] = 1.0 - pixels[: SIZE // 2, :, :3]
    return pixels


def pictures(folder: Path, first: int, count: int, marked: bool = False) -> Path:
    """A folder of PNG files that show `first`, `first + 1`, …"""
    folder.mkdir(parents=True, exist_ok=True)
    image = bpy.data.images.new("counter", SIZE, SIZE)
    image.file_format = "PNG"
    for index in range(count):
        image.pixels.foreach_set(picture(first + index, marked).ravel())
        image.filepath_raw = str(folder / f"frame{index:03d}.png")
        image.save()
    bpy.data.images.remove(image)
    return folder


def movie(path: Path, first: int, count: int, marked: bool = False, fps: int = 24) -> Path:
    """An H.264 movie of the same."""
    folder = pictures(path.with_suffix(".frames"), first, count, marked)
    scene = bpy.data.scenes.new("movie maker")
    scene.sequence_editor_create()
    files = sorted(folder.iterdir())
    strip = scene.sequence_editor.strips.new_image("frames", str(files[0]), 1, 1)
    for file in files[1:]:
        strip.elements.append(file.name)
    prepare(scene)
    scene.render.fps = fps
    scene.frame_start, scene.frame_end = 1, count
    settings = scene.render.image_settings
    if bpy.app.version >= (5, 0, 0):
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    scene.render.ffmpeg.format, scene.render.ffmpeg.codec = "MPEG4", "H264"
    scene.render.ffmpeg.constant_rate_factor = "PERC_LOSSLESS"
    scene.render.ffmpeg.gopsize = 12
    scene.render.filepath = str(path)
    scene.render.use_file_extension = False
    bpy.ops.render.render(animation=True, scene=scene.name)
    bpy.data.scenes.remove(scene)
    assert path.is_file()
    return path


def prepare(scene: bpy.types.Scene) -> None:
    """Render the sequencer at the footage's own size and colours."""
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.render.use_sequencer = True


def rendered(scene: bpy.types.Scene, frame: int, aside: Path) -> np.ndarray:
    """(64, 64) float red of what the timeline shows on `frame`, bottom row first."""
    prepare(scene)
    scene.frame_set(frame)
    settings = scene.render.image_settings
    if bpy.app.version >= (5, 0, 0):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode = "PNG", "RGB"  # over black
    scene.render.filepath = str(aside / "shown.png")
    bpy.ops.render.render(write_still=True, scene=scene.name)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.empty(SIZE * SIZE * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(SIZE, SIZE, 4)[..., 0]


def shown(scene: bpy.types.Scene, frame: int, aside: Path) -> tuple[int, bool]:
    """(number, marked) that the timeline shows on `frame`, out of the rendered pixels."""
    luma = rendered(scene, frame, aside)
    top, bottom = luma[SIZE * 3 // 4, BAR // 2 :: BAR] > 0.5, luma[SIZE // 4, BAR // 2 :: BAR] > 0.5
    marked = bool((top != bottom).all())
    assert marked or (top == bottom).all(), "the frame is a mixture of two"
    return int(sum(1 << bit for bit, on in enumerate(top) if on)), marked
