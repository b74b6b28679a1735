"""Equal time: Understudy's refiner and the reference twins, trained on the same faces for the same minutes.

usage: python benchmarks/train_equal.py CLIP OTHER_CLIP OUT_FOLDER [--who ours original dfl-h128] [--minutes 1 2 5 10]

The 60-minute rows of the comparison: --minutes 5 15 60. Person 0 of each clip. The same stretch of each clip is
held out from everybody. Prints, for each and each time:
  SSIM         of held-out faces of one's own, re-enacted, inside the face at 128 px
  to source    embedding distance of the swaps to their sources' mean embedding, over 24 frames of each clip
  to target    the same to the person who was replaced
  expression   mean distance of lips, lids and brows on the result from where the target's frame has them (less the
               displacement of a changed shape), in % of the distance between the eyes
as means of both directions. Minutes are those of two cores that do nothing else: half the processor time that the
training took, so that other programs beside it do not count. Writes a sheet of pictures for each time. Minute 0 is
the draft. The twins are trained as faceswap does by default: 16 faces a side, Adam at 5e-5, random warps, colours of
the face matched.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from model_twins import RATE, Twin, warped
from understudy.engine.commands.arguments import read_settings
from understudy.engine.errors import Stopped
from understudy.engine.faces.facesets.faceset import Faceset
from understudy.engine.faces.networks.embedding import Embedder
from understudy.engine.faces.networks.face_mesh import Mesh, region_of_face
from understudy.engine.job_bodies import run
from understudy.engine.model.draft.shape import difference, move_picture, neutral_face, reshaped
from understudy.engine.model.draft.views import EXPRESSIVE_VERTICES, choose_views, make_views
from understudy.engine.model.draft.warp import Views
from understudy.engine.model.model_folder import facesets, load_refiner, prepare, read_card
from understudy.engine.model.networks.losses import face_loss, ssim
from understudy.engine.model.networks.refiner_network import SIZES, Refiner
from understudy.engine.model.recast import Source, recast, soft_edge, target_geometry
from understudy.engine.model.training.dataset import draw, hold_out, make_training_set, render
from understudy.engine.model.training.trainer import canonical_shape, train
from understudy.engine.model.training.validation import DEFAULT_SHAPE
from understudy.engine.protocol import Clip, Identity, Material, ScanSpec, TrainSettings
from understudy.engine.reporter import Silent

CPU = torch.device("cpu")
FRAMES = 24
BATCH = 16
CORES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--who", nargs="+", default=["ours", "original", "dfl-h128"])
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 2, 5, 10])
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="ours: settings of `understudy train`"
    )
    options = parser.parse_args()
    bench = make_bench(options.first, options.second, options.out.resolve())
    for who in options.who:
        if who == "ours":
            ours(bench, options.minutes, read_settings(options.set, TrainSettings()))
        else:
            twin(bench, who, options.minutes)


def make_bench(first: Path, second: Path, out: Path) -> Bench:
    """Person 0 of two clips, scanned and gathered once into `out`; prints the table's head."""
    people = []
    for name, clip in (("first", first), ("second", second)):
        scan = out / name
        if not (scan / "scan.json").is_file():
            run("scan", ScanSpec(clip=Clip(path=str(clip.resolve())), output=str(scan)), Silent())
        people.append(Identity(name=name, material=[Material(scan=str(scan), person=0)]))
    prepare(out / "model", people, "quick", Silent())
    print(
        f"{'':10}{'minutes':>8}{'steps':>7}"
        + "".join(f"{h:>12}" for h in ("SSIM", "to source", "to target", "express. %"))
    )
    return Bench(out)


class Budget(Silent):
    """Stops a training when it has used its time; its last words say how it stood."""

    def __init__(self, seconds: float) -> None:
        self.end = time.process_time() + CORES * seconds

    def verdict(self, verdict: str, text: str, seconds_left: float | None) -> None:
        print(f"  {text}", flush=True)

    def check(self) -> None:
        if time.process_time() > self.end:
            raise Stopped("The time is up.")


