"""Spectacles, whole: closed rims, the bridge and the arms, the same in all frames of a track.

Spectacles are rigid and flat, so that an affine map leads from their own plane into each frame. There, what the parser
(`networks.parser`) says and what thin lines the pictures have is averaged over frames: brows and lids move, hair and
reflections change, rims stay. A lens ends where its rim is, so a rim is the cheapest closed line along the edge of its
lens. (Shortest closed paths along a contour: Sun and Pallottino, Circular Shortest Path in Images, 2003.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ..geometry.align import frontalise
from ..geometry.topology import BROWS, EYES
from ..networks.parser import LENS, RIM
from .rim_shapes import HIGH, WIDE, across, closed_rims, fixed, half_widths, read, settled

UNIT = 96
"""Pixels of the plane for the distance of the eyes' middles, about 63 mm."""
EYES_AT = 80
WORN = 0.3
"""Spectacles are there where the parser is sure of a lens over more than this part of a circle of half the eyes'
distance about an eye."""
STILL_WORN = 0.08
"""The same of one frame of somebody who wears them in most: they may be blurred, or far turned, or off."""
THIN = (5, 9)
"""Widths of the windows that tell thin lines from broader things, in the plane's pixels."""
UNSURE = 3.0
"""8-bit levels that say nothing: a line counts by how strong it is on average against how much it changes, and this."""
SURE = 16.0
"""8-bit levels by which a line in a single picture is brighter or darker to count as much as one in many."""
FEATURE, AROUND = (0.5, 0.3), (3, 10)
"""So much of what is found counts at brows and lids, and so many of the plane's pixels around them, where hairs
and folds are lines, too."""
BRIDGE = 1.6
"""A bridge is so many times wider than rims."""
THICK = 1.8
"""Half the width of a rim, in the plane's pixels, from which it is no wire."""
LEAST = 0.008
"""Half of what is drawn of the thinnest wire, in crop sides: its place is not known better than to a pixel or two."""
HINGE = 0.03
"""What the parser takes for a rim so near to an arm, in crop sides, is of the arm."""
SLIP = 10
"""Spectacles lie so far aside of where they mostly are on the face, at most, in the plane's pixels: they slide, and
stand off the face that turns."""
ARM = 0.3
"""An arm goes on outwards as long as the parser finds it as likely as this."""
DARK = 0.4
"""Lenses whose light is less than this share of the skin's are sunglasses: they hide what is behind them."""
SKIN = [50, 280, 205, 425, 36, 266, 9, 151, 5]
"""Vertices on cheeks, forehead and nose."""
_FIRM = [33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 127, 356, 234, 454, 9, 8, 151, 10, 109, 338, 93, 323]
"""Vertices that no expression moves far, about the eyes and to all sides of them."""


@dataclass(frozen=True, eq=False)
class Spectacles:
    """Somebody's spectacles in their own plane.

    face (468, 3) is the wearer's, straight ahead; rims are closed lines (ANGLES, 2) with half their width at each point
    (ANGLES,), the picture's left one first; sign is 1 where they are darker than what is beside them, -1 where
    brighter; dark tells sunglasses, and faint rims that are clear, or none; bridge is a line (K, 2), None where there
    is one lens; likely (3, HIGH, WIDE) float16 is what tells in a frame how far they have slid: rim, lens, lines. All
    in the plane's pixels. picture (HIGH, WIDE, 3) float16 RGB 0..255 is what they look like on the whole, and light the
    luma of the skin beside them in it.
    """

    face: np.ndarray
    rims: list[tuple[np.ndarray, np.ndarray]]
    sign: int
    dark: bool
    faint: bool
    bridge: np.ndarray | None
    likely: np.ndarray
    picture: np.ndarray
    light: float


def wears_spectacles(told: np.ndarray, landmarks: np.ndarray, least: float = WORN) -> bool:
    """Whether somebody wears spectacles in a crop: told (classes, S, S) uint8 as `parser.parse` has it.

    Lenses are there over more than `least` of a circle of half the eyes' distance about an eye.
    """
    middles = np.stack([landmarks[ring, :2].mean(0) for ring in EYES])
    area = np.pi * (float(np.linalg.norm(middles[1] - middles[0])) / 2) ** 2
    return float((told[LENS] > 127).sum()) > least * area


