"""MTCNN: faces from about 20 pixels, found by three ever stricter networks.

Source: Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional
Networks, 2016; weights and conventions of facenet-pytorch (MIT).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..geometry.boxes import suppress
from ..networks import weights
from .found import Found, found

SCALE_STEP = 0.709
THRESHOLDS = (0.6, 0.7, 0.7)
CELL, STRIDE = 12, 2
BATCH = 256
PIXELS = 400_000
"""How many pixels the first network is shown at once: more does not fit a processor's cache."""


class _Cascade(nn.Module):
    """The three networks' shared parts; names are the weight file's."""

    def __init__(self, channels: list[int], kernels: list[int], pools: list[int]) -> None:
        super().__init__()
        self.pools = pools
        self.kernels = kernels
        before = 3
        for i, (after, kernel) in enumerate(zip(channels, kernels, strict=True), 1):
            setattr(self, f"conv{i}", nn.Conv2d(before, after, kernel))
            setattr(self, f"prelu{i}", nn.PReLU(after))
            before = after

    def features(self, x: Tensor) -> Tensor:
        for i in range(1, len(self.kernels) + 1):
            x = getattr(self, f"prelu{i}")(getattr(self, f"conv{i}")(x))
            if i <= len(self.pools):
                x = F.max_pool2d(x, self.pools[i - 1], 2, ceil_mode=True)
        return x


class _Proposals(_Cascade):
    def __init__(self) -> None:
        super().__init__([10, 16, 32], [3, 3, 3], [2])
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.features(x)
        return self.conv4_1(x).softmax(1)[:, 1], self.conv4_2(x)


class _Refinement(_Cascade):
    def __init__(self) -> None:
        super().__init__([28, 48, 64], [3, 3, 2], [3, 3])
        self.dense4 = nn.Linear(576, 128)
        self.prelu4 = nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.prelu4(self.dense4(self.features(x).permute(0, 3, 2, 1).flatten(1)))
        return self.dense5_1(x).softmax(1)[:, 1], self.dense5_2(x)


