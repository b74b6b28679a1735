"""Read a TensorFlow Lite flatbuffer as data and run it as a batched torch module.

Only what the BlazeFace detector, the face meshes and the hair network need: convolutions, PReLU, padding, addition,
joining, pooling (and back to where each largest value stood), bilinear resizing, depth to space, reshaping, products
with constants, and MediaPipe's own operators in `tflite_regions`; weights in half precision and block-sparse weights.
The file is turned once into a program (JSON) and named tensors, from which `GraphNet` is built; the flatbuffer schema
package is needed for that step only.

Source of the format: tensorflow/lite/schema/schema.fbs and the reference kernels (Apache-2.0).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import DataError
from . import tflite_regions

_WITH_PLACES = ("MaxPoolingWithArgmax2D 1",)
"""Operators that also tell where in its window each largest value stood."""
Program = dict[str, Any]
"""{"inputs": [tensor id], "outputs": [tensor id], "steps": [{"op", "in": [ids], "out": id, ...}]}"""


def parse(data: bytes) -> tuple[Program, dict[str, np.ndarray]]:
    """A flatbuffer's first graph as a program and its float32 weights.

    Raises DataError when the bytes are no such file, or use what this reader does not know.
    """
    try:
        return _Parser(data).parse()
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error, OverflowError) as error:
        raise DataError(
            f"This is not a TensorFlow Lite network that Understudy can read ({error}). Fetch the networks again."
        ) from None


class _Parser:
    """One pass over the operators: constants are folded away, the rest becomes steps."""

    def __init__(self, data: bytes) -> None:
        import tflite  # the schema, wanted only while converting

        if data[4:8] != b"TFL3":
            raise ValueError("its signature is missing")
        self.schema = tflite
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.dtypes: dict[int, np.dtype] = {
            tflite.TensorType.FLOAT32: np.dtype("<f4"),
            tflite.TensorType.FLOAT16: np.dtype("<f2"),
            tflite.TensorType.INT32: np.dtype("<i4"),
        }
        self.names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if not k.startswith("_")}
        self.constants: dict[int, np.ndarray] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.steps: list[dict[str, Any]] = []

    def parse(self) -> tuple[Program, dict[str, np.ndarray]]:
        for index in range(self.graph.TensorsLength()):
            tensor = self.graph.Tensors(index)
            raw = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
            if not isinstance(raw, int) and tensor.Sparsity() is None:
                values = np.frombuffer(raw.tobytes(), self.dtypes[tensor.Type()])
                self.constants[index] = values.reshape(self.shape(index))
        for index in range(self.graph.OperatorsLength()):
            self.operator(self.graph.Operators(index))
        inputs, outputs = self.graph.InputsAsNumpy().tolist(), self.graph.OutputsAsNumpy().tolist()
        return {"inputs": inputs, "outputs": outputs, "steps": _without_pads(self.steps)}, self.weights

    def shape(self, tensor: int) -> list[int]:
        shape = self.graph.Tensors(tensor).ShapeAsNumpy()
        return [] if isinstance(shape, int) else [int(n) for n in shape]

    def options(self, operator: Any, kind: str) -> Any:
        options = getattr(self.schema, kind)()
        table = operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def weight(self, tensor: int, array: np.ndarray) -> str:
        self.weights[str(tensor)] = np.ascontiguousarray(array, np.float32)
        return str(tensor)

    def operator(self, operator: Any) -> None:
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        name = self.names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if name == "CUSTOM":
            name = f"{code.CustomCode().decode()} {code.Version()}"
        inputs = [int(i) for i in operator.InputsAsNumpy()]
        out, *others = (int(i) for i in operator.OutputsAsNumpy())
        if others and name not in _WITH_PLACES:
            raise ValueError(f"its operator {name} has several outputs")
        if name == "DENSIFY":
            self.constants[out] = self.densify(inputs[0])
        elif name == "DEQUANTIZE" and inputs[0] in self.constants:
            self.constants[out] = self.constants[inputs[0]].astype(np.float32)
        else:
            step = self.step(name, operator, inputs, out)
            if others:
                step["places"] = others[0]
            self.steps.append({"in": [i for i in inputs if i not in self.constants and i >= 0], "out": out, **step})

    def step(self, name: str, operator: Any, inputs: list[int], out: int) -> dict[str, Any]:
        constants, schema = self.constants, self.schema
        relu = schema.ActivationFunctionType.RELU

        def activated(options: Any) -> bool:
            kind = options.FusedActivationFunction()
            if kind not in (schema.ActivationFunctionType.NONE, relu):
                raise ValueError(f"its activation {kind} is unknown")
            return bool(kind == relu)

        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            deep = name == "DEPTHWISE_CONV_2D"
            options = self.options(operator, "DepthwiseConv2DOptions" if deep else "Conv2DOptions")
            apart = [options.DilationHFactor(), options.DilationWFactor()]
            kernel = constants[inputs[1]]
            kernel = kernel.transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
            stride = [options.StrideH(), options.StrideW()]
            reach = [1 + (side - 1) * step for side, step in zip(kernel.shape[2:], apart, strict=True)]
            pad = self.padding(options, inputs[0], reach, stride)
            return {
                "op": "conv",
                "weight": self.weight(inputs[1], kernel),
                "bias": self.weight(inputs[2], constants[inputs[2]]) if len(inputs) > 2 and inputs[2] >= 0 else None,
                "stride": stride,
                "pad": pad,
                "dilation": apart,
                "groups": kernel.shape[0] if deep else 1,
                "relu": activated(options),
            }
        if name == "MAX_POOL_2D":
            options = self.options(operator, "Pool2DOptions")
            size, stride = [options.FilterHeight(), options.FilterWidth()], [options.StrideH(), options.StrideW()]
            pad = self.padding(options, inputs[0], size, stride)
            if any(pad) or activated(options):
                raise ValueError("it has padded pooling")
            return {"op": "max_pool", "size": size, "stride": stride}
        if name == "PAD":
            (n0, n1), (top, bottom), (left, right), (c0, c1) = constants[inputs[1]].tolist()
            if n0 or n1:
                raise ValueError("it pads the batch")
            return {"op": "pad", "pad": [left, right, top, bottom, c0, c1]}
        if name == "ADD":
            if any(i in constants for i in inputs):
                raise ValueError("it adds a constant")
            return {"op": "add", "relu": activated(self.options(operator, "AddOptions"))}
        if name == "PRELU":
            return {"op": "prelu", "weight": self.weight(inputs[1], constants[inputs[1]].reshape(-1))}
        if name == "RESIZE_BILINEAR":
            options = self.options(operator, "ResizeBilinearOptions")
            if options.AlignCorners() or not options.HalfPixelCenters():
                raise ValueError("it resizes in the old way")
            return {"op": "resize", "size": constants[inputs[1]].tolist()}
        if name == "DEPTH_TO_SPACE":
            return {"op": "depth_to_space", "block": self.options(operator, "DepthToSpaceOptions").BlockSize()}
        if name == "RESHAPE":
            return {"op": "flatten", "channels": self.shape(out)[-1], "square": len(self.shape(out)) == 4}
        if name == "MUL":
            return {"op": "mul", "weight": self.weight(inputs[1], constants[inputs[1]])}
        if name == "STRIDED_SLICE":
            if self.shape(out) != self.shape(inputs[0]) or (constants[inputs[3]] != 1).any():
                raise ValueError("it cuts out a part")
            return {"op": "same"}
        if name == "CONCATENATION":
            if self.options(operator, "ConcatenationOptions").Axis() not in (3, -1):
                raise ValueError("it joins along another axis than the channels")
            return {"op": "join"}
        if name in _WITH_PLACES:
            return {"op": "max_pool_places"}
        if name == "MaxUnpooling2D 1":
            return {"op": "unpool"}
        if name == "Convolution2DTransposeBias 1":
            kernel = constants[inputs[1]].transpose(3, 0, 1, 2)
            return {
                "op": "conv_transposed",
                "weight": self.weight(inputs[1], kernel),
                "bias": self.weight(inputs[2], constants[inputs[2]]),
            }
        if name in tflite_regions.OPERATORS:
            from flatbuffers import flexbuffers

            options = operator.CustomOptionsAsNumpy()
            return {"op": name, **({} if isinstance(options, int) else flexbuffers.Loads(options.tobytes()))}
        raise ValueError(f"its operator {name} is unknown")

    def padding(self, options: Any, tensor: int, kernel: Any, stride: list[int]) -> list[int]:
        """[left, right, top, bottom]; SAME puts the odd pixel right and below."""
        if options.Padding() == self.schema.Padding.VALID:
            return [0, 0, 0, 0]
        _, height, width, _ = self.shape(tensor)
        pad: list[int] = []
        for size, k, s in ((width, kernel[1], stride[1]), (height, kernel[0], stride[0])):
            total = max((-(-size // s) - 1) * s + int(k) - size, 0)
            pad += [total // 2, total - total // 2]
        return pad

    def densify(self, index: int) -> np.ndarray:
        """Spread block-sparse values into a dense array.

        `SparsityParameters` nests the original dimensions (and after them the blocks' inner
        ones) in traversal order; each level is dense or a compressed list of the indices used.
        """
        tensor = self.graph.Tensors(index)
        shape, sparsity = self.shape(index), tensor.Sparsity()
        order = sparsity.TraversalOrderAsNumpy().tolist()
        blocks = sparsity.BlockMapAsNumpy()
        blocks = [] if isinstance(blocks, int) else blocks.tolist()
        levels = [sparsity.DimMetadata(i) for i in range(sparsity.DimMetadataLength())]
        coordinates, position = np.zeros((1, 0), np.int64), np.zeros(1, np.int64)
        for level in levels:
            if level.Format() == self.schema.DimensionType.DENSE:
                size = level.DenseSize()
                column = np.tile(np.arange(size), len(position))
                parent = np.repeat(np.arange(len(position)), size)
                position = position[parent] * size + column
            else:
                segments = self.vector(level.ArraySegmentsType(), level.ArraySegments())
                indices = self.vector(level.ArrayIndicesType(), level.ArrayIndices())
                start, count = segments[position], np.diff(segments)[position]
                parent = np.repeat(np.arange(len(position)), count)
                within = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
                position = start[parent] + within
                column = indices[position]
            coordinates = np.concatenate([coordinates[parent], column[:, None]], 1)
        place = [np.zeros(len(position), np.int64) for _ in shape]
        for depth, dimension in enumerate(order):
            if dimension < len(shape):
                inner = [i for i, b in enumerate(blocks) if b == dimension]
                size = levels[order.index(len(shape) + inner[0])].DenseSize() if inner else 1
                place[dimension] += coordinates[:, depth] * size
            else:
                place[blocks[dimension - len(shape)]] += coordinates[:, depth]
        raw = self.model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        dense = np.zeros(shape, np.float32)
        dense[tuple(place)] = np.frombuffer(raw, self.dtypes[tensor.Type()])[position]
        return dense

    def vector(self, kind: int, table: Any) -> np.ndarray:
        names = {v: k for k, v in vars(self.schema.SparseIndexVector).items() if not k.startswith("_")}
        vector = getattr(self.schema, names[kind])()
        vector.Init(table.Bytes, table.Pos)
        values: np.ndarray = vector.ValuesAsNumpy()
        return values.astype(np.int64)


def _without_pads(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same steps, each convolution padding its own input where only it reads the padded one."""
    pads = {s["out"]: s for s in steps if s["op"] == "pad" and s["pad"][4:] == [0, 0]}
    for out in list(pads):
        readers = [step for step in steps if out in step["in"]]
        if len(readers) != 1 or readers[0]["op"] != "conv":
            del pads[out]
    folded = []
    for step in steps:
        if step["out"] in pads:
            continue
        pad = pads.get(step["in"][0])
        if pad:
            amounts = [a + b for a, b in zip(step["pad"], pad["pad"], strict=False)]
            step = {**step, "in": pad["in"], "pad": amounts}
        folded.append(step)
    return folded


