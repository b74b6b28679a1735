"""How much does conversion spoil? Two heads in the same motion: the swap of one by the other has a true answer.

usage: python benchmarks/known_answer.py [--frames 12] [--colours none mkl …] [--sheet SHEET.png]

Two photographs (`make footage`) become two heads: the second one's face is carried onto the first one's through
the 468-point mesh, in the first one's skin tone, fading into it towards the jaw. Both are then moved alike (shift,
turn, nod, scale, an opening mouth) over a moving background by one smooth warp, so every frame of head A has its
true answer, the same frame of head B, and landmarks that are known and not measured. In place of a network's output
stands the true face itself, or one in a wrong light; what is left wrong after conversion is conversion's doing.

Prints for every colour × blend, inside the mask, against the true answer:
  PSNR, SSIM   of all colours, of luma, where the mask is open at all
  seam         mean error of the gradient along the mask's rim, 8-bit levels
  pump         mean difference of consecutive errors (what flickers), levels
over the cases: `exact` (the face is the answer), `cast` (of another colour), `flat` (less contrast, brighter),
`unsteady` (its light wavers from frame to frame), `bw` (the footage is black-and-white, the face is not);
then, for the defaults, footage with blur, motion blur and grain, with and without matching them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from understudy.engine.convert.composite import composite, paste_patches
from understudy.engine.convert.face_batch import Face
from understudy.engine.convert.frame_measures import measure_face
from understudy.engine.convert.mask import fit_mask
from understudy.engine.convert.patch import place_of
from understudy.engine.convert.plan import Placement
from understudy.engine.convert.render import Rendered, average_neighbours
from understudy.engine.faces.detectors.search import Search
from understudy.engine.faces.geometry.align import crop_matrix, hull_mask, mesh_radius, transform
from understudy.engine.faces.networks.face_mesh import Mesh, region_of_detection
from understudy.engine.model.draft.shape import difference, neutral_face
from understudy.engine.model.recast import soft_edge, target_geometry
from understudy.engine.protocol import ConvertSettings

FOOTAGE = Path(__file__).parents[1] / ".build" / "footage"
PICTURES = ("astronaut.png", "grace_hopper.jpg")
SIZE = 480
CROP = 256
FACE = 0.34
"""Width of the face in parts of the picture."""
COLOURS = ("none", "light", "reinhard", "mkl", "histogram")
BLENDS = ("multiband", "feather", "seamless")
CASES = ("exact", "cast", "flat", "unsteady", "bw")


@dataclass(frozen=True)
class Shot:
    """One frame of both heads: `footage`, `answer` (H, W, 3) uint8 RGB, `landmarks` (468, 3) in it, and the true
    face in its crop of CROP pixels: `matrix`, `face` (S, S, 3) float32 0..255, `mask` (S, S) float32 as a network's."""

    index: int
    footage: np.ndarray
    answer: np.ndarray
    landmarks: np.ndarray
    matrix: np.ndarray
    face: np.ndarray
    mask: np.ndarray

    @property
    def rgb(self) -> np.ndarray:
        """The footage, by the name that a frame has it."""
        return self.footage


