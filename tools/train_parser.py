"""Trains the network of engine/faces/networks/parser.py.

usage: train_parser.py OUT.safetensors FACES.npz … [--minutes 12] [--state FILE]

FACES.npz holds crops of WIDE pixels as `crop_matrix` cuts them, MARGIN wider at each side: pixels (N, W, W, 3) uint8,
landmarks (N, 468, 3), hair (N, W, W) uint8 as the teacher sees it, and plain (N, 2) bool: surely no spectacles, surely
no beard. Over them spectacles, strands, beards (tools/parser_paint.py), other people's hair and hands
(tools/occluders.py) are laid. docs/dev/parser.md says which faces the shipped weights have seen.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import parser_paint as paint
import torch
import torch.nn.functional as F
from occluders import TILE, Tile, blob, hand, microphone
from safetensors.torch import save_file
from understudy.engine.faces.geometry.align import crop, mirror, transform
from understudy.engine.faces.networks import parser
from understudy.engine.faces.networks.occlusion import expected

WIDE, MARGIN = 320, 32
SIZE = parser.SIZE
BATCH = 16
RATE = 3e-3


class Painter:
    """Makes training pictures out of faces and what is laid over them."""

    def __init__(self, files: list[Path], seed: int) -> None:
        sets = [np.load(path) for path in files]
        self.pixels, self.landmarks, self.hair, self.plain = (
            np.concatenate([s[name] for s in sets]) for name in ("pixels", "landmarks", "hair", "plain")
        )
        self.rng = np.random.default_rng(seed)
        self.tiles: list[Tile] = [
            make(self.rng) for make, count in ((hand, 160), (microphone, 50), (blob, 60)) for _ in range(count)
        ]

    def face(self, n: int, jitter: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture (S, S, 3) and hair (S, S) float32, landmarks: turned, scaled, mirrored."""
        rng = self.rng
        stack = np.dstack([self.pixels[n], self.hair[n]])
        landmarks = self.landmarks[n]
        if rng.random() < 0.5:
            stack, landmarks = np.ascontiguousarray(stack[:, ::-1]), mirror(landmarks, WIDE)
        angle = rng.normal(0, 0.1) * jitter
        scale = SIZE / (WIDE - 2 * MARGIN) * (1 + jitter * rng.uniform(-0.08, 0.12))
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag(rng.uniform(0.95, 1.05, 2))
        matrix = np.column_stack([linear, SIZE / 2 + jitter * rng.normal(0, 4, 2) - linear @ [WIDE / 2, WIDE / 2]])
        laid = crop(stack, matrix, SIZE).astype(np.float32)
        return np.ascontiguousarray(laid[..., :3]), laid[..., 3] / 255, transform(landmarks, matrix)

    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Picture (S, S, 3) uint8, layers, labels (classes, S, S) float32, how much each of those counts (classes,)."""
        rng = self.rng
        n = int(rng.integers(len(self.pixels)))
        picture, hair, landmarks = self.face(n)
        picture = self._coloured(picture, hair)
        counts = np.array([1.0, self.plain[n, 0], self.plain[n, 0], self.plain[n, 1]], np.float32)
        rim, lens, beard = (np.zeros((SIZE, SIZE), np.float32) for _ in range(3))
        if rng.random() < 0.4:
            self._light(picture)
        if self.plain[n, 1] and rng.random() < 0.3:
            beard = paint.beard(rng, picture, landmarks, hair)
        glasses = bool(self.plain[n, 0]) and rng.random() < 0.45
        if glasses:
            rim, lens = paint.spectacles(rng, picture, landmarks)
        if rng.random() < 0.3:
            alpha, other = self._wig()
            paint.over(picture, alpha, other)
            hair = np.maximum(hair * (1 - alpha), alpha)
            rim, beard = rim * (1 - alpha), beard * (1 - alpha)
        if rng.random() < 0.35:
            alpha = paint.strands(rng, picture, landmarks, hair)
            hair = np.maximum(hair, alpha)
            rim, beard = rim * (1 - alpha), beard * (1 - alpha)
        if rng.random() < 0.25:
            alpha = self._thing(picture, landmarks)
            hair, rim, lens, beard = (x * (1 - alpha) for x in (hair, rim, lens, beard))
        pixels = self._camera(picture)
        moved = landmarks.copy()
        middle = moved[:, :2].mean(0)
        moved[:, :2] = (moved[:, :2] - middle) * (1 + rng.normal(0, 0.025)) + middle + rng.normal(0, 1.8, 2)
        return pixels, expected(moved / 2, SIZE // 2), np.stack([hair, rim, lens, beard]), counts

    def batch(self, count: int) -> list[torch.Tensor]:
        """Pictures, layers, labels and what counts, as `sample` has them, channels first."""
        pixels, layers, labels, counts = (np.stack(x) for x in zip(*(self.sample() for _ in range(count)), strict=True))
        return [torch.from_numpy(pixels).permute(0, 3, 1, 2), *map(torch.from_numpy, (layers, labels, counts))]

    def _coloured(self, picture: np.ndarray, hair: np.ndarray) -> np.ndarray:
        rng = self.rng
        if rng.random() < 0.35:  # dyed
            grey = picture.mean(-1, keepdims=True)
            tone = np.array([1.0, rng.uniform(0.55, 1), rng.uniform(0.25, 1)])
            level = np.exp(rng.normal(0, 0.5))
            dyed = np.clip(255 * (grey / 255) ** np.exp(rng.normal(0, 0.4)) * level * tone, 0, 255)
            picture = picture + hair[..., None] * (dyed - picture)
        picture = 255 * (picture / 255) ** np.exp(rng.normal(0, 0.3))
        picture = picture * rng.uniform(0.5, 1.25) * (1 + rng.normal(0, 0.08, 3))
        chance = rng.random()
        if chance < 0.15:  # coloured light
            picture = picture * rng.uniform(0.45, 1.4, 3)
        elif chance < 0.4:
            grey = picture.mean(-1, keepdims=True)
            picture = grey + (picture - grey) * rng.uniform(0.2, 1.7)
        return np.ascontiguousarray(picture, np.float32)

    def _light(self, picture: np.ndarray) -> None:
        """Shadows with soft or hard edges, light that falls off to a side."""
        rng = self.rng
        tile = self.tiles[rng.integers(len(self.tiles))]
        mask = self._laid(tile.alpha, rng.uniform(1, 4), rng.uniform(0, SIZE, 2), rng.uniform(-3, 3))
        mask = cv2.GaussianBlur(mask, (0, 0), float(np.exp(rng.uniform(0, 3.2))))
        picture *= 1 - (mask * rng.uniform(-0.5, 0.8))[..., None] * rng.uniform(0.85, 1.15, 3).astype(np.float32)
        ramp = np.linspace(rng.uniform(0.35, 1), rng.uniform(0.35, 1.2), SIZE, dtype=np.float32)
        picture *= ramp[:, None] if rng.random() < 0.6 else ramp[:, None, None]

    def _wig(self) -> tuple[np.ndarray, np.ndarray]:
        """Somebody else's hair laid on, mostly lower than it grows: alpha (S, S) and its picture."""
        rng = self.rng
        other, alpha, _ = self.face(int(rng.integers(len(self.pixels))), 1.5)
        other = self._coloured(other, alpha)
        down = rng.uniform(-0.05, 0.22) * SIZE
        shift = np.array([[1, 0, rng.normal(0, 0.03) * SIZE], [0, 1, down]])
        laid = cv2.warpAffine(np.dstack([other, alpha]), shift, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
        alpha = np.clip((laid[..., 3] - 0.3) / 0.5, 0, 1)
        if rng.random() < 0.3:
            half = np.zeros(SIZE, np.float32)
            half[: SIZE // 2] = 1
            alpha = alpha * cv2.GaussianBlur(half[None] if rng.random() < 0.5 else half[None, ::-1], (0, 0), 4)
        return np.ascontiguousarray(alpha), laid[..., :3]

    def _thing(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        rng = self.rng
        tile = self.tiles[rng.integers(len(self.tiles))]
        place = landmarks[rng.integers(468), :2] + rng.normal(0, 20, 2)
        stack = np.dstack([tile.shade, tile.albedo, tile.skin, tile.alpha])
        laid = self._laid(stack, 2 * float(np.exp(rng.normal(-0.15, 0.28))), place, rng.uniform(-3.1, 3.1))
        skin = np.median(picture[np.clip(landmarks[[50, 280], 1].astype(int), 0, SIZE - 1), SIZE // 2], 0)
        own = skin * np.exp(rng.normal(0.1, 0.3)) * (1 + rng.normal(0, 0.06, 3))
        other = rng.uniform(8, 255) * (1 + rng.normal(0, 0.3, 3))
        colour = (laid[..., 4:5] * own + (1 - laid[..., 4:5]) * other) * laid[..., 1:4] * laid[..., :1]
        alpha = np.clip(laid[..., 5], 0, 1)
        paint.over(picture, alpha, colour)
        return alpha

    def _laid(self, tile: np.ndarray, zoom: float, place: np.ndarray, turned: float) -> np.ndarray:
        cos, sin = zoom * np.cos(turned), zoom * np.sin(turned)
        linear = np.array([[cos, -sin], [sin, cos]])
        matrix = np.column_stack([linear, place - linear @ [TILE / 2, TILE / 2]])
        return cv2.warpAffine(tile, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)

    def _camera(self, picture: np.ndarray) -> np.ndarray:
        """Softness, motion, grain, compression, grey: (S, S, 3) uint8."""
        rng = self.rng
        if rng.random() < 0.4:
            small = int(SIZE * np.exp(rng.uniform(np.log(0.25), 0)))
            picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
            picture = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        if rng.random() < 0.12:
            length = int(rng.integers(3, 12))
            kernel = np.ones((1, length), np.float32) / length
            picture = cv2.filter2D(picture, -1, kernel if rng.random() < 0.6 else kernel.T)
        if rng.random() < 0.15:
            grey = picture @ np.array([0.3, 0.59, 0.11], np.float32)
            picture = np.repeat(((grey - 110) * rng.uniform(0.8, 1.6) + 110)[..., None], 3, 2)
        if rng.random() < 0.4:
            grain = np.empty((SIZE, SIZE, 3), np.float32)
            cv2.randn(grain, 0, rng.uniform(1, 12))
            picture = picture + grain
        out = np.clip(picture, 0, 255).astype(np.uint8)
        if rng.random() < 0.4:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
            out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
        return np.ascontiguousarray(out)


def loss_of(logits: torch.Tensor, layers: torch.Tensor, labels: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Cross entropy, the face counting more than its surroundings, and overlap of each class over the batch."""
    near = F.interpolate(F.max_pool2d((layers[:, :1] > 127).float(), 9, 1, 4), scale_factor=2)
    weight = (0.35 + near) * counts[:, :, None, None]
    weight = weight * (1 + 2 * (labels > 0.3) * logits.new_tensor([0.0, 1.0, 0.0, 0.5])[:, None, None])
    entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none") * weight
    share = counts[:, :, None, None]
    found, wanted = logits.sigmoid() * share, labels * share
    overlap = 1 - (2 * (found * wanted).sum((0, 2, 3)) + 20) / (found.sum((0, 2, 3)) + wanted.sum((0, 2, 3)) + 20)
    return entropy.mean() * 4 + 0.25 * overlap.sum()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("faces", type=Path, nargs="+")
    arguments.add_argument("--minutes", type=float, default=12, help="the rate falls to nothing over these")
    arguments.add_argument("--state", type=Path, help="where to go on from, and what to write for the next run")
    options = arguments.parse_args()
    begun = time.monotonic()
    cv2.setNumThreads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    net = parser.ParserNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = parser.ParserNet().requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-3)
    step, rate = 0, RATE
    if options.state and options.state.is_file():
        state = torch.load(options.state, weights_only=True)
        net.load_state_dict(state["average"])
        step, rate = state["step"], RATE / 2
    average.load_state_dict(net.state_dict())
    painter = Painter(options.faces, seed=step)
    net.train()
    first, total = step, 0.0
    while (gone := (time.monotonic() - begun) / (60 * options.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = float(rate * min(1, (step - first + 1) / 60) * (0.5 * (1 + np.cos(np.pi * gone))) + 1e-6)
        pixels, layers, labels, counts = painter.batch(BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(parser.folded(pixels, layers)).float()
        loss = loss_of(logits, layers, labels, counts)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        keep = min(0.99, (step - first) / (step - first + 10))
        with torch.no_grad():
            for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                if value.is_floating_point():
                    mean.lerp_(value, 1 - keep)
        total += float(loss.detach())
        if step % 50 == 0:
            print(step, round(total / 50, 4), f"{time.monotonic() - begun:.0f} s", flush=True)
            total = 0.0
        if step % 200 == 0:
            save(average, options.out)
    save(average, options.out)
    if options.state:
        torch.save({"average": average.state_dict(), "step": step}, options.state)
    print("steps", step)


def save(net: parser.ParserNet, path: Path) -> None:
    """Write the weights in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in net.state_dict().items() if v.is_floating_point()}, path)


if __name__ == "__main__":
    main()