class GraphNet(nn.Module):
    """A parsed network; inputs are (N, C, H, W) float32 of the size the file was made for.

    `outputs` are the numbers of the file's outputs that are wanted, None for all.
    """

    def __init__(self, program: Program, weights: dict[str, Tensor], outputs: Sequence[int] | None = None) -> None:
        super().__init__()
        wanted = [program["outputs"][i] for i in outputs] if outputs is not None else program["outputs"]
        self.program = {**program, "outputs": wanted, "steps": _needed(program["steps"], wanted)}
        for name, tensor in weights.items():
            layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
            self.register_buffer(f"w{name}", tensor.contiguous(memory_format=layout))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs with the batch first and channels last, as the file's own runtime has them."""
        (source,) = self.program["inputs"]
        values = {source: x}
        for step in self.program["steps"]:
            answer = _STEPS[step["op"]](self, step, *(values[i] for i in step["in"]))
            if "places" in step:
                values[step["out"]], values[step["places"]] = answer
            else:
                values[step["out"]] = answer
        outputs = [values[i] for i in self.program["outputs"]]
        return [o.permute(0, 2, 3, 1) if o.ndim == 4 else o for o in outputs]

    def _weight(self, name: str | None) -> Tensor | None:
        return None if name is None else self.get_buffer(f"w{name}")


