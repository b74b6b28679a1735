"""Where a strip's picture lies in the sequencer's preview. No bpy: `compat.picture_placement` reads the strip.

View coordinates are Blender's: render pixels, origin at the frame's centre, y up. Source pixels have y down,
origin at the picture's upper left corner, as everywhere in Understudy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How the sequencer lays a picture of `width` × `height` source pixels into the frame.

    `offset` in view units, `scale` per axis, `rotation` in radians counter-clockwise, about `origin` (fractions
    of the picture, from its lower left). `crop` in source pixels: left, right, bottom, top. `flip_x` and `flip_y`
    mirror the whole frame about its centre, after all else.
    """

    width: int
    height: int
    offset: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    origin: tuple[float, float] = (0.5, 0.5)
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    flip_x: bool = False
    flip_y: bool = False

    def to_view(self, x: float, y: float) -> tuple[float, float]:
        """The view position of a source pixel position."""
        u, v = x - self.width / 2, self.height / 2 - y
        px, py = self.width * (self.origin[0] - 0.5), self.height * (self.origin[1] - 0.5)
        u, v = (u - px) * self.scale[0], (v - py) * self.scale[1]
        c, s = math.cos(self.rotation), math.sin(self.rotation)
        vx, vy = c * u - s * v + px + self.offset[0], s * u + c * v + py + self.offset[1]
        return (-vx if self.flip_x else vx), (-vy if self.flip_y else vy)

    def to_source(self, vx: float, vy: float) -> tuple[float, float] | None:
        """The source pixel position of a view position; None where the picture is cropped away or not at all."""
        if not self.scale[0] or not self.scale[1]:
            return None
        vx, vy = (-vx if self.flip_x else vx), (-vy if self.flip_y else vy)
        px, py = self.width * (self.origin[0] - 0.5), self.height * (self.origin[1] - 0.5)
        vx, vy = vx - px - self.offset[0], vy - py - self.offset[1]
        c, s = math.cos(self.rotation), math.sin(self.rotation)
        u, v = (c * vx + s * vy) / self.scale[0] + px, (-s * vx + c * vy) / self.scale[1] + py
        x, y = u + self.width / 2, self.height / 2 - v
        left, right, bottom, top = self.crop
        if left <= x < self.width - right and top <= y < self.height - bottom:
            return x, y
        return None

    def corners(self, left: float = 0.0, right: float = 1.0) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """(view position, texture position) of the visible picture's corners, around it.

        `left` and `right` cut it to a part of its width, for the wipe. Texture positions have y up.
        """
        crop_left, crop_right, crop_bottom, crop_top = self.crop
        x0, x1 = max(crop_left, left * self.width), min(self.width - crop_right, right * self.width)
        y0, y1 = crop_top, self.height - crop_bottom
        if x1 <= x0 or y1 <= y0:
            return []
        around = ((x0, y1), (x1, y1), (x1, y0), (x0, y0))
        return [(self.to_view(x, y), (x / self.width, 1.0 - y / self.height)) for x, y in around]
