"""What tools/train_parser.py draws over faces: spectacles, strands, beards; every drawing tells where it lies.

Pictures are (S, S, 3) float32 0..255, landmarks (468, 3) in their pixels, alphas (S, S) float32 0..1.
"""

from __future__ import annotations

import cv2
import numpy as np

_JAW = [234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454]
_LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
_BEARD = [*_JAW, 352, 411, 425, 287, 291, 391, 2, 164, 165, 61, 57, 205, 187, 123]
_MOUSTACHE = [61, 57, 206, 203, 98, 97, 2, 326, 327, 423, 426, 287, 291, 269, 267, 0, 37, 39]
_CHIN = [204, 83, 18, 313, 424, 379, 378, 400, 377, 152, 148, 176, 149, 150]


def over(picture: np.ndarray, alpha: np.ndarray, colour: np.ndarray) -> None:
    """Lay a colour (3,) or a picture over a picture, in place."""
    picture += alpha[..., None] * (colour - picture)


def fixed(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) for OpenCV's drawing in sixteenths of a pixel."""
    return np.round((points[:, :2] - 0.5) * 16).astype(np.int32)


def spectacles(rng: np.random.Generator, picture: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spectacles put onto a face as its head is turned: where their rims and their lenses are, (S, S) 0..1 each."""
    size = len(picture)
    eyes = np.stack([landmarks[[33, 133, 159, 145]].mean(0), landmarks[[263, 362, 386, 374]].mean(0)])
    x = eyes[1] - eyes[0]
    apart = float(np.linalg.norm(x))
    x = x / apart
    y = landmarks[152] - landmarks[10]
    y = y - (y @ x) * x
    y = y / np.linalg.norm(y)
    z = np.cross(x, y)  # away from the camera
    if z[2] < 0:
        z = -z
    wide, high = rng.uniform(0.36, 0.49) * apart, rng.uniform(0.24, 0.42) * apart
    power = float(np.exp(rng.uniform(np.log(2.0), np.log(7.0))))
    thick = float(np.exp(rng.uniform(np.log(0.02), np.log(0.095)))) * apart
    droop, flare, turn = rng.uniform(-0.12, 0.2), rng.uniform(-0.15, 0.2), rng.uniform(-0.1, 0.15)
    half_rim, rimless = rng.random() < 0.12, rng.random() < 0.08
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    u = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / power)
    v = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** (2 / power)
    down = rng.uniform(-0.02, 0.12) * apart
    forward = rng.uniform(0.05, 0.2) * apart
    rim, lens, arm = (np.zeros((size, size), np.uint8) for _ in range(3))
    rings = []
    for side, eye in ((-1, eyes[0]), (1, eyes[1])):
        middle = eye + y * down - z * forward + x * side * rng.uniform(0.0, 0.03) * apart
        out = side * u  # 1 at the temple
        px = wide * u * (1 + 0.1 * flare * -v)
        py = high * (v * (1 + droop * -out * 0.5) - turn * out * 0.6 - flare * 0.2 * out * (v < 0))
        ring = middle + px[:, None] * x + py[:, None] * y + (0.12 * np.abs(px) * (out > 0))[:, None] * z
        rings.append((side, ring))
        cv2.fillPoly(lens, [fixed(ring)], 255, cv2.LINE_AA, 4)
    stroke = max(1, round(thick))
    for _, ring in rings:
        if rimless:
            continue
        upper = v < 0.15
        if half_rim:
            keep = np.roll(fixed(ring), -int(np.flatnonzero(upper & ~np.roll(upper, 1))[0]), 0)[: int(upper.sum())]
            cv2.polylines(rim, [keep], False, 255, stroke, cv2.LINE_AA, 4)
        else:
            cv2.polylines(rim, [fixed(ring)], True, 255, stroke, cv2.LINE_AA, 4)
            if rng.random() < 0.4:
                cv2.polylines(rim, [fixed(ring[upper])], False, 255, stroke + 1, cv2.LINE_AA, 4)
    inner = [ring[int(np.argmin(side * ((ring - eyes.mean(0)) @ x)))] for side, ring in rings]
    bridge = np.stack([inner[0], (inner[0] + inner[1]) / 2 - y * rng.uniform(0.0, 0.12) * apart, inner[1]])
    cv2.polylines(rim, [fixed(bridge)], False, 255, max(1, round(thick * rng.uniform(0.5, 1.1))), cv2.LINE_AA, 4)
    for (side, ring), ear in zip(rings, (landmarks[127], landmarks[356]), strict=True):
        hinge = ring[int(np.argmax(side * ((ring - eyes.mean(0)) @ x) - 0.3 * ((ring - eyes.mean(0)) @ y)))]
        end = ear + side * x * rng.uniform(0.02, 0.12) * apart + z * rng.uniform(0.1, 0.5) * apart
        end = end + y * rng.uniform(-0.15, 0.1) * apart
        if side * (end - hinge)[0] > -0.1 * apart:  # else the head hides it
            cv2.polylines(
                arm,
                [fixed(np.stack([hinge, end]))],
                False,
                255,
                max(1, round(thick * rng.uniform(0.5, 1.2))),
                cv2.LINE_AA,
                4,
            )
    rim = np.maximum(rim, arm)
    soft = rng.uniform(0.0, 0.9)
    alpha, glass = (m.astype(np.float32) / 255 for m in (rim, lens))
    if soft > 0.3:
        alpha = cv2.GaussianBlur(alpha, (0, 0), soft)
    cast = cv2.warpAffine(
        alpha, np.array([[1, 0, rng.normal(0, 1)], [0, 1, rng.uniform(1, 0.06 * apart + 2)]]), (size, size)
    )
    picture *= 1 - rng.uniform(0, 0.45) * cv2.GaussianBlur(cast, (0, 0), rng.uniform(0.8, 3))[..., None]
    if rng.random() < 0.25:  # tinted, light to dark
        tint = rng.uniform(5, 90) * (1 + rng.normal(0, 0.15, 3))
        over(picture, glass * rng.uniform(0.1, 0.9), tint)
    if rng.random() < 0.5:  # what is mirrored in the glass
        shine = np.zeros((size, size), np.uint8)
        for ring in (rings[0][1], rings[1][1]):
            if rng.random() < 0.8:
                low, spread = ring[:, :2].min(0), np.ptp(ring[:, :2], axis=0)
                box = low + spread * rng.uniform(0.05, 0.95, (int(rng.integers(3, 6)), 2))
                cv2.fillConvexPoly(shine, fixed(cv2.convexHull(box.astype(np.float32))[:, 0]), 255, cv2.LINE_AA, 4)
        bright = cv2.GaussianBlur(shine, (0, 0), rng.uniform(0.6, 6)).astype(np.float32) / 255 * glass
        over(picture, bright * rng.uniform(0.1, 0.8), rng.uniform(150, 255) * (1 + rng.normal(0, 0.1, 3)))
    kind = rng.random()
    if kind < 0.55:
        tone = rng.uniform(5, 60) * (1 + rng.normal(0, 0.2, 3))
    elif kind < 0.75:
        tone = np.array([1.0, 0.6, 0.3]) * rng.uniform(30, 150)
    else:
        tone = rng.uniform(60, 230) * (1 + rng.normal(0, 0.25, 3))
    colour = np.empty((size, size, 3), np.float32)
    colour[:] = np.clip(tone, 0, 255)
    colour *= np.exp(
        cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), 2.5) * 2.5 * rng.uniform(0, 1.0)
    )[..., None]
    edge = cv2.warpAffine(alpha, np.array([[1.0, 0, 0], [0, 1, 1]]), (size, size))
    colour += (np.clip(alpha - edge, 0, 1) * rng.uniform(0, 140))[..., None]
    over(picture, alpha * rng.uniform(0.75, 1.0), np.clip(colour, 0, 255))
    return alpha, glass


def strands(rng: np.random.Generator, picture: np.ndarray, landmarks: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Locks and single hairs that fall from above over the face: where they are, (S, S) 0..1."""
    size = len(picture)
    found = picture[hair > 0.9]
    if len(found) > 60 and rng.random() < 0.8:
        base = found[rng.integers(len(found), size=8)].mean(0)
    else:
        base = rng.uniform(10, 150) * np.array([1.0, rng.uniform(0.6, 0.95), rng.uniform(0.35, 0.9)])
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    whole = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        root = np.array([rng.uniform(low[0] - 8, high[0] + 8), low[1] + rng.uniform(-0.15, 0.1) * (high - low)[1]])
        length = (high - low)[1] * rng.uniform(0.15, 0.9)
        side = np.sign(root[0] - (low + high)[0] / 2)
        tip = root + np.array([side * rng.uniform(-0.1, 0.35) * length, length])
        bow = np.array([rng.normal(0, 0.25) * length, 0.5 * length])
        t = np.linspace(0, 1, 14)[:, None]
        count = int(np.exp(rng.uniform(0, np.log(60))))
        wide = rng.uniform(0.002, 0.012) * size * np.sqrt(count)
        for _ in range(count):
            a, c = root + rng.normal(0, wide, 2) * [1, 0.3], tip + rng.normal(0, wide * 0.7, 2)
            b = (root + bow) + rng.normal(0, wide, 2)
            line = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
            layer = np.zeros((size, size), np.uint8)
            cv2.polylines(layer, [fixed(line)], False, 255, 1 if rng.random() < 0.7 else 2, cv2.LINE_AA, 4)
            alpha = layer.astype(np.float32) * (rng.uniform(0.35, 1.0) / 255)
            over(picture, alpha, base * np.exp(rng.normal(0, 0.25)))
            whole = np.maximum(whole, alpha)
    return np.clip(cv2.GaussianBlur(whole, (0, 0), 0.7) * 1.4, 0, 1)


def beard(rng: np.random.Generator, picture: np.ndarray, landmarks: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """A beard, a moustache or stubble: where it covers skin, (S, S) 0..1."""
    size = len(picture)
    zone = np.zeros((size, size), np.uint8)
    kind = rng.choice(4, p=[0.45, 0.2, 0.2, 0.15])
    for ring in ([_BEARD], [_MOUSTACHE], [_MOUSTACHE, _CHIN], [_CHIN])[kind]:
        points = landmarks[ring, :2]
        points = points + (points - points.mean(0)) * rng.uniform(-0.08, 0.1)
        cv2.fillPoly(zone, [fixed(points)], 255, cv2.LINE_AA, 4)
    lips = np.zeros((size, size), np.uint8)
    cv2.fillPoly(lips, [fixed(landmarks[_LIPS])], 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(zone, (0, 0), rng.uniform(1, 4)).astype(np.float32) / 255
    soft *= 1 - lips.astype(np.float32) / 255
    angle = rng.normal(np.pi / 2, 0.4)
    kernel = np.zeros((9, 9), np.float32)
    step = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.5, 3.5)
    cv2.line(
        kernel, *(tuple(np.round((4 + s * step) * 16).astype(int).tolist()) for s in (-1, 1)), 1.0, 1, cv2.LINE_AA, 4
    )
    texture = cv2.filter2D(rng.normal(0, 1, (size, size)).astype(np.float32), -1, kernel)
    texture /= max(float(texture.std()), 1e-6)
    dense = rng.uniform(0.1, 1.0)
    alpha = soft * np.clip(dense + 0.3 * (1 - abs(2 * dense - 1)) * texture, 0, 1)
    found = picture[hair > 0.9]
    base = (
        np.median(found, 0)
        if len(found) > 60 and rng.random() < 0.7
        else rng.uniform(8, 160) * np.array([1.0, rng.uniform(0.65, 1), rng.uniform(0.4, 1)])
    )
    colour = base * np.exp(0.22 * texture)[..., None] * rng.uniform(0.7, 1.2)
    over(picture, alpha * rng.uniform(0.75, 0.97), np.clip(colour, 0, 255))
    return np.clip((soft * dense - 0.2) / 0.25, 0, 1)