def _needed(steps: list[dict[str, Any]], outputs: list[int]) -> list[dict[str, Any]]:
    """The steps without those that lead to none of the outputs."""
    wanted, kept = set(outputs), []
    for step in reversed(steps):
        if step["out"] in wanted or step.get("places") in wanted:
            wanted.update(step["in"])
            kept.append(step)
    return kept[::-1]


def _conv(net: GraphNet, step: dict[str, Any], x: Tensor) -> Tensor:
    weight = net._weight(step["weight"])
    assert weight is not None
    left, right, top, bottom = step["pad"]
    if left == right and top == bottom:
        padding = (top, left)
    else:
        x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
    y = F.conv2d(
        x,
        weight,
        net._weight(step["bias"]),
        tuple(step["stride"]),
        padding,
        tuple(step.get("dilation", (1, 1))),
        step["groups"],
    )
    return F.relu_(y) if step["relu"] else y


def _add(net: GraphNet, step: dict[str, Any], a: Tensor, b: Tensor) -> Tensor:
    return F.relu(a + b) if step["relu"] else a + b


def _prelu(net: GraphNet, step: dict[str, Any], x: Tensor) -> Tensor:
    weight = net._weight(step["weight"])
    assert weight is not None
    return F.prelu(x, weight)


def _resize(net: GraphNet, step: dict[str, Any], x: Tensor) -> Tensor:
    return F.interpolate(x, tuple(step["size"]), mode="bilinear", align_corners=False)


