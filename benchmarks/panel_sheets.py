"""A sheet for each pair: its worst frames by each figure, and frames spread over it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from panel_judge import Verdict

TILE = 224
WORST = {
    "identity": 1, "expression": 2, "gaze": 2, "eyes_apart": 1, "lids": 2, "skin": 2, "shade_low": 1, "folds": 2,
    "hair": 1,
}  # fmt: skip
"""How many of the worst frames of each figure are shown."""
HIGHER_IS_BETTER = {"shade_low", "shade_mid", "retrieved", "folds"}
SPREAD = 4


def sheet(verdicts: list[Verdict], path: Path, columns: int = 4) -> None:
    """Write a PNG: footage, recast, and the recast with its outlying skin in magenta, one such triple a frame."""
    shown: list[tuple[str, Verdict]] = []
    for figure, count in WORST.items():
        known = [v for v in verdicts if figure in v.values]
        known.sort(key=lambda v: v.values[figure], reverse=figure not in HIGHER_IS_BETTER)
        fresh = [v for v in known if all(v is not s for _, s in shown)]
        shown += [(f"{figure} {v.values[figure]:.2f}", v) for v in fresh[:count]]
    spread = np.linspace(0, len(verdicts) - 1, SPREAD).round().astype(int)
    shown += [("spread", verdicts[n]) for n in dict.fromkeys(spread.tolist())]
    tiles = []
    for label, verdict in shown:
        row = np.concatenate([cv2.resize(c, (TILE, TILE), interpolation=cv2.INTER_AREA) for c in verdict.crops], 1)
        for colour, thick in (((0, 0, 0), 3), ((255, 255, 0), 1)):
            cv2.putText(row, f"{verdict.frame} {label}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thick)
        tiles.append(row)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % (columns // 2))
    step = columns // 2
    rows = [np.concatenate(tiles[n : n + step], 1) for n in range(0, len(tiles), step)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
