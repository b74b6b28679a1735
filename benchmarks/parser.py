"""How well hair is told by the engine's own network: against its teacher, MediaPipe's, on clips that neither saw.

usage: python benchmarks/parser.py TEACHER.tflite SCAN_FOLDER … [--frames 12]

TEACHER is hair_segmentation.tflite of MediaPipe 0.8.2. Overlap is the intersection over the union of a clip's faces,
all of the crop together, and within the landmarks' hull, where alone it decides about a recast.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.geometry.align import crop, crop_matrix, hull_mask, transform
from understudy.engine.faces.networks.hair_network import HairNetwork
from understudy.engine.faces.networks.parser import HAIR, parse
from understudy.engine.media.reader import read_frames

SIZE = 256


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("teacher", type=Path)
    arguments.add_argument("scans", type=Path, nargs="+")
    arguments.add_argument("--frames", type=int, default=12, help="of each clip")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.set_flush_denormal(True)
    teacher = HairNetwork(options.teacher)
    figures = []
    print(f"{'clip':40} overlap  in hull  ms/face")
    for folder in options.scans:
        pixels, points = crops(folder, options.frames)
        begun = time.process_time()
        found = parse(pixels, points)[:, HAIR] > 127
        spent = 1000 * (time.process_time() - begun) / len(pixels)
        wanted = teacher(pixels) > 127
        hulls = np.stack([hull_mask(p, SIZE) for p in points]) > 127
        both = [(wanted & found & w).sum() / max(((wanted | found) & w).sum(), 1) for w in (np.True_, hulls)]
        figures.append([*both, spent])
        print(f"{folder.name:40} {both[0]:7.3f}  {both[1]:7.3f}  {spent:7.1f}", flush=True)
    print(f"{'mean':40} {'{:7.3f}  {:7.3f}  {:7.1f}'.format(*np.mean(figures, 0))}")


def crops(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops (n, SIZE, SIZE, 3) of a scan's first person, evenly over the clip, and their landmarks."""
    a = load_alignments(folder)
    good = np.flatnonzero((a.person == 0) & ~a.carried & (a.score > 0.5))
    rows = good[np.unique(np.linspace(0, len(good) - 1, count).round().astype(int))]
    wanted = {int(a.frame[row]): int(row) for row in rows}
    pixels, points = [], []
    for frame in read_frames(Path(a.clip.path), min(wanted), max(wanted) + 1):
        if frame.index in wanted:
            row = wanted[frame.index]
            matrix = crop_matrix(a.landmarks[row], SIZE)
            pixels.append(crop(frame.rgb, matrix, SIZE))
            points.append(transform(a.landmarks[row], matrix))
    return np.stack(pixels), np.stack(points)


if __name__ == "__main__":
    main()