def _depth_to_space(net: GraphNet, step: dict[str, Any], x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    b = step["block"]
    return x.view(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (b * b), h * b, w * b)


def _flatten(net: GraphNet, step: dict[str, Any], x: Tensor) -> Tensor:
    last = x.permute(0, 2, 3, 1) if x.ndim == 4 else x
    flat = last.reshape(x.shape[0], -1, step["channels"])
    return flat.permute(0, 2, 1)[..., None] if step.get("square") else flat


def _mul(net: GraphNet, step: dict[str, Any], x: Tensor) -> Tensor:
    weight = net._weight(step["weight"])
    assert weight is not None
    return x * weight


def _conv_transposed(net: GraphNet, step: dict[str, Any], x: Tensor) -> Tensor:
    """Twice the size; what a kernel reaches beyond the lower right edge is cut off."""
    weight = net._weight(step["weight"])
    assert weight is not None
    y = F.conv_transpose2d(x, weight, net._weight(step["bias"]), 2)
    return y[:, :, : 2 * x.shape[2], : 2 * x.shape[3]]


def _of_regions(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda net, step, *values: operator(step, *values)


_STEPS: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "pad": lambda net, step, x: F.pad(x, tuple(step["pad"])),
    "add": _add,
    "prelu": _prelu,
    "max_pool": lambda net, step, x: F.max_pool2d(x, tuple(step["size"]), tuple(step["stride"])),
    "max_pool_places": lambda net, step, x: F.max_pool2d(x, 2, 2, return_indices=True),
    "unpool": lambda net, step, x, places: F.max_unpool2d(x, places, (2, 2), (2, 2)),
    "conv_transposed": _conv_transposed,
    "join": lambda net, step, *parts: torch.cat(parts, 1),
    "resize": _resize,
    "depth_to_space": _depth_to_space,
    "flatten": _flatten,
    "mul": _mul,
    "same": lambda net, step, x: x,
    **{name: _of_regions(operator) for name, operator in tflite_regions.OPERATORS.items()},
}
