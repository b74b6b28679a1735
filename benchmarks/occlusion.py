"""How well what stands in front of a face is told from it, against outlines drawn by hand, and on clean faces.

Usage: python benchmarks/occlusion.py SCAN_FOLDER ... [--sheet OUT.png] [--every 4] [--weights FILE]

The scan folders are of the clips that labels/occlusion.json names (polygons in the footage's pixels: what is hidden,
and hair or hats that may be taken either way); of every other one the faces count as clean. Only what lies in the
landmarks' hull and in the picture counts. Overlap is the intersection over the union, over all labelled faces of a
clip together; false is the share of the visible hull that is called hidden.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.geometry.align import crop, crop_matrix, hull_mask, transform
from understudy.engine.faces.networks import occlusion
from understudy.engine.media.reader import read_frames

LABELS = Path(__file__).with_name("labels") / "occlusion.json"
SIZE = 256


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("scans", type=Path, nargs="+")
    arguments.add_argument("--sheet", type=Path)
    arguments.add_argument("--every", type=int, default=4, help="of a clip without labels")
    arguments.add_argument("--weights", type=Path)
    options = arguments.parse_args()
    if options.weights:
        occlusion.WEIGHTS = options.weights
    labels = json.loads(LABELS.read_text())
    tiles: list[np.ndarray] = []
    for folder in options.scans:
        a = load_alignments(folder)
        marked = labels.get(Path(a.clip.path).name, {})
        first = int(a.frame.min())
        rows = (a.score > 0.5) & (a.person >= 0)
        rows &= (
            (a.person == 0) & np.isin(a.frame, [int(f) for f in marked])
            if marked
            else (a.frame - first) % options.every == 0
        )
        by_frame: dict[int, list[int]] = {}
        for row in np.flatnonzero(rows):
            by_frame.setdefault(int(a.frame[row]), []).append(int(row))
        pixels, points, wanted, counted, names = [], [], [], [], []
        for frame in read_frames(Path(a.clip.path), min(by_frame), max(by_frame) + 1):
            for row in by_frame.get(frame.index, ()):
                matrix = crop_matrix(a.landmarks[row], SIZE)
                own = marked.get(str(frame.index), {})
                pixels.append(crop(frame.rgb, matrix, SIZE))
                points.append(transform(a.landmarks[row], matrix))
                shown = cv2.warpAffine(np.ones(frame.rgb.shape[:2], np.uint8), matrix, (SIZE, SIZE)) > 0
                ignored = filled(own.get("ignored", ()), matrix)
                wanted.append(filled(own.get("hidden", ()), matrix))
                counted.append((hull_mask(points[-1], SIZE) > 127) & shown & ~ignored)
                names.append(f"{frame.index}/{a.person[row]}")
        begun = time.process_time()
        found = occlusion.hidden(np.stack(pixels), np.stack(points))
        spent = (time.process_time() - begun) / len(pixels)
        yes, want, count = found > 127, np.stack(wanted), np.stack(counted)
        union, both = (count & (yes | want)).sum(), (count & yes & want).sum()
        false = (count & yes & ~want).sum((1, 2)) / np.maximum((count & ~want).sum((1, 2)), 1)
        said = f"{folder.name}: {len(pixels)} faces, false {100 * false.mean():.2f} %, worst {100 * false.max():.1f} %"
        if marked:
            said += f", overlap {both / union:.3f}, found {both / (count & want).sum():.3f}"
        print(f"{said}, {1000 * spent:.1f} ms a face")
        shown_rows = range(len(pixels)) if marked else np.argsort(-false)[:12]
        for n in shown_rows:
            tile = pixels[n].copy()
            tile[..., 0] = np.where(counted[n], np.maximum(tile[..., 0], found[n]), tile[..., 0])
            for mask, colour in ((wanted[n], (0, 255, 0)), (counted[n], (90, 90, 255))):
                edge, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(tile, edge, -1, colour, 1)
            cv2.putText(tile, names[n], (3, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1)
            tiles.append(cv2.resize(tile, (160, 160), interpolation=cv2.INTER_AREA))
    if options.sheet:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 12)
        rows_of = [np.hstack(tiles[i : i + 12]) for i in range(0, len(tiles), 12)]
        cv2.imwrite(str(options.sheet), cv2.cvtColor(np.vstack(rows_of), cv2.COLOR_RGB2BGR))


def filled(polygons: list[list[list[float]]], matrix: np.ndarray) -> np.ndarray:
    """Polygons in the footage's pixels as a (SIZE, SIZE) bool mask of a crop."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for polygon in polygons:
        ring = cv2.transform(np.array([polygon], float), matrix)[0]
        cv2.fillPoly(mask, [np.round(ring).astype(np.int32)], 1)
    return mask > 0


if __name__ == "__main__":
    main()