def learn_spectacles(pixels: np.ndarray, landmarks: np.ndarray, told: np.ndarray) -> Spectacles | None:
    """The spectacles in N crops of one person's, None where there are none.

    pixels (N, S, S, 3) uint8 RGB, landmarks (N, 468, 3) in their pixels, told (N, classes, S, S) uint8 as
    `parser.parse` has it. Where most frames show none there are none.
    """
    face = frontalise(landmarks).mean(0)
    shown = [_flat(p, t, plane_on(points, face)) for p, t, points in zip(pixels, told, landmarks, strict=True)]
    worn = [s for s in shown if _is_worn(s[1][1])]
    if 2 * len(worn) <= len(shown):
        return None
    stack = np.stack([_evidence(picture, likely) for picture, likely in worn])
    pictures = np.stack([picture for picture, _ in worn]).astype(np.float32)
    usual = np.median(stack, 0)
    for _ in range(2):
        moved = [_shift(x, usual) for x in stack]
        aligned = np.stack([_moved(x, by) for x, by in zip(stack, moved, strict=True)])
        usual = aligned.mean(0)
    steady = usual[2] / (aligned[:, 2].std(0) + UNSURE)
    picture = np.mean([_moved(x, by) for x, by in zip(pictures.transpose(0, 3, 1, 2), moved, strict=True)], 0)
    plain = _plain(face)
    lines, sign = closed_rims(usual[1], usual[0], steady, plain)
    if not lines:
        return None
    halves, faint = half_widths(lines, picture)
    rims = list(zip(lines, halves, strict=True))
    light = _skin_light(picture, face)
    dark = _lens_light(lines, picture) < DARK * light
    bridge = _bridge([line for line, _ in rims], np.maximum(usual[0], np.abs(steady).clip(0, 1)))
    shown = picture.transpose(1, 2, 0).astype(np.float16)
    return Spectacles(face, rims, sign, dark, faint, bridge, usual.astype(np.float16), shown, light)


def _lens_light(lines: list[np.ndarray], picture: np.ndarray) -> float:
    """How bright lenses are in a picture (3, HIGH, WIDE) of the plane."""
    inside = np.zeros((HIGH, WIDE), np.uint8)
    for line in lines:
        cv2.fillPoly(inside, [fixed(line.mean(0) + 0.7 * (line - line.mean(0)))], 1, cv2.LINE_8, shift=4)
    return float(np.median(picture.mean(0)[inside > 0]))


def _skin_light(picture: np.ndarray, face: np.ndarray) -> float:
    """How bright skin is in a picture (3, HIGH, WIDE) of the plane on a face straight ahead; 1 at least."""
    unit, centre = frame_of(face)
    x, y = (np.round((face[SKIN, :2] - centre) / unit + (WIDE / 2, EYES_AT)).astype(int)).T
    return max(float(np.median(picture.mean(0)[y.clip(0, HIGH - 1), x.clip(0, WIDE - 1)])), 1.0)


