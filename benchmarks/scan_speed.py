"""How fast a scan is, by stage, against plain decoding and against the same networks run frame by frame.

Usage: python benchmarks/scan_speed.py MOVIE ... [--frames 96] [--device cpu] [--loop MINUTES]

Seconds of processor time (of all threads of this process), not of the clock: they hold on a machine that does other
things. The frame-by-frame loop searches every frame with both detectors, measures every face it finds in two passes,
and embeds it. --loop scans the first movie over and over for so many minutes of footage instead, and
says how large the process is meanwhile.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from process_memory import peak, resident
from understudy.engine.faces.detectors.search import Search
from understudy.engine.faces.networks.embedding import Embedder
from understudy.engine.faces.networks.face_mesh import Mesh, region_of_detection
from understudy.engine.faces.tracking import measure, observe
from understudy.engine.faces.tracking.observations import Store
from understudy.engine.media.footage import Footage, as_footage
from understudy.engine.media.reader import probe, read_frames
from understudy.engine.memory import keep_memory
from understudy.engine.reporter import Silent

STAGES = {"detect": Search, "mesh": Mesh, "embed": Embedder}
SPENT: defaultdict[str, float] = defaultdict(float)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("movies", type=Path, nargs="+")
    arguments.add_argument("--frames", type=int, default=96)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--loop", type=float, default=0)
    options = arguments.parse_args()
    torch.set_flush_denormal(True)
    keep_memory()  # as every job does
    if options.loop:
        looped(options.movies[0], options.loop, options.device)
        return
    for stage, cls in STAGES.items():
        name = "embed" if stage == "embed" else "__call__"
        setattr(cls, name, timed(stage, getattr(cls, name)))
    for path in options.movies:
        print(compared(path, options.frames, options.device), flush=True)


def compared(path: Path, frames: int, device: str) -> str:
    count = min(frames, probe(path).frames)
    decoding = seconds(lambda: [None for _ in read_frames(path, 0, count)])
    SPENT.clear()
    faces = 0

    def scan() -> None:
        nonlocal faces
        faces = observed(as_footage(path), count, device)

    whole = seconds(scan)
    split = ", ".join(f"{stage} {1000 * SPENT[stage] / count:.1f}" for stage in STAGES)
    rest = 1000 * (whole - decoding - sum(SPENT.values())) / count
    single = seconds(lambda: frame_by_frame(path, count, device))
    info = probe(path)
    return (
        f"{path.name} {info.width} × {info.height}, {count} frames, {faces / count:.1f} faces a frame\n"
        f"  scan {count / whole:.1f} frames/s; ms a frame: decode {1000 * decoding / count:.1f}, {split}, "
        f"other {rest:.1f}\n"
        f"  {whole / decoding:.1f} × plain decoding; frame by frame {count / single:.1f} frames/s, "
        f"{single / whole:.2f} × the scan"
    )


def observed(footage: Footage, count: int, device: str) -> int:
    """Measure the first frames into a project folder of their own; how many faces were seen."""
    with TemporaryDirectory() as project:
        store = Store(Path(project), footage, [])
        observe.observe(footage, 0, count, store, Silent(), device=device)
        return len(store.read(0, count).faces)


def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        begun = time.thread_time()
        try:
            return function(*arguments)
        finally:
            SPENT[stage] += time.thread_time() - begun

    return call


def seconds(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def frame_by_frame(path: Path, count: int, device: str) -> None:
    search, mesh, embedder = Search(device=device), Mesh(device), Embedder(device)
    for frame in read_frames(path, 0, count):
        (found,) = search([frame.rgb])
        for box, points in zip(found.boxes, found.points, strict=True):
            landmarks, scores = mesh([frame.rgb], [region_of_detection(box, points[:2])])
            if scores[0] > measure.SCORE:
                embedder.embed([frame.rgb], landmarks)
                measure.sharpness(frame.rgb, landmarks[0])


def looped(path: Path, minutes: float, device: str) -> None:
    """Measure one movie again and again, each time into a new project folder."""
    info = probe(path)
    rounds = max(1, round(minutes * 60 * info.fps / info.frames))
    sizes = []
    for done in range(1, rounds + 1):
        observed(info.footage, info.frames, device)
        sizes.append(resident())
        print(f"{float(done * info.frames / info.fps / 60):.1f} minutes of footage: {sizes[-1]:.0f} MB", flush=True)
    print(f"first {sizes[0]:.0f} MB, last {sizes[-1]:.0f} MB, median {np.median(sizes):.0f} MB, peak {peak():.0f} MB")


if __name__ == "__main__":
    main()
