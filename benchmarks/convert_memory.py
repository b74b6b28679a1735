"""Does the memory of a conversion stay flat, however long the clip is?

usage: python benchmarks/convert_memory.py SCAN MODEL IDENTITY OUT_FOLDER --minutes 10 [--height 1080] [--frames 96]
       [--faces 1.0] [--limit MINUTES]

The scanned clip's first frames run there and back until there are so many minutes of 25 frames a second at this
height, H.264 again. Of each second the first part (`--faces`) has its face in the alignments. Prints the resident
memory of the process over the conversion, and what of it is in use, free but kept by the C library, mapped apart, and
of files; then the slope of the line that fits it after the first quarter, with its standard error. `--limit` stops
after so many minutes of the clock and tells what there is until then. Linux, glibc.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import time
from pathlib import Path

import numpy as np
import torch
from convert_speed import scaled
from process_memory import peak, resident
from understudy.engine.convert.conversion import convert
from understudy.engine.errors import Stopped
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.memory import keep_memory
from understudy.engine.protocol import ConvertSpec, Swap
from understudy.engine.provenance.recasts import marker
from understudy.engine.reporter import Silent

EVERY = 60  # frames between two looks
RATE = 25


class Heap(ctypes.Structure):
    """glibc's mallinfo2, bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keepcost")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("identity")
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--faces", type=float, default=1.0)
    parser.add_argument("--limit", type=float, default=float("inf"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keep_memory()  # as every job does
    count = round(options.minutes * 60 * RATE)
    scan = scaled(load_alignments(options.scan), options.height, options.frames, count, options.out, options.faces)
    look = Look(60 * options.limit)
    spec = ConvertSpec(
        scan=str(scan),
        model=str(options.model.resolve()),
        swaps=[Swap(person=0, identity=options.identity)],
        output=str(options.out / "recast.mp4"),
    )
    with contextlib.suppress(Stopped):
        convert(spec, torch.device("cpu"), look, marker(spec))
    frames, seen = np.array(look.seen).T[:2]
    count = int(frames[-1])
    late = frames > 0.25 * count
    slope, error = fitted(frames[late] / (60 * RATE), seen[late])
    after = seen[late]
    print(
        f"{options.height} lines, {count} frames ({count / 60 / RATE:.1f} minutes), a face in {options.faces:.0%}: "
        f"after the first quarter {after.mean():.0f} MB on average ({after.min():.0f} to {after.max():.0f}), "
        f"{slope:+.1f} ± {error:.1f} MB a minute; {peak():.0f} MB at most; "
        f"{count / (time.time() - look.begun):.1f} frames/s"
    )


class Look(Silent):
    """A reporter that looks at the memory now and then, and ends after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seen: list[tuple[int, float]] = []
        self.begun = time.time()
        self.end = self.begun + seconds

    def check(self) -> None:
        if time.time() > self.end:
            raise Stopped("The limit is reached.")

    def progress(self, fraction: float, message: str) -> None:
        if not message.startswith("Recasting"):
            return
        frame = int(message.split()[-1])
        if frame % EVERY == 0:
            self.seen.append((frame, resident()))
            if frame % (10 * EVERY) == 0:
                print(f"  {frame:6}  {self.seen[-1][1]:6.0f} MB: {heap()}", flush=True)


def heap() -> str:
    """What the allocator says of itself, and how much of the resident memory is of files."""
    call = ctypes.CDLL(None).mallinfo2
    call.restype = Heap
    told = call()
    files = int(Path("/proc/self/statm").read_text().split()[2]) * 4096
    parts = {"in use": told.used, "free": told.free, "mapped apart": told.hblkhd, "of files": files}
    return ", ".join(f"{name} {value / 1e6:.0f}" for name, value in parts.items())


def fitted(minutes: np.ndarray, memory: np.ndarray) -> tuple[float, float]:
    """Slope of the line through memory over time, and its standard error."""
    ones = np.column_stack([minutes, np.ones(len(minutes))])
    line, *_ = np.linalg.lstsq(ones, memory, rcond=None)
    left = memory - ones @ line
    spread = np.sqrt((left**2).sum() / max(len(left) - 2, 1) / ((minutes - minutes.mean()) ** 2).sum())
    return float(line[0]), float(spread)


if __name__ == "__main__":
    main()