class _Output(_Cascade):
    def __init__(self) -> None:
        super().__init__([32, 64, 64, 128], [3, 3, 3, 2], [3, 3, 2])
        self.dense5 = nn.Linear(1152, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.prelu5(self.dense5(self.features(x).permute(0, 3, 2, 1).flatten(1)))
        return self.dense6_1(x).softmax(1)[:, 1], torch.cat([self.dense6_2(x), self.dense6_3(x)], 1)


class Mtcnn:
    """A detector; see `Detector`."""

    def __init__(self, device: str = "cpu") -> None:
        tensors, _ = weights.load("mtcnn", device)
        self.device = device
        networks: list[nn.Module] = []
        for name, network in (("pnet.", _Proposals()), ("rnet.", _Refinement()), ("onet.", _Output())):
            network.load_state_dict({k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)})
            networks.append(network.to(device).eval())
        self.proposals, self.refinement, self.output = networks

    @torch.inference_mode()
    def __call__(
        self, images: Sequence[np.ndarray], smallest: float = 20.0, largest: float = float("inf")
    ) -> list[Found]:
        """See `Detector`; faces from about `smallest` to `largest` pixels are proposed.

        The first network sees all frames at once at each scale, the others the proposals of all.
        """
        if not len(images):
            return []
        boxes, of = self._propose(images, smallest, largest)
        scores, shifts = self._look(self.refinement, images, boxes, of, 24)
        good = scores > THRESHOLDS[1]
        boxes, scores, shifts, of = boxes[good], scores[good], shifts[good], of[good]
        kept = _suppress_each(boxes, scores, of, 0.7)
        boxes, of = _squared(_shifted(boxes[kept], shifts[kept], 1.0)), of[kept]
        scores, values = self._look(self.output, images, boxes, of, 48)
        good = scores > THRESHOLDS[2]
        boxes, scores, values, of = boxes[good], scores[good], values[good], of[good]
        size = boxes[:, 2:] - boxes[:, :2] + 1
        points = values[:, 4:].reshape(-1, 2, 5).transpose(0, 2, 1) * size[:, None] + boxes[:, None, :2] - 1
        boxes = _shifted(boxes, values[:, :4], 1.0)
        answers = []
        for index in range(len(images)):
            rows = np.flatnonzero(of == index)
            rows = rows[suppress(boxes[rows], scores[rows], 0.7, of_smaller=True)]
            answers.append(found(boxes[rows], scores[rows], points[rows]))
        return answers

    def _propose(self, images: Sequence[np.ndarray], smallest: float, largest: float) -> tuple[np.ndarray, np.ndarray]:
        """Square boxes (n, 4) that may show a face, and the image (n,) each is of."""
        height, width = images[0].shape[:2]
        boxes, scores, images_of = [np.empty((0, 4), np.float32)], [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        size = smallest
        while min(height, width) >= size and size <= largest:
            scale = CELL / size
            shape = (int(width * scale + 1), int(height * scale + 1))
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            group = max(1, PIXELS // (shape[0] * shape[1]))
            for start in range(0, len(images), group):
                small = [cv2.resize(image, shape, interpolation=how) for image in images[start : start + group]]
                probability, shift = self.proposals(_normalised(torch.from_numpy(np.stack(small)).to(self.device)))
                which, rows, columns = torch.nonzero(probability >= THRESHOLDS[0], as_tuple=True)
                score = probability[which, rows, columns].cpu().numpy()
                corner = torch.stack([columns, rows], 1).cpu().numpy() * STRIDE
                box = np.concatenate([np.floor((corner + 1) / scale), np.floor((corner + CELL) / scale)], 1)
                box = _shifted(box.astype(np.float32), shift[which, :, rows, columns].cpu().numpy(), 0.0)
                of = which.cpu().numpy() + start
                kept = _suppress_each(box, score, of, 0.5)
                boxes.append(box[kept])
                scores.append(score[kept])
                images_of.append(of[kept])
            size /= SCALE_STEP
        box, score, of = np.concatenate(boxes), np.concatenate(scores), np.concatenate(images_of)
        kept = _suppress_each(box, score, of, 0.7)
        return _squared(box[kept]), of[kept]

    def _look(
        self, network: nn.Module, images: Sequence[np.ndarray], boxes: np.ndarray, of: np.ndarray, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """A network's scores and regressions for the picture inside each box."""
        height, width = images[0].shape[:2]
        crops = np.zeros((len(boxes), size, size, 3), np.uint8)
        for crop, box, index in zip(crops, boxes.astype(int), of, strict=True):
            x0, y0 = max(box[0] - 1, 0), max(box[1] - 1, 0)
            part = images[index][y0 : min(box[3], height), x0 : min(box[2], width)]
            if part.size:
                how = cv2.INTER_AREA if min(part.shape[:2]) > size else cv2.INTER_LINEAR
                cv2.resize(part, (size, size), dst=crop, interpolation=how)
        scores, regressions = [], []
        for batch in torch.split(torch.from_numpy(crops), BATCH):
            score, regression = network(_normalised(batch.to(self.device)))
            scores.append(score.cpu())
            regressions.append(regression.cpu())
        return torch.cat(scores).numpy(), torch.cat(regressions).numpy()


def _suppress_each(boxes: np.ndarray, scores: np.ndarray, of: np.ndarray, limit: float) -> np.ndarray:
    """`suppress` among the boxes of each image by itself; rows kept, by image."""
    groups = [np.flatnonzero(of == index) for index in np.unique(of)]
    return np.concatenate(
        [rows[suppress(boxes[rows], scores[rows], limit)] for rows in groups] or [np.empty(0, np.int64)]
    )


def _normalised(images: Tensor) -> Tensor:
    return (images.permute(0, 3, 1, 2).float() - 127.5) / 128


def _shifted(boxes: np.ndarray, shifts: np.ndarray, pixel: float) -> np.ndarray:
    """Boxes moved by regressions relative to their size; `pixel` 1 counts the last pixel in."""
    size = boxes[:, 2:] - boxes[:, :2] + pixel
    return boxes + shifts * np.concatenate([size, size], 1)


def _squared(boxes: np.ndarray) -> np.ndarray:
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([center - half, center + half], 1)
