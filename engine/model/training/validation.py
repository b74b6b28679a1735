"""How good a training is on faces it has never seen, and how good its swaps are, by the project's own nets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...faces.facesets.faceset import Faceset
from ...faces.networks import weights
from ...faces.networks.embedding import Embedder
from ...faces.networks.face_mesh import Mesh, region_of_face
from ...protocol import ConvertSettings
from ..draft.shape import difference, move_picture, neutral_face, reshaped
from ..draft.views import EXPRESSIVE_VERTICES, choose_views
from ..draft.warp import Views
from ..networks.losses import face_loss
from ..networks.precision import autocast
from ..networks.shared_encoder import Net, Shared, identity_warp, render_for
from ..recast import Source, recast
from .convergence import Score
from .dataset import Draws, TrainingSet, draw_light_source, render
from .stray_hair import HAIR_NUMBERS
from .training_step import Training

FACES_PER_IDENTITY = 12
"""Held-out faces of each identity that are re-enacted, and half as many that are recast."""
EMBEDDING_FACES = 32
"""Faces whose mean embedding says who the source is."""
MAX_SWAPS = 6
EYE_CORNERS = (33, 263)
DEFAULT_SHAPE = ConvertSettings().shape


@dataclass(frozen=True)
class SwapCase:
    """Fixed held-out frames of one swap: everything that does not change while the network does.

    picture (B, 3, R, R) RGB 0..1 and mask (B, 1, R, R) are moved to the recast's shape; landmarks (B, 468, 3) have
    it; shift (B, 468, 2) is how far they moved; shown (B, 468, 2) where the nets see the target's own landmarks.
    """

    target: int
    source: int
    picture: torch.Tensor
    mask: torch.Tensor
    landmarks: np.ndarray
    shift: np.ndarray
    choice: torch.Tensor
    shown: np.ndarray


def swap_pairs(identities: int) -> list[tuple[int, int]]:
    """Target and source of the swaps that are followed: every one, or each identity's with the next two."""
    pairs = [(a, b) for a in range(identities) for b in range(identities) if a != b]
    return pairs if len(pairs) <= MAX_SWAPS else [(n, (n + k) % identities) for k in (1, 2) for n in range(identities)]


