"""What stands in front of faces: kept out of their light, and steady over time."""

from __future__ import annotations

import numpy as np
import torch

from ..model.draft.filters import light


def fill_occluded(picture: torch.Tensor, own: torch.Tensor, in_front: torch.Tensor) -> torch.Tensor:
    """What stands in front of a face replaced by the light of the rest of it, so that no draft takes on its colour.

    picture (B, 3, S, S), own and in_front (B, 1, S, S) 0..1: where the face is, and what of it is hidden.
    """
    if not (in_front * own).any():
        return picture
    return picture + in_front * (light(picture, own * (1 - in_front)) - picture)


def median_over_time(before: np.ndarray | None, own: np.ndarray, after: np.ndarray | None) -> np.ndarray:
    """What hides a face, (S, S) 0..1, less what only this one frame says: the median of it and its neighbours.

    All three are of one track's crops, in which the face stands still. At the end of a track it stays as it is.
    """
    if before is None or after is None or before.shape != own.shape or after.shape != own.shape:
        return own
    low, high = np.minimum(before, after), np.maximum(before, after)
    return np.maximum(low, np.minimum(own, high))