class Heads:
    """The two heads, and their motion."""

    def __init__(self, folder: Path = FOOTAGE) -> None:
        detector, mesh = Search(), Mesh("cpu")
        pictures, faces = zip(*(_portrait(folder / name, detector, mesh) for name in PICTURES), strict=True)
        self.landmarks = faces[0]
        self.first = pictures[0].astype(np.float32)
        self.second = _as_other(self.first, faces[0], pictures[1].astype(np.float32), faces[1])
        self.opening = 5.0  # how far the mouth opens and closes, in pixels

    @cached_property
    def _background(self) -> np.ndarray:
        noise = np.random.default_rng(3).normal(size=(SIZE // 8, SIZE // 4, 3)).astype(np.float32)
        return 110 + 60 * cv2.resize(noise, (2 * SIZE, SIZE), interpolation=cv2.INTER_CUBIC)

    def shots(self, frames: int, still: bool = False) -> Iterator[Shot]:
        """The motion, frame by frame; `still` holds the head where it begins, but for a breath of it."""
        for index in range(frames):
            yield self.shot(index, 0.0 if still else 2 * np.pi * index / 48)

    def shot(self, index: int, t: float) -> Shot:
        """One frame at a phase of the motion."""
        roll, scale = 0.10 * np.sin(t), 1 + 0.08 * np.sin(0.7 * t + 1)
        linear = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        centre = np.array([SIZE / 2, SIZE / 2])
        shift = centre + np.array([34 * np.sin(t + 0.4), 15 * np.sin(1.3 * t)])
        back = np.linalg.inv(linear)

        def source(points: np.ndarray) -> np.ndarray:
            """Where in the heads' own picture a point of the frame lies: (…, 2) → (…, 2)."""
            p = (points - shift) @ back.T + centre
            away = (p - centre) / (0.30 * SIZE)
            depth = np.exp(-(away**2).sum(-1))
            turned = p + depth[..., None] * np.array([13 * np.sin(0.9 * t), 9 * np.sin(1.1 * t + 2)])
            mouth = self.landmarks[[13, 14], :2].mean(0)
            near = np.exp(-(((turned - mouth) / (0.055 * SIZE)) ** 2).sum(-1))
            return turned + near[..., None] * np.array([0.0, self.opening * np.sin(2.3 * t)])

        landmarks = self._forward(source, scale)
        y, x = np.mgrid[:SIZE, :SIZE] + 0.5
        maps = (source(np.stack([x, y], -1)) - 0.5).astype(np.float32)
        offset = round(20 * np.sin(t) + 30)
        behind = self._background[:, offset : offset + SIZE]
        show = _window(maps)
        footage, answer = (
            np.clip(np.round(_sample(head, maps) * show + behind * (1 - show)), 0, 255).astype(np.uint8)
            for head in (self.first, self.second)
        )
        matrix = crop_matrix(landmarks, CROP)
        y, x = np.mgrid[:CROP, :CROP] + 0.5
        inverse = cv2.invertAffineTransform(matrix)
        fine = np.stack([x, y], -1) @ inverse[:, :2].T + inverse[:, 2]
        face = np.clip(_sample(self.second, (source(fine) - 0.5).astype(np.float32)), 0, 255)
        own = transform(landmarks, matrix)
        inside = target_geometry(own[None], CROP, torch.device("cpu")).inside
        return Shot(index, footage, answer, landmarks, matrix, face, soft_edge(inside)[0, 0].numpy())

    def _forward(self, source: Callable[[np.ndarray], np.ndarray], scale: float) -> np.ndarray:
        """The landmarks in the frame: the points whose source they are."""
        points = self.landmarks[:, :2].astype(np.float64).copy()
        for _ in range(40):
            points += 0.8 * (self.landmarks[:, :2] - source(points))
        return np.column_stack([points, self.landmarks[:, 2] * scale]).astype(np.float32)


def convert_shots(shots: list[Shot], settings: ConvertSettings, footage: str = "", case: str = "exact") -> list[Shot]:
    """The shots with `footage` replaced by the recast of it, and `mask` by the frame's matte.

    `case` spoils the face (see above), `footage` ("", "blur", "motion", "grain", "bw") was done to the footage.
    """
    motions = [b.landmarks[:, :2].mean(0) - a.landmarks[:, :2].mean(0) for a, b in pairwise(shots)]
    rendered = []
    own = neutral_face(shots[0].landmarks[None])
    for shot, motion in zip(shots, [*motions, motions[-1]], strict=True):
        placement = Placement(
            source="B",
            face=shot.landmarks,
            matrix=shot.matrix,
            change=difference(own, own),
            choice=np.zeros(2, int),
            size=CROP,
            radius=float(mesh_radius(shot.landmarks)),
            track=0,
            motion=shot.matrix[:, :2] @ motion,
            settings=settings,
        )
        target = cv2.warpAffine(shot.footage, _cv(shot.matrix), (CROP, CROP), flags=cv2.INTER_CUBIC)
        unmoved = np.zeros((CROP, CROP), np.float32)
        mask = fit_mask(shot.mask, placement)
        face = Face(
            placement,
            spoiled(shot.face, case, shot.index),
            mask,
            target,
            unmoved,
            np.zeros((CROP, CROP, 2)),
            mask,
            None,
        )
        place = place_of(shot.matrix, face.mask, SIZE, SIZE)
        assert place is not None
        x0, y0, x1, y1 = place.box
        measures = measure_face(face, place, shot.footage[y0:y1, x0:x1])
        rendered.append(Rendered(shot, [(face, place, measures)]))  # type: ignore[arg-type]
    results = []
    for item in average_neighbours(rendered):
        picture = item.frame.rgb

        def view(box: tuple[int, int, int, int], picture: np.ndarray = picture) -> np.ndarray:
            x0, y0, x1, y1 = box
            return picture[y0:y1, x0:x1].astype(np.float32) / 255

        rgb, matte = paste_patches(picture, composite(view, item.frame.index, item.faces))
        results.append(replace(item.frame, footage=rgb, mask=matte))  # type: ignore[type-var]
    return results


def spoiled(face: np.ndarray, case: str, index: int) -> np.ndarray:
    """The true face as a network might get it wrong."""
    if case == "cast":
        return np.clip(face * np.float32([1.10, 1.0, 0.86]) + np.float32([2, 0, 4]), 0, 255)
    if case == "flat":
        return np.clip(0.8 * face + 38, 0, 255).astype(np.float32)
    if case == "unsteady":
        wave = np.random.default_rng(index).normal(0, 3, 3).astype(np.float32)
        return np.clip(face + wave, 0, 255)
    return face


def treated(shots: list[Shot], footage: str) -> list[Shot]:
    """The same shots, footage and answer, seen by a worse camera."""
    motion = np.gradient(np.stack([s.landmarks[:, :2].mean(0) for s in shots]), axis=0)

    def treat(picture: np.ndarray, index: int, salt: int) -> np.ndarray:
        if footage == "blur":
            return cv2.GaussianBlur(picture, (0, 0), 1.5)
        if footage == "motion":
            return _smeared(picture, 1.6 * motion[index])
        if footage == "grain":
            noise = np.random.default_rng([index, salt]).normal(0, 6, picture.shape[:2]).astype(np.float32)
            noise = cv2.GaussianBlur(noise, (0, 0), 0.5) * 1.75
            return np.clip(np.round(picture + noise[..., None]), 0, 255).astype(np.uint8)
        if footage == "bw":
            return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
        return picture

    return [
        replace(s, footage=treat(s.footage, n, 0), answer=treat(s.answer, n, 1 if footage == "grain" else 0))
        for n, s in enumerate(shots)
    ]


def errors(results: list[Shot], heads: list[Shot]) -> dict[str, float]:
    """Mean PSNR, SSIM, seam and pump of results (as `convert_shots` gives them) against their answers."""
    found: dict[str, list[float]] = {"PSNR": [], "SSIM": [], "seam": [], "pump": []}
    before = None
    for result, shot in zip(results, heads, strict=True):
        inside = result.mask > 0
        away = result.footage.astype(np.float32) - shot.answer
        found["PSNR"].append(10 * np.log10(255**2 / max((away[inside] ** 2).mean(), 1e-3)))
        found["SSIM"].append(float(_ssim(result.footage, shot.answer)[inside].mean()))
        rim = cv2.dilate(((result.mask > 0.02) & (result.mask < 0.98)).astype(np.uint8), np.ones((5, 5))) > 0
        grey, true = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (result.footage, shot.answer))
        slopes = [cv2.Sobel(g, cv2.CV_32F, *d, scale=1 / 8) for d in ((1, 0), (0, 1)) for g in (grey, true)]
        found["seam"].append(float(np.hypot(slopes[0] - slopes[1], slopes[2] - slopes[3])[rim].mean()))
        # in the face's own coordinates, or motion would count as flicker
        crop = cv2.warpAffine(np.dstack([away, inside]).astype(np.float32), _cv(shot.matrix), (96, 96))
        level = cv2.GaussianBlur(crop, (0, 0), 3)
        if before is not None:
            both = (crop[..., 3] > 0.99) & (before[1] > 0.99)
            found["pump"].append(float(np.abs(level[..., :3] - before[0])[both].mean()))
        before = (level[..., :3], crop[..., 3])
    return {name: float(np.mean(values)) for name, values in found.items()}


def _portrait(path: Path, detector: Search, mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """A photograph with its face at the middle and FACE wide: (SIZE, SIZE, 3) uint8 and (468, 3)."""
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    (landmarks,) = face_of(picture, detector, mesh)
    matrix = crop_matrix(landmarks, SIZE)
    width = np.ptp(transform(landmarks, matrix)[:, 0])
    scale = FACE * SIZE / width
    matrix = np.column_stack([matrix[:, :2] * scale, scale * matrix[:, 2] + (1 - scale) * SIZE / 2])
    cut = cv2.warpAffine(picture, _cv(matrix), (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    return cut, transform(landmarks, matrix)


def face_of(picture: np.ndarray, detector: Search, mesh: Mesh) -> np.ndarray:
    """Landmarks (1, 468, 3) of the surest face of a picture."""
    (found,) = detector([picture])
    return mesh([picture], [region_of_detection(found.boxes[0], found.points[0, :2])])[0]


def _as_other(first: np.ndarray, a: np.ndarray, second: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The first head with the second one's face, in its skin tone, fading into its own within the mesh."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    grid = np.stack([x, y], -1)
    cells = np.stack([x[::6, ::6], y[::6, ::6]], -1)
    # every point moves as the landmarks around it do
    near = np.exp(-((cells[..., None, :] - a[:, :2]) ** 2).sum(-1) / (2 * (0.02 * SIZE) ** 2)) + 1e-12
    near += 1e-6 * np.exp(-((cells[..., None, :] - a[:, :2]) ** 2).sum(-1) / (2 * (0.2 * SIZE) ** 2))
    moved = (near @ (b[:, :2] - a[:, :2])) / near.sum(-1, keepdims=True)
    moved = cv2.GaussianBlur(
        cv2.resize(moved.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), (0, 0), 4
    )
    carried = _sample(second, (grid + moved - 0.5).astype(np.float32))
    hull = hull_mask(a, SIZE)
    skin = cv2.erode(hull, np.ones((9, 9))) > 0
    gain = first[skin].std(0) / carried[skin].std(0)
    carried = (carried - carried[skin].mean(0)) * gain + first[skin].mean(0)
    wide = cv2.GaussianBlur(cv2.erode(hull, np.ones((27, 27))), (0, 0), 6).astype(np.float32)[..., None] / 255
    return np.clip(first + wide * (carried - first), 0, 255)


def _sample(picture: np.ndarray, maps: np.ndarray) -> np.ndarray:
    return cv2.remap(picture, maps, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _window(maps: np.ndarray) -> np.ndarray:
    """1 on the heads, 0 on the background: (H, W, 1)."""
    away = (maps + 0.5 - SIZE / 2) / (np.array([0.30, 0.40]) * SIZE)
    return np.clip(6 * (1 - np.hypot(away[..., 0], away[..., 1])), 0, 1)[..., None].astype(np.float32)


def _smeared(picture: np.ndarray, motion: np.ndarray) -> np.ndarray:
    length = max(1, round(float(np.hypot(*motion))))
    shifts = np.linspace(-0.5, 0.5, 2 * length + 1)
    steps = [np.array([[1, 0, s * motion[0]], [0, 1, s * motion[1]]]) for s in shifts]
    moved = [
        cv2.warpAffine(picture, m, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE).astype(np.float32) for m in steps
    ]
    return np.round(np.mean(moved, 0)).astype(np.uint8)


def _ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Map of structural similarity of the luma (Wang et al. 2004)."""
    x, y = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (a, b))

    def soft(p: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(p, (0, 0), 1.5)

    mx, my = soft(x), soft(y)
    vx, vy, both = soft(x * x) - mx**2, soft(y * y) - my**2, soft(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def _cv(matrix: np.ndarray) -> np.ndarray:
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return shifted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--colours", nargs="*", default=COLOURS)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    heads = Heads()
    shots = list(heads.shots(options.frames))
    rows: list[np.ndarray] = []
    print(f"{'colour':10}{'blend':10}" + "".join(f"{case:>30}" for case in CASES) + f"{'mean':>30}")
    print(" " * 20 + "  PSNR   SSIM   seam   pump    " * (len(CASES) + 1))
    plain = ConvertSettings(match_sharpness=False, match_grain=False)
    for colour in options.colours:
        for blend in BLENDS:
            settings = replace(plain, colour=colour, blend=blend)
            figures = []
            for case in CASES:
                seen = treated(shots, "bw" if case == "bw" else "")
                results = convert_shots(seen, settings, case=case)
                figures.append(errors(results, seen))
                if blend == "multiband" or colour == "mkl":
                    rows.append(_strip(results, seen))
            figures.append({k: float(np.mean([f[k] for f in figures])) for k in figures[0]})
            told = "".join(f"{f['PSNR']:7.2f}{f['SSIM']:7.4f}{f['seam']:7.3f}{f['pump']:7.3f}  " for f in figures)
            print(f"{colour:10}{blend:10}{told}", flush=True)
    print(f"\n{'footage':10}{'match':10}   PSNR   SSIM   seam   pump   grain of the recast / of the answer")
    default = ConvertSettings()
    for footage in ("", "blur", "motion", "grain"):
        seen = treated(shots, footage)
        for match in (False, True):
            settings = replace(default, match_sharpness=match, match_grain=match)
            results = convert_shots(seen, settings)
            f = errors(results, seen)
            own = np.mean([_grain_of(r.footage, r.mask) for r in results])
            true = np.mean([_grain_of(s.answer, r.mask) for r, s in zip(results, seen, strict=True)])
            told = f"{f['PSNR']:7.2f}{f['SSIM']:7.4f}{f['seam']:7.3f}{f['pump']:7.3f}   {own:.2f} / {true:.2f}"
            print(f"{footage or 'clean':10}{'on' if match else 'off':10}{told}", flush=True)
            rows.append(_strip(results, seen))
    if options.sheet:
        cv2.imwrite(str(options.sheet), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


def _grain_of(picture: np.ndarray, matte: np.ndarray) -> float:
    from understudy.engine.convert.grain_blur import measure_grain

    return float(measure_grain(picture, matte > 0.9)[0])


def _strip(results: list[Shot], seen: list[Shot], count: int = 3) -> np.ndarray:
    """Footage, result, answer of a few frames."""
    chosen = np.linspace(0, len(results) - 1, count).round().astype(int)
    half = SIZE // 2

    def cut(picture: np.ndarray, shot: Shot) -> np.ndarray:
        x, y = np.clip(shot.landmarks[:, :2].mean(0) - 0.24 * SIZE, 0, SIZE - half).astype(int)
        return picture[y : y + half, x : x + half]

    return np.concatenate(
        [cut(p, seen[n]) for n in chosen for p in (seen[n].footage, results[n].footage, seen[n].answer)], 1
    )


if __name__ == "__main__":
    main()
