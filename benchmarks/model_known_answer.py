"""Is training worth it? Two heads whose swap has a true answer: the raw recast face against it, over training time.

usage: python benchmarks/model_known_answer.py OUT_FOLDER [--minutes 1 5 10] [--frames 60]

The heads of `known_answer.py`, but each clip has a motion and a light of its own (one from the left and warm, one from
the right and cool), so the source never shows what is asked for: its face in the other one's light, pose and mouth.
The true answer is the other head in the same motion and light. Nothing is put into a picture: what is compared is
what the model itself makes, inside the face, without what conversion's matching would do.

Prints for 0 minutes (the draft) and each time, as means of both directions over every fourth frame:
  PSNR, SSIM   of all colours and of luma, inside the face where the answer has no hair
  eyes, mouth  PSNR there alone
  to truth     embedding distance to the true answer
  expression   distance of lips, lids and brows from the true answer's, in % of the distance between the eyes
Minutes are those of two cores that do nothing else: half the processor time. Writes a sheet for each time (footage,
recast, answer) and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from known_answer import CROP, SIZE, Heads
from train_equal import bytes_of, masks_of, pictures_of
from understudy.engine.faces.facesets.faceset import Faceset
from understudy.engine.faces.facesets.masks import donor_masks, face_masks
from understudy.engine.faces.geometry.align import crop, transform
from understudy.engine.faces.geometry.topology import INNER_LIPS
from understudy.engine.faces.networks.embedding import Embedder
from understudy.engine.faces.networks.face_mesh import Mesh, region_of_face
from understudy.engine.model.draft.views import EXPRESSIVE_VERTICES, choose_views, make_views
from understudy.engine.model.model_folder import ModelCard
from understudy.engine.model.networks.losses import ssim
from understudy.engine.model.networks.refiner_network import SIZES, Refiner
from understudy.engine.model.recast import Source, recast, soft_edge, target_geometry
from understudy.engine.model.training import checkpoints
from understudy.engine.model.training.dataset import make_training_set
from understudy.engine.model.training.trainer import canonical_shape
from understudy.engine.model.training.training_step import new_training, step
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
CORES = 2
NAMES = ("first", "second")
LIGHTS = ((-0.7, (1.08, 1.0, 0.86)), (0.7, (0.9, 1.0, 1.12)))
"""For each clip: from where the light comes, left to right, and its colour."""
PHASES, OPENINGS = (0.0, 100.0), (7.0, 4.0)
EYES = (33, 133, 159, 145, 263, 362, 386, 374)


class Clips:
    """Both clips: their facesets, and for each its true recasts (N, S, S, 3) uint8."""

    def __init__(self, frames: int) -> None:
        plain = Heads()
        self.sets, self.answers = [], []
        for number, name in enumerate(NAMES):
            heads = Heads()
            heads.opening = OPENINGS[number]
            side, colour = LIGHTS[number]
            heads.first, heads.second = (lit(p, plain.landmarks, side, colour) for p in (plain.first, plain.second))
            shots = [heads.shot(n, PHASES[number] + 2 * np.pi * n / 48) for n in range(frames)]
            shown = [
                np.stack([crop(getattr(s, which), s.matrix, CROP) for s in shots]) for which in ("footage", "answer")
            ]
            own, other = shown if number == 0 else reversed(shown)
            landmarks = np.stack([transform(s.landmarks, s.matrix) for s in shots])
            self.sets.append(faceset(name, own, landmarks))
            self.answers.append(other)


def faceset(name: str, pixels: np.ndarray, landmarks: np.ndarray) -> Faceset:
    count = len(pixels)
    return Faceset(
        name=name,
        pixels=np.ascontiguousarray(pixels),
        masks=face_masks(pixels, landmarks, look=False)[0],
        landmarks=landmarks,
        shot=np.zeros(count, np.int32),
        frame=np.arange(count, dtype=np.int32),
        sharpness=np.full(count, 100, np.float32),
        exposure=np.ones(count, np.float32),
        enlarged=np.ones(count, np.float32),
        coarse=np.zeros(count, bool),
        hidden=np.zeros(count, np.float32),
    )


def lit(picture: np.ndarray, landmarks: np.ndarray, side: float, colour: tuple[float, float, float]) -> np.ndarray:
    """A head as an egg under a light from one side: (SIZE, SIZE, 3) float32."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    middle, wide = landmarks[:, :2].mean(0), 0.62 * np.ptp(landmarks[:, :2], axis=0)
    across, down = (x - middle[0]) / wide[0], (y - middle[1]) / wide[1]
    towards = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))
    direction = np.array([side, -0.35, np.sqrt(1 - side**2 - 0.35**2)])
    shade = np.clip(across.clip(-1, 1) * direction[0] + down.clip(-1, 1) * direction[1] + towards * direction[2], 0, 1)
    shade = cv2.GaussianBlur((0.55 + 0.6 * shade).astype(np.float32), (0, 0), 6)
    return np.clip(picture * shade[..., None] * np.float32(colour), 0, 255)


