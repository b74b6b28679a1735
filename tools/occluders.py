"""Drawn things that stand in front of faces, for tools/train_occlusion.py: hands of capsules in three dimensions,
microphones, sticks, sheets and rags. Each is a tile of albedo, shading and alpha; colour comes when it is pasted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

TILE = 128


@dataclass(frozen=True)
class Tile:
    """kind; shade (T, T) float32 about 1; albedo (T, T, 3) float32 about 1; alpha (T, T) float32 0..1; skin: of skin's
    colour where 1 (T, T) float32."""

    kind: str
    shade: np.ndarray
    albedo: np.ndarray
    alpha: np.ndarray
    skin: np.ndarray


def rotation(rng: np.random.Generator, tilt: float) -> np.ndarray:
    """(3, 3): any turn in the picture, up to `tilt` radians out of it."""
    turn, lean, axis = rng.uniform(-np.pi, np.pi), rng.uniform(-tilt, tilt), rng.uniform(0, 2 * np.pi)
    about = np.array([np.cos(axis), np.sin(axis), 0]) * lean
    spin = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    out: np.ndarray = cv2.Rodrigues(about)[0] @ spin
    return out


def hand(rng: np.random.Generator) -> Tile:
    """A hand and its forearm: palm, four fingers and a thumb of three or two limbs each, bent at random, or a fist."""
    limbs = []  # (a, b, radius a, radius b, ends in a joint)
    wide = rng.uniform(0.75, 1.0)
    knuckles = [np.array([x * wide, -1.0 - 0.08 * np.cos(3 * x), 0.0]) for x in (-0.36, -0.12, 0.12, 0.35)]
    for k in knuckles:
        limbs.append((np.array([0.45 * k[0], 0.0, 0.0]), k, 0.24, 0.17, False))
    style = rng.choice(3, p=[0.35, 0.3, 0.35])  # open, bent, fist
    spread = rng.uniform(-0.05, 0.28) if style == 0 else rng.uniform(-0.05, 0.1)
    bend_all = (rng.uniform(0, 0.25), rng.uniform(0.2, 0.9), rng.uniform(0.9, 1.5))[style]
    thick = rng.uniform(0.85, 1.2)
    for i, (k, length) in enumerate(zip(knuckles, (0.78, 0.9, 0.85, 0.68), strict=True)):
        away = (i - 1.5) * spread + rng.normal(0, 0.04)
        forward = np.array([np.sin(away), -np.cos(away), 0])
        bend, at = 0.0, k
        own = bend_all + rng.normal(0, 0.12)
        if rng.random() < 0.12:
            own = rng.uniform(0, 1.4)  # one finger does as it likes
        radius = 0.125 * thick * (0.9 if i == 3 else 1)
        for part, share in enumerate((0.48, 0.3, 0.22)):
            bend += max(0.0, own * (1.0, 1.1, 0.7)[part])
            end = at + share * length * (np.cos(bend) * forward + np.sin(bend) * np.array([0, 0, 1.0]))
            limbs.append((at, end, radius * (1 - 0.07 * part), radius * (0.95 - 0.09 * part), True))
            at = end
    out = rng.uniform(0.3, 1.0)
    at, forward = np.array([-0.25 * wide, -0.3, 0.05]), np.array([-np.sin(out), -np.cos(out), 0.2])
    for share in (0.45, 0.36, 0.28):
        end = at + share * forward
        limbs.append((at, end, 0.16 * thick, 0.135 * thick, True))
        at, forward = end, forward + np.array([rng.uniform(0, 0.5), -0.1, rng.uniform(0, 0.4)])
        forward = forward / np.linalg.norm(forward)
    sleeve = rng.random() < 0.5
    if rng.random() < 0.85:
        limbs.append((np.array([0.0, 0, 0]), np.array([rng.uniform(-0.5, 0.5), 2.2, 0]), 0.27, 0.36, False))
    turn = rotation(rng, 1.0)
    points = np.array([[a, b] for a, b, *_ in limbs]) @ turn.T
    shown = points[:-1].reshape(-1, 3)
    scale = TILE / rng.uniform(1.9, 2.6)
    middle = (shown.max(0) + shown.min(0)) / 2
    points = (points - middle) * scale + [TILE / 2, TILE / 2, 0]
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    height = np.full((TILE, TILE), -1e3, np.float32)
    crease = np.ones((TILE, TILE), np.float32)
    skin = np.ones((TILE, TILE), np.float32)
    deep = rng.uniform(0.0, 0.35)
    for n, ((a, b), (_, _, ra, rb, joint)) in enumerate(zip(points, limbs, strict=True)):
        ra, rb = ra * scale, rb * scale
        along = b - a
        flat = max(float((along[:2] ** 2).sum()), 1e-3)
        t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / flat, 0, 1)
        radius = ra + (rb - ra) * t
        d2 = (x - a[0] - t * along[0]) ** 2 + (y - a[1] - t * along[1]) ** 2
        own = np.where(d2 < radius**2, a[2] + t * along[2] + np.sqrt(np.maximum(radius**2 - d2, 0)), -1e3)
        over = own > height
        height = np.where(over, own, height)
        if joint:
            line = 1 - deep * np.exp(-((t * np.sqrt(flat) / (0.22 * ra)) ** 2))
            crease = np.where(over, line, crease)
        else:
            crease = np.where(over, 1, crease)
        if sleeve and n == len(limbs) - 1 and not joint:
            skin = np.where(over & (t > 0.25), 0, skin)
    return _lit("hand", rng, height, crease, skin)


def microphone(rng: np.random.Generator) -> Tile:
    """A ball or a foam on a tapering stick; sometimes the stick alone, thin as a brush or thick as an arm."""
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    head = np.array([rng.uniform(0.25, 0.6), rng.uniform(0.25, 0.6)]) * TILE
    turn = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    with_head = rng.random() < 0.6
    thin = rng.uniform(0.02, 0.16) * TILE
    end = head + along * TILE * rng.uniform(0.4, 1.4)
    t = np.clip(((x - head[0]) * along[0] + (y - head[1]) * along[1]) / np.hypot(*(end - head)), 0, 1)
    radius = thin * (1 + rng.uniform(-0.3, 0.4) * t)
    d2 = (x - head[0] - t * (end - head)[0]) ** 2 + (y - head[1] - t * (end - head)[1]) ** 2
    height = np.where(d2 < radius**2, np.sqrt(np.maximum(radius**2 - d2, 0)), -1e3).astype(np.float32)
    grid = np.ones((TILE, TILE), np.float32)
    part = np.zeros((TILE, TILE), np.float32)
    if with_head:
        a = max(thin * rng.uniform(1.1, 2.2), 0.07 * TILE)
        b = a * rng.uniform(0.8, 1.3)
        u = (x - head[0]) * along[0] + (y - head[1]) * along[1]
        v = -(x - head[0]) * along[1] + (y - head[1]) * along[0]
        inside = (u / b) ** 2 + (v / a) ** 2
        ball = np.where(inside < 1, a * np.sqrt(np.maximum(1 - inside, 0)) + 0.3 * a, -1e3)
        over = ball > height
        height = np.where(over, ball, height).astype(np.float32)
        step = rng.uniform(2.5, 6)
        if rng.random() < 0.5:
            grid = np.where(over, 1 + 0.3 * np.sin(x * 6.3 / step) * np.sin(y * 6.3 / step), 1).astype(np.float32)
        part = np.where(over, 1.0, 0.0).astype(np.float32)
    tile = _lit("microphone", rng, height, grid, np.zeros((TILE, TILE), np.float32))
    second = rng.uniform(0.3, 2.0, 3) if rng.random() < 0.5 else np.ones(3)
    return Tile(
        tile.kind,
        tile.shade,
        (tile.albedo * (1 + part[..., None] * (second - 1))).astype(np.float32),
        tile.alpha,
        tile.skin,
    )


def blob(rng: np.random.Generator) -> Tile:
    """A flat thing of any outline: a sheet, a rag, a card, a cup; a smooth closed curve or a polygon."""
    corners = int(rng.integers(3, 9))
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(0.15, 0.48, (corners, 1)) * TILE + TILE / 2
    ring = (ring - TILE / 2) * rng.uniform(0.4, 1.0, 2) + TILE / 2
    if rng.random() < 0.6:
        for _ in range(3):  # corners cut again and again (Chaikin): a smooth curve
            after = np.roll(ring, -1, 0)
            ring = np.stack([0.75 * ring + 0.25 * after, 0.25 * ring + 0.75 * after], 1).reshape(-1, 2)
    mask = np.zeros((TILE, TILE), np.uint8)
    cv2.fillPoly(mask, [np.round(ring * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    rise = np.zeros((TILE, TILE), np.float32)
    cv2.randn(rise, 0, 1)
    rise = cv2.GaussianBlur(rise, (0, 0), rng.uniform(4, 14))
    rise *= rng.uniform(0, 6) / max(float(rise.std()), 1e-6)
    height = np.where(mask > 127, rise, -1e3).astype(np.float32)
    return _lit("blob", rng, height, np.ones_like(height), np.full_like(height, float(rng.random() < 0.25)))


def _lit(kind: str, rng: np.random.Generator, height: np.ndarray, detail: np.ndarray, skin: np.ndarray) -> Tile:
    """A height field lit from somewhere, darker where it is hollow."""
    inside = (height > -999).astype(np.float32)
    floor = float(height[inside > 0].min()) if inside.any() else 0.0
    rise = cv2.GaussianBlur(np.where(inside > 0, height, floor - 3).astype(np.float32), (0, 0), rng.uniform(0.8, 1.6))
    dx, dy = cv2.Sobel(rise, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(rise, cv2.CV_32F, 0, 1, scale=1 / 8)
    light = rng.normal(0, 0.6, 3) + np.array([0, -0.3, 1.0])
    light /= np.linalg.norm(light)
    normal = np.stack([-dx, -dy, np.ones_like(dx)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lambert = np.clip(normal @ light, 0, 1)
    ambient = rng.uniform(0.25, 0.75)
    shade = ambient + (1 - ambient) * lambert / max(float(light[2]), 0.4)
    hollow = np.clip((cv2.GaussianBlur(rise, (0, 0), 4) - rise) / 8, 0, 1)
    shade = shade * (1 - rng.uniform(0.1, 0.7) * hollow)
    shine = rng.uniform(0, 0.35) * np.clip(normal @ light, 0, 1) ** rng.uniform(8, 40)
    noise = np.zeros((TILE, TILE, 3), np.float32)
    cv2.randn(noise, 0, 1)
    patchy = cv2.GaussianBlur(noise, (0, 0), rng.uniform(3, 9))
    fine = cv2.GaussianBlur(noise[..., :1], (0, 0), 0.7)[..., None]
    patchy *= rng.uniform(0, 1, 3).astype(np.float32)  # blood shows in red, not in every colour alike
    patchy[..., 0] = np.abs(patchy[..., 0])
    albedo = 1 + patchy / max(float(patchy.std()), 1e-6) * rng.uniform(0, 0.06) + fine * rng.uniform(0, 0.06)
    return Tile(
        kind,
        (shade * detail + shine).astype(np.float32),
        albedo.astype(np.float32),
        cv2.GaussianBlur(inside, (0, 0), 0.7),
        skin.astype(np.float32),
    )
