"""MediaPipe's hair_segmentation.tflite (0.8.2, Apache-2.0) in plain torch, to judge with.

Its three custom operators are max pooling with positions, its inverse, and a transposed convolution with a bias.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tflite
import torch
import torch.nn.functional as F

_TYPES = {tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.FLOAT16: np.float16}
_NAMES = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}


class Hair(torch.nn.Module):
    """Input (N, 4, 512, 512) float32: RGB 0..1 and the mask of the frame before (zeros without one).

    Output (N, 2, 512, 512) logits, background and hair.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
        graph = model.Subgraphs(0)

        def constant(index: int) -> torch.Tensor:
            tensor = graph.Tensors(index)
            data = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
            values = np.frombuffer(data, _TYPES[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
            return torch.from_numpy(values.astype(np.float32))

        self.begin, self.end = int(graph.InputsAsNumpy()[0]), int(graph.OutputsAsNumpy()[0])
        self.program: list[tuple[str, list[int], list[int], dict[str, Any]]] = []
        for k in range(graph.OperatorsLength()):
            operator = graph.Operators(k)
            code = model.OperatorCodes(operator.OpcodeIndex())
            name = _NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            if name == "CUSTOM":
                name = code.CustomCode().decode()
            inputs, outputs = operator.InputsAsNumpy().tolist(), operator.OutputsAsNumpy().tolist()
            facts: dict[str, Any] = {}
            if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                depthwise = name[0] == "D"
                options = tflite.DepthwiseConv2DOptions() if depthwise else tflite.Conv2DOptions()
                options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
                weight = constant(inputs[1]).permute((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
                facts = {
                    "weight": weight,
                    "bias": constant(inputs[2]),
                    "stride": (options.StrideH(), options.StrideW()),
                    "dilation": (options.DilationHFactor(), options.DilationWFactor()),
                    "same": options.Padding() == tflite.Padding.SAME,
                    "depthwise": depthwise,
                    "act": options.FusedActivationFunction(),
                }
            elif name == "PRELU":
                facts = {"weight": constant(inputs[1]).reshape(-1)}
            elif name == "Convolution2DTransposeBias":
                facts = {"weight": constant(inputs[1]).permute(3, 0, 1, 2), "bias": constant(inputs[2])}
            self.program.append((name, inputs, outputs, facts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        known: dict[int, torch.Tensor] = {self.begin: x}
        for name, inputs, outputs, facts in self.program:
            given = known[inputs[0]]
            if name.endswith("CONV_2D"):
                result = _convolved(given, facts)
            elif name == "PRELU":
                result = F.prelu(given, facts["weight"])
            elif name == "ADD":
                result = given + known[inputs[1]]
            elif name == "CONCATENATION":
                result = torch.cat([known[t] for t in inputs], 1)
            elif name == "MaxPoolingWithArgmax2D":
                result, known[outputs[1]] = F.max_pool2d(given, 2, 2, return_indices=True)
            elif name == "MaxUnpooling2D":
                result = F.max_unpool2d(given, known[inputs[1]], 2, 2)
            elif name == "Convolution2DTransposeBias":
                height, width = given.shape[2:]
                result = F.conv_transpose2d(given, facts["weight"], facts["bias"], 2)
                result = result[:, :, : 2 * height, : 2 * width]
            else:
                raise ValueError(f"This network has an operator {name}, which is not known here.")
            known[outputs[0]] = result
        return known[self.end]


def _convolved(x: torch.Tensor, facts: dict[str, Any]) -> torch.Tensor:
    weight = facts["weight"]
    if facts["same"]:
        pads: list[int] = []
        for axis in (1, 0):
            length, stride = x.shape[2 + axis], facts["stride"][axis]
            reach = (weight.shape[2 + axis] - 1) * facts["dilation"][axis] + 1
            total = max((-(-length // stride) - 1) * stride + reach - length, 0)
            pads += [total // 2, total - total // 2]
        x = F.pad(x, pads)
    groups = x.shape[1] if facts["depthwise"] else 1
    x = F.conv2d(x, weight, facts["bias"], facts["stride"], 0, facts["dilation"], groups)
    if facts["act"] == tflite.ActivationFunctionType.RELU:
        return x.relu()
    return x.clamp(0, 6) if facts["act"] == tflite.ActivationFunctionType.RELU6 else x
