"""How fast is conversion beside faceswap's on the same clip and machine?

usage: python benchmarks/convert_faceswap.py FACESWAP PYTHON SCAN MODEL IDENTITY OUT_FOLDER [--height 1080]
       [--frames 96] [--few 16] [--stub FOLDER]

FACESWAP is a checkout of deepfakes/faceswap, PYTHON an interpreter with what it needs (its CPU requirements; `--stub`
goes before its path: faceswap imports torchvision for a loss that is not used here). The scanned clip at this height
is exported by our own exporter, its faces are cut out by faceswap and a model `original` trained for one iteration on
them as both sides (what it has learned changes nothing in its speed). Both programs then convert the clip's `few` and
all of its frames from the command line to H.264 of the same options; what the further frames took is the figure, so
that starting and loading do not count. faceswap: mask components, colour avg-color, its defaults else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from convert_speed import scaled
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.interchange.alignments_json import export_faceswap
from understudy.engine.protocol import Clip
from understudy.engine.reporter import Silent

OURS = """
import sys, torch
from understudy.engine.convert.conversion import convert
from understudy.engine.protocol import ConvertSpec, Swap
from understudy.engine.provenance.recasts import marker
from understudy.engine.reporter import Silent
spec = ConvertSpec(
    scan=sys.argv[1], model=sys.argv[2], swaps=[Swap(person=0, identity=sys.argv[3])], output=sys.argv[4]
)
convert(spec, torch.device("cpu"), Silent(), marker(spec))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faceswap", type=Path)
    parser.add_argument("python", type=Path)
    parser.add_argument("scan", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("identity")
    parser.add_argument("out", type=Path)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--few", type=int, default=16)
    parser.add_argument("--stub", type=Path)
    options = parser.parse_args()
    out = options.out.resolve()
    theirs = Faceswap(options.faceswap.resolve(), options.python.absolute(), options.stub)
    clips = {n: prepared(options.scan, options.height, n, out / str(n), theirs) for n in (options.few, options.frames)}
    model = out / "model"
    if not (model / "original.keras").is_file():
        faces = clips[options.frames].parent / "faces"
        theirs("faceswap.py", "train", "-A", faces, "-B", faces, "-m", model, "-t", "original", "-b", 8, "-i", 1)
    config = theirs.folder / "config" / "convert.ini"
    written = config.read_text().replace("crf: 23", "crf: 12").replace("preset: medium", "preset: fast")
    (out / "convert.ini").write_text(
        written.replace("crf = 23", "crf = 12").replace("preset = medium", "preset = fast")
    )
    print("FFmpeg's options for faceswap:", [s for s in written.splitlines() if s.startswith(("crf", "preset"))])
    took: dict[str, list[np.ndarray]] = {"faceswap": [], "ours": []}
    for count, clip in clips.items():
        done = out / f"faceswap-{count}"
        took["faceswap"].append(
            theirs("faceswap.py", "convert", "-C", out / "convert.ini", "-i", clip, "-o", done, "-m", model, "-p",
                   fsa(clip), "-M", "components", "-w", "ffmpeg")
        )  # fmt: skip
        scan, movie = clip.parent / f"scan-{options.height}", out / f"ours-{count}.mp4"
        took["ours"].append(timed(sys.executable, "-c", OURS, scan, options.model.resolve(), options.identity, movie))
        print(f"{count} frames, seconds of the clock and of processors:", {n: t[-1].round(1) for n, t in took.items()})
    more = options.frames - options.few
    for name, (few, all_) in took.items():
        wall, cpu = (all_ - few) / more
        start = few[0] - wall * options.few
        print(f"{name}: {1 / wall:.2f} frames/s, {1000 * cpu:.0f} ms of CPU a frame; starting {start:.0f} s")


class Faceswap:
    """Runs faceswap's programs; each call gives what it took."""

    def __init__(self, folder: Path, python: Path, stub: Path | None) -> None:
        self.folder, self.python = folder, python
        self.environment = {**os.environ, "FACESWAP_BACKEND": "cpu", "KERAS_BACKEND": "torch"}
        if stub is not None:
            self.environment["PYTHONPATH"] = str(stub.resolve())

    def __call__(self, *words: object) -> np.ndarray:
        return timed(self.python, *words, cwd=self.folder, env=self.environment)


def timed(*words: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> np.ndarray:
    """Seconds of the clock and of processors that a program takes."""
    begun = time.perf_counter()
    before = sum(os.times()[2:4])
    subprocess.run([str(w) for w in words], cwd=cwd, env=env, check=True)
    return np.array([time.perf_counter() - begun, sum(os.times()[2:4]) - before])


def fsa(clip: Path) -> Path:
    """Where faceswap looks for a movie's alignments."""
    return clip.with_name(f"{clip.stem}_alignments.fsa")


def prepared(scan: Path, height: int, count: int, out: Path, theirs: Faceswap) -> Path:
    """The clip of so many frames, with a scan of ours and alignments of faceswap's beside it."""
    clip = out / f"clip-{height}.mp4"
    if not fsa(clip).is_file():
        out.mkdir(parents=True, exist_ok=True)
        folder = scaled(load_alignments(scan), height, count, count, out)
        made = load_alignments(folder)
        replace(made, clip=Clip(path=str(clip), start=0, end=None)).save(folder)
        export_faceswap(folder, fsa(clip).with_suffix(".json"), Silent(), 0)
        theirs("faceswap.py", "extract", "-i", clip, "-o", out / "faces", "-D", "file", "-A", "file")
    return clip


if __name__ == "__main__":
    main()
