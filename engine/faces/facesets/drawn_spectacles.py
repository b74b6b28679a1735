"""Spectacles on a face that did not wear them: as all frames of their wearer show them, on another face's mesh."""

from __future__ import annotations

import cv2
import numpy as np

from ..geometry.align import to_opencv
from .rim_shapes import WIDE, fixed
from .spectacles import BRIDGE, EYES_AT, LEAST, Spectacles, draw_line, frame_of, plane_on, projection

EARS = ((127, -1), (356, 1))
"""Vertices beside the ears, and to which side of the picture each lies on a face straight ahead."""
BEYOND = 1.15
"""Arms go on behind those, so far from the rims in parts of the way to them, until hair or ears hide them."""
HINGE_AT = 0.3
"""Arms begin so far down a rim, in parts of its height."""
DARK_LENS = 0.9
"""How opaque sunglasses are."""


def drawn_spectacles(
    worn: Spectacles, landmarks: np.ndarray, skin: np.ndarray, light: float
) -> tuple[np.ndarray, np.ndarray]:
    """Spectacles on a face with these landmarks (468, 3) in pixels of a crop of S × S.

    skin (S, S) float32 0..1 is where their arms may be seen; `light` is how bright skin is there, the mean of RGB
    0..255. Returns their colours (S, S, 3) float32 RGB 0..255, and where they are, (S, S) float32 0..1. They are flat,
    and arms straight, so that they stand as still as the mesh does.
    """
    size, plane = len(skin), plane_on(landmarks, worn.face)
    scale, soft = float(np.sqrt(abs(np.linalg.det(plane[:, :2])))), max(0.8, size / 320)
    lines = [(line @ plane[:, :2].T + plane[:, 2], scale * half) for line, half in worn.rims]
    least = LEAST * size / 2
    alpha = np.zeros((size, size), np.float32)
    for line, half in lines:
        alpha = np.maximum(alpha, draw_line(line, np.maximum(half, least), True, size, soft))
    usual = max(float(np.median(np.concatenate([half for _, half in lines]))), least)
    if worn.bridge is not None:
        there = worn.bridge @ plane[:, :2].T + plane[:, 2]
        alpha = np.maximum(alpha, draw_line(there, np.full(len(there), BRIDGE * usual), False, size, soft))
    colours = _in_crop(worn, plane, size)
    if worn.dark:
        lenses = np.zeros((size, size), np.uint8)
        for line, _ in lines:
            cv2.fillPoly(lenses, [fixed(line)], 255, cv2.LINE_AA, shift=4)
        alpha = np.maximum(alpha, DARK_LENS * lenses.astype(np.float32) / 255)
    tone = np.average(colours.reshape(-1, 3), axis=0, weights=alpha.ravel() + 1e-6)
    for arm in arms(worn, landmarks):
        shown = draw_line(arm, np.full(len(arm), 1.2 * usual), False, size, soft) * skin
        colours += np.clip(shown - alpha, 0, 1)[..., None] * (tone - colours)
        alpha = np.maximum(alpha, shown)
    return np.clip(colours * (light / worn.light), 0, 255).astype(np.float32), alpha


def arms(worn: Spectacles, landmarks: np.ndarray) -> list[np.ndarray]:
    """Lines (2, 2) in crop pixels along which the arms of spectacles are seen: straight back from the rims.

    landmarks (468, 3) in the same pixels. One that the head or its own rim hides is left out.
    """
    unit, centre = frame_of(worn.face)
    project = projection(landmarks, worn.face)
    found = []
    for ear, way in EARS:
        hinge = _hinge([line for line, _ in worn.rims], way)
        begin = np.append((hinge - (WIDE / 2, EYES_AT)) * unit + centre, worn.face[168, 2])
        end = np.array([worn.face[ear, 0], begin[1], worn.face[ear, 2]])
        line = project(np.stack([begin, begin + BEYOND * (end - begin)]))
        if (line[1, 0] - line[0, 0]) * way > 0.03 * np.ptp(landmarks[:, 0]):
            found.append(line)
    return found


def _hinge(rims: list[np.ndarray], way: int) -> np.ndarray:
    """Where the arm to one side begins: (2,) in the spectacles' plane."""
    rim = max(rims, key=lambda r: float((r[:, 0] * way).max()))
    wanted = rim[:, 1].min() + HINGE_AT * np.ptp(rim[:, 1])
    out = (rim[:, 0] - rim[:, 0].mean()) * way
    side = rim[out > 0.6 * out.max()]
    found: np.ndarray = side[np.abs(side[:, 1] - wanted).argmin()]
    return found


def _in_crop(worn: Spectacles, plane: np.ndarray, size: int) -> np.ndarray:
    """The picture of the spectacles' plane in a crop, its borders repeated: (S, S, 3) float32.

    A thin rim is mixed with the skin beside it; its own colour is the darkest nearby, or the brightest.
    """
    extreme = cv2.erode if worn.sign > 0 else cv2.dilate
    picture: np.ndarray = cv2.warpAffine(
        extreme(worn.picture.astype(np.float32), np.ones((3, 3), np.uint8)),
        to_opencv(plane),
        (size, size),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return picture
