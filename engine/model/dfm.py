"""A trained shared encoder as a DFM file: the ONNX model that DeepFaceLive and FaceFusion's deep swapper load.

Names, order, layout and ranges are those of their published code (DeepFaceLive: modelhub/DFLive/DFMModel.py;
FaceFusion: processors/modules/deep_swapper.py): one input, BGR 0..1 as (1, R, R, 3), and three outputs, the mask of the
face that is replaced (1, R, R, 1), the new face (1, R, R, 3) and its mask (1, R, R, 1). Their crop is DeepFaceLab's
*whole face*.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..durable import SHARED, Allow, write_bytes
from ..errors import DataError, UnderstudyError
from .model_folder import load_refiner, read_card
from .networks.shared_encoder import Shared, SharedDecoder, border_window

OPSET = 13
"""What the oldest onnxruntime that DeepFaceLive ships with reads."""
WHOLE_FACE = 1.192
"""Sides of Understudy's crop in one of a whole face's; the former begins at so much of the latter, x and y:"""
OFFSET = (0.0716, 0.1004)
"""By five points of the mean face in either (eyes, tip of the nose, corners of the mouth)."""
STEP = 32
"""Their crops' sides are multiples of this."""
MASK_LOGITS = (0.1, 0.7)
"""Nearly sure is sure, as `recast` has it: less than the first is no face, so much more is one."""


def export_dfm(folder: Path, name: str, output: Path, allow: Allow | None = None) -> int:
    """Write the model in `folder` with the face of the identity `name`; returns the side of its crops, pixels.

    Raises DataError where the model is no trained shared encoder or does not know the name, UnderstudyError where
    the library that writes it is not installed.
    """
    onnx = _library()
    card = read_card(folder)
    if name not in card.identities:
        raise DataError(f"This model does not know {name}, but {', '.join(card.identities)}. Name one of them.")
    network = load_refiner(folder, card)
    if network is None:
        raise DataError(f"{folder} is not trained. Train it with --network shared, then export it.")
    if not isinstance(network, Shared):
        raise DataError(
            f"{folder} refines drafts, which are made of the mesh and of pictures: no network alone can do that. Train "
            "one with --network shared, and export that."
        )
    size = _side_of(network)
    graph, side = _graph(onnx, network, card.identities.index(name), size)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=7)
    model.producer_name = "Understudy"
    facts = {"identity": name, "steps": str(card.steps), "notice": "What it makes is synthetic. Mark it as such."}
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    write_bytes(output, model.SerializeToString(), SHARED, allow)
    return side


def _library() -> Any:
    try:
        import onnx
    except ImportError:
        raise UnderstudyError(
            "DFM files are written with onnx, which is not installed. Install it into the engine's environment: pip "
            'install "understudy[export]".'
        ) from None
    return onnx


def _side_of(network: Shared) -> int:
    """The side of the crops that a shared encoder sees: twice its first features', halved at each further stage."""
    return 2 * 8 * 2 ** (len(network.encoder.down) - 1)


