"""The networks against numbers computed by other programs from the same files and pictures.

MediaPipe 0.10.21, TensorFlow Lite's own runtime (ai-edge-litert 2.3.0), dlib 20.0.1 and facenet-pytorch 2.5.3 gave
them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from understudy.engine.faces.detectors.mtcnn import Mtcnn
from understudy.engine.faces.networks import face_mesh, weights
from understudy.engine.faces.networks.dlib import FaceNet
from understudy.engine.faces.networks.tflite import GraphNet

pytestmark = pytest.mark.usefixtures("networks")

MESH_POINTS = {
    1: (95.49739, 127.53696, -24.44157),
    33: (61.77762, 98.66055, 4.74439),
    263: (131.37067, 102.22439, 5.05542),
    61: (71.05131, 139.06207, 6.85460),
    291: (120.34470, 140.97410, 7.15090),
    152: (94.34232, 177.47342, 8.25247),
}
MESH_LOGIT = 25.90486
ATTENTION_POINTS = {
    1: (93.44913, 126.24221, -23.47408),
    33: (64.38044, 101.32695, 6.86312),
    263: (130.57458, 105.38408, 2.11446),
    61: (70.94591, 138.66643, 9.09690),
    291: (119.21634, 141.30385, 6.47131),
    152: (93.34006, 175.00377, 7.97611),
}
ATTENTION_LOGIT = 11.70373
FINE_POINTS = {
    face_mesh.LIPS: {
        0: (73.82159, 139.27757),
        25: (93.96089, 150.23401),
        35: (94.07408, 143.22713),
        59: (113.8659, 141.00368),
    },
    face_mesh.RIGHT_EYE: {0: (66.65463, 100.70409), 4: (75.0378, 104.09073), 12: (74.52915, 97.87015)},
    face_mesh.LEFT_EYE: {0: (127.8033, 104.66447), 4: (118.68799, 106.34988), 12: (120.32811, 100.66505)},
    face_mesh.RIGHT_IRIS: {0: (75.63313, 101.05536)},
    face_mesh.LEFT_IRIS: {0: (118.64813, 103.72782)},
}
BLAZE_BEST = {1416: 2.35059, 1464: 0.62659, 1465: -0.91458}
BLAZE_BOX = (-0.89125, -0.80273, 116.02563, 116.07340, -23.74569, -14.92656, 23.29546, -15.62253)
DESCRIPTOR = (-0.045005, 0.053098, -0.013318, 0.069427, -0.139863, 0.021568, -0.023786, -0.109766)
DESCRIPTOR_LENGTH = 1.441287
MTCNN_FACE = {"astronaut": (181.05, 62.16, 267.75, 172.05), "hopper": (174.40, 119.56, 355.65, 340.46)}
MTCNN_EYES = {"astronaut": ((205.0, 101.7), (246.8, 103.7)), "hopper": ((221.7, 192.2), (309.8, 186.1))}


def as_input(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()


def graph(name: str) -> GraphNet:
    tensors, facts = weights.load(name)
    return GraphNet(facts["program"], tensors)


def test_mesh_equals_the_tflite_runtime(astronaut: np.ndarray) -> None:
    points, logit = graph("mesh")(as_input(astronaut[0:192, 128:320]) / 255)
    found = points.reshape(468, 3)[list(MESH_POINTS)]
    np.testing.assert_allclose(found, list(MESH_POINTS.values()), atol=2e-3)
    assert logit.item() == pytest.approx(MESH_LOGIT, abs=1e-3)


def test_attention_equals_mediapipe(astronaut: np.ndarray) -> None:
    outputs = graph("attention")(as_input(astronaut[0:192, 128:320]) / 255)
    found = outputs[face_mesh.MESH].reshape(468, 3)[list(ATTENTION_POINTS)]
    np.testing.assert_allclose(found, list(ATTENTION_POINTS.values()), atol=1e-3)
    for output, points in FINE_POINTS.items():
        np.testing.assert_allclose(outputs[output].reshape(-1, 2)[list(points)], list(points.values()), atol=1e-3)
    assert outputs[face_mesh.SCORE].item() == pytest.approx(ATTENTION_LOGIT, abs=1e-3)


def test_only_the_outputs_wanted_are_computed(astronaut: np.ndarray) -> None:
    tensors, facts = weights.load("attention")
    whole, part = (GraphNet(facts["program"], tensors, wanted) for wanted in (None, (face_mesh.SCORE, face_mesh.MESH)))
    assert len(part.program["steps"]) < 0.5 * len(whole.program["steps"])
    picture = as_input(astronaut[0:192, 128:320]) / 255
    score, points = part(picture)
    every = whole(picture)
    torch.testing.assert_close(score, every[face_mesh.SCORE])
    torch.testing.assert_close(points, every[face_mesh.MESH])


def test_blazeface_equals_the_tflite_runtime(astronaut: np.ndarray) -> None:
    boxes, logits = graph("blazeface")(as_input(astronaut[0:192, 128:320]) / 127.5 - 1)
    best = logits[0, :, 0].topk(3)
    assert best.indices.tolist() == list(BLAZE_BEST)
    np.testing.assert_allclose(best.values, list(BLAZE_BEST.values()), atol=1e-3)
    np.testing.assert_allclose(boxes[0, 1416, :8], BLAZE_BOX, atol=3e-3)


@pytest.mark.parametrize("name, side", [("mesh", 192), ("attention", 192), ("blazeface", 192)])
def test_a_batch_is_its_pictures_one_by_one(name: str, side: int, astronaut: np.ndarray) -> None:
    net = graph(name)
    pair = torch.cat([as_input(astronaut[y : y + side, 128:320]) / 255 for y in (0, 60)])
    for whole, first, second in zip(net(pair), net(pair[:1]), net(pair[1:]), strict=True):
        torch.testing.assert_close(whole, torch.cat([first, second]), atol=2e-3, rtol=1e-4)


def test_embedding_equals_dlib(astronaut: np.ndarray) -> None:
    tensors, _ = weights.load("embedding")
    found = FaceNet(tensors).eval()(as_input(astronaut[40:190, 150:300]))[0].detach()
    np.testing.assert_allclose(found[:8], DESCRIPTOR, atol=1e-5)
    assert found.norm().item() == pytest.approx(DESCRIPTOR_LENGTH, abs=1e-5)


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_mtcnn_equals_facenet(name: str, request: pytest.FixtureRequest) -> None:
    picture = request.getfixturevalue(name)
    ((boxes, scores, points),) = Mtcnn()([picture])
    assert len(boxes) == 1 and scores[0] > 0.999
    width = MTCNN_FACE[name][2] - MTCNN_FACE[name][0]
    # pictures are shrunk with whole numbers here and with fractions there
    np.testing.assert_allclose(boxes[0], MTCNN_FACE[name], atol=0.05 * width)
    np.testing.assert_allclose(points[0, :2], MTCNN_EYES[name], atol=0.015 * width)


def test_conversion_keeps_the_licences(networks: Path) -> None:
    licences = {name: weights.load(name)[1]["licence"] for package in weights.PACKAGES for name in package.networks}
    google = dict.fromkeys(("blazeface", "mesh", "attention"), "Apache-2.0")
    assert licences == {**google, "mtcnn": "MIT", "embedding": "CC0-1.0"}
