"""Trains the network of engine/faces/networks/occlusion.py, and says what it was trained on.

usage: train_occlusion.py OUT.safetensors SCAN_FOLDER … [--minutes 10] [--state FILE] [--skip SCAN:FROM-TO …]

The scan folders (made by `understudy scan`) hold the clean faces; things are drawn and pasted over them
(tools/occluders.py). Pictures for their surfaces are cut from the same frames and from --surfaces FOLDER. One processor
core makes about 2000 steps in ten minutes; --state FILE keeps where it was, and goes on from there.

The weights in the package: all of 6500 planned steps, the first 1850 without lamps on the mesh, hands at microphones
and the footage's edge, on the clips that engine/faces/networks/occlusion.py names, scanned with the defaults.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from occluders import Tile, blob, hand, microphone
from safetensors.torch import save_file
from understudy.engine.faces.alignments import load_alignments
from understudy.engine.faces.geometry.align import crop, crop_matrix, mesh_radius, mirror, transform, yaw_pitch
from understudy.engine.faces.geometry.topology import TRIANGLES
from understudy.engine.faces.networks import occlusion
from understudy.engine.media.reader import read_frames

WIDE, MARGIN = 160, 16
"""Side of the crops kept, and what they show around the usual crop."""
A_CLIP = 160
"""Faces kept of each person of a scan."""
BATCH = 32


@dataclass
class Faces:
    """Clean faces of one person: pixels (N, WIDE, WIDE, 3) uint8 RGB and landmarks (N, 468, 3) in their pixels."""

    name: str
    pixels: np.ndarray
    landmarks: np.ndarray


def load_faces(folder: Path, skip: set[int]) -> list[Faces]:
    """The faces of every person of a scan that look towards the camera."""
    a = load_alignments(folder)
    fit = (a.person >= 0) & (a.score > 0.7) & ~a.carried & (np.abs(yaw_pitch(a.landmarks)[:, 0]) < 45)
    fit &= (mesh_radius(a.landmarks) > 12) & ~np.isin(a.frame, sorted(skip))
    chosen: dict[int, list[int]] = {}
    for person in np.unique(a.person[fit]):
        rows = np.flatnonzero(fit & (a.person == person))
        if len(rows) >= 8 or len(a) < 8:
            for row in rows[np.unique(np.linspace(0, len(rows) - 1, A_CLIP).astype(int))]:
                chosen.setdefault(int(a.frame[row]), []).append(int(row))
    found: dict[int, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    for frame in read_frames(Path(a.clip.path), min(chosen), max(chosen) + 1):
        for row in chosen.get(frame.index, ()):
            matrix = crop_matrix(a.landmarks[row], WIDE - 2 * MARGIN)
            matrix[:, 2] += MARGIN
            pixels, landmarks = found.setdefault(int(a.person[row]), ([], []))
            pixels.append(crop(frame.rgb, matrix, WIDE))
            landmarks.append(transform(a.landmarks[row], matrix))
    return [Faces(f"{folder.name}:{p}", np.stack(x), np.stack(y)) for p, (x, y) in found.items()]


def load_surfaces(folder: Path | None, scans: list[Path]) -> list[np.ndarray]:
    """Pictures of anything, for the surface of what is pasted."""
    pictures = []
    for path in sorted(folder.iterdir()) if folder else []:
        picture = cv2.imread(str(path))
        if picture is not None and min(picture.shape[:2]) >= TILE:
            pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    for scan in scans:
        a = load_alignments(scan)
        pictures.append(next(iter(read_frames(Path(a.clip.path), a.clip.start, a.clip.start + 1))).rgb)
    return [p for p in pictures if min(p.shape[:2]) >= TILE]


TILE = 128


class Painter:
    """Makes training pictures: faces, what is of them, and what hides them."""

    def __init__(self, people: list[Faces], surfaces: list[np.ndarray], seed: int, tiles: int = 1500) -> None:
        self.people, self.surfaces, self.rng = people, surfaces, np.random.default_rng(seed)
        self.hands: list[Tile] = [hand(self.rng) for _ in range(tiles)]
        self.things: list[Tile] = [microphone(self.rng) for _ in range(tiles // 3)]
        self.rags: list[Tile] = [blob(self.rng) for _ in range(tiles // 3)]

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pictures (N, 3, S, S) uint8, layers (N, L, S, S) uint8, hidden (N, 1, S, S) float32 0..1."""
        made = [self.sample() for _ in range(count)]
        pixels, layers, hidden = (np.stack(x) for x in zip(*made, strict=True))
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(layers), torch.from_numpy(hidden)[:, None]

    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One picture (S, S, 3), its layers (L, S, S), and what is hidden (S, S)."""
        rng, size = self.rng, occlusion.SIZE
        picture, landmarks = self._face()
        self._belongings(picture, landmarks)
        hidden = np.zeros((size, size), np.float32)
        skin = _skin(picture, landmarks)
        if rng.random() < 0.78:
            for _ in range(1 if rng.random() < 0.65 else 2):
                self._occlude(picture, hidden, landmarks, skin)
        hull = occlusion.expected(landmarks)[0] > 127
        if hidden[hull].mean() > 0.6:  # nobody would have found this face
            return self.sample()
        picture *= max(1.0, rng.uniform(25, 60) / max(float(picture[hull].mean()), 1.0))
        pixels = self._camera(picture)
        moved = landmarks.copy()
        middle = moved[:, :2].mean(0)
        moved[:, :2] = (moved[:, :2] - middle) * (1 + rng.normal(0, 0.03)) + middle + rng.normal(0, 1.2, 2)
        return pixels, occlusion.expected(moved), hidden

    def _face(self) -> tuple[np.ndarray, np.ndarray]:
        """A clean face as float32 0..255, turned, scaled, mirrored and recoloured."""
        rng, size = self.rng, occlusion.SIZE
        person = self.people[rng.integers(len(self.people))]
        n = rng.integers(len(person.pixels))
        pixels, landmarks = person.pixels[n], person.landmarks[n]
        if rng.random() < 0.5:
            pixels, landmarks = pixels[:, ::-1], mirror(landmarks, WIDE)
        pixels = np.ascontiguousarray(pixels)
        angle, scale = rng.normal(0, 0.12), size / (WIDE - 2 * MARGIN) * rng.uniform(0.92, 1.12)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        squeeze = np.diag(rng.uniform(0.94, 1.06, 2))
        linear = np.array([[cos, -sin], [sin, cos]]) @ squeeze
        matrix = np.column_stack([linear, size / 2 + rng.normal(0, 2, 2) - linear @ [WIDE / 2, WIDE / 2]])
        picture = crop(pixels, matrix, size).astype(np.float32)
        landmarks = transform(landmarks, matrix)
        if rng.random() < 0.1:  # the edge of the footage, its last pixels drawn out
            cut = int(rng.integers(size * 2 // 3, size - 4))
            for side in range(int(rng.integers(4)) + 1):
                picture = np.rot90(picture) if side else picture
            picture = np.ascontiguousarray(picture)
            picture[cut:] = picture[cut - 1 : cut]
            picture = np.ascontiguousarray(np.rot90(picture, -side))
        picture = 255 * (picture / 255) ** np.exp(rng.normal(0, 0.25))
        picture *= rng.uniform(0.55, 1.25) * (1 + rng.normal(0, 0.08, 3))
        if rng.random() < 0.2:  # other skin
            grey = picture.mean(-1, keepdims=True)
            picture = grey + (picture - grey) * rng.uniform(0.4, 1.7)
        return picture.astype(np.float32), landmarks

    def _belongings(self, picture: np.ndarray, landmarks: np.ndarray) -> None:
        """Shadows, beards, spectacles, spots: changes that hide nothing."""
        rng, size = self.rng, occlusion.SIZE
        if rng.random() < 0.4:
            picture *= self._light(landmarks)
        if rng.random() < 0.5:  # light that falls off, shadows with soft or hard edges
            for _ in range(rng.integers(1, 3)):
                tile = (self.rags, self.hands)[rng.integers(2)][rng.integers(len(self.rags))]
                mask = self._laid(tile.alpha, rng.uniform(0.6, 2.5), rng.uniform(0, size, 2))
                mask = cv2.GaussianBlur(mask, (0, 0), float(np.exp(rng.uniform(-0.7, 2.7))))
                picture *= 1 - (mask * rng.uniform(-0.5, 0.8))[..., None] * rng.uniform(0.85, 1.15, 3).astype(
                    np.float32
                )
        if rng.random() < 0.25:
            ramp = np.linspace(rng.uniform(0.3, 1), rng.uniform(0.3, 1.2), size, dtype=np.float32)
            picture *= (
                (ramp if rng.random() < 0.7 else ramp[:, None])[..., None]
                if rng.random() < 0.5
                else ramp[:, None, None]
            )
        if rng.random() < 0.15:  # a beard or moustache
            mask = np.zeros((size, size), np.uint8)
            jaw = [
                [234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454]
            ]
            ring = [*jaw[0], 411, 287, 164, 57, 187] if rng.random() < 0.6 else [57, 164, 287, 269, 0, 39]
            cv2.fillPoly(mask, [np.round(landmarks[ring, :2]).astype(np.int32)], 255)
            lips = occlusion.expected(landmarks)[3]
            soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 3)).astype(np.float32) / 255 * (1 - lips / 255)
            hair = np.abs(rng.normal(0, 1, (size, size))).astype(np.float32)
            soft *= np.clip(rng.uniform(0.3, 1) * (0.4 + 0.5 * cv2.GaussianBlur(hair, (0, 0), 0.8)), 0, 0.95)
            picture += soft[..., None] * (_skin(picture, landmarks) * rng.uniform(0.1, 0.6) - picture)
        if rng.random() < 0.2:  # spectacles, clear or dark
            for eye in ((33, 133, 159, 145), (362, 263, 386, 374)):
                middle = landmarks[list(eye), :2].mean(0)
                wide = float(np.hypot(*(landmarks[eye[0], :2] - landmarks[eye[1], :2])))
                axes = np.array([wide * 0.85, wide * 0.6])
                tone = tuple(float(v) for v in rng.uniform(0, 120) * np.ones(3))
                place, sizes = (
                    tuple(np.round(middle * 16).astype(int).tolist()),
                    tuple(np.round(axes * 16).astype(int).tolist()),
                )
                if rng.random() < 0.3:
                    cv2.ellipse(picture, place, sizes, 0, 0, 360, tone, -1, cv2.LINE_AA, 4)
                cv2.ellipse(picture, place, sizes, 0, 0, 360, tone, int(rng.integers(1, 3)), cv2.LINE_AA, 4)
                side = landmarks[234 if eye[0] == 33 else 454, :2]
                edge = middle + axes[0] * np.sign(side - middle) * [1, 0]
                cv2.line(picture, _at(edge), _at(side), tone, 1, cv2.LINE_AA, 4)
            bridge = landmarks[[133, 362], :2]
            cv2.line(picture, _at(bridge[0]), _at(bridge[1]), tone, 1, cv2.LINE_AA, 4)

    def _light(self, landmarks: np.ndarray) -> np.ndarray:
        """(S, S, 3) a lamp from somewhere on the mesh, as soft as the sky or as hard as a stage's."""
        rng, size = self.rng, occlusion.SIZE
        corners = landmarks[TRIANGLES]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal *= -np.sign(normal[:, 2].sum()) / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        lamp = np.array([*rng.normal(0, 1, 2), -rng.uniform(0.1, 1.0)])
        facing = normal @ (lamp / np.linalg.norm(lamp))
        low = rng.uniform(-0.4, 0.4)
        ramp = np.clip((facing - low) / rng.uniform(0.1, 0.9), 0, 1)
        value = rng.uniform(0.2, 0.8) + rng.uniform(0.4, 1.6) * ramp * ramp * (3 - 2 * ramp)
        lit, seen = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
        order = np.argsort(-corners[:, :, 2].mean(1))
        places = np.round((corners[:, :, :2] - 0.5) * 16).astype(np.int32)
        for n in order:
            cv2.fillConvexPoly(lit, places[n], float(value[n]), cv2.LINE_8, 4)
            cv2.fillConvexPoly(seen, places[n], 1.0, cv2.LINE_8, 4)
        lit, seen = (cv2.GaussianBlur(x, (0, 0), 1.2) for x in (lit, seen))
        far, weight = (cv2.GaussianBlur(x, (0, 0), 8) + 1e-3 * k for x, k in ((lit, value.mean()), (seen, 1)))
        lit = lit + np.clip(1 - seen, 0, 1) * far / weight
        return (lit[..., None] ** (1 + rng.normal(0, 0.12, 3))).astype(np.float32)

    def _occlude(
        self,
        picture: np.ndarray,
        hidden: np.ndarray,
        landmarks: np.ndarray,
        skin: np.ndarray,
        held: np.ndarray | None = None,
    ) -> None:
        """Paste one thing over the picture, in place; `held`: a hand, there."""
        rng, size = self.rng, occlusion.SIZE
        kind = 0 if held is not None else rng.choice(4, p=[0.46, 0.24, 0.15, 0.15])
        inside = landmarks[rng.integers(len(landmarks)), :2]
        place = inside + rng.normal(0, 10, 2) if held is None else held
        if kind == 3:
            colour, alpha = self._somebody(place)
        else:
            bank = (self.hands, self.things, self.rags)[kind]
            tile = bank[rng.integers(len(bank))]
            zoom = np.exp(rng.normal((-0.15, -0.2, -0.1)[kind], 0.28))
            turned = rng.uniform(-np.pi, np.pi)
            stack = np.dstack([tile.shade, tile.albedo, tile.skin, tile.alpha])
            laid = self._laid(stack, float(zoom), place, turned)
            alpha = laid[..., 5]
            if kind == 1 and rng.random() < 0.4:  # somebody holds it
                self._occlude(picture, hidden, landmarks, skin, place + rng.normal(0, 16, 2))
            if rng.random() < 0.65:  # of much the same skin
                own = skin * np.exp(rng.normal(0.12, 0.3)) * (1 + rng.normal(0, 0.06, 3))
            else:
                own = np.array([0.85, 0.62, 0.5]) * rng.uniform(60, 270) * (1 + rng.normal(0, 0.1, 3))
            other = np.exp(rng.uniform(np.log(8), np.log(255))) * np.clip(
                1 + rng.normal(0, rng.choice([0.05, 0.4]), 3), 0, 3
            )
            if kind == 0 and rng.random() < 0.06:
                own = other  # a glove
            base = np.empty((size, size, 3), np.float32)
            base[:] = other
            if rng.random() < (0.35, 0.2, 0.6)[kind]:
                base = self._surface()
            colour = (laid[..., 4:5] * own + (1 - laid[..., 4:5]) * base) * laid[..., 1:4] * laid[..., :1]
        alpha = np.clip(alpha, 0, 1)
        if rng.random() < 0.25:  # it moves
            colour, alpha = _smeared(colour * alpha[..., None], rng), _smeared(alpha, rng_again=True, rng=rng)
            colour = colour / np.maximum(alpha, 1e-3)[..., None]
        soft = rng.uniform(0, 1.0)
        if soft > 0.3:
            alpha = cv2.GaussianBlur(alpha, (0, 0), soft)
        if rng.random() < 0.6:  # its shadow on the face
            dx, dy = rng.normal(0, 3, 2)
            cast = cv2.warpAffine(alpha, np.array([[1, 0, dx], [0, 1, dy]]), (size, size))
            picture *= 1 - rng.uniform(0.1, 0.6) * cv2.GaussianBlur(cast, (0, 0), rng.uniform(0.8, 4))[..., None]
        picture += alpha[..., None] * (colour - picture)
        np.maximum(hidden, alpha, out=hidden)

    def _laid(self, tile: np.ndarray, zoom: float, place: np.ndarray, turned: float = 0.0) -> np.ndarray:
        """A tile turned, scaled and put with its middle at a place."""
        size = occlusion.SIZE
        cos, sin = zoom * np.cos(turned), zoom * np.sin(turned)
        linear = np.array([[cos, -sin], [sin, cos]])
        matrix = np.column_stack([linear, place - linear @ [TILE / 2, TILE / 2]])
        return cv2.warpAffine(tile, matrix, (size, size), flags=cv2.INTER_LINEAR)

    def _surface(self) -> np.ndarray:
        """(S, S, 3) of some picture."""
        rng, size = self.rng, occlusion.SIZE
        picture = self.surfaces[rng.integers(len(self.surfaces))]
        side = int(rng.integers(size // 2, min(picture.shape[:2]) + 1))
        top, left = (int(rng.integers(0, n - side + 1)) for n in picture.shape[:2])
        part = cv2.resize(picture[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
        return part.astype(np.float32) * rng.uniform(0.5, 1.4)

    def _somebody(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Another person's head in front, cut out wide."""
        rng = self.rng
        person = self.people[rng.integers(len(self.people))]
        n = rng.integers(len(person.pixels))
        outline = cv2.convexHull(person.landmarks[n][:, :2].astype(np.float32))[:, 0]
        middle = outline.mean(0)
        outline = (outline - middle) * [rng.uniform(0.9, 1.25), rng.uniform(0.9, 1.3)] + middle
        mask = np.zeros((WIDE, WIDE), np.uint8)
        cv2.fillConvexPoly(mask, np.round(outline).astype(np.int32), 255)
        stack = np.dstack([person.pixels[n].astype(np.float32), mask.astype(np.float32) / 255])
        away = place - occlusion.SIZE / 2  # not right over the face: beside it, reaching in
        distance = float(np.hypot(*away))
        place = occlusion.SIZE / 2 + away / max(distance, 1) * max(distance, rng.uniform(32, 60))
        stack = cv2.resize(stack, (TILE, TILE), interpolation=cv2.INTER_AREA)
        laid = self._laid(stack, rng.uniform(0.5, 1.0), place, rng.normal(0, 0.4))
        return laid[..., :3] * rng.uniform(0.6, 1.3), laid[..., 3]

    def _camera(self, picture: np.ndarray) -> np.ndarray:
        """Softness, grain, compression, grey: (S, S, 3) uint8."""
        rng, size = self.rng, occlusion.SIZE
        if rng.random() < 0.45:
            small = int(size * np.exp(rng.uniform(np.log(0.22), 0)))
            picture = cv2.resize(
                cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA),
                (size, size),
                interpolation=cv2.INTER_CUBIC,
            )
        if rng.random() < 0.15:
            picture = _smeared(picture, rng)
        if rng.random() < 0.2:
            picture = np.repeat(picture @ np.array([0.3, 0.59, 0.11], np.float32)[:, None], 3, 2)
            picture = (picture - 110) * rng.uniform(0.8, 1.6) + 110
        if rng.random() < 0.5:
            grain = rng.normal(0, rng.uniform(0, 12), picture.shape).astype(np.float32)
            if rng.random() < 0.5:
                grain = 1.6 * cv2.GaussianBlur(grain, (0, 0), 0.8)
            picture = picture + grain
        out = np.clip(picture, 0, 255).astype(np.uint8)
        if rng.random() < 0.4:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 85))]
            out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
        return out


def _at(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0]) * 16), round(float(point[1]) * 16)