def place_spectacles(
    worn: Spectacles, pixels: np.ndarray, landmarks: np.ndarray, told: np.ndarray, grown: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Where spectacles are in one crop: rims, bridge and arms, and lenses, (S, S) uint8 each, 255 surely.

    pixels (S, S, 3), landmarks (468, 3), told (classes, S, S) as in `learn_spectacles`; `grown` pixels are added.
    """
    size = len(pixels)
    plane = plane_on(landmarks, worn.face)
    here = _evidence(*_flat(pixels, told, plane))
    plane = plane.copy()
    plane[:, 2] -= plane[:, :2] @ _shift(here, worn.likely.astype(np.float32))
    flat, told_there = _flat(pixels, told, plane)
    here = _evidence(flat, told_there)
    change = settled([line for line, _ in worn.rims], here[0], here[2] / SURE, _plain(worn.face), worn.sign)
    plane = np.column_stack([plane[:, :2] @ change[:, :2], plane[:, :2] @ change[:, 2] + plane[:, 2]])
    scale, least = float(np.sqrt(abs(np.linalg.det(plane[:, :2])))), LEAST * size
    soft = max(0.8, size / 320)
    rims, lenses = np.zeros((size, size), np.float32), np.zeros((size, size), np.uint8)
    lines = []
    for line, half in worn.rims:
        there = line @ plane[:, :2].T + plane[:, 2]
        lines.append(there)
        rims = np.maximum(rims, draw_line(there, np.maximum(scale * half + grown, least), True, size, soft))
        cv2.fillPoly(lenses, [fixed(there)], 255, cv2.LINE_AA, shift=4)
    usual = scale * float(np.median(np.concatenate([h for _, h in worn.rims])))
    if worn.bridge is not None:
        there = worn.bridge @ plane[:, :2].T + plane[:, 2]
        rims = np.maximum(
            rims, draw_line(there, np.full(len(there), max(BRIDGE * usual + grown, least)), False, size, soft)
        )
    rim = told[RIM].astype(np.float32) / 255
    sure = np.clip((rim - 0.4) / 0.3, 0, 1)
    for arm in _arms(lines, rim, landmarks):
        rims = np.maximum(rims, draw_line(arm, np.full(len(arm), max(usual + grown, least)), False, size, soft))
        # arms and their hinges are wider than rims, as seen aslant
        rims = np.maximum(rims, sure * draw_line(arm, np.full(len(arm), HINGE * size), False, size, soft))
    if usual > THICK * scale and not worn.faint:  # a frame of plastic has corners
        rims = np.maximum(rims, _alike(pixels, rims, _disc(2 * usual)) * sure)
    return np.round(255 * rims).astype(np.uint8), lenses


def plane_on(landmarks: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) from the spectacles' plane on a face (468, 3) straight ahead into its crop."""
    unit, centre = frame_of(face)
    project, depth = projection(landmarks, face), float(face[168, 2])
    x, y = unit * np.eye(2)
    origin, right, down = project(np.column_stack([np.stack([centre, centre + x, centre + y]), np.full(3, depth)]))
    linear = np.column_stack([right - origin, down - origin])
    return np.column_stack([linear, origin - linear @ (WIDE / 2, EYES_AT)])


def projection(landmarks: np.ndarray, face: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """From points (K, 3) about a face (468, 3) straight ahead to pixels (K, 2) of the crop with its landmarks (468, 3).

    An affine map, as in a lens far away, by the vertices that no expression moves.
    """
    basis = np.column_stack([face[_FIRM], np.ones(len(_FIRM))])
    fit = np.linalg.lstsq(basis, landmarks[_FIRM, :2], rcond=None)[0]  # (4, 2)
    return lambda points: np.column_stack([points, np.ones(len(points))]) @ fit


def frame_of(face: np.ndarray) -> tuple[float, np.ndarray]:
    """The length of the plane's pixel on a face (468, 3) straight ahead, and the point (2,) between its eyes."""
    middles = np.stack([face[ring, :2].mean(0) for ring in EYES])
    return abs(float(middles[1, 0] - middles[0, 0])) / UNIT, middles.mean(0)


def _plain(face: np.ndarray) -> np.ndarray:
    """How much of what is found counts: (HIGH, WIDE) float32, less at the brows and lids of a face straight ahead."""
    unit, centre = frame_of(face)
    flat = (face[:, :2] - centre) / unit + (WIDE / 2, EYES_AT)
    plain = np.ones((HIGH, WIDE), np.float32)
    for rings, share, reach in zip((BROWS, EYES), FEATURE, AROUND, strict=True):
        features = np.zeros((HIGH, WIDE), np.uint8)
        for ring in rings:
            cv2.fillPoly(features, [fixed(flat[ring])], 255, cv2.LINE_8, shift=4)
        near = cv2.GaussianBlur(cv2.dilate(features, _disc(reach)), (0, 0), 1.5).astype(np.float32) / 255
        plain = np.minimum(plain, 1 - (1 - share) * near)
    return plain


def _flat(pixels: np.ndarray, told: np.ndarray, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A crop in the spectacles' plane: (HIGH, WIDE, 3) uint8 RGB, and (2, HIGH, WIDE) float32 0..1, rim and lens."""
    matrix = plane.copy()
    matrix[:, 2] += plane[:, :2] @ (0.5, 0.5) - 0.5
    stack = np.dstack([pixels, told[RIM], told[LENS]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shown = cv2.warpAffine(stack, matrix, (WIDE, HIGH), flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return np.ascontiguousarray(shown[..., :3]), shown[..., 3:].transpose(2, 0, 1).astype(np.float32) / 255


def _is_worn(lens: np.ndarray) -> bool:
    return float((lens > 0.5).sum()) > WORN * np.pi * (UNIT / 2) ** 2


def _evidence(picture: np.ndarray, likely: np.ndarray) -> np.ndarray:
    """(3, HIGH, WIDE) float32: rim and lens, 0..1, and by how many 8-bit levels a thin line is brighter than beside."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    lines = np.zeros(luma.shape, np.float32)
    for width in THIN:
        window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        bright = cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, window).astype(np.float32)
        dark = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, window).astype(np.float32)
        found = bright - dark
        lines = np.where(np.abs(found) > np.abs(lines), found, lines)
    return np.concatenate([likely, lines[None]])


def _shift(own: np.ndarray, usual: np.ndarray) -> tuple[float, float]:
    """By how much (x, y) what a frame shows has to be moved to lie on what is usual."""
    inner = np.s_[:, 2 * SLIP : -2 * SLIP : 1, 2 * SLIP : -2 * SLIP]
    scores = np.zeros((2 * SLIP + 1, 2 * SLIP + 1), np.float32)
    reach = np.s_[SLIP:-SLIP, SLIP:-SLIP]
    for a, b, weight in zip(own, usual, (0.5, 0.5, 1.0), strict=True):
        if float(b[inner[1:]].std()) > 1e-3:
            found = cv2.matchTemplate(
                np.ascontiguousarray(a[reach]), np.ascontiguousarray(b[inner[1:]]), cv2.TM_CCOEFF_NORMED
            )
            scores += weight * np.nan_to_num(found)
    y, x = divmod(int(scores.argmax()), scores.shape[1])
    return SLIP - x - _beside(scores[y], x), SLIP - y - _beside(scores[:, x], y)


def _beside(scores: np.ndarray, at: int) -> float:
    """How far beside its best place a score is best between places, by a parabola: -0.5..0.5."""
    if not 0 < at < len(scores) - 1:
        return 0.0
    a, b, c = (float(x) for x in scores[at - 1 : at + 2])
    return 0.5 * (a - c) / min(a - 2 * b + c, -1e-9)


def _moved(stack: np.ndarray, by: tuple[float, float]) -> np.ndarray:
    """A stack (C, H, W) moved by pixels (x, y), its border repeated."""
    matrix = np.array([[1, 0, by[0]], [0, 1, by[1]]])
    return np.stack([
        cv2.warpAffine(x, matrix, (WIDE, HIGH), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for x in stack
    ])  # fmt: skip


def _bridge(rims: list[np.ndarray], likely: np.ndarray) -> np.ndarray | None:
    """The line (K, 2) between two rims, in the plane's pixels."""
    if len(rims) < 2:
        return None
    left, right = rims
    begin, end = left[left[:, 0].argmax()], right[right[:, 0].argmin()]
    if end[0] - begin[0] < 2:
        return None
    return across(likely, begin[0] - 1, end[0] + 1, (begin[1] + end[1]) / 2, 16)


def _arms(rims: list[np.ndarray], rim: np.ndarray, landmarks: np.ndarray) -> list[np.ndarray]:
    """Lines (K, 2) in crop pixels from the rims' outer ends to the sides of the face, as far as they are likely."""
    low, high = float(landmarks[:, 0].min()), float(landmarks[:, 0].max())
    outer = [(min(rims, key=lambda r: float(r[:, 0].min())), -1), (max(rims, key=lambda r: float(r[:, 0].max())), 1)]
    lines = []
    for line, way in outer:
        begin, end = (float(line[:, 0].min()), low) if way < 0 else (float(line[:, 0].max()), high)
        if (end - begin) * way < 3:
            continue
        height = float(np.ptp(line[:, 1]))
        found = across(rim, begin - way, end, float(line[:, 1].min()) + 0.3 * height, 0.35 * height)
        likely = read(rim, found[None])[0]
        shown = np.convolve(np.pad(likely, 3, mode="edge"), np.ones(7) / 7, "valid") > ARM
        count = len(shown) if shown.all() else int(np.argmin(shown))
        if count > 2:
            lines.append(found[:count])
    return lines


def draw_line(line: np.ndarray, half: np.ndarray, closed: bool, size: int, soft: float) -> np.ndarray:
    """A line (K, 2) in crop pixels as wide to each side as `half` (K,) says: (S, S) float32 0..1, soft at its edge."""
    picture: np.ndarray = np.zeros((2 * size, 2 * size), np.uint8)
    ends = fixed(2 * np.concatenate([line, line[:1]]) if closed else 2 * line).tolist()
    for a, b, width in zip(ends, ends[1:], half.tolist(), strict=False):
        cv2.line(picture, a, b, 255, max(1, round(4 * width)), cv2.LINE_AA, 4)
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 0.5 * soft).astype(np.float32) / 255


def _alike(pixels: np.ndarray, rims: np.ndarray, around: np.ndarray) -> np.ndarray:
    """What beside rims (S, S) 0..1 is as dark or bright as they are, not as what is farther aside: (S, S) 0 or 1."""
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    inner = (rims > 0.5).astype(np.float32)
    near = cv2.dilate(inner, around)
    beside = cv2.dilate(near, around) - near
    reach = (0, 0), 0.04 * len(pixels)
    own, other = (cv2.GaussianBlur(luma * x, *reach) / (cv2.GaussianBlur(x, *reach) + 1e-3) for x in (inner, beside))
    alike: np.ndarray = near * (np.abs(luma - own) < np.abs(luma - other))
    return alike


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
