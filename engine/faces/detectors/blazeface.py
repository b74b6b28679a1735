"""BlazeFace, full range: quick, and good at profiles, turned heads and noise; faces above about a
fourth of the picture's side in a crop of 192 pixels.

Source: Bazarevsky et al., BlazeFace, 2019; MediaPipe's face_detection_full_range_sparse (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from ..geometry.boxes import overlap
from ..networks import weights
from ..networks.tflite import GraphNet
from .found import Found, found

SIZE = 192
CELLS = 48
SCORE = 0.6
OVERLAP = 0.3
BATCH = 16


class BlazeFace:
    """A detector; see `Detector`."""

    def __init__(self, device: str = "cpu") -> None:
        tensors, facts = weights.load("blazeface", device)
        self.device = device
        self.network = GraphNet(facts["program"], tensors).to(device).eval()
        rows, columns = np.divmod(np.arange(CELLS * CELLS), CELLS)
        self.anchors = (np.stack([columns, rows], 1) + 0.5).astype(np.float32) * (SIZE / CELLS)

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray], smallest: float = 20.0) -> list[Found]:
        """See `Detector`; it knows the eyes and the nose, not the corners of the mouth."""
        if not len(images):
            return []
        squares = _squares(images[0].shape[0], images[0].shape[1])
        crops = np.stack([_letterbox(image, square) for image in images for square in squares])
        outputs = [self._network(batch) for batch in torch.split(torch.from_numpy(crops), BATCH)]
        values, scores = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        answers = []
        for index in range(len(images)):
            of = slice(index * len(squares), (index + 1) * len(squares))
            answers.append(self._read(values[of], scores[of], squares))
        return answers

    def _network(self, crops: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Crops (n, 192, 192, 3) uint8 → values (n, cells, 8, 2) and scores (n, cells)."""
        pixels = crops.to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        raw, logits = self.network(pixels.contiguous(memory_format=torch.channels_last))
        scores = logits[..., 0].clamp(-80, 80).sigmoid().cpu().numpy()
        return raw.cpu().numpy().reshape(len(crops), -1, 8, 2), scores

    def _read(self, values: np.ndarray, scores: np.ndarray, squares: list[tuple[int, int, int]]) -> Found:
        boxes, points, kept = [], [], []
        for (x, y, side), score, value in zip(squares, scores, values, strict=True):
            good, scale = score > SCORE, SIZE / side
            value, anchor = value[good], self.anchors[good]
            center, half = value[:, 0] + anchor, value[:, 1] / 2
            boxes.append(np.concatenate([center - half, center + half], 1) / scale + np.tile([x, y], 2))
            points.append((value[:, 2:] + anchor[:, None]) / scale + np.array([x, y]))
            kept.append(score[good])
        return _merge(np.concatenate(boxes), np.concatenate(kept), np.concatenate(points))


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


def _merge(boxes: np.ndarray, scores: np.ndarray, points: np.ndarray) -> Found:
    """Overlapping answers become one, their mean by score (as MediaPipe's weighted suppression)."""
    merged_boxes, merged_scores, merged_points = [], [], []
    rest = np.argsort(-scores, kind="stable")
    while len(rest):
        same = overlap(boxes[rest[0]][None], boxes[rest])[0] > OVERLAP
        same[0] = True
        group, rest = rest[same], rest[~same]
        share = scores[group] / scores[group].sum()
        merged_boxes.append(share @ boxes[group])
        six = np.tensordot(share, points[group], 1)  # eyes, nose, middle of the mouth, ears
        merged_points.append(np.concatenate([six[:3], np.full((2, 2), np.nan)]))
        merged_scores.append(scores[group[0]])
    return found(np.array(merged_boxes), np.array(merged_scores), np.array(merged_points))
