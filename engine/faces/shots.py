"""Where one shot ends and the next begins."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

WIDTH, HEIGHT = 48, 27
BINS = 16
CHANGE = 0.05
"""Mean difference 0..1 of two small grey pictures below which no cut is seen."""
TIMES_USUAL = 3.0
"""A cut changes the picture this many times more than the frames before it did."""
COLOURS = 0.25
"""Share of the picture whose colours are others after a cut; a hand or a pan moves colours, a cut replaces them."""
MEMORY = 12


class Shots:
    """Fed the frames one after another, tells the shot each belongs to."""

    def __init__(self) -> None:
        self.shot = 0
        self._grey: np.ndarray | None = None
        self._colours: np.ndarray = np.empty(0)
        self._usual: deque[float] = deque(maxlen=MEMORY)

    def __call__(self, image: np.ndarray) -> int:
        """The shot, counted from 0, of the next frame: RGB (height, width, 3) uint8."""
        small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        # a blur makes camera motion of a pixel or two count for less than a new picture
        grey = cv2.GaussianBlur(small.astype(np.float32).mean(2) / 255, (0, 0), 1.0)
        counts = [np.bincount(small[..., c].ravel() // (256 // BINS), minlength=BINS) for c in range(3)]
        colours = np.stack(counts) / (WIDTH * HEIGHT)
        if self._grey is not None:
            change = float(np.abs(grey - self._grey).mean())
            replaced = float(np.abs(colours - self._colours).sum(1).max() / 2)
            usual = float(np.median(self._usual)) if self._usual else 0.0
            if change > max(CHANGE, TIMES_USUAL * usual) and replaced > COLOURS:
                self.shot += 1
                self._usual.clear()
            else:
                self._usual.append(change)
        self._grey, self._colours = grey, colours
        return self.shot
