"""What a scan saw that is nobody's face, and photographs that show none: told, for nothing of it is used or recast."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from ...errors import MediaError
from ...media.pictures import are_photographs, picture_files, read_picture
from ...media.words import files_in_words, frames_in_words, many
from ...printing import shown
from ..alignments import Alignments

CLEAR = 0.7
"""Mean score of a track that is sure to be a face."""


def unnamed_in_words(alignments: Alignments, path: Path, frames: range, tracks: list[int]) -> str:
    """Sentences on which `frames` of the footage show faces that are nobody's or, in photographs, none that is
    somebody's; why, and what to do. "" where there is nothing to tell. `tracks` are somebody's, if of a rejected one.
    """
    named = np.isin(alignments.track, tracks)
    told = _photographs(alignments, path, frames, named) if are_photographs(path) else _faces(alignments, path, named)
    return shown(told)


def _photographs(alignments: Alignments, path: Path, frames: range, named: np.ndarray) -> str:
    files = picture_files(path)
    used = set(alignments.frame[named & (alignments.score > 0)].tolist())
    unclear = set(alignments.frame.tolist()) - used
    rest = [frame for frame in frames if frame not in used]
    unread = {frame for frame in rest if frame not in unclear and not _is_readable(files[frame])}
    told = [
        f"{what} {files_in_words([files[frame].name for frame in rest if frame in which])}"
        for what, which in (
            ("the face is too small, blurred, covered or turned away to tell whose it is in", unclear),
            ("no face was found in", set(rest) - unclear - unread),
            ("nothing can be read of", unread),
        )
        if which
    ]
    if not told:
        return ""
    verb = "is" if len(rest) == 1 else "are"
    return (
        f"{len(rest)} of {many(len(frames), 'picture')} {verb} not used: {'; '.join(told)}. "
        "Put larger, sharper pictures of the face in their place and scan again, if they are wanted."
    )


def _is_readable(file: Path) -> bool:
    with contextlib.suppress(MediaError):
        read_picture(file)
        return True
    return False


def _faces(alignments: Alignments, path: Path, named: np.ndarray) -> str:
    """Of a movie, a sequence or a single picture: by track, seen too briefly or not clearly."""
    brief, unclear = set[int](), set[int]()
    for track in np.unique(alignments.track[~named]):
        rows = np.flatnonzero(alignments.track == track)
        sure = alignments.score[rows[~alignments.carried[rows]]]
        (brief if len(sure) and sure.mean() >= CLEAR else unclear).update(alignments.frame[rows].tolist())
    told = [
        f"on {'frame' if len(which) == 1 else 'frames'} {frames_in_words(sorted(which))} {why}"
        for why, which in (
            ("too small, blurred, covered or turned away to tell whose they are", unclear),
            ("seen too briefly to tell whose they are", brief),
        )
        if which
    ]
    if not told:
        return ""
    longer = " A longer range may tell." if brief else ""
    return f"Faces of {path.name} that are nobody's, and stay as they are: {'; '.join(told)}.{longer}"
