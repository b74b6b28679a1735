"""What of a face the material shows, in words. No bpy."""

from __future__ import annotations

ROWS, COLUMNS = 5, 7
"""Pitch, looking up first; yaw, turned to the picture's left first (`protocol.PITCH_EDGES`, `YAW_EDGES`)."""

LOOKS = {
    "left profiles": ((0, 5), (0, 1)),
    "left three-quarter views": ((0, 5), (1, 3)),
    "frontal views": ((1, 4), (3, 4)),
    "right three-quarter views": ((0, 5), (4, 6)),
    "right profiles": ((0, 5), (6, 7)),
    "views from below": ((0, 1), (0, 7)),
    "views from above": ((4, 5), (0, 7)),
}
"""Words for parts of the grid: (rows), (columns), half-open."""

FEW = 8
"""Fewer measured faces than this in a part of the grid are few: a draft then borrows from the next view."""


def added(grids: list[list[int]]) -> list[int]:
    """The sum of coverages, each `ROWS * COLUMNS` counts row by row; others are left out."""
    return [sum(column) for column in zip(*(g for g in grids if len(g) == ROWS * COLUMNS), strict=True)]


def lacking(grid: list[int]) -> tuple[list[str], list[str]]:
    """(looks that are missing, looks of which there are few) as keys of LOOKS; both empty for no measured coverage."""
    if len(grid) != ROWS * COLUMNS or not any(grid):
        return [], []
    counts = {
        look: sum(grid[row * COLUMNS + column] for row in range(*rows) for column in range(*columns))
        for look, (rows, columns) in LOOKS.items()
    }
    return [look for look, n in counts.items() if n == 0], [look for look, n in counts.items() if 0 < n < FEW]
