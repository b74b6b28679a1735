"""How well people are kept apart and followed: IDF1 and identity switches against labels made by looking.

Usage: python benchmarks/scan_tracking.py SCAN_FOLDER LABELS.json

The labels name the people of every tenth frame: {"frame": [["name", x0, y0, x1, y1], ...]}. Somebody's identity in the
scan is the person's number, or the track's where nobody was recognised. Faces of the scan that no label names count
as false ones, except in frames' dark backgrounds where the labels themselves say "?".

Source: Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking, 2016.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.geometry.boxes import overlap

LEAST = 0.3


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    alignments = load_alignments(Path(sys.argv[1]))
    labels = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    together: dict[tuple[str, str], int] = {}
    last: dict[str, str] = {}
    truths = found = switches = missed = 0
    for frame, people in sorted(labels.items(), key=lambda item: int(item[0])):
        rows = np.flatnonzero(alignments.frame == int(frame))
        boxes = np.array([person[1:] for person in people], float).reshape(-1, 4)
        common = overlap(boxes, alignments.box[rows])
        ignored = {int(j) for i, p in enumerate(people) if p[0] == "?" for j in np.flatnonzero(common[i] > LEAST)}
        truths += sum(person[0] != "?" for person in people)
        found += len(rows) - len(ignored)
        named = [i for i, person in enumerate(people) if person[0] != "?"]
        pairs = dict(zip(*linear_sum_assignment(-common[named]), strict=True)) if named else {}
        for place, i in enumerate(named):
            name, j = people[i][0], pairs.get(place)
            if j is None or common[i, j] <= LEAST:
                missed += 1
                continue
            row = rows[j]
            known = int(alignments.person[row])
            identity = f"person {known}" if known >= 0 else f"track {alignments.track[row]}"
            together[name, identity] = together.get((name, identity), 0) + 1
            switches += name in last and last[name] != identity
            last[name] = identity
    names, identities = sorted({n for n, _ in together}), sorted({i for _, i in together})
    table = np.array([[together.get((n, i), 0) for i in identities] for n in names])
    rows_of, columns_of = linear_sum_assignment(-table)
    true = table[rows_of, columns_of].sum()
    print(f"{truths} labelled faces, {missed} missed, {found} found; IDF1 {2 * true / (truths + found):.3f}")
    print(f"identity switches: {switches}")
    for (name, identity), count in sorted(together.items()):
        print(f"  {name:12} {identity:12} {count}")


if __name__ == "__main__":
    main()
