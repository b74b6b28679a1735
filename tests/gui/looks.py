"""Pictures of the whole panel in one state after the other, at other scales, widths and themes, to be looked at.

`UNDERSTUDY_GUI_LOOKS=1 make test-gui` makes them, in .build/gui/run/looks; without it the story is told without them.
"""

from __future__ import annotations

import os

import cv2
import numpy as np
from window import Window

WANTED = bool(os.environ.get("UNDERSTUDY_GUI_LOOKS"))
NARROW = 220
# scale, light theme, width in pixels at scale 1 (None: as it is)
VARIANTS = ((1.0, False, None), (1.0, False, NARROW), (1.0, True, NARROW), (2.0, False, NARROW), (2.0, True, None))


def looks(window: Window, state: str) -> None:
    """Photograph the panel as it is now in every variant."""
    if not WANTED:
        return
    folder = window.folder / "looks"
    folder.mkdir(exist_ok=True)
    _maximise(window, True)
    usual = window.region("SEQUENCE_EDITOR", "UI")[2]
    for scale, light, width in VARIANTS:
        window.ask(f"dress({scale}, {light})")
        window.still()
        _widen(window, int((width or usual) * scale))
        name = f"{state} {scale:.0%} {'light' if light else 'dark'} {width or usual} px.png"
        cv2.imwrite(str(folder / name), np.hstack(_pages(window)))
    window.ask("dress(1.0, False)")
    window.still()
    _widen(window, usual)
    _maximise(window, False)


def _maximise(window: Window, wanted: bool) -> None:
    def height() -> int:
        return window.region("SEQUENCE_EDITOR", "WINDOW")[3]

    before = height()
    x, y, width, high = window.region("SEQUENCE_EDITOR", "WINDOW")
    window.until(
        lambda: (window.move(x + width // 3, y + high // 2), window.key("ctrl+space")),
        lambda: height() > before if wanted else height() < before, "other size of the timeline",
    )  # fmt: skip
    window.still()


def _widen(window: Window, wanted: int) -> None:
    for _ in range(3):
        x, y, width, height = window.region("SEQUENCE_EDITOR", "UI")
        if abs(width - wanted) > 2:
            window.drag(x, y + height * 3 // 4, x + width - wanted, y + height * 3 // 4)
            window.still()


def _pages(window: Window) -> list[np.ndarray]:
    x, y, width, height = within = window.region("SEQUENCE_EDITOR", "UI")
    window.scroll(x + width // 2, y + height // 2, -80)
    pages = [window.still(within)]
    while len(pages) < 4:
        window.scroll(x + width // 2, y + height // 2, 12)
        page = window.still(within)
        if np.array_equal(page[: height // 2], pages[-1][: height // 2]):
            break
        pages.append(page)
    return pages
