"""How many of the frames that people marked as bad `understudy review` lists, and how many of those it lists are bad.

    python benchmarks/review.py RESULTS

RESULTS holds recasts (name.mkv with its settings), drafts of the panel's pairs that doubtful_labels.json names. Frames
that were looked at are every fourth, from the second on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from understudy.engine.convert.convert_settings import load_doubt, load_settings
from understudy.engine.reporter import Silent
from understudy.engine.review.doubtful import doubtful_frames

LABELS = Path(__file__).with_name("doubtful_labels.json")
EVERY = 4


def main() -> None:
    """Print each result's counts, and precision and recall of all."""
    sums = [0, 0, 0, 0]
    for path in sorted(Path(sys.argv[1]).glob("*.mkv")):
        bad = json.loads(LABELS.read_text()).get(path.stem)
        if bad is None:
            continue
        spec = load_settings(path)
        assert spec.start is not None and spec.end is not None
        found = doubtful_frames(Path(spec.scan), Silent(), spec, load_doubt(path))
        listed = {frame for one in found for frame in range(one.start, one.end)}
        looked_at = set(range(spec.start + 1, spec.end, EVERY))
        marked = {frame for first, last in bad for frame in range(first, last + 1)} & looked_at
        listed &= looked_at
        counts = len(looked_at), len(marked), len(listed), len(listed & marked)
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        print("{:32} {:3} looked at, {:3} bad, {:3} listed, {:3} of them bad".format(path.stem, *counts))
    print(f"{sums[0]} frames: precision {sums[3] / max(sums[2], 1):.2f}, recall {sums[3] / max(sums[1], 1):.2f}")


if __name__ == "__main__":
    main()
