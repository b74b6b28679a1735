"""The picture that shows how far a training is: target | draft | recast, for each pair of people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from ..arrays import replace_atomically
from ..faces.align import unposed
from ..faces.faceset import Faceset
from ..reporter import Reporter
from .folder import ModelCard
from .networks import SIZES, Refiner
from .recast import Source, recast
from .views import Views, choose_views

COLUMNS = 6
TILE = 128


def save_preview(
    folder: Path,
    card: ModelCard,
    sets: list[Faceset],
    views: list[Views],
    refiner: Refiner,
    shape: torch.Tensor,
    report: Reporter,
) -> None:
    """Recast the first identity as the second and the other way round, and report `preview.jpg`.

    Rows: target, draft, recast; for each direction. The same frames every time.
    """
    pairs = [(0, 1), (1, 0)] if len(sets) > 1 else [(0, 0)]
    rows = [row for a, b in pairs for row in _rows(sets[a], Source(views[b], refiner, b, SIZES[card.preset][0], shape))]
    path = folder / "preview.jpg"
    partial = folder / "preview.part.jpg"
    picture = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    partial.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    replace_atomically(partial, path)
    names = card.identities
    report.preview(path, " · ".join(f"{names[a]} as {names[b]}" for a, b in pairs) + ": target, draft, recast")


def _rows(target: Faceset, source: Source) -> list[np.ndarray]:
    shown = np.linspace(0, len(target) - 1, min(COLUMNS, len(target))).round().astype(int)
    landmarks = target.landmarks[shown]
    device = source.shape.device
    picture = torch.from_numpy(target.pixels[shown]).to(device).permute(0, 3, 1, 2).float() / 255
    own_mask = torch.from_numpy(target.masks[shown])[:, None].to(device).float() / 255
    neutral = np.median(unposed(target.landmarks), 0)
    choices = [choose_views(face[None], source.views, neutral) for face in landmarks]
    choice = torch.from_numpy(np.concatenate(choices)).to(device)
    rows = [picture]
    for drafts_only in (True, False):
        face, mask = recast(source, landmarks, picture, own_mask, choice, drafts_only=drafts_only)
        rows.append(face * mask + picture * (1 - mask))
    return [_strip(row) for row in rows]


def _strip(pictures: torch.Tensor) -> np.ndarray:
    tiles = [p.permute(1, 2, 0).mul(255).round().byte().cpu().numpy() for p in pictures]
    tiles = [cv2.resize(t, (TILE, TILE), interpolation=cv2.INTER_AREA) for t in tiles]
    tiles += [np.zeros_like(tiles[0])] * (COLUMNS - len(tiles))
    return np.concatenate(tiles, 1)