class _Nodes:
    """An ONNX graph that grows, each operation by name: what it is told to do is its result's name."""

    def __init__(self, onnx: Any) -> None:
        self.onnx, self.nodes, self.constants, self._number = onnx, [], [], count()  # type: ignore[var-annotated]

    def constant(self, values: Any, kind: type = np.int64) -> str:
        name = f"c{next(self._number)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values, kind), name))
        return name

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"t{next(self._number)}"
        self.nodes.append(self.onnx.helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def layers(self, x: str, modules: nn.Module) -> str:
        """A network made of convolutions, linear layers, leaky slopes and pixel shuffles."""
        for module in modules.modules():
            if isinstance(module, nn.Conv2d):
                x = self.add(
                    "Conv", x, *self._weights(module), kernel_shape=list(module.kernel_size),
                    strides=list(module.stride), pads=[*module.padding, *module.padding],
                )  # fmt: skip
            elif isinstance(module, nn.Linear):
                x = self.add("Gemm", x, *self._weights(module), transB=1)
            elif isinstance(module, nn.LeakyReLU):
                x = self.add("LeakyRelu", x, alpha=module.negative_slope)
            elif isinstance(module, nn.PixelShuffle):
                x = self.add("DepthToSpace", x, blocksize=module.upscale_factor, mode="CRD")
        return x

    def resized(self, x: str, height: int, width: int, channels: int) -> str:
        sizes = self.constant([1, channels, height, width])
        return self.add("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")

    def _weights(self, module: nn.Conv2d | nn.Linear) -> list[str]:
        tensors = [module.weight, module.bias]
        return [self.constant(t.detach().float().cpu().numpy(), np.float32) for t in tensors if t is not None]


def _graph(onnx: Any, network: Shared, number: int, size: int) -> tuple[Any, int]:
    """The graph of one decoder, with the crops' resampling, and the side of its crops."""
    side = -(-round(WHOLE_FACE * size) // STEP) * STEP
    x0, y0 = (round(part * side) for part in OFFSET)
    inner = round(side / WHOLE_FACE)
    g = _Nodes(onnx)
    bgr = g.add("Transpose", "in_face:0", perm=[0, 3, 1, 2])
    rgb = g.add("Gather", bgr, g.constant([2, 1, 0]), axis=1)
    part = g.add("Slice", rgb, g.constant([y0, x0]), g.constant([y0 + inner, x0 + inner]), g.constant([2, 3]))
    crop = g.resized(part, size, size, 3)
    made = _decoded(g, network, number, crop, size)
    face = g.add("Sigmoid", g.add("Slice", made, g.constant([0]), g.constant([3]), g.constant([1])))
    logits = g.add("Slice", made, g.constant([3]), g.constant([4]), g.constant([1]))
    low, span = (g.constant(value, np.float32) for value in MASK_LOGITS)
    sure = g.add("Div", g.add("Sub", g.add("Sigmoid", logits), low), span)
    sure = g.add("Clip", sure, g.constant(0, np.float32), g.constant(1, np.float32))
    window = border_window(size, network.encoder.code.weight.device).cpu().numpy()[None, None]
    mask = g.add("Mul", sure, g.constant(window, np.float32))
    rest = side - inner
    around = g.constant([0, 0, y0, x0, 0, 0, rest - y0, rest - x0])
    backwards = g.add("Gather", face, g.constant([2, 1, 0]), axis=1)
    for what, channels, name in ((mask, 1, "out_face_mask:0"), (backwards, 3, "out_celeb_face:0")):
        placed = g.add("Pad", g.resized(what, inner, inner, channels), around, g.constant(0, np.float32))
        g.add("Transpose", placed, output=name, perm=[0, 2, 3, 1])
    g.add("Identity", "out_face_mask:0", output="out_celeb_face_mask:0")
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, side, side, channels])
        for name, channels in (
            ("in_face:0", 3), ("out_face_mask:0", 1), ("out_celeb_face:0", 3), ("out_celeb_face_mask:0", 1)
        )
    ]  # fmt: skip
    return onnx.helper.make_graph(g.nodes, "understudy", values[:1], values[1:], g.constants), side


def _decoded(g: _Nodes, network: Shared, number: int, crop: str, size: int) -> str:
    """The shared encoder and one decoder: (1, 3, S, S) RGB to (1, 4, S, S) logits, as their `forward` does."""
    half = size // 2
    split = g.add("Reshape", crop, g.constant([1, 3, half, 2, half, 2]))
    folded = g.add("Transpose", split, perm=[0, 1, 3, 5, 2, 4])
    features = g.layers(g.add("Reshape", folded, g.constant([1, 12, half, half])), network.encoder.down)
    code = g.layers(g.add("Flatten", features), network.encoder.code)
    square = g.add("ReduceMean", g.add("Mul", code, code), axes=[1], keepdims=1)
    norm = g.add("Sqrt", g.add("Add", square, g.constant(1e-6, np.float32)))
    opened = g.layers(g.add("Div", code, norm), network.encoder.open)
    slope = next(m.negative_slope for m in network.encoder.down.modules() if isinstance(m, nn.LeakyReLU))
    opened = g.add("LeakyRelu", opened, alpha=slope)
    decoder = network.decoders[number]
    assert isinstance(decoder, SharedDecoder)
    channels = network.encoder.open.out_features // 64
    x = g.layers(g.add("Reshape", opened, g.constant([1, channels, 8, 8])), decoder.stages)
    return g.add("DepthToSpace", g.layers(x, decoder.head), blocksize=2, mode="CRD")
