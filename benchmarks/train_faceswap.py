"""How many steps of the reference networks do we make while faceswap makes one, on the same machine?

usage: python benchmarks/train_faceswap.py FACESWAP PYTHON CLIP OTHER_CLIP OUT_FOLDER [--models original dfl-h128]
       [--few 2] [--steps 10] [--frames 64] [--stub FOLDER]

FACESWAP, PYTHON and `--stub` as for `convert_faceswap`. So many frames of each clip are scanned, exported by our own
exporter and cut out by faceswap. Its own `train` then runs from the command line with its defaults and 16 faces a side,
for `few` steps and for all; what the further steps took is the figure, so that starting, building the model and saving
do not count. Ours is the same network (`model_twins`) on the same number of faces with real data, one pass of the
encoder, channels last, fused AdamW, bfloat16 where the machine is faster with it (`model_steps`).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from convert_faceswap import Faceswap, prepared
from model_steps import twins
from train_equal import make_bench

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("faceswap", "python", "first", "second", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--models", nargs="+", default=["original", "dfl-h128"])
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--stub", type=Path)
    options = parser.parse_args()
    out = options.out.resolve()
    theirs = Faceswap(options.faceswap.resolve(), options.python.absolute(), options.stub)
    bench = make_bench(options.first, options.second, out)
    faces = [
        prepared(out / side, 480, options.frames, out / f"{side}-faceswap", theirs).parent / "faces"
        for side in ("first", "second")
    ]
    for name in options.models:
        took = []
        for steps in (options.few, options.steps):
            model = out / f"{name}-{steps}"
            shutil.rmtree(model, ignore_errors=True)
            took.append(
                theirs("faceswap.py", "train", "-A", faces[0], "-B", faces[1], "-m", model, "-t", name, "-b", BATCH,
                       "-i", steps)
            )  # fmt: skip
        wall, cpu = (took[1] - took[0]) / (options.steps - options.few)
        print(f"{name}, faceswap's own: {wall:.2f} s a step by the clock, {cpu:.2f} of processors", flush=True)
        twins(bench, name, BATCH, 5)


if __name__ == "__main__":
    main()
