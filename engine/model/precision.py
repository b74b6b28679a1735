"""Which number format the networks run in, decided by what the device is good at."""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..reporter import Reporter


@functools.cache
def autocast_dtype(device_type: str) -> torch.dtype | None:
    """bfloat16 where it is faster than float32, else None (float32).

    A CPU without bfloat16 instructions emulates them tenfold slower, and none says so reliably: a small
    convolution is timed once, forward and backward.
    """
    if device_type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if device_type != "cpu":
        return None
    with torch.inference_mode(False), torch.enable_grad():  # the first caller may be a conversion
        return torch.bfloat16 if _seconds(True) < 0.9 * _seconds(False) else None


def _seconds(bfloat16: bool) -> float:
    """The best time of a small convolution, forward and backward, on the CPU."""
    layer = torch.nn.Conv2d(48, 48, 3, padding=1)
    x = torch.rand(4, 48, 64, 64).to(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            y = layer(x)
        torch.autograd.backward(y.float().mean())
        best = min(best, time.perf_counter() - begun)
    return best


def autocast(device: torch.device) -> torch.autocast:
    """The context in which networks run on a device."""
    dtype = autocast_dtype(device.type)
    return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)


def compiled(network: nn.Module, device: torch.device, report: Reporter) -> Callable[..., Any]:
    """The network compiled where that is worth it (CUDA), else as it is; why not is logged."""
    if device.type != "cuda":
        return network
    if not hasattr(torch, "compile") or not importlib.util.find_spec("triton"):
        report.log("Training without torch.compile: Triton is not installed.")
        return network
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as it is
    return torch.compile(network)