class Bench:
    """The faces, the measures, and what does not change from row to row."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.sets: list[Faceset] = facesets(out / "model", read_card(out / "model"))
        self.embedder, self.mesh = Embedder(), Mesh()
        self.who = [self.embed(list(s.pixels[::5]), s.landmarks[::5]).mean(0) for s in self.sets]
        self.rows = [np.linspace(0, len(s) - 1, FRAMES).round().astype(int) for s in self.sets]
        self.before = [self.points(s.pixels[r], s.landmarks[r]) for s, r in zip(self.sets, self.rows, strict=True)]
        self.held = [hold_out(s)[0][::3] for s in self.sets]

    def embed(self, pictures: list[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
        return self.embedder.embed(pictures, landmarks)

    def points(self, pictures: np.ndarray, near: np.ndarray) -> np.ndarray:
        found, _ = self.mesh(list(pictures), [region_of_face(face) for face in near])
        return found[..., :2]

    def row(
        self, name: str, minutes: float, steps: int, similar: float, swaps: list[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Print one line from (pictures uint8, landmarks they were made for) of both directions, and a sheet."""
        figures, strips = [], []
        for target, (pictures, landmarks) in enumerate(swaps):
            faces, rows = self.sets[target], self.rows[target]
            found = self.embed(list(pictures), landmarks)
            shift = (landmarks - faces.landmarks[rows])[..., :2]
            away = (self.points(pictures, landmarks) - shift - self.before[target])[:, EXPRESSIVE_VERTICES]
            eyes = np.linalg.norm(self.before[target][:, 33] - self.before[target][:, 263], axis=-1)
            figures.append(
                [
                    np.linalg.norm(found - self.who[1 - target], axis=1).mean(),
                    np.linalg.norm(found - self.who[target], axis=1).mean(),
                    (100 * np.linalg.norm(away, axis=-1).mean(1) / eyes).mean(),
                ]
            )
            strips += [np.concatenate(list(p[::3]), 1) for p in (faces.pixels[rows], pictures)]
        values = "".join(f"{v:12.3f}" for v in np.mean(figures, 0))
        print(f"{name:10}{minutes:8g}{steps:7d}{similar:12.3f}{values}", flush=True)
        sheet = cv2.cvtColor(np.concatenate(strips), cv2.COLOR_RGB2BGR)
        cv2.imwrite(
            str(self.out / f"{name}-{minutes:g}.png"),
            cv2.resize(sheet, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA),
        )

    def similarity(self, number: int, faces: torch.Tensor) -> float:
        """SSIM of re-enacted held-out faces (B, 3, S, S) 0..1 inside the face, at 128 px."""
        pixels, masks = self.sets[number].pixels[self.held[number]], self.sets[number].masks[self.held[number]]
        truth, mask = (F.interpolate(x, size=(128, 128), mode="area") for x in (pictures_of(pixels), masks_of(masks)))
        faces = F.interpolate(faces, size=(128, 128), mode="bilinear", align_corners=False)
        return float((ssim(faces, truth).mean(1, keepdim=True) * mask).sum() / mask.sum())