_KERNEL = np.ones((1, 1), np.float32)


def _smeared(picture: np.ndarray, rng: np.random.Generator, rng_again: bool = False) -> np.ndarray:
    """Blurred along a line; `rng_again`: along the line of the last call."""
    global _KERNEL
    if not rng_again:
        length, angle = rng.uniform(1.5, 9), rng.uniform(0, np.pi)
        kernel = np.zeros((11, 11), np.float32)
        dx, dy = np.cos(angle) * length / 2, np.sin(angle) * length / 2
        cv2.line(kernel, _at(np.array([5 - dx, 5 - dy])), _at(np.array([5 + dx, 5 + dy])), 1.0, 1, cv2.LINE_AA, 4)
        _KERNEL = kernel / max(float(kernel.sum()), 1e-6)
    return cv2.filter2D(picture, -1, _KERNEL, borderType=cv2.BORDER_REPLICATE)


def _skin(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(3,) the colour of the cheeks."""
    spots = np.clip(landmarks[[50, 280, 205, 425, 4, 151], :2].astype(int), 0, occlusion.SIZE - 1)
    return np.median(picture[spots[:, 1], spots[:, 0]], 0)


def loss_of(logits: torch.Tensor, layers: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Cross entropy and overlap, inside the hull and a little around it."""
    hull = F.max_pool2d((layers[:, :1] > 127).float(), 7, 1, 3)
    area = hull.sum((1, 2, 3)).clamp_min(1)
    entropy = F.binary_cross_entropy_with_logits(logits, hidden, reduction="none")
    entropy = (entropy * hull).sum((1, 2, 3)) / area
    found = logits.sigmoid() * hull
    wanted = hidden * hull
    overlap = 1 - (2 * (found * wanted).sum((1, 2, 3)) + 20) / (found.sum((1, 2, 3)) + wanted.sum((1, 2, 3)) + 20)
    return (entropy + 0.5 * overlap).mean()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("scans", type=Path, nargs="+")
    arguments.add_argument("--surfaces", type=Path)
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--steps", type=int, default=12000, help="of the whole training: the rate falls to nothing")
    arguments.add_argument("--state", type=Path, help="where to go on from, and what to write for the next run")
    arguments.add_argument("--skip", nargs="*", default=[], help="SCAN:FROM-TO, frames that are not clean")
    options = arguments.parse_args()
    begun = time.monotonic()
    cv2.setNumThreads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    skips: dict[str, set[int]] = {}
    for text in options.skip:
        scan, frames = text.split(":")
        first, last = map(int, frames.split("-"))
        skips.setdefault(scan, set()).update(range(first, last + 1))
    people = [f for scan in options.scans for f in load_faces(scan, skips.get(scan.name, set()))]
    for person in people:
        print(person.name, len(person.pixels))
    net = occlusion.Net().to(memory_format=torch.channels_last)
    average = occlusion.Net().requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-3)
    step = 0
    if options.state and options.state.is_file():
        state = torch.load(options.state, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    else:
        average.load_state_dict(net.state_dict())
    painter = Painter(people, load_surfaces(options.surfaces, options.scans), seed=step)
    net.train()
    total, count = 0.0, 0
    while step < options.steps and time.monotonic() - begun < options.minutes * 60:
        for group in optimizer.param_groups:
            group["lr"] = float(
                2e-3 * min(1, (step + 1) / 200) * 0.5 * (1 + np.cos(np.pi * step / options.steps)) + 1e-6
            )
        pixels, layers, hidden = painter.batch(BATCH)
        x = occlusion.network_input(pixels, layers).contiguous(memory_format=torch.channels_last)
        loss = loss_of(net(x), layers, hidden)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        keep = min(0.998, step / (step + 20))
        with torch.no_grad():
            for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                if value.is_floating_point():
                    mean.lerp_(value, 1 - keep)
        total, count = total + float(loss.detach()), count + 1
        if step % 100 == 0:
            print(step, round(total / count, 4), f"{time.monotonic() - begun:.0f} s", flush=True)
            total, count = 0.0, 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in average.state_dict().items() if v.is_floating_point()}, options.out)
    if options.state:
        torch.save(
            {
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
            },
            options.state,
        )
    print("steps", step)


if __name__ == "__main__":
    main()
