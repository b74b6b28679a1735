"""The loss of a training as a picture for the panel: Blender's layouts have no plot of their own."""

from __future__ import annotations

import math
import time

import bpy
import bpy.utils.previews

WIDTH, HEIGHT = 144, 144  # an icon's place is square
REDRAW_SECONDS = 1.0
LINE, GRID = (0.95, 0.6, 0.2, 1.0), (0.5, 0.5, 0.5, 0.35)
KEPT_POINTS = 4096
SAVED_POINTS = 2 * WIDTH

_losses: dict[str, list[tuple[int, float]]] = {}  # job id → (step, loss)
_pictures: bpy.utils.previews.ImagePreviewCollection | None = None
_drawn: dict[str, tuple[int, float]] = {}  # job id → points in the picture, when it was drawn


def add(job: str, losses: list[tuple[int, float]]) -> None:
    """Take in what a training reported; a step that is reported again (a resumed run) replaces what followed it."""
    known = _losses.setdefault(job, [])
    for step, loss in losses:
        while known and known[-1][0] >= step:
            known.pop()
        known.append((step, loss))
    if len(known) > KEPT_POINTS:
        del known[: len(known) - KEPT_POINTS // 2 : 2]  # every other one of the older half


def points(job: str) -> list[tuple[int, float]]:
    """(step, loss) of a training as far as known here."""
    return _losses.get(job, [])


def thinned(job: str) -> list[tuple[int, float]]:
    """Points enough to draw the curve again, the first and the last among them, few enough for a .blend."""
    known = points(job)
    if len(known) <= SAVED_POINTS:
        return known
    return [known[round(i * (len(known) - 1) / (SAVED_POINTS - 1))] for i in range(SAVED_POINTS)]


def icon(job: str) -> int:
    """The curve as an icon for `template_icon`; 0 until there are two points. Drawn anew when it has grown."""
    known = points(job)
    if _pictures is None or len(known) < 2:
        return 0
    if job not in _pictures:
        _pictures.new(job).image_size = (WIDTH, HEIGHT)
    drawn, when = _drawn.get(job, (0, 0.0))
    if drawn != len(known) and time.monotonic() - when > REDRAW_SECONDS:
        _pictures[job].image_pixels_float = picture(known)
        _drawn[job] = (len(known), time.monotonic())
    return _pictures[job].icon_id


def picture(known: list[tuple[int, float]], width: int = WIDTH, height: int = HEIGHT) -> list[float]:
    """RGBA floats, bottom row first: loss upward on a logarithmic scale, steps to the right."""
    pixels = [0.0] * (width * height * 4)

    def put(x: int, y: int, colour: tuple[float, ...]) -> None:
        at = (y * width + x) * 4
        pixels[at : at + 4] = colour

    for quarter in range(5):
        y = round(quarter * (height - 1) / 4)
        for x in range(width):
            put(x, y, GRID)
    first, last = known[0][0], known[-1][0]
    logs = [math.log(max(loss, 1e-9)) for _, loss in known]
    low, high = min(logs), max(logs)
    spread = max(high - low, 1e-6)
    before: int | None = None
    for x in range(width):
        step = first + (last - first) * x / (width - 1)
        y = round((_at(known, logs, step) - low) / spread * (height - 3)) + 1
        span = range(min(y, y if before is None else before), max(y, y if before is None else before) + 1)
        for row in span:
            put(x, row, LINE)
            put(x, min(row + 1, height - 1), LINE)
        before = y
    return pixels


def _at(known: list[tuple[int, float]], logs: list[float], step: float) -> float:
    low, high = 0, len(known) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if known[middle][0] <= step else (low, middle)
    span = known[high][0] - known[low][0]
    part = (step - known[low][0]) / span if span else 0.0
    return logs[low] + (logs[high] - logs[low]) * part


def clear() -> None:
    """Forget all curves: another file was opened."""
    _losses.clear()
    _drawn.clear()
    if _pictures is not None:
        _pictures.clear()


def register() -> None:
    """Make room for the pictures."""
    global _pictures
    _pictures = bpy.utils.previews.new()


def unregister() -> None:
    """Free them."""
    global _pictures
    clear()
    if _pictures is not None:
        bpy.utils.previews.remove(_pictures)
    _pictures = None
