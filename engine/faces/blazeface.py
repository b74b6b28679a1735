"""BlazeFace, full range: quick, and good at profiles, turned heads and noise; faces above about a
fourth of the picture's side in a crop of 192 pixels.

Source: Bazarevsky et al., BlazeFace, 2019; MediaPipe's face_detection_full_range_sparse (Apache-2.0).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from . import weights
from .boxes import overlap
from .tflite import GraphNet

SIZE = 192
CELLS = 48
SCORE = 0.6
OVERLAP = 0.3


class BlazeFace:
    """Call it with one picture; see `__call__`."""

    def __init__(self, device: str = "cpu") -> None:
        tensors, facts = weights.load("blazeface", device)
        self.device = device
        self.network = GraphNet(facts["program"], tensors).to(device).eval()
        rows, columns = np.divmod(np.arange(CELLS * CELLS), CELLS)
        self.anchors = (np.stack([columns, rows], 1) + 0.5).astype(np.float32) * (SIZE / CELLS)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Faces in an RGB image (height, width, 3) uint8.

        Returns boxes (n, 4) float32 x0 y0 x1 y1 in pixels, scores (n,) 0..1, and six points
        (n, 6, 2): the eyes from left to right in an upright face, nose, mouth, the ears.
        """
        squares = _squares(image.shape[0], image.shape[1])
        scales = [SIZE / side for _, _, side in squares]
        crops = np.stack([_letterbox(image, square) for square in squares])
        pixels = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        raw, logits = self.network(pixels.contiguous(memory_format=torch.channels_last))
        scores = logits[..., 0].clamp(-80, 80).sigmoid().cpu().numpy()
        values = raw.cpu().numpy().reshape(len(squares), -1, 8, 2)
        boxes, points, found = [], [], []
        for (x, y, _), scale, score, value in zip(squares, scales, scores, values, strict=True):
            good = score > SCORE
            value, anchor = value[good], self.anchors[good]
            center, half = value[:, 0] + anchor, value[:, 1] / 2
            boxes.append(np.concatenate([center - half, center + half], 1) / scale + np.tile([x, y], 2))
            points.append((value[:, 2:] + anchor[:, None]) / scale + np.array([x, y]))
            found.append(score[good])
        return _merge(np.concatenate(boxes), np.concatenate(found), np.concatenate(points))


def _squares(height: int, width: int) -> list[tuple[int, int, int]]:
    """Where to look, as x, y, side: the whole picture, and in a long one overlapping squares of it."""
    long, short = max(height, width), min(height, width)
    squares = [((width - long) // 2, (height - long) // 2, long)]
    if long >= 1.3 * short:
        count = int(np.ceil((long - short) / (0.6 * short))) + 1
        for start in np.linspace(0, long - short, count).round().astype(int).tolist():
            squares.append((start, 0, short) if width > height else (0, start, short))
    return squares


def _letterbox(image: np.ndarray, square: tuple[int, int, int]) -> np.ndarray:
    """The square of the picture at the network's size, black where it reaches outside."""
    x, y, side = square
    height, width = image.shape[:2]
    part = image[max(y, 0) : min(y + side, height), max(x, 0) : min(x + side, width)]
    scale = SIZE / side
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = np.zeros((SIZE, SIZE, 3), np.uint8)
    left, top = min(round(max(-x, 0) * scale), SIZE - size[0]), min(round(max(-y, 0) * scale), SIZE - size[1])
    out[top : top + size[1], left : left + size[0]] = cv2.resize(part, size, interpolation=how)
    return out


def _merge(boxes: np.ndarray, scores: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlapping answers become one, their mean by score (as MediaPipe's weighted suppression)."""
    merged_boxes, merged_scores, merged_points = [], [], []
    rest = np.argsort(-scores, kind="stable")
    while len(rest):
        same = overlap(boxes[rest[0]][None], boxes[rest])[0] > OVERLAP
        same[0] = True
        group, rest = rest[same], rest[~same]
        share = scores[group] / scores[group].sum()
        merged_boxes.append(share @ boxes[group])
        merged_points.append(np.tensordot(share, points[group], 1))
        merged_scores.append(scores[group[0]])
    return (
        np.array(merged_boxes, np.float32).reshape(-1, 4),
        np.array(merged_scores, np.float32),
        np.array(merged_points, np.float32).reshape(-1, 6, 2),
    )