class Judge:
    """Measures what a model makes of every fourth frame of both clips."""

    def __init__(self, clips: Clips, out: Path) -> None:
        self.clips, self.out = clips, out
        self.embedder, self.mesh = Embedder(), Mesh()
        self.rows = [np.arange(0, len(s), 4) for s in clips.sets]
        self.views = [make_views(s, CPU) for s in clips.sets]
        self.shape = canonical_shape(clips.sets)
        self.truth = [a[r] for a, r in zip(clips.answers, self.rows, strict=True)]
        self.skin = [
            masks_of(skin_of(t, s.landmarks[r])) for t, s, r in zip(self.truth, clips.sets, self.rows, strict=True)
        ]
        marks = [s.landmarks[r] for s, r in zip(clips.sets, self.rows, strict=True)]
        self.true_who = [self.embedder.embed(list(t), m) for t, m in zip(self.truth, marks, strict=True)]
        self.true_points = [self._points(t, m) for t, m in zip(self.truth, marks, strict=True)]

    def _points(self, pictures: np.ndarray, near: np.ndarray) -> np.ndarray:
        found, _ = self.mesh(list(pictures), [region_of_face(face) for face in near])
        return found[..., :2]

    @torch.inference_mode()
    def row(self, minutes: float, steps: int, refiner: Refiner | None) -> None:
        figures, strips = [], []
        for target, (faces, rows) in enumerate(zip(self.clips.sets, self.rows, strict=True)):
            source, landmarks = 1 - target, faces.landmarks[rows]
            picture, own = pictures_of(faces.pixels[rows]), masks_of(faces.masks[rows])
            choice = torch.from_numpy(choose_views(faces.landmarks, self.views[source])[rows])
            model = Source(self.views[source], refiner, source, SIZES["quick"][0], self.shape)
            face, mask = recast(model, landmarks, picture, own, choice)
            truth = pictures_of(self.truth[target])
            inside = (soft_edge(target_geometry(landmarks, CROP, CPU).inside) * own * self.skin[target] > 0.5).float()
            whole = bytes_of(picture + mask * (face - picture))
            away = self._points(whole, landmarks) - self.true_points[target]
            between = np.linalg.norm(landmarks[:, 33, :2] - landmarks[:, 263, :2], axis=-1)
            found = self.embedder.embed(list(whole), landmarks)
            similar = ssim(grey(face), grey(truth))
            figures.append([
                psnr(face, truth, inside),
                float((similar * inside).sum() / inside.sum()),
                psnr(face, truth, inside * near(landmarks, EYES, 0.05)),
                psnr(face, truth, inside * near(landmarks, tuple(INNER_LIPS), 0.05)),
                float(np.linalg.norm(found - self.true_who[target], axis=1).mean()),
                float((100 * np.linalg.norm(away[:, EXPRESSIVE_VERTICES], axis=-1).mean(1) / between).mean()),
            ])  # fmt: skip
            raw = bytes_of(picture + inside * (face - picture))
            strips += [np.concatenate(list(p[::3]), 1) for p in (faces.pixels[rows], raw, self.truth[target])]
        values = "{:8.2f}{:8.4f}{:8.2f}{:8.2f}{:10.3f}{:12.2f}".format(*np.mean(figures, 0))
        print(f"{minutes:8g}{steps:7d}{values}", flush=True)
        cv2.imwrite(str(self.out / f"{minutes:g}.png"), cv2.cvtColor(np.concatenate(strips), cv2.COLOR_RGB2BGR))


def skin_of(pictures: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Where a head's own face is, without the hair that hangs into it: (N, S, S) uint8."""
    return donor_masks(pictures, face_masks(pictures, landmarks, look=False)[0], landmarks)


def psnr(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> float:
    error = ((a - b) ** 2 * weight).sum((1, 2, 3)) / (3 * weight.sum((1, 2, 3))).clamp(min=1)
    return float((-10 * torch.log10(error.clamp(min=1e-7))).mean())


def grey(picture: torch.Tensor) -> torch.Tensor:
    return (picture * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


def near(landmarks: np.ndarray, vertices: tuple[int, ...], reach: float) -> torch.Tensor:
    """1 within `reach` crop sides of some vertices: (B, 1, S, S)."""
    masks = np.zeros((len(landmarks), CROP, CROP), np.float32)
    for mask, face in zip(masks, landmarks, strict=True):
        for x, y in face[list(vertices), :2]:
            cv2.circle(mask, (int(x), int(y)), round(reach * CROP), 1.0, -1)
    return torch.from_numpy(masks)[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 5, 10])
    parser.add_argument("--frames", type=int, default=60)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)
    cv2.setNumThreads(1)
    clips = Clips(options.frames)
    judge = Judge(clips, options.out)
    size, width = SIZES["quick"]
    materials = [make_training_set(s, v, size, Silent()) for s, v in zip(clips.sets, judge.views, strict=True)]
    card = ModelCard(schema=1, preset="quick", identities=list(NAMES), material=[[], []])
    training = checkpoints.resume(options.out, card, CPU) or new_training(len(NAMES), width, CPU)
    print(" minutes  steps    PSNR    SSIM    eyes   mouth  to truth  expression")
    if not training.step:
        judge.row(0, 0, None)
    for minutes in options.minutes:
        if training.seconds >= 60 * minutes:
            continue
        while training.seconds < 60 * minutes:
            begun = time.process_time()
            step(training, materials, judge.shape, Silent())
            training.seconds += (time.process_time() - begun) / CORES
        card = checkpoints.save_checkpoint(options.out, replace(card, steps=training.step), training)
        judge.row(minutes, training.step, training.average)


if __name__ == "__main__":
    main()
