"""Does a recast flicker more than the footage it is made from?

usage: python benchmarks/convert_flicker.py SCAN MODEL IDENTITY [--frames 48] [--start FRAME]

Recasts person 0 of a scan in memory. Inside the matte, in the face's own coordinates (so that the head's motion
does not count), prints the mean difference of each frame to the one before, 8-bit levels: of the result, of the
footage, and what is more; `light` is the same after a blur of 5 pixels, where pumping shows and detail does not.
Rows: the defaults, then landmarks not smoothed, measures not averaged over time, views changed at once, each blend and
each colour.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from understudy.engine.convert import frame_measures, plan
from understudy.engine.convert.composite import paste_patches
from understudy.engine.convert.render import FRAMES_PER_BATCH, Work, average_neighbours, composite_frames, render
from understudy.engine.convert.source_identities import load_sources
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.geometry.align import crop, crop_matrix
from understudy.engine.media.reader import read_frames
from understudy.engine.protocol import ConvertSettings, Swap

SIZE = 160


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("identity")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--start", type=int, default=0)
    options = parser.parse_args()
    alignments = load_alignments(options.scan)
    device = torch.device("cpu")
    sources = load_sources(options.model, {options.identity}, device, True)
    span = (options.start, options.start + options.frames)
    frames = list(read_frames(Path(alignments.clip.path), *span))
    rows = alignments.of_person(0)
    matrices = {
        int(alignments.frame[r]): crop_matrix(alignments.landmarks[r], SIZE)
        for r in rows
        if span[0] <= alignments.frame[r] < span[1]
    }
    steps = np.linalg.norm(np.diff([m[:, 2] for _, m in sorted(matrices.items())], axis=0), axis=1)
    print(f"{len(matrices)} faces; the crop moves {steps.mean():.2f} of {SIZE} pixels a frame")

    def run(settings: ConvertSettings) -> list[float]:
        swaps = [Swap(person=0, identity=options.identity)]
        placements = plan.make_plan(alignments, swaps, sources, settings)
        work = Work(placements, sources, device)
        with ThreadPoolExecutor(1) as pool:
            batches = (frames[n : n + FRAMES_PER_BATCH] for n in range(0, len(frames), FRAMES_PER_BATCH))
            made = (item for batch in batches for item in render(batch, work, None))
            results = {
                f.index: paste_patches(f.rgb, p) for f, p in composite_frames(average_neighbours(made), work, pool)
            }
        return flicker({f.index: f.rgb for f in frames}, results, matrices)

    default = ConvertSettings()
    print(f"{'':26}" + "".join(f"{h:>12}" for h in ("result", "footage", "more", "light", "footage", "more")))
    show("defaults", run, default)
    show("landmarks as measured", run, replace(default, smooth=0.0))
    sigma, frame_measures.AVERAGING_SIGMA = frame_measures.AVERAGING_SIGMA, 1e-3
    show("measures of one frame", run, default)
    frame_measures.AVERAGING_SIGMA = sigma
    change, plan.DISSOLVE_WEIGHTS = plan.DISSOLVE_WEIGHTS, (0, 0, 1, 0, 0)
    show("views change at once", run, default)
    plan.DISSOLVE_WEIGHTS = change
    show("no grain, no blur", run, replace(default, match_grain=False, match_sharpness=False))
    for blend in ("multiband", "feather", "seamless"):
        show(f"blend {blend}", run, replace(default, blend=blend))
    for colour in ("none", "light", "reinhard", "mkl", "histogram"):
        show(f"colour {colour}", run, replace(default, colour=colour))


def show(name: str, run: Callable[[ConvertSettings], list[float]], settings: ConvertSettings) -> None:
    figures = run(settings)
    print(f"{name:26}" + "".join(f"{v:12.3f}" for v in figures), flush=True)


def flicker(
    footage: dict[int, np.ndarray],
    results: dict[int, tuple[np.ndarray, np.ndarray]],
    matrices: dict[int, np.ndarray],
) -> list[float]:
    """Result, footage and what is more, as they are and blurred."""
    values: list[list[float]] = []
    before = None
    for index in sorted(matrices):
        rgb, matte = results[index]
        matrix = matrices[index]
        here = [crop(p, matrix, SIZE).astype(np.float32) for p in (rgb, footage[index])]
        inside = crop((255 * matte).astype(np.uint8)[..., None].repeat(3, 2), matrix, SIZE)[..., 0] > 250
        here += [cv2.GaussianBlur(p, (0, 0), 5) for p in here]
        if before is not None and before[0] == index - 1 and (both := inside & before[2]).any():
            now = [float(np.abs(a - b)[both].mean()) for a, b in zip(here, before[1], strict=True)]
            values.append([now[0], now[1], now[0] - now[1], now[2], now[3], now[2] - now[3]])
        before = (index, here, inside)
    return np.mean(values, 0).tolist()


if __name__ == "__main__":
    main()
