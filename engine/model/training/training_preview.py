"""The picture that shows how far a training is, and the timelapse of all of them.

For each pair of people: target | re-enactment | recast | mask, of held-out faces, the same every time.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import torch

from ...durable import make_folders, write_bytes, writing
from ...faces.facesets.faceset import Faceset
from ...reporter import Reporter
from ..draft.warp import Views
from ..model_folder import ModelCard
from ..networks.precision import autocast
from ..networks.refiner_network import SIZES, Refiner
from ..networks.shared_encoder import Net, border_window, render_for
from ..recast import Source, recast, soft_edge
from .training_step import Training
from .validation import Scorer, SwapCase

COLUMNS = 6
PREVIEW_WIDTH = 720
"""Pixels: four, five and six pictures beside each other fill it."""
MAX_PAIRS = 4
MAX_TIMELAPSE = 240
"""Pictures of a timelapse; when there are more, every other one goes."""


class Preview:
    """Makes `preview.jpg` and keeps a copy in `timelapse/`."""

    def __init__(
        self, folder: Path, card: ModelCard, sets: list[Faceset], views: list[Views], scorer: Scorer, report: Reporter
    ) -> None:
        self.folder, self.card, self.views, self.scorer, self.report = folder, card, views, scorer, report
        self.sets = sets

    def save(self, training: Training) -> None:
        """Make the picture of how the training is now, and report it."""
        groups = [self._swap(case, training.average) for case in self.scorer.cases[:MAX_PAIRS]]
        if not groups:  # one identity alone, or no nets to choose cases by
            groups = [self._reenacted(number, training.average) for number in range(len(self.sets))]
        path = self.folder / "preview.jpg"
        picture = cv2.cvtColor(np.concatenate([grid(kinds) for kinds in groups]), cv2.COLOR_RGB2BGR)
        write_bytes(path, cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
        self._lapse(path, training.step)
        names = self.card.identities
        pairs = " · ".join(f"{names[c.target]} as {names[c.source]}" for c in self.scorer.cases[:MAX_PAIRS])
        shown = f"{pairs}: target, re-enactment, recast, mask" if pairs else "frames and their re-enactment"
        self.report.preview(path, f"Step {training.step}. {shown}")

    def _lapse(self, path: Path, step: int) -> None:
        lapse = self.folder / "timelapse"
        make_folders(lapse)
        with writing(lapse / f"{step:08d}.jpg") as partial:
            shutil.copyfile(path, partial)
        pictures = sorted(lapse.glob("*.jpg"))
        if len(pictures) > MAX_TIMELAPSE:
            for picture in pictures[1::2]:
                picture.unlink()

    def _swap(self, case: SwapCase, refiner: Net) -> list[np.ndarray]:
        size = SIZES[self.card.preset][0]
        source = Source(self.views[case.source], refiner, case.source, size, self.scorer.shape)
        face, mask = recast(source, case.landmarks, case.picture, case.mask, case.choice)
        whole = case.picture + mask * (face - case.picture)
        reenacted = self._reenacted(case.target, refiner, len(whole))[1]
        return [_pictures(case.picture), reenacted, _pictures(whole), _pictures(mask.expand_as(whole))]

    @torch.inference_mode()
    def _reenacted(self, number: int, refiner: Net, count: int = COLUMNS) -> list[np.ndarray]:
        draws = self.scorer.draws[number]
        rows = torch.from_numpy(np.linspace(0, len(draws) - 1, min(count, len(draws))).round().astype(int))
        inputs, truth, _, _, _ = render_for(refiner, self.scorer.materials, draws.part(rows), self.scorer.shape)
        batch: list[torch.Tensor | None] = [None] * len(self.sets)
        batch[number] = inputs
        with autocast(inputs.device):
            result = refiner(batch)[number]
        assert result is not None
        face, logits, _ = result
        refined = isinstance(refiner, Refiner)  # its last input is the mesh's silhouette
        mask = logits.sigmoid() * (
            soft_edge(inputs[:, -1:]) if refined else border_window(truth.shape[-1], truth.device)
        )
        return [_pictures(truth), _pictures(truth + mask * (face - truth))]


def grid(kinds: list[np.ndarray]) -> np.ndarray:
    """Pictures (N, R, R, 3) uint8 of several kinds, N at most COLUMNS: a row a kind, or several kinds in one row where
    the pictures are few, so that WIDTH is filled however many there are."""
    most = max(map(len, kinds))
    beside = next(n for n in (4, 2, 1) if n <= len(kinds) and n * most <= COLUMNS)
    side = PREVIEW_WIDTH // (beside * most)
    strips = [_strip(pictures, most, side) for pictures in kinds]
    return np.concatenate([np.concatenate(strips[k : k + beside], 1) for k in range(0, len(strips), beside)])


def _strip(pictures: np.ndarray, columns: int, side: int) -> np.ndarray:
    tiles = [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pictures]
    tiles += [np.zeros_like(tiles[0])] * (columns - len(tiles))
    return np.concatenate(tiles, 1)


def _pictures(pictures: torch.Tensor) -> np.ndarray:
    """(B, 3, R, R) 0..1 as (N, R, R, 3) uint8, the first COLUMNS of them."""
    return pictures[:COLUMNS].permute(0, 2, 3, 1).clamp(0, 1).mul(255).round().byte().cpu().numpy()
