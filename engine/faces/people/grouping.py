"""From tracks to persons: which of a clip's tracks show the same human being."""

from __future__ import annotations

import numpy as np

SAME_PERSON = 0.5
"""Mean distance of two groups' embeddings up to which they are one person. Measured on video: means of tracks of
one person .35, of different persons in the same bad light from .54."""
STRAY_DISTANCE = 0.45
"""A track too short or poor to be a person of its own belongs to one this near."""
MIN_SHARED_FRAMES = 2
"""Seen at once in this many frames, two tracks are two persons."""


def group_tracks(embedding: np.ndarray, frames: list[np.ndarray], good: np.ndarray) -> np.ndarray:
    """The person (t,) int32 of each of t tracks; -1 is nobody.

    embedding (t, 128): each track's mean. frames: each track's frame numbers. good (t,) bool:
    long and clear enough to be a person of its own; the others join one or stay nobody.
    Persons are numbered from 0, most frames first.
    """
    person = np.full(len(frames), -1, np.int32)
    chosen = np.flatnonzero(good)
    if not len(chosen):
        return person
    apart = _apart(frames)
    distance = np.linalg.norm(embedding[:, None] - embedding[None], axis=-1)
    for label, members in enumerate(_clusters(distance, apart, chosen, frames)):
        person[members] = label
    for track in np.flatnonzero(~good):
        nearest = [
            (distance[track, person == label].mean(), label)
            for label in range(person.max() + 1)
            if not apart[track, person == label].any()
        ]
        if nearest and min(nearest)[0] < STRAY_DISTANCE:
            person[track] = min(nearest)[1]
    seen = [
        len(np.unique(np.concatenate([frames[t] for t in np.flatnonzero(person == p)])))
        for p in range(person.max() + 1)
    ]
    rank = np.empty(len(seen), np.int32)
    rank[np.argsort([-n for n in seen], kind="stable")] = np.arange(len(seen))
    return np.where(person >= 0, rank[person], -1).astype(np.int32)


def seen_together(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two faces, given by their ascending frame numbers, are in the picture at once."""
    if a[0] > b[-1] or b[0] > a[-1]:
        return False
    return len(np.intersect1d(a, b, assume_unique=True)) >= MIN_SHARED_FRAMES


def _apart(frames: list[np.ndarray]) -> np.ndarray:
    """(t, t) bool: pairs of tracks that are in the picture together."""
    apart = np.zeros((len(frames), len(frames)), bool)
    for i, a in enumerate(frames):
        for j in range(i):
            apart[i, j] = apart[j, i] = seen_together(a, frames[j])
    return apart


def _clusters(
    distance: np.ndarray, apart: np.ndarray, chosen: np.ndarray, frames: list[np.ndarray]
) -> list[np.ndarray]:
    """Agglomerative, by the mean distance weighted by frames; tracks seen together never merge."""
    members = [[int(t)] for t in chosen]
    weight = np.array([len(frames[t]) for t in chosen], float)
    between = np.where(apart, np.inf, distance)[np.ix_(chosen, chosen)]
    np.fill_diagonal(between, np.inf)
    while len(members) > 1:
        i, j = sorted(np.unravel_index(int(between.argmin()), between.shape))
        if between[i, j] > SAME_PERSON:
            break
        merged = (weight[i] * between[i] + weight[j] * between[j]) / (weight[i] + weight[j])
        merged[i] = np.inf
        between[i], between[:, i] = merged, merged
        between = np.delete(np.delete(between, j, 0), j, 1)
        weight[i] += weight[j]
        weight = np.delete(weight, j)
        members[i] += members.pop(j)
    return [np.array(sorted(m)) for m in members]
