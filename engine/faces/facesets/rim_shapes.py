"""Rims of spectacles in their own plane: the closed lines, alike on both sides, that lie best on what was found there.

A rim is the superellipse whose line, and whose mirror picture beside it, are dark all around, or bright, and enclose
what the parser (`networks.parser`) takes for lenses; then it is moved to the line that is near it. (Shortest closed
paths along a contour: Sun and Pallottino, Circular Shortest Path in Images, 2003.)
"""

from __future__ import annotations

import cv2
import numpy as np

WIDE, HIGH = 288, 176
"""The plane's size in pixels: three eye distances wide."""
LEAST = 700
"""A lens is as large as this, in the plane's pixels, or it is none: a sixth of what most are."""
ANGLES = 96
CUT = (0, 9, 18)
"""By so much, in the plane's pixels, the parser may have a lens too high: it takes a brow for the upper rim."""
OTHER = 0.9
"""A bright edge of a dark rim, or the other way round, counts so much: wires shine on one side."""
STIFF = 4.0
"""Spectacles in one frame lie where they usually do as surely as so many points of their rims say otherwise."""
BEFORE = 20
"""Angles of a closed line that are gone through twice."""
NEAR = 4.0
"""A rim lies so near to an even shape, in the plane's pixels."""
BEND = 0.04
"""What it costs that a line moves by half a pixel from one angle, or column, to the next."""
HALF = 0.4
"""A line that is so many times stronger than it changes counts half: one that is weak but whole is a rim."""
TOLD = 0.15
"""The parser's own word counts so much, against lines."""
EDGE = 0.2
"""So much counts that the parser has a lens inside of the rim, and none outside."""
BROAD = (1.2, 3.0)
"""Thin lines and broad ones (standard deviations in the plane's pixels)."""
FAINT = (12.0, 2.0)
"""A rim that differs by fewer 8-bit levels is clear or none, and no wider than this to each side of its middle: folds
and shadows beside it differ as much."""
WIDEST = 9.0
"""No rim is wider to each side of its middle, in the plane's pixels."""


