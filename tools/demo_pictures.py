"""What the demo shows: a before/after video and a contact sheet, both rendered by Blender's sequencer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CELL = 400  # pixels of a sheet's cell
ROWS = 6
LABEL = 44  # pixels of a line of text
FACES_AROUND = 2.0  # a cell shows this many face widths


class Unreadable(Exception):
    """Blender rendered nothing; the message is one sentence."""


@dataclass(frozen=True)
class Window:
    """A part of the picture in source pixels (y down) and how much it is enlarged."""

    x0: int
    y0: int
    x1: int
    y1: int
    scale: float


def before_after(scene, columns: list, path: Path) -> Path:
    """An H.264 video of the strips side by side, labelled; small footage is enlarged."""
    width, height = scene.render.resolution_x, scene.render.resolution_y
    scale = max(1.0, 480 / height)
    window = Window(0, 0, width, height, scale)
    cell = (even(width * scale), even(height * scale))
    with table(scene, columns, window, cell, LABEL) as (canvas, start, end):
        canvas.frame_start, canvas.frame_end = start, end - 1
        settings = canvas.render.image_settings
        settings.media_type, settings.file_format = "VIDEO", "FFMPEG"
        canvas.render.ffmpeg.format, canvas.render.ffmpeg.codec = "MPEG4", "H264"
        canvas.render.ffmpeg.constant_rate_factor = "HIGH"
        canvas.render.use_file_extension = False
        render(canvas, path, animation=True)
    return path


def contact_sheet(scene, columns: list, box: list[float], path: Path) -> Path:
    """A PNG: a row a frame, a column a strip, cut out around the face (`box`: x0, y0, x1, y1 in source pixels)."""
    import bpy
    import numpy as np

    rows = []
    with table(scene, columns, around(box, scene), (CELL, CELL), LABEL) as (canvas, start, end):
        canvas.render.image_settings.media_type = "IMAGE"
        canvas.render.image_settings.file_format = "PNG"
        for index in range(ROWS):
            canvas.frame_set(start + round((index + 0.5) * (end - start - 1) / ROWS))
            still = path.with_name(f"{path.stem}-row.png")
            render(canvas, still)
            image = bpy.data.images.load(str(still))
            pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
            image.pixels.foreach_get(pixels)
            rows.append(pixels.reshape(image.size[1], image.size[0], 4))
            bpy.data.images.remove(image)
            still.unlink()
    # Blender keeps images bottom row first; only the first row keeps its labels
    sheet = np.concatenate([row[:CELL] for row in reversed(rows[1:])] + [rows[0]])
    image = bpy.data.images.new("sheet", sheet.shape[1], sheet.shape[0])
    image.pixels.foreach_set(np.ascontiguousarray(sheet).ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)
    return path


def around(box: list[float], scene) -> Window:
    """A square around a face, inside the picture where that is possible."""
    width, height = scene.render.resolution_x, scene.render.resolution_y
    x0, y0, x1, y1 = box
    side = round(min(max(x1 - x0, y1 - y0) * FACES_AROUND, width, height))
    left = round(min(max((x0 + x1 - side) / 2, 0), width - side))
    top = round(min(max((y0 + y1 - side) / 2, 0), height - side))
    return Window(left, top, left + side, top + side, CELL / side)


@contextlib.contextmanager
def table(scene, columns: list, window: Window, cell: tuple[int, int], label: int) -> Iterator[tuple]:
    """A scene that shows the same window of each strip side by side, names above; gone afterwards.

    Yields (scene, first frame, end) of the frames that the last strip covers.
    """
    import bpy

    canvas = bpy.data.scenes.new("Comparison")
    try:
        canvas.render.fps, canvas.render.fps_base = scene.render.fps, scene.render.fps_base
        canvas.render.resolution_x, canvas.render.resolution_y = even(cell[0] * len(columns)), even(cell[1] + label)
        canvas.render.resolution_percentage = 100
        canvas.view_settings.view_transform = "Standard"
        strips = canvas.sequence_editor_create().strips
        start, end = int(columns[-1][1].frame_final_start), int(columns[-1][1].frame_final_end)
        for index, (name, strip) in enumerate(columns):
            middle = (index + 0.5 - len(columns) / 2) * cell[0]
            copy = same_footage(strips, strip, 1 + index)
            copy.frame_final_start, copy.frame_final_end = start, end
            show(copy, window, (scene.render.resolution_x, scene.render.resolution_y), (middle, -label / 2))
            text = strips.new_effect(name, "TEXT", 10 + index, start, length=end - start)
            text.text, text.font_size = name, label * 0.6
            text.location = (0.5 + middle / canvas.render.resolution_x, 1 - label / 2 / canvas.render.resolution_y)
            text.anchor_x, text.anchor_y, text.alignment_x = "CENTER", "CENTER", "CENTER"
        # stills of a scene that no window shows are all of the same frame
        bpy.context.window.scene = canvas
        yield canvas, start, end
    finally:
        bpy.context.window.scene = scene
        bpy.data.scenes.remove(canvas)


def same_footage(strips, strip, channel: int):
    """The strip once more, in another scene, at the same place in time."""
    if strip.type == "MOVIE":
        copy = strips.new_movie(strip.name, strip.filepath, channel, int(strip.frame_start), fit_method="ORIGINAL")
        copy.animation_offset_start = strip.animation_offset_start
        return copy
    first = str(Path(strip.directory) / strip.elements[0].filename)
    copy = strips.new_image(strip.name, first, channel, int(strip.frame_start), fit_method="ORIGINAL")
    for element in list(strip.elements)[1:]:
        copy.elements.append(element.filename)
    return copy


def show(strip, window: Window, size: tuple[int, int], place: tuple[float, float]) -> None:
    """Cut `window` out of a picture of `size` and put its middle at `place` (canvas pixels from the middle, y up)."""
    width, height = size
    crop = strip.crop
    crop.min_x, crop.max_x, crop.min_y, crop.max_y = window.x0, width - window.x1, height - window.y1, window.y0
    strip.transform.scale_x = strip.transform.scale_y = window.scale
    strip.transform.offset_x = place[0] - ((window.x0 + window.x1) / 2 - width / 2) * window.scale
    strip.transform.offset_y = place[1] - (height / 2 - (window.y0 + window.y1) / 2) * window.scale


def render(scene, path: Path, animation: bool = False) -> None:
    import bpy

    path.unlink(missing_ok=True)
    scene.render.filepath = str(path)
    bpy.ops.render.render(animation=animation, write_still=not animation, scene=scene.name)
    if not path.is_file():
        raise Unreadable(f"Blender did not render {path}: look into its words in blender.log.")


def even(value: float) -> int:
    """The nearest even number: H.264 wants them."""
    return max(2, round(value / 2) * 2)