class Scorer:
    """Scores a training by the same faces every time; see `Score`."""

    def __init__(
        self, sets: list[Faceset], views: list[Views], materials: list[TrainingSet], shape: torch.Tensor, network: Net
    ) -> None:
        self.shared = isinstance(network, Shared)  # knows no draft to compare with, and takes the target's own outline
        self.views, self.materials, self.shape = views, materials, shape
        self.device = shape.device
        self.draws = [_fixed_draws(n, materials, network) for n in range(len(materials))]
        self.nets = None if weights.missing() else (Embedder(str(self.device)), Mesh(str(self.device)))
        self.cases: list[SwapCase] = []
        self.who: list[np.ndarray] = []
        self.draft: tuple[float, float, float] | None = None
        if self.nets and len(sets) > 1:
            self.cases = [self._case(sets, a, b) for a, b in swap_pairs(len(sets))]
            self.who = [self._identity(s) for s in sets]

    def _identity(self, faceset: Faceset) -> np.ndarray:
        assert self.nets
        rows = np.linspace(0, len(faceset) - 1, min(EMBEDDING_FACES, len(faceset))).round().astype(int)
        found: np.ndarray = self.nets[0].embed(list(faceset.pixels[rows]), faceset.landmarks[rows]).mean(0)
        return found

    def _case(self, sets: list[Faceset], target: int, source: int) -> SwapCase:
        assert self.nets
        faces, held = sets[target], self.materials[target].held
        rows = held[np.linspace(0, len(held) - 1, min(FACES_PER_IDENTITY // 2, len(held))).round().astype(int)]
        own = faces.landmarks[rows]
        rest = neutral_face(faces.landmarks)
        change = difference(rest, self.views[source].neutral, 0.0 if self.shared else DEFAULT_SHAPE)
        moved = reshaped(own, change)
        pixels = np.concatenate([faces.pixels[rows], faces.masks[rows, ..., None]], -1)
        shown = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
        shown, *_ = move_picture(shown, own, moved)
        irises = [None] * len(own) if faces.irises is None else faces.irises[rows][:, None]
        choice = np.concatenate([
            choose_views(face[None], self.views[source], rest.face, seen)
            for face, seen in zip(own, irises, strict=True)
        ])  # fmt: skip
        return SwapCase(
            target=target,
            source=source,
            picture=shown[:, :3],
            mask=shown[:, 3:],
            landmarks=moved,
            shift=(moved - own)[..., :2],
            choice=torch.from_numpy(choice).to(self.device),
            shown=self._points(faces.pixels[rows], own),
        )

    def _points(self, pictures: np.ndarray, near: np.ndarray) -> np.ndarray:
        assert self.nets
        found, _ = self.nets[1](list(pictures), [region_of_face(face) for face in near])
        return found[..., :2]

    def score(self, training: Training, trained: float) -> Score:
        """Measure now; `trained` is the mean training loss since the last time. The first call is the draft's."""
        network = training.average if training.step or self.shared else None
        loss = self._reenacted(network)
        swaps = [self._recast(case, network) for case in self.cases]
        identity, expression = np.mean(swaps, 0).tolist() if swaps else (0.0, 0.0)
        found = (loss, identity, expression)
        if self.draft is None:
            self.draft = found if training.step == 0 else _draft_scores(training) or found
        parts = [now / max(before, 1e-6) for now, before in zip(found, self.draft, strict=True) if before > 0]
        return Score(training.step, training.seconds, *found, trained, float(np.mean(parts)))

    @torch.inference_mode()
    def _reenacted(self, refiner: Net | None) -> float:
        losses = []
        for number, draws in enumerate(self.draws):
            if refiner is None:
                inputs, truth, _, weight, _ = render(self.materials, draws, self.shape)
            else:
                inputs, truth, _, weight, _ = render_for(refiner, self.materials, draws, self.shape)
            batch: list[torch.Tensor | None] = [None] * len(self.draws)
            batch[number] = inputs
            face = inputs[:, :3]  # the draft
            if refiner is not None:
                with autocast(self.device):
                    result = refiner(batch)[number]
                assert result is not None
                face = result[0]
            losses.append(face_loss(face, truth, weight).mean())
        return float(torch.stack(losses).mean())

    def _recast(self, case: SwapCase, refiner: Net | None) -> tuple[float, float]:
        """Identity and expression distance of one swap."""
        assert self.nets
        size = int(self.materials[case.source].maps.shape[-1])
        source = Source(self.views[case.source], refiner, case.source, size, self.shape)
        face, mask = recast(source, case.landmarks, case.picture, case.mask, case.choice)
        whole = (case.picture + mask * (face - case.picture)).clamp(0, 1) * 255
        pictures = np.ascontiguousarray(whole.round().byte().permute(0, 2, 3, 1).cpu().numpy())
        found = self.nets[0].embed(list(pictures), case.landmarks)
        identity = np.linalg.norm(found - self.who[case.source], axis=1).mean()
        away = self._points(pictures, case.landmarks) - case.shift - case.shown
        eyes = np.linalg.norm(case.shown[:, EYE_CORNERS[0]] - case.shown[:, EYE_CORNERS[1]], axis=-1)
        distance = np.linalg.norm(away[:, EXPRESSIVE_VERTICES], axis=-1).mean(1)
        return float(identity), float((100 * distance / eyes).mean())


def _fixed_draws(number: int, materials: list[TrainingSet], network: Net) -> Draws:
    """Held-out faces of one identity, with views that fit as badly as a swap's, in others' light as in training."""
    material = materials[number]
    rows = material.held[
        np.linspace(0, len(material.held) - 1, min(FACES_PER_IDENTITY, len(material.held))).round().astype(int)
    ]
    frame = torch.from_numpy(rows)
    count = len(rows)
    lender, lent = draw_light_source(materials, number, frame, torch.Generator().manual_seed(number))
    places = [material.candidates.shape[1] * k // 8 for k in (2, 3)]
    return Draws(
        material=torch.full((count,), number),
        lender=lender,
        lent=lent,
        frame=frame,
        choice=material.candidates[frame][:, places],
        light=torch.full((count, 7), 0.5),
        bend=identity_warp(network, count),
        flip=torch.zeros(count, dtype=torch.bool),
        own=torch.ones(count, dtype=torch.bool),
        hair=torch.zeros(count, HAIR_NUMBERS),
    )


def _draft_scores(training: Training) -> tuple[float, float, float] | None:
    """What the draft scored when this training began."""
    first = next((s for s in training.scores if s.step == 0), None)
    return (first.loss, first.identity, first.expression) if first else None
