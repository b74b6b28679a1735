"""Frames and counts in words, and which frames are damaged."""

from __future__ import annotations

from collections.abc import Sequence

from .footage import Footage
from .pictures import picture_files

RUNS, NAMED = 10, 12
"""So many runs of frames are told, and so many files; of more only that there are."""


def many(count: int, thing: str) -> str:
    """How many of something, "1 frame" or "2 frames"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def frames_in_words(frames: Sequence[int]) -> str:
    """Ascending numbers, runs of them drawn together: "27, 29 to 31 and 40"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and runs[-1][1] == frame - 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    told = [str(first) if first == last else f"{first} to {last}" for first, last in runs[:RUNS]]
    if len(runs) > RUNS:
        return f"{', '.join(told)} and others"
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def unsound_in_words(footage: Footage, frames: Sequence[int]) -> str:
    """Which of the footage's frames are decoded in part or from damaged ones (`damage.Damage.unsound`), ascending."""
    what, are = ("Frame", "is") if len(frames) == 1 else ("Frames", "are")
    return (
        f"{what} {frames_in_words(frames)} of {footage.path.name} {are} decoded in part, or from damaged pictures, and "
        "may look wrong: as players show that, so it is recast."
    )


def files_in_words(names: Sequence[str]) -> str:
    """Names of files, "a.jpg, b.jpg and c.jpg", and of more than NAMED how many more there are."""
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def damaged_in_words(footage: Footage, frames: Sequence[int], photographs: bool = False) -> str:
    """Which of the footage's frames cannot be decoded, ascending, and what a recast shows there; of `photographs`,
    that they are of no use."""
    if footage.path.is_dir():
        files = picture_files(footage.path)
        what = files_in_words([files[number].name for number in frames])
    else:
        what = f"{'Frame' if len(frames) == 1 else 'Frames'} {frames_in_words(frames)}"
    near = "nearest picture" if frames[0] == 0 else "picture before"
    instead = "each of them is passed over" if photographs else f"the {near} stands in, in a recast, too"
    return f"{what} of {footage.path.name} cannot be decoded: {instead}."