def _sides(lens: np.ndarray) -> list[np.ndarray]:
    """The likelihoods (HIGH, WIDE) 0..1 of the left lens and of the right one, as far as they are there."""
    found = []
    for first, last in ((0, WIDE // 2), (WIDE // 2, WIDE)):
        own = np.zeros_like(lens)
        own[:, first:last] = lens[:, first:last]
        _, parts, stats, _ = cv2.connectedComponentsWithStats((own > 0.5).astype(np.uint8))
        if len(stats) > 1:
            largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
            if stats[largest, cv2.CC_STAT_AREA] > LEAST:
                near = cv2.dilate((parts == largest).astype(np.uint8), np.ones((5, 5), np.uint8))
                found.append(cv2.GaussianBlur(own * near, (0, 0), 1.5))
    return found


def _evidence(rim: np.ndarray, lines: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """(10, HIGH, WIDE) float32: three times the second derivatives xx, xy, yy, of lines thin and broad and of the rim
    as the parser has it, then how much of it counts.

    rim (HIGH, WIDE) 0..1; lines (HIGH, WIDE), by how many of their own changes they are brighter; plain as `_plain`.
    """
    parts = []
    for picture, sigma in ((lines, BROAD[0]), (lines, BROAD[1]), (3 * rim, BROAD[1])):
        soft = cv2.GaussianBlur(picture, (0, 0), sigma) * sigma**2
        parts += [cv2.Sobel(soft, cv2.CV_32F, *way, ksize=3, scale=0.25) for way in ((2, 0), (1, 1), (0, 2))]
    return np.stack([*parts, plain]).astype(np.float32)


def _found(fields: np.ndarray, x: np.ndarray, y: np.ndarray, sign: int) -> np.ndarray:
    """How surely rims, dark (sign 1) or bright (-1), run there, 0..1.

    fields (10, ...) as `_evidence` has it, x and y the normals across.
    """
    thin, broad, rim = (fields[k] * x * x + 2 * fields[k + 1] * x * y + fields[k + 2] * y * y for k in (0, 3, 6))
    strong = np.maximum(np.maximum(sign * thin, sign * broad), 0)
    found: np.ndarray = fields[9] * (strong / (strong + HALF) + TOLD * np.clip(-rim, 0, 1))
    return found


def closed_rims(
    lens: np.ndarray, rim: np.ndarray, lines: np.ndarray, plain: np.ndarray
) -> tuple[list[np.ndarray], int]:
    """The middles of the rims around one or two lenses, (ANGLES, 2) each, the left one first; 1 if dark, -1 if bright.

    lens and rim (HIGH, WIDE) 0..1, as likely as the parser has them; lines (HIGH, WIDE), by how many of their own
    changes they are brighter than what is beside them; plain (HIGH, WIDE) 0..1, how much of what is found counts.

    Both are one superellipse and its mirror picture, then each is moved to what is found near it. The best one is
    looked for by the cross-entropy method (Rubinstein 1999), from numbers that are always the same.
    """
    lenses = _sides(lens)
    if not lenses:
        return [], 1
    evidence, lens = _evidence(rim, lines, plain), np.max(lenses, 0)
    outlines = [_outline(x > 0.5) for x in lenses]
    middles = [(o.min(0) + o.max(0)) / 2 for o in outlines]
    sides = np.array([-1 if m[0] < WIDE / 2 else 1 for m in middles])
    spans = np.mean([np.ptp(o, axis=0) / 2 for o in outlines], 0)
    apart = np.mean([side * (m[0] - WIDE / 2) for side, m in zip(sides, middles, strict=True)])
    middle = np.mean([m[0] - side * apart for side, m in zip(sides, middles, strict=True)])
    # middle, height, half the distance, half width, half height, roundness, tilt, taper, roll of the whole
    mean = np.array([middle, np.mean([m[1] for m in middles]), apart, *spans, 2.5, 0, 0, 0])
    spread = np.array([2, 3, 3, 4, 4, 0.5, 0.12, 0.12, 0.03])
    fields = np.concatenate([evidence, lens[None]])
    found = []
    for cut in CUT:
        start = mean + cut / 2 * np.array([0, 1, 0, 0, -1, 0, 0, 0, 0])
        found += [_searched(start, spread, sides, fields, sign) for sign in (1, -1)]
    _, sign, numbers = max(found, key=lambda one: one[0])
    # heads are not quite even, and nor do spectacles sit evenly
    own = [_searched(numbers, spread / 3, sides[k : k + 1], fields, sign)[2] for k in range(len(sides))]
    return [_nearby(_shape(n[None], side)[0], evidence, sign)[0] for n, side in zip(own, sides, strict=True)], sign


def _searched(
    mean: np.ndarray, spread: np.ndarray, sides: np.ndarray, fields: np.ndarray, sign: int
) -> tuple[float, int, np.ndarray]:
    """The best score of all tried about a mean (9,) as widely as spread (9,); the sign; the numbers that have it."""
    random = np.random.default_rng(0)
    result = (-np.inf, sign, mean)
    for count in (1000, *[250] * 8):
        tried = mean + spread * random.standard_normal((count, len(mean)))
        tried[:, 5] = tried[:, 5].clip(1.8, 5)
        tried[0] = result[2]
        scores = np.mean([_score(_shape(tried, side, ANGLES // 2), fields, sign) for side in sides], 0)
        order = np.argsort(-scores)[:40]
        result = max(result, (float(scores[order[0]]), sign, tried[order[0]]), key=lambda found: found[0])
        mean, spread = tried[order].mean(0), tried[order].std(0)
    return result


def _shape(numbers: np.ndarray, side: int, count: int = ANGLES) -> np.ndarray:
    """Superellipses (N, count, 2), clockwise, of the lens at a side; numbers (N, 9) as in `_rims`."""
    middle, row, apart, wide, high, power, tilt, taper, roll = (x[:, None] for x in numbers.T)
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    x = wide * np.sign(cos) * np.abs(cos) ** (2 / power)
    y = high * np.sign(sin) * np.abs(sin) ** (2 / power)
    x = x * (1 - taper * y / high)
    x, y = side * (apart + x * np.cos(tilt) - y * np.sin(tilt)), x * np.sin(tilt) + y * np.cos(tilt)
    x, y = middle + x * np.cos(roll) - y * np.sin(roll), row + x * np.sin(roll) + y * np.cos(roll)
    shape = np.stack([x, y], 2)
    return shape if side > 0 else shape[:, ::-1]


def _score(shapes: np.ndarray, fields: np.ndarray, sign: int) -> np.ndarray:
    """How well closed lines (N, ANGLES, 2) lie on rims: (N,); fields (11, HIGH, WIDE) as `closed_rims` makes it."""
    along = np.roll(shapes, -1, 1) - np.roll(shapes, 1, 1)
    length = np.linalg.norm(along, axis=2)
    x, y = along[..., 1] / np.maximum(length, 1e-6), -along[..., 0] / np.maximum(length, 1e-6)
    weight = length / length.sum(1, keepdims=True)
    middle = shapes.mean(1, keepdims=True)
    inner, outer = (_nearest(fields[10:], middle + (shapes - middle) * by)[0] for by in (0.92, 1.08))
    there = _found(_nearest(fields[:10], shapes), x, y, sign)
    score: np.ndarray = (weight * (there + EDGE * (inner - outer))).sum(1)
    return score


def _nearest(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    x = places[..., 0].astype(np.int64).clip(0, WIDE - 1)
    y = places[..., 1].astype(np.int64).clip(0, HIGH - 1)
    return picture[:, y, x]


def _nearby(line: np.ndarray, fields: np.ndarray, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """A closed line (ANGLES, 2) moved to where rims are surest, no farther than NEAR; how sure they are, (ANGLES,)."""
    normal = _normals(line)
    way = np.arange(-NEAR, NEAR + 0.25, 0.5)
    places = line[:, None] + way[:, None] * normal[:, None]
    there = np.stack([read(x, places) for x in fields])
    found = [_found(there, normal[:, :1], normal[:, 1:], s) for s in (sign, -sign)]
    worth = np.maximum(found[0], OTHER * found[1]) - 0.1 * (way / NEAR) ** 2
    # where it begins it must have settled already
    path = _cheapest(-np.concatenate([worth[-BEFORE:], worth, worth[:BEFORE]]))[BEFORE : BEFORE + ANGLES]
    return line + _even(way[path], 2)[:, None] * normal, worth[np.arange(ANGLES), path].clip(0)


def settled(lines: list[np.ndarray], rim: np.ndarray, strong: np.ndarray, plain: np.ndarray, sign: int) -> np.ndarray:
    """The affine map (2, 3), near to none, that takes rims (ANGLES, 2) to where one picture has them.

    rim, strong and plain (HIGH, WIDE) as rim, lines and plain in `closed_rims`.
    """
    fields = _evidence(rim, strong, plain)
    points = np.concatenate(lines)
    middle = points.mean(0)
    change = np.eye(2, 3)
    for _ in range(2):
        moved = [line @ change[:, :2].T + change[:, 2] for line in lines]
        found = [_nearby(line, fields, sign) for line in moved]
        wanted, weight = np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])
        basis = np.column_stack([points - middle, np.ones(len(points))])
        root = np.sqrt(weight)[:, None]
        # what is not seen stays: as if so many points, as far aside as a lens is wide, had been found where they were
        held = np.diag([30.0, 30.0, 1.0])
        left = np.concatenate([root * basis, np.sqrt(STIFF) * held])
        right = np.concatenate([root * (wanted - points), np.zeros((3, 2))])
        fit = np.linalg.lstsq(left, right, rcond=None)[0].T
        linear = np.eye(2) + fit[:, :2]
        change = np.column_stack([linear, middle - linear @ middle + fit[:, 2]])
    return change


def _outline(inside: np.ndarray) -> np.ndarray:
    """The hull of a region, evened out, as ANGLES points (x, y) at even distances, clockwise in the picture."""
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = cv2.convexHull(max(outlines, key=len))[:, 0].astype(np.float64) + 0.5
    x, y = points.T
    if (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() < 0:
        points = points[::-1]
    closed = np.concatenate([points, points[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, along[-1], ANGLES, endpoint=False)
    return np.stack([_even(np.interp(at, along, closed[:, k]), 2) for k in (0, 1)], 1)


def _even(values: np.ndarray, reach: int) -> np.ndarray:
    """Values around a closed line (ANGLES,), each averaged with `reach` neighbours on both sides."""
    window = np.hanning(2 * reach + 3)[1:-1]
    wrapped = np.concatenate([values[-reach:], values, values[:reach]])
    evened: np.ndarray = np.convolve(wrapped, window / window.sum(), "valid")
    return evened


def _normals(closed: np.ndarray) -> np.ndarray:
    """Outward unit normals (K, 2) of a closed line that runs clockwise in the picture."""
    along = np.roll(closed, -2, 0) - np.roll(closed, 2, 0)
    normal = np.stack([along[:, 1], -along[:, 0]], 1)
    unit: np.ndarray = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    return unit


def read(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A picture (H, W) or (H, W, C) at places (A, B, 2) in its pixels."""
    x, y = (np.ascontiguousarray(places[..., k] - 0.5, dtype=np.float32) for k in (0, 1))
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _cheapest(cost: np.ndarray) -> np.ndarray:
    """The cheapest path through a table (T, W), one place a row, where moving aside costs, too: (T,) places."""
    count, width = cost.shape
    total = cost[0].copy()
    back = np.zeros((count, width), np.int64)
    padded = np.full(width + 4, np.inf)
    aside = BEND * np.array([4, 1, 0, 1, 4], np.float64)[:, None]
    moves, here = np.lib.stride_tricks.sliding_window_view(padded, width), np.arange(width)
    for t in range(1, count):
        padded[2:-2] = total
        ways = moves + aside
        back[t] = ways.argmin(0)
        total = ways[back[t], here] + cost[t]
    path = np.empty(count, np.int64)
    path[-1] = total.argmin()
    for t in range(count - 1, 0, -1):
        path[t - 1] = path[t] + back[t, path[t]] - 2
    return path


def half_widths(rims: list[np.ndarray], picture: np.ndarray) -> tuple[list[np.ndarray], bool]:
    """Half of how wide rims are at each point of them, (ANGLES,): what differs most from what is beside it. And whether
    they hardly differ: they are clear, or there are none.

    picture (3, HIGH, WIDE) float32 RGB.
    """
    way = np.arange(-WIDEST - 3, WIDEST + 3.25, 0.5)
    halves = np.arange(1.0, WIDEST + 0.25, 0.5)
    shown = cv2.cvtColor(np.ascontiguousarray(picture.transpose(1, 2, 0), dtype=np.float32), cv2.COLOR_RGB2GRAY)
    differs = []
    for line in rims:
        luma = read(shown, line[:, None] + way[:, None] * _normals(line)[:, None])
        differs.append(np.stack([_stands_out(luma, way, half) for half in halves], 1))  # (ANGLES, halves)
    typical = np.abs(np.median(np.concatenate(differs), 0))
    usual = halves[typical.argmax()]
    most = 2.0
    if faint := bool(typical.max() < FAINT[0]):
        usual, most = min(usual, FAINT[1]), 1.2
    own = [halves[np.abs([_even(d, 8) for d in one.T]).argmax(0)] for one in differs]
    return [_even(np.clip(h, 0.75 * usual, most * usual), 6) for h in own], faint


def _stands_out(luma: np.ndarray, way: np.ndarray, half: float) -> np.ndarray:
    """By how much what is within half a width of a line is brighter than both sides of it, or darker: (ANGLES,)."""
    inner = luma[:, np.abs(way) <= half].mean(1)
    left, right = (luma[:, (s * way > half + 0.5) & (s * way <= half + 3)].mean(1) for s in (-1, 1))
    least = np.minimum(np.abs(inner - left), np.abs(inner - right))
    return np.where((inner > left) == (inner > right), np.sign(inner - left) * least, 0)


def across(likely: np.ndarray, begin: float, end: float, row: float, reach: float) -> np.ndarray:
    """The likeliest line from column `begin` to `end` near a row: (K, 2) pixels."""
    columns = np.linspace(begin, end, max(2, round(abs(end - begin)) + 1))
    rows = row + np.arange(-round(reach), round(reach) + 1)
    places = np.stack(np.broadcast_arrays(columns[:, None], rows), 2)
    path = _cheapest(0.005 * np.abs(rows - row) - read(likely, places))
    return np.stack([columns, rows[path]], 1)


def fixed(line: np.ndarray) -> np.ndarray:
    """Points (K, 2) in pixels as OpenCV draws them with shift 4."""
    return np.round((line - 0.5) * 16).astype(np.int32)
