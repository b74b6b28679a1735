"""How safely is somebody known in the next clip? Distances of mean embeddings, the same person's and others'.

usage: python benchmarks/known_people.py SCAN_FOLDER …

Every person's faces are halved in time (two clips of the same human being, in effect) and each half is compared
with the other half and with all halves of everybody else's; people of different scan folders count as different.
Says how many halves would be called by the right name, by a wrong one, and by none.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.people import gallery

LEAST = 10


def main() -> None:
    """Print the figures."""
    halves: list[tuple[str, np.ndarray]] = []
    for folder in map(Path, sys.argv[1:]):
        alignments = load_alignments(folder)
        for person in range(int(alignments.person.max()) + 1):
            rows = alignments.of_person(person)
            rows = rows[~alignments.carried[rows]]
            if len(rows) >= 2 * LEAST:
                for half in np.array_split(rows, 2):
                    halves.append((f"{folder.name}:{person}", alignments.embedding[half].mean(0)))
    names = np.array([name for name, _ in halves])
    means = np.array([mean for _, mean in halves])
    distance = np.linalg.norm(means[:, None] - means[None], axis=-1)
    upper = np.triu(np.ones_like(distance, bool), 1)
    same = distance[upper & (names[:, None] == names)]
    other = distance[upper & (names[:, None] != names)]
    print(f"{len(set(names))} people; same person {same.mean():.2f}, largest {same.max():.2f}")
    print(f"different people {other.mean():.2f}, smallest {other.min():.2f}, first percentile "
          f"{np.percentile(other, 1):.2f}")  # fmt: skip
    closest = np.argsort(np.where(upper & (names[:, None] != names), distance, 9), axis=None)[:5]
    for i, j in zip(*np.unravel_index(closest, distance.shape), strict=True):
        print(f"  {distance[i, j]:.2f} {names[i]} and {names[j]}")
    right = wrong = 0
    for i in range(0, len(halves), 2):  # the first halves are what the project knows; who is the second half?
        nearest = distance[i + 1, ::2]
        order = np.argsort(nearest)
        sure = nearest[order[0]] < gallery.SAME_PERSON and nearest[order[1]] > nearest[order[0]] + gallery.MIN_MARGIN
        right += bool(sure and names[2 * order[0]] == names[i + 1])
        wrong += bool(sure and names[2 * order[0]] != names[i + 1])
    strangers = 0
    for i in range(0, len(halves), 2):  # and with this one unknown, is the second half taken for somebody else?
        nearest = np.sort(np.delete(distance[i + 1, ::2], i // 2))
        strangers += bool(nearest[0] < gallery.SAME_PERSON and nearest[1] > nearest[0] + gallery.MIN_MARGIN)
    count = len(halves) // 2
    print(f"of {count}: {right} known, {wrong} called by a wrong name, {count - right - wrong} not named; "
          f"unknown to the project, {strangers} called by another's name")  # fmt: skip


if __name__ == "__main__":
    main()