def pictures_of(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def masks_of(masks: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(masks)[:, None].float() / 255


def bytes_of(pictures: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray((pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())


def ours(bench: Bench, times: list[float], settings: TrainSettings) -> None:
    """The draft, then the trained refiner after each time; training goes on from one to the next."""
    folder = bench.out / "model"
    card = read_card(folder)
    views = [make_views(s, CPU) for s in bench.sets]
    shape = canonical_shape(bench.sets)
    spent = 0.0
    for minutes in (0.0, *times):
        if minutes:
            with contextlib.suppress(Stopped):
                train(folder, replace(card, settings=settings), math.inf, CPU, Budget(60 * minutes - spent))
            spent = 60 * minutes
            card = read_card(folder)
        refiner = load_refiner(folder, card) if minutes else None
        measure_ours(bench, "ours", minutes, card.steps, refiner, views, shape)


@torch.inference_mode()
def measure_ours(
    bench: Bench,
    name: str,
    minutes: float,
    steps: int,
    refiner: Refiner | None,
    views: list[Views],
    shape: torch.Tensor,
) -> None:
    size = SIZES["quick"][0]
    swaps, similar = [], []
    for target, (faces, rows) in enumerate(zip(bench.sets, bench.rows, strict=True)):
        source = 1 - target
        change = difference(neutral_face(faces.landmarks), views[source].neutral, DEFAULT_SHAPE)
        moved = reshaped(faces.landmarks[rows], change)
        shown = torch.cat([pictures_of(faces.pixels[rows]), masks_of(faces.masks[rows])], 1)
        shown, *_ = move_picture(shown, faces.landmarks[rows], moved)
        choice = torch.from_numpy(choose_views(faces.landmarks, views[source])[rows])
        face, mask = recast(
            Source(views[source], refiner, source, size, shape), moved, shown[:, :3], shown[:, 3:], choice
        )
        swaps.append((bytes_of(shown[:, :3] + mask * (face - shown[:, :3])), moved))
        similar.append(bench.similarity(target, reenacted(bench, target, refiner, views, shape)))
    bench.row(name, minutes, steps, float(np.mean(similar)), swaps)


def reenacted(
    bench: Bench, number: int, refiner: Refiner | None, views: list[Views], shape: torch.Tensor
) -> torch.Tensor:
    """Held-out faces made from frames that training saw, as the refiner (or the draft) has them."""
    size = SIZES["quick"][0]
    material = make_training_set(bench.sets[number], views[number], size, Silent())
    dice = draw([material], [(0, len(bench.held[number]))], 0, torch.Generator())
    frame = torch.from_numpy(bench.held[number])
    none = torch.full_like(dice.lender, -1)
    still = {
        "lender": none,
        "light": torch.full_like(dice.light, 0.5),
        "bend": 0 * dice.bend,
        "flip": torch.zeros_like(dice.flip),
    }
    choice = material.candidates[frame][:, : dice.choice.shape[1]]
    draws = type(dice)(**{**vars(dice), **still, "frame": frame, "choice": choice})
    inputs, truth, _, _, _ = render([material], draws, shape)
    if refiner is None:
        return inputs[:, :3] + (1 - inputs[:, -1:]) * truth
    batch: list[torch.Tensor | None] = [None] * len(refiner.decoders)
    batch[number] = inputs
    result = refiner(batch)[number]
    assert result is not None
    return result[0] * inputs[:, -1:] + (1 - inputs[:, -1:]) * truth


def twin(bench: Bench, name: str, times: list[float]) -> None:
    """Train a twin on the same faces and measure it after each time."""
    torch.manual_seed(0)
    network = Twin(name)
    optimiser = torch.optim.Adam(network.parameters(), RATE, betas=(0.5, 0.99), eps=1e-7)
    small = [F.interpolate(pictures_of(s.pixels), size=(network.size,) * 2, mode="area") for s in bench.sets]
    seen = [torch.from_numpy(hold_out(s)[1]) for s in bench.sets]
    spent, steps = 0.0, 0
    for minutes in times:
        while spent < 60 * minutes:
            begun = time.process_time()
            pairs = [warped(x[rows[torch.randint(len(rows), (BATCH,))]]) for x, rows in zip(small, seen, strict=True)]
            optimiser.zero_grad(set_to_none=True)
            results = network([p[0] for p in pairs])
            weight = torch.ones(BATCH, 1, network.size, network.size)
            loss = sum(face_loss(r[:, :3], p[1], weight).mean() for r, p in zip(results, pairs, strict=True))
            torch.autograd.backward(loss)
            optimiser.step()
            steps += 1
            spent += (time.process_time() - begun) / CORES
        measure_twin(bench, name, minutes, steps, network, small)
    print(f"{name}: {spent / steps:.2f} s a step of 2 x {BATCH} faces")


@torch.inference_mode()
def measure_twin(bench: Bench, name: str, minutes: float, steps: int, network: Twin, small: list[torch.Tensor]) -> None:
    swaps, similar = [], []
    for target, (faces, rows) in enumerate(zip(bench.sets, bench.rows, strict=True)):
        own = network.decoders[target](network.encoder(small[target][bench.held[target]]))
        similar.append(bench.similarity(target, own[:, :3]))
        made = network.decoders[1 - target](network.encoder(small[target][rows]))[:, :3]
        made = F.interpolate(made, size=(faces.size,) * 2, mode="bilinear", align_corners=False)
        picture, mask = pictures_of(faces.pixels[rows]), masks_of(faces.masks[rows])
        inside = target_geometry(faces.landmarks[rows], faces.size, CPU).inside
        mean = [(x * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True) for x in (made, picture)]
        made = made + mean[1] - mean[0]
        swaps.append((bytes_of(picture + soft_edge(inside * mask) * (made - picture)), faces.landmarks[rows]))
    bench.row(name, minutes, steps, float(np.mean(similar)), swaps)


if __name__ == "__main__":
    main()
